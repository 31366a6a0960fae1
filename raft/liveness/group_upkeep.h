// GroupUpkeep: what a host does for all its groups together: their timers, and the watch over other
// hosts while they rest.

#ifndef RAFT_LIVENESS_GROUP_UPKEEP_H_
#define RAFT_LIVENESS_GROUP_UPKEEP_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "base/executor.h"
#include "base/log_sink.h"
#include "base/time.h"
#include "base/types.h"
#include "raft/core/raft.h"
#include "raft/liveness/host_watch.h"
#include "raft/transport.h"

namespace cairn {

// Timers of groups that are due together run together, within one burst of the transport
// (transport.h), so that their heartbeats to one peer share a frame. At most so many a turn: what
// else waits for the runner gets its turn between.
inline constexpr size_t kTimersATurn = 128;

// Threads: the runner's sequence, but life() and PartEnded, which any may call.
class GroupUpkeep {
 public:
  struct Parts {
    const Clock* clock = nullptr;
    Executor* runner = nullptr;
    Transport* transport = nullptr;
    LogSink* log = nullptr;
    // A timer set for `when` is due.
    std::function<void(GroupId, Instant when)> due;
    std::function<void(GroupId, const HostLost&)> lost;
    std::function<void(NodeId to, const HostHeartbeat&)> send;
  };

  // `seed` differs from start to start. `parts` outlive this object's tasks, and it outlives them.
  GroupUpkeep(Parts parts, uint64_t seed);

  // Calls `due` at `when`. There is no cancellation.
  void WakeAt(GroupId group, Instant when);

  // As HostWatch. `group` rests, or (`on` is empty) does not.
  void Rests(GroupId group, const std::vector<Raft::Reliance>& on, HostWatch::Timing timing);
  void Receive(NodeId from, const HostHeartbeat& heartbeat);

  // Of this host, now.
  HostLife life() const { return life_.load(std::memory_order_acquire); }
  // Its part in some group ends: other members must not wait for it.
  void PartEnded() { life_.fetch_add(1, std::memory_order_acq_rel); }

 private:
  void Run(Instant now);
  void DriveWatch(Instant now);
  void Schedule();

  const Parts parts_;
  std::atomic<HostLife> life_;
  HostWatch watch_;
  std::set<std::pair<Instant, GroupId>> timers_;
  Instant next_wakeup_ = kDistantFuture;  // of the task that counts
};

}  // namespace cairn

#endif  // RAFT_LIVENESS_GROUP_UPKEEP_H_
