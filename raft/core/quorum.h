// Quorum: what the voters of a configuration have decided.
//
// A decision needs a majority of the voters and, while the configuration is joint, a majority of
// the outgoing voters too (thesis 4.3). A set without voters agrees to everything, so the answer
// of a joint configuration is simply the weaker one of its halves, and one that is not joint needs
// no case of its own. For a configuration without any voter every answer is therefore the largest
// there is; callers decide for groups that are formed.
//
// A QuorumRule changes how they are counted, for unsafe recoveries only
// (raft/core/unsafe_override.h). With the rule left out, nothing is changed.
//
// All functions are pure and, for up to nine voters, allocate nothing.

#ifndef RAFT_CORE_QUORUM_H_
#define RAFT_CORE_QUORUM_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "base/time.h"
#include "base/types.h"
#include "raft/core/configuration.h"

namespace cairn {

// How voters are counted. Any other rule than the default one breaks what quorums are for: two of
// them need not meet any more.
struct QuorumRule {
  absl::Span<const NodeId> evicted = {};             // are not counted, as if they were no voters
  size_t most = std::numeric_limits<size_t>::max();  // of each half, so many are enough; from 1
  bool every_vote = false;                           // an election takes all who are counted
};

// The largest value that a quorum has reached, where `reached` gives what each voter has reached:
// 0 for one that nothing is known of. Used for indexes a quorum holds durably (paper figure 2,
// leaders, last rule) and for contexts a quorum has answered. `reached` is called once a voter and
// half; the largest uint64_t if there is no voter.
uint64_t ReachedByQuorum(const Configuration& configuration,
                         absl::FunctionRef<uint64_t(NodeId)> reached, const QuorumRule& rule = {});

// The latest instant since which a quorum has been in contact: at every moment after it, a quorum
// had been heard of at it or later. kDistantFuture if there is no voter.
Instant QuorumContact(const Configuration& configuration,
                      absl::FunctionRef<Instant(NodeId)> last_contact, const QuorumRule& rule = {});

enum class VoteResult {
  kPending,  // votes still missing decide
  kWon,
  kLost,  // no votes still missing can change it
};

// `vote` gives what each voter has answered: granted or not, nullopt while it has not.
VoteResult CountVotes(const Configuration& configuration,
                      absl::FunctionRef<std::optional<bool>(NodeId)> vote,
                      const QuorumRule& rule = {});

// "pending", "won" or "lost".
const char* NameOf(VoteResult result);

}  // namespace cairn

#endif  // RAFT_CORE_QUORUM_H_
