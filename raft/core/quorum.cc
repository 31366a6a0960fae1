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

size_t Needed(size_t voters, const QuorumRule& rule) { return std::min(voters / 2 + 1, rule.most); }

bool Counts(const Member& voter, const QuorumRule& rule) {
  return std::find(rule.evicted.begin(), rule.evicted.end(), voter.node) == rule.evicted.end();
}

// The largest value that a quorum of `voters` has reached: the k-th largest, where k is the size of
// a quorum. `of_nobody` if there are none.
template <typename Value>
Value ReachedByHalf(const std::vector<Member>& voters, absl::FunctionRef<Value(NodeId)> reached,
                    Value of_nobody, const QuorumRule& rule) {
  absl::InlinedVector<Value, kVotersWithoutAllocation> values;
  for (const Member& voter : voters) {
    if (Counts(voter, rule)) values.push_back(reached(voter.node));
  }
  if (values.empty()) return of_nobody;
  auto decisive = values.begin() + static_cast<std::ptrdiff_t>(Needed(values.size(), rule) - 1);
  std::nth_element(values.begin(), decisive, values.end(), std::greater<>());
  return *decisive;
}

VoteResult CountHalf(const std::vector<Member>& voters,
                     absl::FunctionRef<std::optional<bool>(NodeId)> vote, const QuorumRule& rule) {
  size_t counted = 0;
  size_t granted = 0;
  size_t missing = 0;
  for (const Member& voter : voters) {
    if (!Counts(voter, rule)) continue;
    ++counted;
    std::optional<bool> answer = vote(voter.node);
    if (!answer) {
      ++missing;
    } else if (*answer) {
      ++granted;
    }
  }
  if (counted == 0) return VoteResult::kWon;
  const size_t needed = rule.every_vote ? counted : Needed(counted, rule);
  if (granted >= needed) return VoteResult::kWon;
  return granted + missing >= needed ? VoteResult::kPending : VoteResult::kLost;
}

}  // namespace

uint64_t ReachedByQuorum(const Configuration& configuration,
                         absl::FunctionRef<uint64_t(NodeId)> reached, const QuorumRule& rule) {
  constexpr uint64_t kOfNobody = std::numeric_limits<uint64_t>::max();
  const uint64_t by_voters = ReachedByHalf(configuration.voters, reached, kOfNobody, rule);
  if (MutantEnabled(Mutant::kOneMajority)) return by_voters;
  return std::min(by_voters,
                  ReachedByHalf(configuration.outgoing_voters, reached, kOfNobody, rule));
}

Instant QuorumContact(const Configuration& configuration,
                      absl::FunctionRef<Instant(NodeId)> last_contact, const QuorumRule& rule) {
  return std::min(ReachedByHalf(configuration.voters, last_contact, kDistantFuture, rule),
                  ReachedByHalf(configuration.outgoing_voters, last_contact, kDistantFuture, rule));
}

VoteResult CountVotes(const Configuration& configuration,
                      absl::FunctionRef<std::optional<bool>(NodeId)> vote, const QuorumRule& rule) {
  VoteResult incoming = CountHalf(configuration.voters, vote, rule);
  if (MutantEnabled(Mutant::kOneMajority)) return incoming;
  VoteResult outgoing = CountHalf(configuration.outgoing_voters, vote, rule);
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
