#include "raft/pending_proposals.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"

namespace cairn {
namespace {

// Deadlines are looked at this often at most: many calls with close deadlines cost one look.
constexpr Duration kDeadlineGrain = Milliseconds(5);

// Cuts `placed` before `index`, which is inside: it keeps the front and gives the rest.
PlacedSpan SplitAt(PlacedSpan& placed, Index index) {
  CAIRN_CHECK_GT(index, placed.first.index);
  CAIRN_CHECK_LE(index, placed.last_index());
  size_t front = index - placed.first.index;
  PlacedSpan rest = placed;
  rest.first.index = index;
  rest.span.offset += front;
  rest.span.count -= front;
  placed.span.count = front;
  return rest;
}

}  // namespace

void PlacedSpan::AnswerUnknown(absl::string_view message) {
  std::vector<ProposalResult> results;
  results.reserve(span.count);
  for (size_t i = 0; i < span.count; ++i) {
    results.push_back(ProposalUnknown{{first.index + i, first.term}, std::string(message)});
  }
  span.call->Answer(span.offset, absl::MakeSpan(results));
}

std::vector<PlacedSpan> TakeSpans(std::deque<PlacedSpan>& spans, Index up_to) {
  std::vector<PlacedSpan> taken;
  while (!spans.empty() && spans.front().first.index <= up_to) {
    PlacedSpan& front = spans.front();
    if (front.last_index() > up_to) {
      PlacedSpan rest = SplitAt(front, up_to + 1);
      taken.push_back(std::move(front));
      front = std::move(rest);
      break;
    }
    taken.push_back(std::move(front));
    spans.pop_front();
  }
  return taken;
}

void PendingProposals::Add(LogPosition first, ProposalSpan span) {
  std::vector<PlacedSpan> overwritten;
  while (!spans_.empty() && spans_.back().last_index() >= first.index) {
    CAIRN_CHECK_LT(spans_.back().first.term, first.term) << "one place given out twice";
    if (spans_.back().first.index < first.index) {
      overwritten.push_back(SplitAt(spans_.back(), first.index));
      break;
    }
    overwritten.push_back(std::move(spans_.back()));
    spans_.pop_back();
  }
  PlacedSpan placed = {first, std::move(span), kDistantFuture};
  placed.give_up = placed.span.call->options().deadline.value_or(kDistantFuture);
  next_deadline_ = std::min(next_deadline_, placed.give_up);
  spans_.push_back(std::move(placed));
  for (PlacedSpan& old : overwritten) {
    old.AnswerUnknown("leadership was lost before the command was committed");
  }
}

std::vector<PlacedSpan> PendingProposals::TakeUpTo(Index up_to) { return TakeSpans(spans_, up_to); }

void PendingProposals::LeadershipLost(Instant give_up) {
  for (PlacedSpan& placed : spans_) {
    placed.give_up = std::min(placed.give_up, give_up);
    const std::shared_ptr<ProposalOrder>& order = placed.span.call->options().order;
    if (order != nullptr && placed.doubt == nullptr) {
      placed.doubt = std::make_shared<OrderDoubt>(order);
    }
  }
  if (!spans_.empty()) next_deadline_ = std::min(next_deadline_, give_up);
}

void PendingProposals::Expire(Instant now) {
  if (now < next_deadline_) return;
  auto expired =
      std::stable_partition(spans_.begin(), spans_.end(),
                            [now](const PlacedSpan& placed) { return placed.give_up > now; });
  std::vector<PlacedSpan> late(std::make_move_iterator(expired),
                               std::make_move_iterator(spans_.end()));
  spans_.erase(expired, spans_.end());
  Instant next = kDistantFuture;
  for (const PlacedSpan& placed : spans_) next = std::min(next, placed.give_up);
  next_deadline_ = next == kDistantFuture ? next : std::max(next, now + kDeadlineGrain);
  for (PlacedSpan& placed : late) {
    placed.AnswerUnknown(
        "not known to be applied in time: the deadline has passed, or leadership "
        "was lost");
  }
}

void PendingProposals::GiveUpAll(absl::string_view message) {
  std::deque<PlacedSpan> spans = std::exchange(spans_, {});
  next_deadline_ = kDistantFuture;
  for (PlacedSpan& placed : spans) placed.AnswerUnknown(message);
}

}  // namespace cairn
