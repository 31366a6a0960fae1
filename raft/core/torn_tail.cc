#include "raft/core/torn_tail.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace cairn {

TornTail::TornTail(Index from, std::vector<TermRun> runs)
    : from_(from), runs_(std::move(runs)), on_disk_(true) {
  CAIRN_CHECK(!runs_.empty());
  CAIRN_CHECK_GE(last().index, from_);
}

Term TornTail::TermAt(Index index) const {
  if (empty() || index < from_ || index > last().index) return 0;
  const auto run = std::find_if(runs_.begin(), runs_.end(),
                                [&](const TermRun& each) { return each.last_index >= index; });
  return run->term;
}

void TornTail::Rewrite(LogPosition last_written) {
  on_disk_ = false;
  if (empty()) return;
  // Equal terms at one index mean equal logs up to there (paper 5.3).
  if (last_written.index >= last().index || TermAt(last_written.index) != last_written.term) {
    runs_.clear();
    return;
  }
  from_ = last_written.index + 1;
  std::erase_if(runs_, [&](const TermRun& run) { return run.last_index < from_; });
}

void TornTail::Forget(Index first) {
  while (!runs_.empty() && runs_.back().last_index >= first) {
    const Index run_begin = runs_.size() > 1 ? runs_[runs_.size() - 2].last_index + 1 : from_;
    if (run_begin < first) {
      runs_.back().last_index = first - 1;
    } else {
      runs_.pop_back();
    }
  }
  if (empty()) on_disk_ = false;
}

void TornTail::StartQuery(uint64_t query) {
  query_ = query;
  answers_.clear();
}

void TornTail::Answer(NodeId voter, const TailReply& reply) {
  if (reply.query != query_ || query_ == 0) return;
  answers_[voter] = {.have_through = reply.have_through, .known_commit = reply.known_commit};
}

TornTail::Verdict TornTail::Decide(const std::vector<NodeId>& voters, Index own_commit) const {
  Index have_through = from_ - 1;
  Index known_commit = own_commit;
  for (const NodeId voter : voters) {
    const auto answer = answers_.find(voter);
    if (answer == answers_.end()) return Wait{};
    have_through = std::max(have_through, answer->second.have_through);
    known_commit = std::max(known_commit, answer->second.known_commit);
  }
  if (have_through >= last().index) return Wait{};
  const Index first = have_through + 1;
  if (known_commit >= first) {
    return Lost{
        .first = first, .last = std::min(known_commit, last().index), .known_commit = known_commit};
  }
  return Drop{.first = first};
}

}  // namespace cairn
