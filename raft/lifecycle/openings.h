// Openings: the groups that a host is opening. So many of them recover at a time, the others wait
// for their turn.

#ifndef RAFT_LIFECYCLE_OPENINGS_H_
#define RAFT_LIFECYCLE_OPENINGS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <set>

#include "absl/status/status.h"
#include "base/mutex.h"
#include "base/time.h"
#include "base/types.h"

namespace cairn {

// An opening waits for the disk most of the time, and so many questions keep a solid state disk as
// busy as more would, or let a disk that turns find short ways. More would only come between the
// syncs of the groups that run already, and each holds buffers and files of its own.
inline constexpr size_t kUsualOpeners = 16;

struct OpeningsStatus {
  size_t most = 0;     // that may recover at a time
  size_t running = 0;  // that do
  size_t waiting = 0;  // for their turn
  uint64_t ended = 0;  // after their turn, well or with an error
  // For a turn, of all so far, those that wait still included.
  Duration longest_wait;
};

// Holds: a group is opened once at a time; at most `most` openings have their turn, which they get
// in the order in which they asked for it.
// Threads: any.
class Openings {
 public:
  // One group's; ends with it, and so does its turn.
  class Opening {
   public:
    ~Opening() { openings_->End(*this); }
    Opening(const Opening&) = delete;
    Opening& operator=(const Opening&) = delete;

    // Once. Blocks until it is this one's turn; UNAVAILABLE if Stop was called before that.
    absl::Status AwaitTurn() { return openings_->AwaitTurn(*this); }

   private:
    friend class Openings;
    Opening(Openings* openings, GroupId group) : openings_(openings), group_(group) {}

    Openings* const openings_;
    const GroupId group_;
    // Under the lock of openings_.
    bool runs_ = false;
    Instant since_;  // when it began to wait
    CondVar turn_;
  };

  // `most` > 0. The clock outlives it.
  Openings(size_t most, const Clock* clock);
  ~Openings();
  Openings(const Openings&) = delete;
  Openings& operator=(const Openings&) = delete;

  // Null if the group is being opened. Not after Stop.
  std::unique_ptr<Opening> Begin(GroupId group);
  bool Has(GroupId group) const;

  // Those that wait for their turn get none; blocks until all have ended.
  void Stop();

  OpeningsStatus status() const;

 private:
  absl::Status AwaitTurn(Opening& opening);
  void End(const Opening& opening);

  const size_t most_;
  const Clock* const clock_;
  mutable Mutex mutex_;
  CondVar none_left_;
  bool stopped_ CAIRN_GUARDED_BY(mutex_) = false;
  std::set<GroupId> groups_ CAIRN_GUARDED_BY(mutex_);
  std::deque<Opening*> waiting_ CAIRN_GUARDED_BY(mutex_);
  size_t running_ CAIRN_GUARDED_BY(mutex_) = 0;
  uint64_t ended_ CAIRN_GUARDED_BY(mutex_) = 0;
  Duration longest_wait_ CAIRN_GUARDED_BY(mutex_);  // of those that wait no more
};

}  // namespace cairn

#endif  // RAFT_LIFECYCLE_OPENINGS_H_
