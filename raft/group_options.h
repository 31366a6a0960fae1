// GroupOptions: how a group behaves on this node.

#ifndef RAFT_GROUP_OPTIONS_H_
#define RAFT_GROUP_OPTIONS_H_

#include <cstddef>
#include <cstdint>

#include "base/time.h"
#include "raft/compaction.h"

namespace cairn {

struct GroupOptions {
  Duration election_timeout = Milliseconds(1000);
  Duration heartbeat_interval = Milliseconds(100);
  // What followers apply late at most, when no entry comes behind (raft/core/options.h).
  Duration commit_notice_delay = Milliseconds(5);
  // After so many heartbeats without anything to do the group rests and costs nothing, until
  // something happens (docs/groups.md); 0: never. It rests where no member says never.
  uint32_t quiesce_after = 10;
  uint32_t priority = 0;
  bool never_campaigns = false;  // votes and leads never (raft/core/options.h)
  // A leader answers reads that allow it (ReadOptions::lease) without asking a quorum, if the rates
  // of members' clocks differ by no more than so many parts in a thousand.
  bool lease = false;
  int64_t max_clock_drift_per_mille = 50;
  // As a leader, hand over when the log's disk has not synced for this long what a majority's disks
  // have: commands are answered by what the leader's own disk holds. 0: never.
  Duration slow_disk_timeout = Milliseconds(500);
  // As a leader, step down when a majority answers and has taken no entries for this long:
  // heartbeats may pass where entries do not. Longer than the largest command takes on the slowest
  // link. 0: never.
  Duration stall_timeout = Seconds(30);
  size_t max_command_bytes = size_t{1} << 20;
  size_t max_inflight_bytes = size_t{64} << 20;  // proposals not yet answered, per group
  size_t max_sessions = 10'000;                  // the same on every member
  // Recent entries kept in memory, at most; see HostDependencies::log_cache_bytes.
  size_t log_cache_bytes = size_t{16} << 20;
  // A wall clock that runs ahead of monotonic time by more than this at once is not believed.
  Duration max_clock_jump = Seconds(10);
  // A member that lags further than so many entries behind what is committed is not healthy, until
  // it has caught up (raft/liveness/catch_up.h).
  uint64_t max_healthy_lag = 1000;
  // When the state is saved and how much of the log stays (docs/snapshots.md).
  CompactionOptions compaction;
};

}  // namespace cairn

#endif  // RAFT_GROUP_OPTIONS_H_
