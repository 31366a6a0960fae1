// AppendWindow: the messages of an Appender that wait to be sent or answered.

#ifndef CLIENT_APPEND_WINDOW_H_
#define CLIENT_APPEND_WINDOW_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cairn/v1/streams.pb.h"
#include "client/client.h"

namespace cairn {

// Messages come in one by one, leave as numbered batches (one entry each) and are answered in
// order. A batch keeps its number and its messages until it is answered, so that a broken call is
// resumed by sending it again.
//
// Threads: one at a time.
class AppendWindow {
 public:
  // A callback and what it is to be told; called by the owner when it holds no lock.
  struct Completion {
    Appender::Done done;
    absl::StatusOr<Appended> result;
  };

  explicit AppendWindow(const AppenderOptions& options) : options_(options) {}

  bool HasRoom() const {
    return messages_ < options_.max_inflight_messages && bytes_ < options_.max_inflight_bytes;
  }
  bool empty() const { return messages_ == 0; }
  bool HasUnsent() const { return next_to_send_ < batches_.size() || !waiting_.empty(); }

  void Add(v1::NewMessage message, Appender::Done done);

  // Number of the first batch that is not answered, or of the next one to be made.
  uint64_t first_unanswered() const { return first_number_; }

  // Fills `request` with the next batches to send, at most about `max_bytes` of them. Messages that
  // wait are put together as AppenderOptions says. False if there is nothing to send.
  bool FillRequest(size_t max_bytes, v1::AppendStreamRequest* request);

  // Takes the answers of `response`. INTERNAL if they are not for the batches that were sent.
  absl::Status TakeAnswers(const v1::AppendStreamResponse& response,
                           std::vector<Completion>* completions);

  // A call ended: everything unanswered is to be sent again by the next one.
  void Rewind() { next_to_send_ = 0; }

  // Ends everything: batches that were ever sent with `unknown` (their outcome is open), the others
  // with `not_applied`. Numbers start again at 1, for a new session.
  void FailAll(const absl::Status& unknown, const absl::Status& not_applied,
               std::vector<Completion>* completions);

 private:
  struct Waiting {
    v1::NewMessage message;
    size_t bytes = 0;
    Appender::Done done;
  };
  struct Batch {
    v1::AppendBatch content;
    size_t bytes = 0;
    bool ever_sent = false;
    std::vector<Appender::Done> done;  // one a message
  };

  void MakeBatch();
  void PopAnswered(std::vector<Completion>* completions, const absl::StatusOr<Appended>& result);

  const AppenderOptions options_;
  std::deque<Waiting> waiting_;
  std::deque<Batch> batches_;  // by number, from first_number_
  uint64_t first_number_ = 1;
  size_t next_to_send_ = 0;  // place in batches_
  size_t messages_ = 0;      // in waiting_ and batches_
  size_t bytes_ = 0;
};

}  // namespace cairn

#endif  // CLIENT_APPEND_WINDOW_H_
