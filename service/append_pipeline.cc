#include "service/append_pipeline.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "service/stream_command.h"
#include "service/stream_wire.h"

namespace cairn {
namespace {

RpcError SequenceGap(uint64_t expected, uint64_t got) {
  RpcError error;
  error.code = absl::StatusCode::kFailedPrecondition;
  error.reason = "SEQUENCE_GAP";
  error.message = absl::StrCat("session number ", got, " where ", expected, " is next");
  error.metadata["outcome"] = kOutcomeNotApplied;
  error.metadata["expected"] = absl::StrCat(expected);
  return error;
}

}  // namespace

AppendPipeline::AppendPipeline(const ServiceLimits& limits,
                               std::function<RpcError(const ProposalResult&)> explain)
    : limits_(limits), explain_(std::move(explain)) {}

bool AppendPipeline::full() const {
  return bytes_ >= limits_.stream_inflight_bytes ||
         slots_.size() >= limits_.stream_inflight_batches;
}

std::optional<RpcError> AppendPipeline::Open(const v1::AppendStreamOpen& open) {
  if (absl::Status status = CheckStreamName(open.stream()); !status.ok()) {
    return InvalidField("open.stream", status.message());
  }
  stream_ = open.stream();
  session_ = open.session_id();
  expected_term_ = open.expected_term();
  if (session_ == 0 && open.first_session_number() != 0) {
    return InvalidField("open.first_session_number", "there is no session to count in");
  }
  if (session_ != 0) {
    if (open.first_session_number() == 0) {
      return InvalidField("open.first_session_number", "sessions count from 1");
    }
    next_number_ = open.first_session_number();
  }
  front_number_ = next_number_;
  v1::AppendStreamOpened* opened = pending_.mutable_opened();
  opened->set_max_inflight_bytes(limits_.stream_inflight_bytes);
  opened->set_max_inflight_batches(limits_.stream_inflight_batches);
  opened->set_max_message_bytes(limits_.max_message_bytes);
  opened->set_max_batch_bytes(limits_.max_batch_bytes);
  has_pending_ = true;
  return std::nullopt;
}

AppendPipeline::Taken AppendPipeline::Take(const v1::AppendStreamRequest& request) {
  Taken taken;
  if (closed_) return taken;
  std::optional<RpcError> error;
  if (request.has_open() == opened_) {
    error = InvalidField(
        "open", opened_ ? "only the first request opens" : "the first request does not open");
  } else if (!opened_) {
    error = Open(request.open());
    opened_ = !error.has_value();
  }
  taken.first = next_number_;
  if (!error) taken.entries.reserve(static_cast<size_t>(request.batches_size()));
  for (int i = 0; i < request.batches_size() && !error; ++i) {
    error = TakeBatch(request.batches(i), &taken);
  }
  if (error) Close(*std::move(error));
  Settle();
  return taken;
}

std::optional<RpcError> AppendPipeline::TakeBatch(const v1::AppendBatch& batch, Taken* taken) {
  if (session_ == 0 && batch.session_number() != 0) {
    return InvalidField("batches.session_number", "there is no session to count in");
  }
  if (batch.session_number() != 0 && batch.session_number() != next_number_) {
    return SequenceGap(next_number_, batch.session_number());
  }
  std::optional<uint64_t> expected;
  if (batch.has_expected_last_sequence()) expected = batch.expected_last_sequence();
  OrError<std::string> command = BuildAppend(stream_, batch.messages(), expected, limits_);
  if (auto* error = std::get_if<RpcError>(&command)) return std::move(*error);
  auto& payload = std::get<std::string>(command);
  SessionCall call;
  if (session_ != 0) call = {session_, next_number_, true};
  size_t bytes = payload.size();
  taken->entries.push_back(PreparedEntry::Make(EntryType::kCommand, std::move(payload), call));
  taken->bytes += bytes;
  slots_.push_back({bytes, {}});
  bytes_ += bytes;
  ++next_number_;
  return std::nullopt;
}

void AppendPipeline::Refuse(RpcError error) {
  if (closed_) return;
  Close(std::move(error));
  Settle();
}

void AppendPipeline::Close(RpcError error) {
  closed_ = true;
  slots_.push_back({0, std::move(error)});
}

size_t AppendPipeline::Answer(uint64_t first, std::vector<ProposalResult> results) {
  size_t bytes = 0;
  for (size_t i = 0; i < results.size(); ++i) {
    CAIRN_CHECK_GE(first + i, front_number_);
    Slot& slot = slots_[first + i - front_number_];
    CAIRN_CHECK(std::holds_alternative<std::monostate>(slot.outcome)) << "answered twice";
    slot.outcome = std::move(results[i]);
    bytes += slot.bytes;
  }
  Settle();
  return bytes;
}

void AppendPipeline::Settle() {
  // Behind a failure the slots stay, so that late results find theirs.
  while (!failure_ && !slots_.empty()) {
    Slot& slot = slots_.front();
    if (std::holds_alternative<std::monostate>(slot.outcome)) return;
    if (auto* error = std::get_if<RpcError>(&slot.outcome)) {
      failure_ = std::move(*error);
    } else {
      const auto& result = std::get<ProposalResult>(slot.outcome);
      if (const auto* applied = std::get_if<ProposalApplied>(&result)) {
        Applied(front_number_, *applied);
      } else {
        failure_ = explain_(result);
      }
    }
    if (failure_) {
      failure_->metadata["batch"] = absl::StrCat(front_number_);
      closed_ = true;
      return;
    }
    pending_.set_answered_batch(front_number_);
    has_pending_ = true;
    bytes_ -= slot.bytes;
    slots_.pop_front();
    ++front_number_;
  }
}

void AppendPipeline::Applied(uint64_t number, const ProposalApplied& applied) {
  absl::StatusOr<StreamReply> reply = DecodeReply(applied.reply.view());
  if (!reply.ok()) {
    RpcError error;
    error.code = absl::StatusCode::kInternal;
    error.reason = "BAD_REPLY";
    error.message = std::string(reply.status().message());
    error.metadata["outcome"] = kOutcomeUnknown;
    failure_ = std::move(error);
    return;
  }
  if (const auto* appended = std::get_if<AppendedReply>(&*reply)) {
    AddAck(number, applied, *appended);
    return;
  }
  RpcError error;
  if (const auto* refused = std::get_if<RefusedReply>(&*reply)) {
    error = ErrorOf(*refused, stream_);
  } else {
    // A session number that another kind of call used.
    error = explain_(ProposalNotApplied{ProposalNotApplied::Reason::kSessionNumberReused, {}, ""});
  }
  v1::AppendFailure* failure = pending_.add_failures();
  failure->set_batch(number);
  Write(error, failure);
}

void AppendPipeline::AddAck(uint64_t number, const ProposalApplied& applied,
                            const AppendedReply& reply) {
  if (pending_.acks_size() > 0) {
    v1::AppendAck& last = *pending_.mutable_acks(pending_.acks_size() - 1);
    if (number == last.first_batch() + last.batches() &&
        reply.first_sequence == last.last_sequence() + 1 &&
        applied.at.index == last.first_index() + last.batches() && applied.at.term == last.term() &&
        applied.duplicate == last.duplicate()) {
      last.set_batches(last.batches() + 1);
      last.set_last_sequence(reply.last_sequence);
      return;
    }
  }
  v1::AppendAck* ack = pending_.add_acks();
  ack->set_first_batch(number);
  ack->set_batches(1);
  ack->set_first_sequence(reply.first_sequence);
  ack->set_last_sequence(reply.last_sequence);
  ack->set_first_index(applied.at.index);
  ack->set_term(applied.at.term);
  ack->set_duplicate(applied.duplicate);
}

bool AppendPipeline::Collect(v1::AppendStreamResponse* response) {
  if (!has_pending_) return false;
  size_t room =
      bytes_ >= limits_.stream_inflight_bytes ? 0 : limits_.stream_inflight_bytes - bytes_;
  pending_.set_credit_bytes(room);
  pending_.set_credit_batches(limits_.stream_inflight_batches > slots_.size()
                                  ? limits_.stream_inflight_batches - slots_.size()
                                  : 0);
  response->Clear();
  response->Swap(&pending_);
  has_pending_ = false;
  return true;
}

}  // namespace cairn
