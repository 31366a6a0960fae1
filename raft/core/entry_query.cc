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

EntryQuery::Verdict EntryQuery::Decide(const Doubt& doubt, const std::vector<NodeId>& voters,
                                       const std::vector<NodeId>& learners,
                                       CouldCommit could_commit) const {
  const auto answered = [this](NodeId node) { return answers_.contains(node); };
  if (!std::all_of(voters.begin(), voters.end(), answered)) return Wait{};
  Index have_through = doubt.first - 1;
  Index in_state = 0;
  Index known_commit = doubt.known_commit;
  for (const auto& [node, answer] : answers_) {
    have_through = std::max(have_through, answer.have_through);
    in_state = std::max(in_state, answer.in_state);
    known_commit = std::max(known_commit, answer.known_commit);
  }
  const Index first = have_through + 1;
  if (first > (doubt.torn ? doubt.last : doubt.first)) return Wait{};
  if (in_state >= first) return Wait{};  // a snapshot of it will do
  Claims claims;
  if (doubt.votes) (doubt.torn ? claims.torn : claims.faulty).insert(doubt.self);
  for (const NodeId voter : voters) {
    const TailReply& answer = answers_.at(voter);
    if (answer.claimed_through < first) continue;
    const bool faulty = answer.faulty_from != 0 && answer.faulty_from <= first;
    // Of what stands behind its first hole it says nothing yet.
    if (faulty && answer.faulty_from < first) return Wait{};
    const bool torn = answer.torn_from != 0 && answer.torn_from <= first;
    if (faulty) {
      claims.faulty.insert(voter);
    } else if (torn) {
      claims.torn.insert(voter);
    }
  }
  if (known_commit < first) {
    if (claims.faulty.empty()) return Drop{first};
    // A configuration may stand among those before it that the asker cannot read and others hold.
    // Who can read them decides.
    if (first > doubt.first) return Wait{};
    if (!could_commit(claims, first)) return Drop{first};
  }
  if (!std::all_of(learners.begin(), learners.end(), answered)) return Wait{};
  return Lost{first, std::max(first, std::min(known_commit, doubt.last)), known_commit};
}

}  // namespace cairn
