#include "service/frame_reader.h"

#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "raft/sender_check.h"
#include "service/frame_queue.h"
#include "service/wire/wire.h"

namespace cairn {
namespace {

RpcError Make(absl::StatusCode code, absl::string_view reason, absl::string_view message) {
  RpcError error;
  error.code = code;
  error.reason = std::string(reason);
  error.message = std::string(message);
  return error;
}

RpcError BadFrame(absl::string_view message) {
  bool term = absl::StartsWith(message, "TERM_RANGE");
  return Make(absl::StatusCode::kInvalidArgument, term ? "TERM_RANGE" : "BAD_FRAME", message);
}

}  // namespace

RpcError ErrorOfRefusal(const absl::Status& refusal) {
  const absl::string_view message = refusal.message();
  RpcError error = Make(refusal.code(), message.substr(0, message.find(':')), message);
  refusal.ForEachPayload([&](absl::string_view name, const absl::Cord& value) {
    error.metadata[std::string(name)] = std::string(value);
  });
  return error;
}

std::optional<RpcError> FrameReader::CheckIdentity(const Envelope& identity, v1::FrameLane lane) {
  using absl::StatusCode;
  uint64_t from = ToInteger(identity.from);
  if (identity.cluster != listener_.cluster) {
    return Make(StatusCode::kFailedPrecondition, "CLUSTER_MISMATCH",
                absl::StrCat("node ", from, " is of cluster ", ToString(identity.cluster),
                             ", this node of ", ToString(listener_.cluster)));
  }
  if (identity.to != listener_.node) {
    return Make(StatusCode::kFailedPrecondition, "WRONG_NODE",
                absl::StrCat("a frame for node ", ToInteger(identity.to), " reached node ",
                             ToInteger(listener_.node)));
  }
  if (identity.version < kOldestProtocolVersion || identity.version > kProtocolVersion) {
    return Make(StatusCode::kFailedPrecondition, "VERSION_MISMATCH",
                absl::StrCat("a frame of version ", identity.version, "; this node speaks ",
                             kOldestProtocolVersion, " to ", kProtocolVersion));
  }
  if (first_ && (first_->from != identity.from ||
                 first_->from_incarnation != identity.from_incarnation || lane_ != lane)) {
    return Make(StatusCode::kPermissionDenied, "SENDER_MISMATCH",
                absl::StrCat("node ", from, " speaks on a call of node ", ToInteger(first_->from),
                             " or of another lane"));
  }
  return std::nullopt;
}

// Last of all: a stranger that introduces itself is kept in mind.
std::optional<RpcError> FrameReader::CheckStanding(const v1::Frame& frame, NodeId from) {
  std::vector<Introduction> introductions;
  if (!first_) {
    absl::StatusOr<std::vector<Introduction>> read = ReadIntroductions(frame);
    if (!read.ok()) return BadFrame(read.status().message());
    introductions = *std::move(read);
  }
  standing_ = from == listener_.node ? Standing::kUnknown
                                     : listener_.knows(from, first_ ? nullptr : &introductions);
  if (standing_ != Standing::kUnknown) return std::nullopt;
  return Make(
      absl::StatusCode::kPermissionDenied, "UNKNOWN_PEER",
      absl::StrCat("node ", ToInteger(from), " is no peer of node ", ToInteger(listener_.node)));
}

std::optional<RpcError> FrameReader::ReadOne(const Envelope& identity, v1::Parcel&& parcel,
                                             absl::FunctionRef<void(Envelope)> take) {
  absl::StatusOr<Envelope> envelope = ReadParcel(identity, std::move(parcel));
  if (!envelope.ok()) return BadFrame(envelope.status().message());
  if (WireLane(LaneOf(*envelope)) != lane_) return BadFrame("a parcel on the wrong lane");
  if (standing_ == Standing::kStranger && !MayStrangerSay(envelope->body)) return std::nullopt;
  if (absl::Status vetted = listener_.vet(*envelope); !vetted.ok()) {
    if (envelope->group_incarnation == Incarnation::kUnknown) return ErrorOfRefusal(vetted);
    // A stranger to one group may be a member of the others, whose parcels come on this call too.
    // But it says only in the first frame of a call who it is by now.
    if (++refused_ < kRefusedBeforeGreeting) return std::nullopt;
    return Make(absl::StatusCode::kAborted, "GREET_AGAIN", vetted.message());
  }
  take(*std::move(envelope));
  return std::nullopt;
}

std::optional<RpcError> FrameReader::Read(v1::Frame&& frame,
                                          absl::FunctionRef<void(Envelope)> take) {
  absl::StatusOr<Envelope> identity = ReadIdentity(frame);
  if (!identity.ok()) return BadFrame(identity.status().message());
  if (auto error = CheckIdentity(*identity, frame.lane())) return error;
  if (auto error = CheckStanding(frame, identity->from)) return error;
  if (!first_) {
    first_ = *identity;
    lane_ = frame.lane();
  }
  if (frame.fragment().empty()) {
    if (!fragments_.empty() || frame.fragment_ends()) return BadFrame("a parcel lacks its end");
    for (v1::Parcel& parcel : *frame.mutable_parcels()) {
      if (auto error = ReadOne(*identity, std::move(parcel), take)) return error;
    }
    return std::nullopt;
  }
  if (frame.parcels_size() != 0) return BadFrame("a frame with parcels and a fragment");
  if (fragments_.size() + frame.fragment().size() > kMaxParcelBytes) {
    return BadFrame("a parcel is too large");
  }
  fragments_ += frame.fragment();
  if (!frame.fragment_ends()) return std::nullopt;
  v1::Parcel parcel;
  bool parsed = parcel.ParseFromString(fragments_);
  fragments_ = std::string();
  if (!parsed) return BadFrame("fragments make no parcel");
  return ReadOne(*identity, std::move(parcel), take);
}

}  // namespace cairn
