// ReadWindow: the books of one Reader: what was asked for and is not answered yet.

#ifndef CLIENT_READ_WINDOW_H_
#define CLIENT_READ_WINDOW_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cairn/v1/streams.pb.h"
#include "client/client.h"

namespace cairn {

// A read keeps its number and its request until it is answered: a call that broke is followed by
// one that asks again, which does no harm.
//
// Threads: one at a time.
class ReadWindow {
 public:
  // A callback and what it is to be told; called by the owner when it holds no lock.
  struct Completion {
    Reader::Done done;
    absl::StatusOr<v1::ReadResponse> result;
  };

  explicit ReadWindow(const ReaderOptions& options) : options_(options) {}

  bool HasRoom() const { return reads_.size() < options_.max_inflight; }
  bool empty() const { return reads_.empty(); }
  bool HasUnsent() const { return !reads_.empty() && reads_.rbegin()->first >= next_to_send_; }
  // Of the read that was added first. InfiniteFuture if there is none.
  absl::Time first_deadline() const;

  // Deadlines never fall from one read to the next.
  void Add(v1::ReadRequest request, Reader::Done done, absl::Time deadline);

  // Fills `request` with the next reads to send, at most `max_reads`. False if there are none.
  bool FillRequest(size_t max_reads, v1::ReadStreamRequest* request);

  // Takes the answers out of `response`. Reads that failed but are worth another try stay, and the
  // error of the first of them is given: end the call, and ask again.
  absl::Status TakeAnswers(v1::ReadStreamResponse& response, std::vector<Completion>* completions);

  // A call ended: everything unanswered is to be sent again by the next one.
  void Rewind() { next_to_send_ = 0; }

  // Ends the reads whose deadline is not after `now`. Answers that come later are not missed.
  void FailOverdue(absl::Time now, const absl::Status& why, std::vector<Completion>* completions);
  void FailAll(const absl::Status& why, std::vector<Completion>* completions) {
    FailOverdue(absl::InfiniteFuture(), why, completions);
  }

 private:
  struct Waiting {
    v1::ReadRequest request;
    Reader::Done done;
    absl::Time deadline;
  };

  const ReaderOptions options_;
  std::map<uint64_t, Waiting> reads_;  // by number
  uint64_t next_number_ = 1;
  uint64_t next_to_send_ = 0;  // all before it were sent on this call
};

}  // namespace cairn

#endif  // CLIENT_READ_WINDOW_H_
