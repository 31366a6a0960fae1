// LossEstimate: what may be lost when a group goes on without a majority, in words.

#ifndef SERVICE_MEMBERSHIP_LOSS_ESTIMATE_H_
#define SERVICE_MEMBERSHIP_LOSS_ESTIMATE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "base/types.h"
#include "raft/core/configuration.h"

namespace cairn {

// What one survivor knows.
struct SurvivorState {
  LogPosition last;
  Index commit = 0;
  std::optional<Duration> since_leader = {};  // none was heard since its start
};

// Three sentences: what surely stays if it leads, what stays and may never have been acknowledged,
// and what is lost and cannot be counted.
std::string LossEstimate(const SurvivorState& survivor);

// How many voters, of either half while joint, are not among `evicted`.
uint64_t VotersLeft(const Configuration& configuration, const std::vector<NodeId>& evicted);

}  // namespace cairn

#endif  // SERVICE_MEMBERSHIP_LOSS_ESTIMATE_H_
