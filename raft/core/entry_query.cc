#include "raft/core/entry_query.h"

#include <algorithm>

namespace cairn {

void EntryQuery::Start(uint64_t id) {
  id_ = id;
  answers_.clear();
}

void EntryQuery::Answer(NodeId voter, const TailReply& reply) {
  if (reply.query != id_ || id_ == 0) return;
  answers_[voter] = reply;
}

EntryQuery::Verdict EntryQuery::Decide(
    const Doubt& doubt, const std::vector<NodeId>& voters,
    absl::FunctionRef<bool(const std::set<NodeId>&)> could_commit) const {
  Index have_through = doubt.first - 1;
  Index in_state = 0;
  Index known_commit = doubt.known_commit;
  for (const NodeId voter : voters) {
    const auto answer = answers_.find(voter);
    if (answer == answers_.end()) return Wait{};
    have_through = std::max(have_through, answer->second.have_through);
    in_state = std::max(in_state, answer->second.in_state);
    known_commit = std::max(known_commit, answer->second.known_commit);
  }
  const Index first = have_through + 1;
  if (first > (doubt.torn ? doubt.last : doubt.first)) return Wait{};
  if (in_state >= first) return Wait{};  // a snapshot of it will do
  std::set<NodeId> claim = {doubt.self};
  bool all_torn = doubt.torn;
  for (const NodeId voter : voters) {
    const TailReply& answer = answers_.at(voter);
    if (answer.claimed_through < first) continue;
    const bool faulty = answer.faulty_from != 0 && answer.faulty_from <= first;
    // Of what stands behind its first hole it says nothing yet.
    if (faulty && answer.faulty_from < first) return Wait{};
    const bool torn = answer.torn_from != 0 && answer.torn_from <= first;
    if (faulty || torn) claim.insert(voter);
    all_torn = all_torn && !faulty;
  }
  const Index last = std::max(first, std::min(known_commit, doubt.last));
  if (known_commit >= first) return Lost{first, last, known_commit};
  if (all_torn || !could_commit(claim)) return Drop{first};
  return Lost{first, last, known_commit};
}

}  // namespace cairn
