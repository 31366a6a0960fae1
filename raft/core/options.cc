#include "raft/core/options.h"

#include "absl/strings/str_cat.h"

namespace cairn {
namespace {

// Two heartbeats may be late before a follower campaigns.
constexpr int64_t kHeartbeatsPerElection = 3;
// Keeps sums of instants and timeouts, lengthened by any priority, far from overflow.

}  // namespace

absl::Status Validate(const RaftOptions& options) {
  if (options.node == NodeId::kNone) return absl::InvalidArgumentError("node: is 0");
  if (options.heartbeat_interval <= Duration{}) {
    return absl::InvalidArgumentError("heartbeat_interval: is not positive");
  }
  // The order matters: no product of an unchecked number.
  if (options.election_timeout > kLongestTimeout) {
    return absl::InvalidArgumentError(absl::StrCat(
        "election_timeout: ", ToMilliseconds(options.election_timeout), " ms is above one hour"));
  }
  if (options.heartbeat_interval > options.election_timeout / kHeartbeatsPerElection) {
    return absl::InvalidArgumentError(
        absl::StrCat("election_timeout: ", ToMilliseconds(options.election_timeout),
                     " ms is below ", kHeartbeatsPerElection, " times heartbeat_interval, ",
                     ToMilliseconds(options.heartbeat_interval), " ms"));
  }
  if (options.commit_notice_delay < Duration{} || options.commit_notice_delay > kLongestTimeout) {
    return absl::InvalidArgumentError("commit_notice_delay: is negative or above one hour");
  }
  if (options.slow_disk_timeout < Duration{} || options.slow_disk_timeout > kLongestTimeout) {
    return absl::InvalidArgumentError("slow_disk_timeout: is negative or above one hour");
  }
  if (options.stall_timeout < Duration{} || options.stall_timeout > kLongestTimeout) {
    return absl::InvalidArgumentError("stall_timeout: is negative or above one hour");
  }
  if (options.max_clock_drift_per_mille < 0 || options.max_clock_drift_per_mille > 500) {
    return absl::InvalidArgumentError("max_clock_drift_per_mille: is not in 0..500");
  }
  if (options.priority > kLowestPriority) {
    return absl::InvalidArgumentError(
        absl::StrCat("priority: ", options.priority, " is above ", kLowestPriority));
  }
  if (options.max_inflight_messages == 0) {
    return absl::InvalidArgumentError("max_inflight_messages: is 0");
  }
  if (options.max_inflight_bytes == 0) {
    return absl::InvalidArgumentError("max_inflight_bytes: is 0");
  }
  if (options.max_uncommitted_bytes == 0) {
    return absl::InvalidArgumentError("max_uncommitted_bytes: is 0");
  }
  return absl::OkStatus();
}

}  // namespace cairn
