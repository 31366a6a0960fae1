#include "raft/tail/committed_tails.h"

#include <algorithm>
#include <iterator>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace cairn {

TailRequest::~TailRequest() {
  Answer(TailRefused{TailRefused::Reason::kStopping, "the group does not run"});
}

TailRequest::TailRequest(TailRequest&& other) noexcept
    : first_(other.first_),
      up_to_(other.up_to_),
      max_bytes_(other.max_bytes_),
      deadline_(other.deadline_),
      done_(std::exchange(other.done_, nullptr)) {}

TailRequest& TailRequest::operator=(TailRequest&& other) noexcept {
  // What was here is answered when `other` ends.
  std::swap(first_, other.first_);
  std::swap(up_to_, other.up_to_);
  std::swap(max_bytes_, other.max_bytes_);
  std::swap(deadline_, other.deadline_);
  std::swap(done_, other.done_);
  return *this;
}

void TailRequest::Answer(TailResult result) {
  if (done_ != nullptr) std::exchange(done_, nullptr)(std::move(result));
}

void TailRequest::ReadFrom(const LogStore& store) {
  absl::StatusOr<std::vector<RecordRun>> runs = store.Read(first_, up_to_, max_bytes_);
  if (runs.ok()) {
    const Index next = runs->back().last().index + 1;
    return Answer(TailEntries{*std::move(runs), next});
  }
  // It was committed, so it is before the log's beginning now.
  if (const Index base = store.base().index; first_ <= base) return Answer(TailCompacted{base + 1});
  Answer(TailRefused{TailRefused::Reason::kUnreadable, runs.status().ToString()});
}

void CommittedTails::Ask(TailRequest request) {
  if (waiting_.size() >= kMaxWaiting) {
    return request.Answer(
        TailRefused{TailRefused::Reason::kOverloaded, "too many follow the log at once"});
  }
  waiting_.push_back(std::move(request));
}

std::vector<TailRequest> CommittedTails::TakeDue(Index committed) {
  const auto due = std::stable_partition(
      waiting_.begin(), waiting_.end(),
      [committed](const TailRequest& request) { return request.first() > committed; });
  std::vector<TailRequest> taken(std::make_move_iterator(due),
                                 std::make_move_iterator(waiting_.end()));
  waiting_.erase(due, waiting_.end());
  for (TailRequest& request : taken) request.set_up_to(committed);
  return taken;
}

void CommittedTails::Expire(Instant now) {
  const auto late =
      std::stable_partition(waiting_.begin(), waiting_.end(),
                            [now](const TailRequest& request) { return request.deadline() > now; });
  std::vector<TailRequest> expired(std::make_move_iterator(late),
                                   std::make_move_iterator(waiting_.end()));
  waiting_.erase(late, waiting_.end());
  for (TailRequest& request : expired) {
    request.Answer(TailRefused{TailRefused::Reason::kDeadline, "nothing came in time"});
  }
}

void CommittedTails::RefuseAll(const TailRefused& refusal) {
  for (TailRequest& request : std::exchange(waiting_, {})) request.Answer(refusal);
}

Instant CommittedTails::NextDeadline() const {
  Instant next = kDistantFuture;
  for (const TailRequest& request : waiting_) next = std::min(next, request.deadline());
  return next;
}

}  // namespace cairn
