// PendingProposals: commands that stand in the log and wait to be applied.

#ifndef RAFT_PENDING_PROPOSALS_H_
#define RAFT_PENDING_PROPOSALS_H_

#include <cstddef>
#include <deque>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/time.h"
#include "base/types.h"
#include "raft/proposal_call.h"

namespace cairn {

// Entries of one call that stand in the log from `first` on, all in its term.
// Until this object ends it is not known what becomes of some proposals of the order.
class OrderDoubt {
 public:
  explicit OrderDoubt(std::shared_ptr<ProposalOrder> order) : order_(std::move(order)) {
    ++order_->in_doubt;
  }
  ~OrderDoubt() { --order_->in_doubt; }
  OrderDoubt(const OrderDoubt&) = delete;
  OrderDoubt& operator=(const OrderDoubt&) = delete;

 private:
  const std::shared_ptr<ProposalOrder> order_;
};

struct PlacedSpan {
  LogPosition first;
  ProposalSpan span;
  Instant give_up = kDistantFuture;        // answered as unknown then
  std::shared_ptr<OrderDoubt> doubt = {};  // since leadership was lost, until it is answered

  Index last_index() const { return first.index + span.count - 1; }
  void AnswerUnknown(absl::string_view message);
};

// Removes what stands at or before `up_to` from the front of `spans`, which are in log order; a
// span that reaches beyond is split.
std::vector<PlacedSpan> TakeSpans(std::deque<PlacedSpan>& spans, Index up_to);

// Holds: spans are in log order and do not overlap. Once a span was taken (its entries are
// committed and on their way to the applier) it is answered by the applier.
//
// What can become of a span: its entries are applied, surely; or entries of another term are
// applied in their places, so they surely are not; or nobody can tell in time, because this node no
// longer leads. A truncation alone tells nothing: another member may still hold the entries and
// become leader.
//
// Threads: one at a time.
class PendingProposals {
 public:
  // A leader accepted the entries of `span` at `first`.. Spans of an earlier leadership from there
  // on become unknown: their places are taken again, in another term.
  void Add(LogPosition first, ProposalSpan span);
  std::vector<PlacedSpan> TakeUpTo(Index up_to);
  // The spans wait until `give_up` at most, and their orders are broken: commands proposed from now
  // on may overtake them.
  void LeadershipLost(Instant give_up);
  // Answers as unknown what waits no longer.
  void Expire(Instant now);
  void GiveUpAll(absl::string_view message);

  // When Expire should be called next. May be earlier than the first deadline.
  Instant NextDeadline() const { return next_deadline_; }
  bool empty() const { return spans_.empty(); }
  size_t size() const { return spans_.size(); }  // spans

 private:
  std::deque<PlacedSpan> spans_;
  Instant next_deadline_ = kDistantFuture;
};

}  // namespace cairn

#endif  // RAFT_PENDING_PROPOSALS_H_
