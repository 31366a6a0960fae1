#include "client/append_window.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "client/errors.h"

namespace cairn {

void AppendWindow::Add(v1::NewMessage message, Appender::Done done) {
  size_t bytes = message.ByteSizeLong();
  messages_ += 1;
  bytes_ += bytes;
  waiting_.push_back({std::move(message), bytes, std::move(done)});
}

// Puts waiting messages together into one more batch.
void AppendWindow::MakeBatch() {
  Batch batch;
  do {
    Waiting& next = waiting_.front();
    batch.bytes += next.bytes;
    *batch.content.add_messages() = std::move(next.message);
    batch.done.push_back(std::move(next.done));
    waiting_.pop_front();
  } while (!waiting_.empty() && batch.done.size() < options_.max_entry_messages &&
           batch.bytes + waiting_.front().bytes <= options_.max_entry_bytes);
  batch.content.set_session_number(first_number_ + batches_.size());
  batches_.push_back(std::move(batch));
}

bool AppendWindow::FillRequest(size_t max_bytes, v1::AppendStreamRequest* request) {
  request->Clear();
  size_t bytes = 0;
  while (bytes < max_bytes) {
    if (next_to_send_ == batches_.size()) {
      if (waiting_.empty()) break;
      MakeBatch();
    }
    Batch& batch = batches_[next_to_send_];
    if (bytes > 0 && bytes + batch.bytes > max_bytes) break;
    *request->add_batches() = batch.content;
    bytes += batch.bytes;
    batch.ever_sent = true;
    ++next_to_send_;
  }
  return request->batches_size() > 0;
}

void AppendWindow::PopAnswered(std::vector<Completion>* completions,
                               const absl::StatusOr<Appended>& result) {
  Batch& batch = batches_.front();
  uint64_t offset = 0;
  for (Appender::Done& done : batch.done) {
    absl::StatusOr<Appended> own = result;
    if (own.ok()) {
      own->first_sequence += offset;
      own->last_sequence = own->first_sequence;
      ++offset;
    }
    completions->push_back({std::move(done), std::move(own)});
  }
  messages_ -= batch.done.size();
  bytes_ -= batch.bytes;
  batches_.pop_front();
  ++first_number_;
  if (next_to_send_ > 0) --next_to_send_;
}

absl::Status AppendWindow::TakeAnswers(const v1::AppendStreamResponse& response,
                                       std::vector<Completion>* completions) {
  int next_failure = 0;
  auto take_failures_before = [&](uint64_t number) {
    while (next_failure < response.failures_size() &&
           response.failures(next_failure).batch() < number) {
      const v1::AppendFailure& failure = response.failures(next_failure++);
      if (failure.batch() != first_number_ || next_to_send_ == 0) return false;
      PopAnswered(completions,
                  MakeClientError(static_cast<absl::StatusCode>(failure.code()), failure.reason(),
                                  failure.message(), /*outcome_unknown=*/false));
    }
    return true;
  };
  auto unexpected = [&] {
    return absl::InternalError(absl::StrCat("the server answered another batch than ",
                                            first_number_, ", the first unanswered one"));
  };
  for (const v1::AppendAck& ack : response.acks()) {
    if (!take_failures_before(ack.first_batch())) return unexpected();
    Appended appended{ack.first_sequence(), 0, ack.first_index(), ack.term(), ack.duplicate()};
    for (uint64_t i = 0; i < ack.batches(); ++i) {
      if (ack.first_batch() + i != first_number_ || next_to_send_ == 0) return unexpected();
      uint64_t messages = batches_.front().done.size();
      PopAnswered(completions, appended);
      appended.first_sequence += messages;
      ++appended.index;
    }
  }
  return take_failures_before(UINT64_MAX) ? absl::OkStatus() : unexpected();
}

void AppendWindow::FailAll(const absl::Status& unknown, const absl::Status& not_applied,
                           std::vector<Completion>* completions) {
  while (!batches_.empty()) {
    PopAnswered(completions, batches_.front().ever_sent ? unknown : not_applied);
  }
  for (Waiting& waiting : waiting_) completions->push_back({std::move(waiting.done), not_applied});
  waiting_.clear();
  messages_ = 0;
  bytes_ = 0;
  first_number_ = 1;
  next_to_send_ = 0;
}

}  // namespace cairn
