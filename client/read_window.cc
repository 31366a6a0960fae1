#include "client/read_window.h"

#include <string>
#include <utility>

#include "client/errors.h"
#include "client/retry.h"

namespace cairn {

absl::Time ReadWindow::first_deadline() const {
  return reads_.empty() ? absl::InfiniteFuture() : reads_.begin()->second.deadline;
}

void ReadWindow::Add(v1::ReadRequest request, Reader::Done done, absl::Time deadline) {
  reads_.emplace_hint(reads_.end(), next_number_++,
                      Waiting{std::move(request), std::move(done), deadline});
}

bool ReadWindow::FillRequest(size_t max_reads, v1::ReadStreamRequest* request) {
  request->Clear();
  auto next = reads_.lower_bound(next_to_send_);
  for (; next != reads_.end() && static_cast<size_t>(request->reads_size()) < max_reads; ++next) {
    v1::StreamedRead& read = *request->add_reads();
    read.set_id(next->first);
    *read.mutable_request() = next->second.request;
    next_to_send_ = next->first + 1;
  }
  return request->reads_size() > 0;
}

absl::Status ReadWindow::TakeAnswers(v1::ReadStreamResponse& response,
                                     std::vector<Completion>* completions) {
  absl::Status again;
  for (v1::StreamedAnswer& answer : *response.mutable_answers()) {
    const auto found = reads_.find(answer.id());
    if (found == reads_.end()) continue;  // its time was over
    absl::StatusOr<v1::ReadResponse> result;
    if (answer.has_response()) {
      result = std::move(*answer.mutable_response());
    } else {
      const v1::ReadFailure& failure = answer.failure();
      result = MakeClientError(static_cast<absl::StatusCode>(failure.code()), failure.reason(),
                               failure.message(), /*outcome_unknown=*/false);
      if (WorthRetrying(result.status())) {
        if (again.ok()) again = result.status();
        continue;
      }
    }
    completions->push_back({std::move(found->second.done), std::move(result)});
    reads_.erase(found);
  }
  return again;
}

void ReadWindow::FailOverdue(absl::Time now, const absl::Status& why,
                             std::vector<Completion>* completions) {
  while (!reads_.empty() && reads_.begin()->second.deadline <= now) {
    completions->push_back({std::move(reads_.begin()->second.done), why});
    reads_.erase(reads_.begin());
  }
}

}  // namespace cairn
