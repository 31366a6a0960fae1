#include "service/wire/wire.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/time.h"
#include "cairn/v1/peer.pb.h"
#include "service/wire/wire_messages.h"

namespace cairn {
namespace {

absl::Status Invalid(absl::string_view what) { return absl::InvalidArgumentError(what); }

// Members.

void Write(const std::vector<Member>& from,
           google::protobuf::RepeatedPtrField<v1::PeerMember>* to) {
  for (const Member& member : from) {
    v1::PeerMember* added = to->Add();
    added->set_node(ToInteger(member.node));
    added->set_incarnation(ToInteger(member.incarnation));
    added->set_address(member.address);
  }
}
std::vector<Member> Read(const google::protobuf::RepeatedPtrField<v1::PeerMember>& from) {
  std::vector<Member> members;
  for (const v1::PeerMember& member : from) {
    members.push_back({NodeId{member.node()}, Incarnation{member.incarnation()}, member.address()});
  }
  return members;
}

// Other bodies. For each: WriteBody of the struct into the parcel, Read of the message into the
// struct.

void WriteBody(const MessageBody& from, v1::Parcel* parcel) { WriteMessage(from, parcel); }

void WriteBody(const Hello& from, v1::Parcel* parcel) {
  v1::Hello* to = parcel->mutable_hello();
  to->set_formed(from.formed);
  v1::PeerConfiguration* members = to->mutable_members();
  Write(from.members.voters, members->mutable_voters());
  Write(from.members.outgoing_voters, members->mutable_outgoing_voters());
  Write(from.members.learners, members->mutable_learners());
  to->set_question(from.question);
  to->set_reply_wanted(from.reply_wanted);
}
Hello Read(const v1::Hello& from) {
  Hello to;
  to.formed = from.formed();
  to.members.voters = Read(from.members().voters());
  to.members.outgoing_voters = Read(from.members().outgoing_voters());
  to.members.learners = Read(from.members().learners());
  to.question = from.question();
  to.reply_wanted = from.reply_wanted();
  return to;
}

void WriteBody(const ForwardedProposals& from, v1::Parcel* parcel) {
  v1::ForwardedProposals* to = parcel->mutable_forwarded_proposals();
  to->set_term(from.term);
  to->set_life(from.life);
  to->set_request(from.request);
  to->set_expected_term(from.expected_term);
  for (const PreparedEntry& entry : from.entries) to->add_entries(entry.Encode());
}
absl::StatusOr<ForwardedProposals> Read(const v1::ForwardedProposals& from) {
  ForwardedProposals to = {from.term(), from.life(), from.request(), {}, from.expected_term()};
  for (const std::string& bytes : from.entries()) {
    absl::StatusOr<PreparedEntry> entry = PreparedEntry::Decode(bytes);
    if (!entry.ok()) return entry.status();
    to.entries.push_back(*std::move(entry));
  }
  return to;
}

// Reasons and their numbers on the wire.
using NotApplied = ProposalNotApplied::Reason;
using WireNotApplied = v1::ForwardedNotApplied;
constexpr std::pair<NotApplied, WireNotApplied::Reason> kNotAppliedReasons[] = {
    {NotApplied::kNotLeader, WireNotApplied::REASON_NOT_LEADER},
    {NotApplied::kNoLeader, WireNotApplied::REASON_NO_LEADER},
    {NotApplied::kOverloaded, WireNotApplied::REASON_OVERLOADED},
    {NotApplied::kTooLarge, WireNotApplied::REASON_TOO_LARGE},
    {NotApplied::kDeadline, WireNotApplied::REASON_DEADLINE},
    {NotApplied::kStopping, WireNotApplied::REASON_STOPPING},
    {NotApplied::kFenced, WireNotApplied::REASON_FENCED},
    {NotApplied::kSessionExpired, WireNotApplied::REASON_SESSION_EXPIRED},
    {NotApplied::kSessionNumberReused, WireNotApplied::REASON_SESSION_NUMBER_REUSED},
    {NotApplied::kSessionGap, WireNotApplied::REASON_SESSION_GAP},
    {NotApplied::kSessionNumberTooOld, WireNotApplied::REASON_SESSION_NUMBER_TOO_OLD},
    {NotApplied::kNotFormed, WireNotApplied::REASON_NOT_FORMED},
    {NotApplied::kOrderBroken, WireNotApplied::REASON_ORDER_BROKEN},
    {NotApplied::kTermChanged, WireNotApplied::REASON_TERM_CHANGED},
    {NotApplied::kNoSpace, WireNotApplied::REASON_NO_SPACE},
};

using Refusal = IdentityRefusal::Reason;
constexpr std::pair<Refusal, v1::IdentityRefusal::Reason> kRefusalReasons[] = {
    {Refusal::kClusterMismatch, v1::IdentityRefusal::REASON_CLUSTER_MISMATCH},
    {Refusal::kWrongNode, v1::IdentityRefusal::REASON_WRONG_NODE},
    {Refusal::kMemberAmnesia, v1::IdentityRefusal::REASON_MEMBER_AMNESIA},
    {Refusal::kVersion, v1::IdentityRefusal::REASON_VERSION},
    {Refusal::kUnknownMember, v1::IdentityRefusal::REASON_UNKNOWN_MEMBER},
};

template <typename Ours, typename Wire, size_t n>
Wire ToWire(Ours reason, const std::pair<Ours, Wire> (&table)[n]) {
  const auto* row = std::find_if(std::begin(table), std::end(table),
                                 [reason](const auto& r) { return r.first == reason; });
  CAIRN_CHECK(row != std::end(table)) << "reason " << static_cast<int>(reason);
  return row->second;
}

template <typename Ours, typename Wire, size_t n>
absl::StatusOr<Ours> FromWire(Wire reason, const std::pair<Ours, Wire> (&table)[n]) {
  const auto* row = std::find_if(std::begin(table), std::end(table),
                                 [reason](const auto& r) { return r.second == reason; });
  if (row == std::end(table)) return Invalid(absl::StrCat("unknown reason ", reason));
  return row->first;
}

void Write(const ProposalResult& from, v1::ForwardedResult* to) {
  if (const auto* applied = std::get_if<ProposalApplied>(&from)) {
    WritePosition(applied->at, to->mutable_applied()->mutable_at());
    to->mutable_applied()->set_reply(applied->reply.data(), applied->reply.size());
    to->mutable_applied()->set_duplicate(applied->duplicate);
  } else if (const auto* not_applied = std::get_if<ProposalNotApplied>(&from)) {
    to->mutable_not_applied()->set_reason(ToWire(not_applied->reason, kNotAppliedReasons));
    to->mutable_not_applied()->set_leader(ToInteger(not_applied->leader));
    to->mutable_not_applied()->set_message(not_applied->message);
    to->mutable_not_applied()->set_term(not_applied->term);
  } else {
    const auto& unknown = std::get<ProposalUnknown>(from);
    WritePosition(unknown.at, to->mutable_unknown()->mutable_at());
    to->mutable_unknown()->set_message(unknown.message);
  }
}

absl::StatusOr<ProposalResult> Read(const v1::ForwardedResult& from) {
  switch (from.result_case()) {
    case v1::ForwardedResult::kApplied:
      return ProposalApplied{ReadPosition(from.applied().at()), Bytes::Copy(from.applied().reply()),
                             from.applied().duplicate()};
    case v1::ForwardedResult::kNotApplied: {
      auto reason = FromWire(from.not_applied().reason(), kNotAppliedReasons);
      if (!reason.ok()) return reason.status();
      return ProposalNotApplied{*reason, NodeId{from.not_applied().leader()},
                                from.not_applied().message(), from.not_applied().term()};
    }
    case v1::ForwardedResult::kUnknown:
      return ProposalUnknown{ReadPosition(from.unknown().at()), from.unknown().message()};
    case v1::ForwardedResult::RESULT_NOT_SET:
      break;
  }
  return Invalid("a forwarded result without a result");
}

void WriteBody(const ForwardedResults& from, v1::Parcel* parcel) {
  v1::ForwardedResults* to = parcel->mutable_forwarded_results();
  to->set_life(from.life);
  to->set_request(from.request);
  for (const ProposalResult& result : from.results) Write(result, to->add_results());
}
absl::StatusOr<ForwardedResults> Read(const v1::ForwardedResults& from) {
  ForwardedResults to = {from.life(), from.request(), {}};
  for (const v1::ForwardedResult& result : from.results()) {
    absl::StatusOr<ProposalResult> read = Read(result);
    if (!read.ok()) return read.status();
    to.results.push_back(*std::move(read));
  }
  return to;
}

void WriteBody(const IdentityRefusal& from, v1::Parcel* parcel) {
  v1::IdentityRefusal* to = parcel->mutable_identity_refusal();
  to->set_reason(ToWire(from.reason, kRefusalReasons));
  to->set_message(from.message);
}
absl::StatusOr<IdentityRefusal> Read(const v1::IdentityRefusal& from) {
  auto reason = FromWire(from.reason(), kRefusalReasons);
  if (!reason.ok()) return reason.status();
  return IdentityRefusal{*reason, from.message()};
}

void Write(const ContentId& from, std::string* to) {
  to->assign(from.bytes.begin(), from.bytes.end());
}
absl::StatusOr<ContentId> ReadId(const std::string& from) {
  ContentId to;
  if (from.size() != to.bytes.size()) return Invalid("a snapshot's id of another length");
  std::memcpy(to.bytes.data(), from.data(), from.size());
  return to;
}

void WriteBody(const SnapshotOffer& from, v1::Parcel* parcel) {
  v1::SnapshotOffer* to = parcel->mutable_snapshot_offer();
  to->set_term(from.term);
  Write(from.id, to->mutable_id());
  WritePosition(from.position, to->mutable_position());
  to->set_manifest_bytes(from.manifest_bytes);
  to->set_answer_wanted(from.answer_wanted);
  to->set_failures_wanted(from.failures_wanted);
}
absl::StatusOr<SnapshotOffer> Read(const v1::SnapshotOffer& from) {
  absl::StatusOr<ContentId> id = ReadId(from.id());
  if (!id.ok()) return id.status();
  return SnapshotOffer{from.term(),
                       *id,
                       ReadPosition(from.position()),
                       from.manifest_bytes(),
                       from.answer_wanted(),
                       from.failures_wanted()};
}
void WriteBody(const SnapshotAnswer& from, v1::Parcel* parcel) {
  v1::SnapshotAnswer* to = parcel->mutable_snapshot_answer();
  Write(from.id, to->mutable_id());
  to->set_verdict(static_cast<v1::SnapshotVerdict>(from.verdict));
  to->set_term(from.term);
  to->set_commit(from.commit);
}
absl::StatusOr<SnapshotAnswer> Read(const v1::SnapshotAnswer& from) {
  absl::StatusOr<ContentId> id = ReadId(from.id());
  if (!id.ok()) return id.status();
  if (from.verdict() == v1::SNAPSHOT_VERDICT_UNSPECIFIED ||
      !v1::SnapshotVerdict_IsValid(from.verdict())) {
    return Invalid("a verdict there is not");
  }
  return SnapshotAnswer{*id, static_cast<SnapshotAnswer::Verdict>(from.verdict()), from.term(),
                        from.commit()};
}
void WriteBody(const SnapshotRequest& from, v1::Parcel* parcel) {
  v1::SnapshotRequest* to = parcel->mutable_snapshot_request();
  Write(from.id, to->mutable_id());
  to->set_file(from.file);
  to->set_offset(from.offset);
  to->set_bytes(from.bytes);
}
absl::StatusOr<SnapshotRequest> Read(const v1::SnapshotRequest& from) {
  absl::StatusOr<ContentId> id = ReadId(from.id());
  if (!id.ok()) return id.status();
  return SnapshotRequest{*id, from.file(), from.offset(), from.bytes()};
}
void WriteBody(const SnapshotPiece& from, v1::Parcel* parcel) {
  v1::SnapshotPiece* to = parcel->mutable_snapshot_piece();
  Write(from.id, to->mutable_id());
  to->set_file(from.file);
  to->set_offset(from.offset);
  to->set_content(from.bytes);
  to->set_gone(from.gone);
  to->set_held(static_cast<uint64_t>(std::max(from.held, Duration()).nanoseconds));
}
absl::StatusOr<SnapshotPiece> Read(v1::SnapshotPiece&& from) {
  absl::StatusOr<ContentId> id = ReadId(from.id());
  if (!id.ok()) return id.status();
  constexpr uint64_t kLongest = std::numeric_limits<int64_t>::max();
  const Duration held = Nanoseconds(static_cast<int64_t>(std::min(from.held(), kLongest)));
  return SnapshotPiece{*id,         from.file(), from.offset(), std::move(*from.mutable_content()),
                       from.gone(), held};
}

void WriteBody(const HostHeartbeat& from, v1::Parcel* parcel) {
  v1::HostHeartbeat* to = parcel->mutable_host_heartbeat();
  to->set_question(from.question);
  to->set_reply_wanted(from.reply_wanted);
  to->set_life(from.life);
  to->set_patience_ms(static_cast<uint32_t>(ToMilliseconds(from.patience)));
  to->set_answered(from.answered);
}
HostHeartbeat Read(const v1::HostHeartbeat& from) {
  return {from.question(), from.reply_wanted(), from.life(), Milliseconds(from.patience_ms()),
          from.answered()};
}

void WriteBody(const EntryRequest& from, v1::Parcel* parcel) {
  v1::EntryRequest* to = parcel->mutable_entry_request();
  to->set_request(from.request);
  for (const EntryRange& range : from.wanted) {
    v1::EntryRange* added = to->add_wanted();
    added->set_first(range.first);
    added->set_last(range.last);
    added->set_term(range.term);
  }
  to->set_state_at_least(from.state_at_least);
  to->set_state_term(from.state_term);
  to->set_term(from.term);
}
EntryRequest Read(const v1::EntryRequest& from) {
  EntryRequest to = {from.request(), {}, from.state_at_least(), from.state_term(), from.term()};
  for (const v1::EntryRange& range : from.wanted()) {
    to.wanted.push_back({range.first(), range.last(), range.term()});
  }
  return to;
}
void WriteBody(const EntryReply& from, v1::Parcel* parcel) {
  v1::EntryReply* to = parcel->mutable_entry_reply();
  to->set_request(from.request);
  to->set_state(static_cast<v1::StateAnswer>(from.state));
}
absl::StatusOr<EntryReply> Read(const v1::EntryReply& from) {
  static_assert(static_cast<int>(StateAnswer::kLost) == v1::STATE_ANSWER_LOST);
  if (!v1::StateAnswer_IsValid(from.state())) return Invalid("an unknown answer about a state");
  return EntryReply{from.request(), static_cast<StateAnswer>(from.state())};
}

// The body of an envelope of any kind, from a struct or StatusOr of one.
template <typename Body>
absl::StatusOr<EnvelopeBody> Wrap(absl::StatusOr<Body> body) {
  if (!body.ok()) return body.status();
  return EnvelopeBody(*std::move(body));
}

absl::StatusOr<EnvelopeBody> ReadBody(v1::Parcel& parcel) {
  if (std::optional<MessageBody> message = ReadMessage(parcel)) return EnvelopeBody(*message);
  using Body = v1::Parcel;
  switch (parcel.body_case()) {
    case Body::kHello:
      return Wrap<Hello>(Read(parcel.hello()));
    case Body::kForwardedProposals:
      return Wrap<ForwardedProposals>(Read(parcel.forwarded_proposals()));
    case Body::kForwardedResults:
      return Wrap<ForwardedResults>(Read(parcel.forwarded_results()));
    case Body::kIdentityRefusal:
      return Wrap<IdentityRefusal>(Read(parcel.identity_refusal()));
    case Body::kSnapshotOffer:
      return Wrap<SnapshotOffer>(Read(parcel.snapshot_offer()));
    case Body::kSnapshotAnswer:
      return Wrap<SnapshotAnswer>(Read(parcel.snapshot_answer()));
    case Body::kSnapshotRequest:
      return Wrap<SnapshotRequest>(Read(parcel.snapshot_request()));
    case Body::kSnapshotPiece:
      return Wrap<SnapshotPiece>(Read(std::move(*parcel.mutable_snapshot_piece())));
    case Body::kHostHeartbeat:
      return Wrap<HostHeartbeat>(Read(parcel.host_heartbeat()));
    case Body::kEntryRequest:
      return Wrap<EntryRequest>(Read(parcel.entry_request()));
    case Body::kEntryReply:
      return Wrap<EntryReply>(Read(parcel.entry_reply()));
    default:
      return Invalid("a parcel without a body");
  }
}

}  // namespace

v1::FrameLane WireLane(Lane lane) {
  static_assert(static_cast<int>(Lane::kSnapshot) + 1 == v1::FRAME_LANE_SNAPSHOT);
  return static_cast<v1::FrameLane>(static_cast<int>(lane) + 1);
}

void WriteIdentity(const Envelope& envelope, v1::Frame* frame) {
  frame->set_cluster_id(envelope.cluster.bytes.data(), envelope.cluster.bytes.size());
  frame->set_from(ToInteger(envelope.from));
  frame->set_to(ToInteger(envelope.to));
  frame->set_from_incarnation(ToInteger(envelope.from_incarnation));
  frame->set_version(envelope.version);
  frame->set_oldest_version(envelope.oldest_version);
  frame->set_newest_version(envelope.newest_version);
  frame->set_lane(WireLane(LaneOf(envelope)));
}

bool SameIdentity(const Envelope& a, const Envelope& b) {
  return a.cluster == b.cluster && a.from == b.from && a.to == b.to &&
         a.from_incarnation == b.from_incarnation && a.version == b.version &&
         a.oldest_version == b.oldest_version && a.newest_version == b.newest_version;
}

void WriteIntroductions(const std::vector<Introduction>& introductions, v1::Frame* frame) {
  for (const Introduction& introduction : introductions) {
    if (!Validate(introduction).ok()) continue;
    if (frame->introductions_size() == static_cast<int>(kMaxIntroductions)) return;
    v1::Introduction* to = frame->add_introductions();
    to->set_group(ToInteger(introduction.group));
    WritePosition(introduction.at, to->mutable_configuration());
    to->set_address(introduction.address);
    to->set_incarnation(ToInteger(introduction.disk));
    for (Incarnation disk : introduction.disks_before) {
      to->add_incarnations_before(ToInteger(disk));
    }
  }
}

absl::StatusOr<std::vector<Introduction>> ReadIntroductions(const v1::Frame& frame) {
  if (frame.introductions_size() > static_cast<int>(kMaxIntroductions)) {
    return Invalid(absl::StrCat(frame.introductions_size(), " introductions"));
  }
  std::vector<Introduction> introductions;
  for (const v1::Introduction& from : frame.introductions()) {
    Introduction introduction = {GroupId{from.group()}, ReadPosition(from.configuration()),
                                 from.address(), Incarnation{from.incarnation()}};
    for (uint64_t disk : from.incarnations_before()) {
      introduction.disks_before.push_back(Incarnation{disk});
    }
    if (absl::Status status = Validate(introduction); !status.ok()) return status;
    introductions.push_back(std::move(introduction));
  }
  return introductions;
}

void WriteParcel(const Envelope& envelope, v1::Parcel* parcel) {
  parcel->set_group(ToInteger(envelope.group));
  parcel->set_group_incarnation(ToInteger(envelope.group_incarnation));
  std::visit([parcel](const auto& body) { WriteBody(body, parcel); }, envelope.body);
  auto* records = std::holds_alternative<EntryReply>(envelope.body)
                      ? parcel->mutable_entry_reply()->mutable_records()
                  : envelope.entries.empty() ? nullptr
                                             : parcel->mutable_append_entries()->mutable_records();
  for (const RecordRun& run : envelope.entries) {
    records->Add()->assign(run.bytes().data(), run.byte_size());
  }
}

absl::StatusOr<Envelope> ReadIdentity(const v1::Frame& frame) {
  Envelope envelope;
  if (frame.cluster_id().size() != envelope.cluster.bytes.size()) {
    return Invalid(absl::StrCat("a cluster id of ", frame.cluster_id().size(), " bytes"));
  }
  std::memcpy(envelope.cluster.bytes.data(), frame.cluster_id().data(), frame.cluster_id().size());
  if (frame.lane() < v1::FRAME_LANE_CONTROL || frame.lane() > v1::FRAME_LANE_SNAPSHOT) {
    return Invalid(absl::StrCat("unknown lane ", frame.lane()));
  }
  if (frame.from() == 0 || frame.to() == 0) return Invalid("node 0 speaks or is spoken to");
  if (frame.oldest_version() == 0 || frame.oldest_version() > frame.version() ||
      frame.version() > frame.newest_version()) {
    return Invalid("a range of versions without the frame's own");
  }
  envelope.from = NodeId{frame.from()};
  envelope.to = NodeId{frame.to()};
  envelope.from_incarnation = Incarnation{frame.from_incarnation()};
  envelope.version = frame.version();
  envelope.oldest_version = frame.oldest_version();
  envelope.newest_version = frame.newest_version();
  return envelope;
}

absl::StatusOr<Envelope> ReadParcel(const Envelope& identity, v1::Parcel&& parcel) {
  Envelope envelope = identity;
  envelope.group = GroupId{parcel.group()};
  envelope.group_incarnation = Incarnation{parcel.group_incarnation()};
  absl::StatusOr<EnvelopeBody> body = ReadBody(parcel);
  if (!body.ok()) return body.status();
  envelope.body = *std::move(body);
  auto* records = parcel.has_append_entries() ? parcel.mutable_append_entries()->mutable_records()
                  : parcel.has_entry_reply()  ? parcel.mutable_entry_reply()->mutable_records()
                                              : nullptr;
  if (records != nullptr) {
    for (std::string& bytes : *records) {
      absl::StatusOr<RecordRun> run =
          RecordRun::Parse(envelope.group, Bytes::Take(std::move(bytes)));
      if (!run.ok()) return Invalid(absl::StrCat("records: ", run.status().message()));
      envelope.entries.push_back(*std::move(run));
    }
  }
  if (absl::Status status = Validate(envelope); !status.ok()) return status;
  return envelope;
}

}  // namespace cairn
