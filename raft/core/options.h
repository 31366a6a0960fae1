// RaftOptions and RecoveredRaft: what a Raft starts from.

#ifndef RAFT_CORE_OPTIONS_H_
#define RAFT_CORE_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/time.h"
#include "base/types.h"
#include "raft/core/configuration.h"
#include "raft/core/holes.h"
#include "raft/core/snapshot_point.h"

namespace cairn {

// Election timeouts, and with them promises, are at most this.
inline constexpr Duration kLongestTimeout = Seconds(3600);
inline constexpr uint32_t kLowestPriority = 1000;

struct RaftOptions {
  NodeId node = NodeId::kNone;
  // A follower that hears nothing campaigns after a time drawn from [election_timeout,
  // 1.5 * election_timeout); each step of priority below the highest adds to it.
  Duration election_timeout = Milliseconds(1000);
  Duration heartbeat_interval = Milliseconds(100);
  // A commit index that no append carries to a peer goes there by itself after this long; at most
  // the heartbeat interval matters. Followers apply later by as much, and a leader whose commands
  // follow each other more closely saves two messages a command and peer.
  Duration commit_notice_delay = {};
  // Of this node's disk. Where the log says that a member has another one, this node is not that
  // member, whatever its id.
  Incarnation incarnation = Incarnation::kUnknown;
  // Another member of this id was deleted on this very node: a configuration that names the id
  // without a disk may mean that one. By such a configuration this one does not campaign where it
  // would be the only voter, and was not removed.
  bool only_by_disk = false;
  // Votes and acknowledges, and leads never: neither by timeout nor by hand-over. A majority of the
  // voters must be others, or an entry that only such nodes hold leaves the group without a leader.
  bool never_campaigns = false;
  // Of all randomness of this Raft. Must differ from start to start of one node: numbers of
  // requests are drawn from it, and an answer to a request of an earlier process must not fit a
  // later one.
  uint64_t seed = 0;
  // 0 is the highest; lower ones wait priority * election_timeout / 2 longer.
  uint32_t priority = 0;
  // A leader whose disk has not synced for this long what a quorum's disks have hands over. 0: it
  // goes on.
  Duration slow_disk_timeout = Milliseconds(500);
  // A leader from which a quorum has taken nothing of what it lacks for this long, though it
  // answers heartbeats (fault catalogue N9), steps down and lets others go first. 0: it stays.
  // Longer than the largest command takes on the slowest link.
  Duration stall_timeout = Seconds(30);
  // As a leader, answer reads that allow it by the promises of a quorum and without asking it
  // (raft/core/lease.h). Members need not agree on this: promises are made either way.
  bool lease = false;
  // The rates of two members' clocks differ by at most this many parts in a thousand. A lease is
  // shorter by as much; where more is seen, there is none any more.
  int64_t max_clock_drift_per_mille = 50;
  // A leader that has had nothing to do for so many heartbeats offers its group to rest: nobody
  // sends anything then or looks at a clock (raft/core/quiesce.cc). 0: never, and no offer is
  // taken. Whoever steps HostLost must be there then.
  uint32_t quiesce_after = 0;
  // Heartbeats are due at multiples of the interval, so that those of many groups are due together.
  bool align_heartbeats = false;
  // Per peer: append messages sent and not answered.
  size_t max_inflight_messages = 256;
  size_t max_inflight_bytes = size_t{4} << 20;
  // Proposals beyond this many bytes of uncommitted entries are refused as busy.
  size_t max_uncommitted_bytes = size_t{64} << 20;
};

// INVALID_ARGUMENT naming the first setting that makes no sense.
absl::Status Validate(const RaftOptions& options);

// What recovery found; all of it is durable.
struct RecoveredRaft {
  HardState hard_state = {};
  LogPosition base = {};           // of the entry before the first one kept
  std::vector<TermRun> runs = {};  // shape of the entries behind base
  // The configuration in force at `base`: the last one at or before it, and where it stood (the
  // initial members, at {0, 0}, if no entry up to there held one). Then those of the entries, in
  // log order.
  LogPosition base_configuration_position = {};
  Configuration base_configuration = {};
  std::vector<std::pair<LogPosition, Configuration>> configurations = {};
  // What the state machine holds already; at least base.index, unless `state_lost`: what the
  // entries up to base have made cannot be read any more, and another member is asked for a
  // snapshot.
  Index applied = 0;
  bool state_lost = false;
  // A batch that was synced is lost: this node cannot tell what it has promised, and what is here
  // may be older than it was (raft/core/rejoin.h). `applied` may be behind the last entry.
  bool unsure = false;
  // Entries from here to the end have id records but no readable record, and one power cut can
  // have done it. They count in election comparisons, are never acknowledged, and this node does
  // not campaign before they are decided (docs/decisions.md, "Torn tails").
  std::optional<Index> torn_from = {};
  // Entries that cannot be read, as EntriesDamaged; those from torn_from on do not count.
  std::vector<HoleRange> holes = {};
  // A snapshot that was received whole; whether the log was reset for it the process that received
  // it may not have lived to see. `applied` may be its position already.
  std::optional<SnapshotPoint> snapshot = {};
};

}  // namespace cairn

#endif  // RAFT_CORE_OPTIONS_H_
