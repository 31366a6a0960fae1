// ProposalCall: one call of Propose or ProposeBatch on its way, until each entry has its answer.

#ifndef RAFT_PROPOSAL_CALL_H_
#define RAFT_PROPOSAL_CALL_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/types/span.h"
#include "base/mutex.h"
#include "base/time.h"
#include "raft/call_budget.h"
#include "raft/proposal.h"

namespace cairn {

// Holds: each entry is answered exactly once (CHECKed when the object ends), an answer that is not
// ProposalApplied breaks the call's order, each answer is counted with the budget, and that is
// released after the last one.
//
// Threads: Answer may be called from any thread; the program's callback is never called by two at
// a time, and never under a lock.
class ProposalCall {
 public:
  // `results` are those of the entries first.. of the call.
  using BatchCallback = absl::AnyInvocable<void(size_t first, std::vector<ProposalResult> results)>;

  // `budget` may be null; else `bytes` were taken from it, and it outlives the call.
  ProposalCall(ProposalCallback done, const ProposeOptions& options, CallBudget* budget,
               size_t bytes);
  ProposalCall(BatchCallback done, size_t count, const ProposeOptions& options, CallBudget* budget,
               size_t bytes);
  ~ProposalCall();
  ProposalCall(const ProposalCall&) = delete;
  ProposalCall& operator=(const ProposalCall&) = delete;

  size_t count() const { return count_; }
  const ProposeOptions& options() const { return options_; }
  bool order_broken() const { return options_.order != nullptr && options_.order->broken; }
  // Whether it was meant for another term than `present`.
  bool ExpectsAnotherTerm(Term present) const {
    return options_.expected_term != 0 && options_.expected_term != present;
  }
  bool Expired(Instant now) const {
    return options_.deadline.has_value() && *options_.deadline <= now;
  }

  void Answer(size_t first, absl::Span<ProposalResult> results);
  // The same answer for entries first .. first + count - 1.
  void AnswerAll(size_t first, size_t count, const ProposalResult& result);

 private:
  struct Piece {
    size_t first = 0;
    std::vector<ProposalResult> results;
  };

  void DeliverPieces(Piece piece);
  void Finish();

  const bool batch_;
  const size_t count_;
  const ProposeOptions options_;
  CallBudget* const budget_;
  const size_t bytes_;
  ProposalCallback done_;     // of a single entry
  BatchCallback batch_done_;  // of a batch; called by who set delivering_

  Mutex mutex_;  // of batches only
  bool delivering_ CAIRN_GUARDED_BY(mutex_) = false;
  std::vector<Piece> waiting_ CAIRN_GUARDED_BY(mutex_);
  size_t answered_ = 0;  // single: by its one answer; batch: by who delivers
};

// Entries of one call that stand in a row in the log or in a queue.
struct ProposalSpan {
  std::shared_ptr<ProposalCall> call;
  size_t offset = 0;  // of the first one within the call
  size_t count = 0;

  void Answer(const ProposalResult& result) { call->AnswerAll(offset, count, result); }
};

ProposalNotApplied NotApplied(ProposalNotApplied::Reason reason, NodeId leader = NodeId::kNone,
                              std::string message = "");
// kTermChanged: the group is in term `present`, led by `leader` if that is known.
ProposalNotApplied TermChanged(Term present, NodeId leader);

}  // namespace cairn

#endif  // RAFT_PROPOSAL_CALL_H_
