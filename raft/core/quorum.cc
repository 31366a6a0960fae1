#include "raft/core/quorum.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <limits>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "raft/core/mutants.h"

namespace cairn {
namespace {

constexpr size_t kVotersWithoutAllocation = 9;

constexpr size_t MajorityOf(size_t voters) { return voters / 2 + 1; }

// The largest value that a majority of `voters` has reached: the k-th largest, where k is the size
// of a majority. `of_nobody` if there are none.
template <typename Value>
Value ReachedByMajority(const std::vector<Member>& voters, absl::FunctionRef<Value(NodeId)> reached,
                        Value of_nobody) {
  if (voters.empty()) return of_nobody;
  absl::InlinedVector<Value, kVotersWithoutAllocation> values;
  for (const Member& voter : voters) values.push_back(reached(voter.node));
  auto decisive = values.begin() + static_cast<std::ptrdiff_t>(MajorityOf(values.size()) - 1);
  std::nth_element(values.begin(), decisive, values.end(), std::greater<>());
  return *decisive;
}

VoteResult CountMajority(const std::vector<Member>& voters,
                         absl::FunctionRef<std::optional<bool>(NodeId)> vote) {
  if (voters.empty()) return VoteResult::kWon;
  size_t granted = 0;
  size_t missing = 0;
  for (const Member& voter : voters) {
    std::optional<bool> answer = vote(voter.node);
    if (!answer) {
      ++missing;
    } else if (*answer) {
      ++granted;
    }
  }
  if (granted >= MajorityOf(voters.size())) return VoteResult::kWon;
  return granted + missing >= MajorityOf(voters.size()) ? VoteResult::kPending : VoteResult::kLost;
}

}  // namespace

uint64_t ReachedByQuorum(const Configuration& configuration,
                         absl::FunctionRef<uint64_t(NodeId)> reached) {
  constexpr uint64_t kOfNobody = std::numeric_limits<uint64_t>::max();
  const uint64_t by_voters = ReachedByMajority(configuration.voters, reached, kOfNobody);
  if (MutantEnabled(Mutant::kOneMajority)) return by_voters;
  return std::min(by_voters, ReachedByMajority(configuration.outgoing_voters, reached, kOfNobody));
}

Instant QuorumContact(const Configuration& configuration,
                      absl::FunctionRef<Instant(NodeId)> last_contact) {
  return std::min(ReachedByMajority(configuration.voters, last_contact, kDistantFuture),
                  ReachedByMajority(configuration.outgoing_voters, last_contact, kDistantFuture));
}

VoteResult CountVotes(const Configuration& configuration,
                      absl::FunctionRef<std::optional<bool>(NodeId)> vote) {
  VoteResult incoming = CountMajority(configuration.voters, vote);
  if (MutantEnabled(Mutant::kOneMajority)) return incoming;
  VoteResult outgoing = CountMajority(configuration.outgoing_voters, vote);
  if (incoming == VoteResult::kLost || outgoing == VoteResult::kLost) return VoteResult::kLost;
  if (incoming == VoteResult::kWon && outgoing == VoteResult::kWon) return VoteResult::kWon;
  return VoteResult::kPending;
}

const char* NameOf(VoteResult result) {
  switch (result) {
    case VoteResult::kPending:
      return "pending";
    case VoteResult::kWon:
      return "won";
    case VoteResult::kLost:
      return "lost";
  }
  return "";
}

}  // namespace cairn
