#include "raft/proposal_call.h"

#include <iterator>
#include <variant>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace cairn {

ProposalCall::ProposalCall(ProposalCallback done, const ProposeOptions& options, CallBudget* budget,
                           size_t bytes)
    : batch_(false),
      count_(1),
      options_(options),
      budget_(budget),
      bytes_(bytes),
      done_(std::move(done)) {}

ProposalCall::ProposalCall(BatchCallback done, size_t count, const ProposeOptions& options,
                           CallBudget* budget, size_t bytes)
    : batch_(true),
      count_(count),
      options_(options),
      budget_(budget),
      bytes_(bytes),
      batch_done_(std::move(done)) {
  CAIRN_CHECK_GT(count, 0);
}

ProposalCall::~ProposalCall() { CAIRN_CHECK_EQ(answered_, count_) << "a call without its answer"; }

void ProposalCall::Answer(size_t first, absl::Span<ProposalResult> results) {
  CAIRN_CHECK_LE(first + results.size(), count_);
  for (const ProposalResult& result : results) {
    const bool applied = std::holds_alternative<ProposalApplied>(result);
    if (!applied && options_.order != nullptr) options_.order->broken = true;
  }
  if (budget_ != nullptr) budget_->outcomes().Count(results);
  if (!batch_) {
    CAIRN_CHECK_EQ(results.size(), 1u);
    CAIRN_CHECK_EQ(answered_, 0u) << "a second answer";
    answered_ = 1;
    if (done_ != nullptr) done_(std::move(results[0]));
    return Finish();
  }
  DeliverPieces({first, std::vector<ProposalResult>(std::make_move_iterator(results.begin()),
                                                    std::make_move_iterator(results.end()))});
}

void ProposalCall::AnswerAll(size_t first, size_t count, const ProposalResult& result) {
  std::vector<ProposalResult> results(count, result);
  Answer(first, absl::MakeSpan(results));
}

// One thread at a time calls back; who comes meanwhile leaves its piece to that one.
void ProposalCall::DeliverPieces(Piece piece) {
  {
    MutexLock lock(mutex_);
    waiting_.push_back(std::move(piece));
    if (delivering_) return;
    delivering_ = true;
  }
  while (true) {
    std::vector<Piece> pieces;
    {
      MutexLock lock(mutex_);
      if (waiting_.empty()) {
        delivering_ = false;
        return;
      }
      pieces.swap(waiting_);
    }
    for (Piece& ready : pieces) {
      answered_ += ready.results.size();
      CAIRN_CHECK_LE(answered_, count_) << "a second answer";
      bool last = answered_ == count_;
      if (batch_done_ != nullptr) batch_done_(ready.first, std::move(ready.results));
      if (last) Finish();
    }
  }
}

void ProposalCall::Finish() {
  if (budget_ != nullptr) budget_->Release(bytes_);
}

ProposalNotApplied NotApplied(ProposalNotApplied::Reason reason, NodeId leader,
                              std::string message) {
  return {reason, leader, std::move(message)};
}

ProposalNotApplied TermChanged(Term present, NodeId leader) {
  return {ProposalNotApplied::Reason::kTermChanged, leader,
          absl::StrCat("the group is in term ", present), present};
}

}  // namespace cairn
