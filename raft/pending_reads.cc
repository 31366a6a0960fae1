#include "raft/pending_reads.h"

#include <algorithm>
#include <utility>

namespace cairn {
namespace {

// Deadlines are looked at this often at most: many calls with close deadlines cost one look.
constexpr Duration kDeadlineGrain = Milliseconds(5);

void AnswerAll(std::vector<ReadRequest>& requests, const ReadResult& result) {
  for (ReadRequest& request : requests) request.Answer(result);
}

// Refuses the expired ones and gives the earliest deadline of the others.
Instant ExpireSome(Instant now, std::vector<ReadRequest>& requests) {
  Instant next = kDistantFuture;
  auto expired = std::stable_partition(
      requests.begin(), requests.end(),
      [now](const ReadRequest& request) { return !request.deadline || *request.deadline > now; });
  std::vector<ReadRequest> late(std::make_move_iterator(expired),
                                std::make_move_iterator(requests.end()));
  requests.erase(expired, requests.end());
  AnswerAll(late, ReadRefused{ReadRefused::Reason::kDeadline, NodeId::kNone});
  for (const ReadRequest& request : requests) {
    if (request.deadline.has_value()) next = std::min(next, *request.deadline);
  }
  return next;
}

}  // namespace

void ReadRequest::Answer(ReadResult result) {
  if (budget != nullptr) budget->outcomes().Count(result);
  if (done != nullptr) std::exchange(done, nullptr)(std::move(result));
  if (budget != nullptr) std::exchange(budget, nullptr)->Release(0);
}

ReadId PendingReads::Ask(Instant now, std::vector<ReadRequest> requests) {
  for (const ReadRequest& request : requests) {
    if (request.deadline.has_value()) next_deadline_ = std::min(next_deadline_, *request.deadline);
  }
  waiting_ += requests.size();
  asked_.emplace(++last_read_, Batch{now, std::move(requests)});
  return last_read_;
}

void PendingReads::Ready(ReadId read, Index index) {
  auto asked = asked_.find(read);
  if (asked == asked_.end()) return;
  ready_.emplace(index, std::move(asked->second));
  asked_.erase(asked);
}

void PendingReads::Refuse(ReadId read, ReadRefused refusal) {
  auto asked = asked_.find(read);
  if (asked == asked_.end()) return;
  std::vector<ReadRequest> requests = std::move(asked->second.requests);
  asked_.erase(asked);
  waiting_ -= requests.size();
  AnswerAll(requests, refusal);
}

void PendingReads::Applied(Index index) {
  while (!ready_.empty() && ready_.begin()->first <= index) {
    Index at = ready_.begin()->first;
    Batch batch = std::move(ready_.begin()->second);
    ready_.erase(ready_.begin());
    waiting_ -= batch.requests.size();
    fresh_as_of_ = std::max(fresh_as_of_, batch.asked);
    AnswerAll(batch.requests, ReadReady{at});
  }
}

void PendingReads::Expire(Instant now) {
  if (now < next_deadline_) return;
  Instant next = kDistantFuture;
  auto look_at = [&](auto& waiting) {
    for (auto at = waiting.begin(); at != waiting.end();) {
      const size_t before = at->second.requests.size();
      next = std::min(next, ExpireSome(now, at->second.requests));
      waiting_ -= before - at->second.requests.size();
      at = at->second.requests.empty() ? waiting.erase(at) : std::next(at);
    }
  };
  look_at(asked_);
  look_at(ready_);
  next_deadline_ = next == kDistantFuture ? next : std::max(next, now + kDeadlineGrain);
}

void PendingReads::RefuseAll(ReadRefused refusal) {
  auto asked = std::exchange(asked_, {});
  auto ready = std::exchange(ready_, {});
  waiting_ = 0;
  for (auto& [read, batch] : asked) AnswerAll(batch.requests, refusal);
  for (auto& [index, batch] : ready) AnswerAll(batch.requests, refusal);
  next_deadline_ = kDistantFuture;
}

}  // namespace cairn
