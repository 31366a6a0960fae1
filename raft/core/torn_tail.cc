#include "raft/core/torn_tail.h"

#include <algorithm>

#include "base/check.h"

namespace cairn {

TornTail::TornTail(Index from, const std::vector<TermRun>& runs) : from_(from), on_disk_(true) {
  for (const TermRun& run : runs) {
    if (!runs_.empty() && runs_.back().term == run.term) runs_.pop_back();
    runs_.push_back(run);
  }
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

}  // namespace cairn
