// AppendPipeline: the books of one AppendStream call: what was taken, what is answered, in order.

#ifndef SERVICE_APPEND_PIPELINE_H_
#define SERVICE_APPEND_PIPELINE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cairn/v1/streams.pb.h"
#include "raft/proposal.h"
#include "service/errors.h"
#include "service/service_context.h"
#include "storage/record.h"

namespace cairn {

// Threads: one at a time.
class AppendPipeline {
 public:
  // `explain` makes the error of a result that is not ProposalApplied.
  AppendPipeline(const ServiceLimits& limits,
                 std::function<RpcError(const ProposalResult&)> explain);

  // Entries to propose, in order. `first` names the first one in Answer.
  struct Taken {
    uint64_t first = 0;
    std::vector<PreparedEntry> entries;
    size_t bytes = 0;
  };
  // Takes a request's `open`, if it is the first one, and its batches, up to the first that is
  // wrong: that one becomes the call's failure once all before it are answered.
  Taken Take(const v1::AppendStreamRequest& request);
  // Takes a request that could not be read: `error` becomes the failure, likewise.
  void Refuse(RpcError error);

  // Results of the entries first.. that Take gave. Bytes of them, for who counts.
  size_t Answer(uint64_t first, std::vector<ProposalResult> results);

  // Moves what was answered since the last time into `response`; false if that is nothing.
  bool Collect(v1::AppendStreamResponse* response);

  // What ends the call: nothing behind it is answered. Collect first.
  const std::optional<RpcError>& failure() const { return failure_; }
  // Nothing more is taken: something taken was wrong.
  bool closed() const { return closed_; }
  bool opened() const { return opened_; }
  bool has_session() const { return session_ != 0; }
  Term expected_term() const { return expected_term_; }  // of all batches; 0: any
  // The limits of what is not answered are reached; read no further.
  bool full() const;
  // Everything taken is answered.
  bool idle() const { return slots_.empty(); }

 private:
  // A batch taken and not answered yet.
  struct Slot {
    size_t bytes = 0;
    std::variant<std::monostate, ProposalResult, RpcError> outcome;
  };

  std::optional<RpcError> Open(const v1::AppendStreamOpen& open);
  std::optional<RpcError> TakeBatch(const v1::AppendBatch& batch, Taken* taken);
  void Close(RpcError error);
  // Answers slots from the front on, as far as their outcomes are known.
  void Settle();
  void Applied(uint64_t number, const ProposalApplied& applied);
  void AddAck(uint64_t number, const ProposalApplied& applied, const AppendedReply& reply);

  const ServiceLimits limits_;
  const std::function<RpcError(const ProposalResult&)> explain_;
  bool opened_ = false;
  bool closed_ = false;
  std::string stream_;
  uint64_t session_ = 0;
  Term expected_term_ = 0;
  uint64_t next_number_ = 1;   // of the next batch taken
  uint64_t front_number_ = 1;  // of slots_.front()
  std::deque<Slot> slots_;
  size_t bytes_ = 0;  // of slots_
  v1::AppendStreamResponse pending_;
  bool has_pending_ = false;
  std::optional<RpcError> failure_;
};

}  // namespace cairn

#endif  // SERVICE_APPEND_PIPELINE_H_
