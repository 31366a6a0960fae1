#include "raft/sender_check.h"

#include <variant>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace cairn {
namespace {

// There never were so many elections.
constexpr Term kMaxTermJump = Term{1} << 40;

// What a refusal of CheckRemoved says beside its text: payloads of the status, metadata of an RPC.
constexpr char kGroup[] = "group";
constexpr char kIncarnation[] = "incarnation";
constexpr char kTerm[] = "term";
constexpr char kIndexAt[] = "configurationIndex";
constexpr char kTermAt[] = "configurationTerm";

}  // namespace

bool IsAnotherThere(const LocalIdentity& self) {
  return self.of_disk != Incarnation::kUnknown && self.of_disk != self.incarnation;
}

void SignEnvelope(const LocalIdentity& self, Envelope& envelope) {
  const bool another = IsAnotherThere(self);
  envelope.cluster = self.cluster;
  envelope.from = self.node;
  envelope.from_incarnation = another ? self.of_disk : self.incarnation;
  if (another) envelope.group_incarnation = self.incarnation;
}

Incarnation SenderIn(const Envelope& envelope) {
  return envelope.group_incarnation != Incarnation::kUnknown ? envelope.group_incarnation
                                                             : envelope.from_incarnation;
}

std::optional<IdentityRefusal> CheckAddress(const Envelope& envelope, const LocalIdentity& self) {
  using Reason = IdentityRefusal::Reason;
  if (envelope.cluster != self.cluster) {
    return IdentityRefusal{
        Reason::kClusterMismatch,
        absl::StrCat("node ", ToInteger(self.node), " belongs to cluster ", ToString(self.cluster),
                     ", the frame to cluster ", ToString(envelope.cluster))};
  }
  if (envelope.to != self.node) {
    return IdentityRefusal{Reason::kWrongNode,
                           absl::StrCat("this is node ", ToInteger(self.node),
                                        ", the frame is for node ", ToInteger(envelope.to))};
  }
  bool spoken = envelope.version >= kOldestProtocolVersion && envelope.version <= kProtocolVersion;
  if (!spoken) {
    return IdentityRefusal{
        Reason::kVersion,
        absl::StrCat("node ", ToInteger(self.node), " speaks versions ", kOldestProtocolVersion,
                     " to ", kProtocolVersion, ", the frame has version ", envelope.version,
                     " of a node that speaks ", envelope.oldest_version, " to ",
                     envelope.newest_version)};
  }
  return std::nullopt;
}

bool HasAnotherDisk(const Envelope& envelope, const Configuration& configuration) {
  const Member* member = configuration.Find(envelope.from);
  return member != nullptr && member->incarnation != Incarnation::kUnknown &&
         member->incarnation != SenderIn(envelope);
}

std::optional<IdentityRefusal> CheckSender(const Envelope& envelope,
                                           const Configuration& configuration, bool successor) {
  using Reason = IdentityRefusal::Reason;
  const Member* member = configuration.Find(envelope.from);
  if (member == nullptr) {
    if (!std::holds_alternative<ForwardedProposals>(envelope.body)) return std::nullopt;
    return IdentityRefusal{Reason::kUnknownMember,
                           absl::StrCat("node ", ToInteger(envelope.from),
                                        " is no member of group ", ToInteger(envelope.group))};
  }
  if (successor || !HasAnotherDisk(envelope, configuration) ||
      std::holds_alternative<IdentityRefusal>(envelope.body)) {
    return std::nullopt;
  }
  return IdentityRefusal{
      Reason::kMemberAmnesia,
      absl::StrCat("MEMBER_AMNESIA: node ", ToInteger(envelope.from), " is a member of group ",
                   ToInteger(envelope.group), " with the data directory of incarnation ",
                   ToInteger(member->incarnation), ", the frame comes from incarnation ",
                   ToInteger(SenderIn(envelope)))};
}

bool MayStrangerSay(const EnvelopeBody& body) {
  if (const auto* message = std::get_if<MessageBody>(&body)) {
    if (const auto* vote = std::get_if<VoteRequest>(message)) return !vote->forced;
    return std::holds_alternative<PreVoteRequest>(*message) ||
           std::holds_alternative<AppendEntries>(*message) ||
           std::holds_alternative<Heartbeat>(*message) ||
           std::holds_alternative<ReadIndexReply>(*message) ||
           std::holds_alternative<RejoinReply>(*message) ||
           std::holds_alternative<TailQuery>(*message);
  }
  return std::holds_alternative<ForwardedResults>(body) ||
         std::holds_alternative<IdentityRefusal>(body) ||
         std::holds_alternative<SnapshotOffer>(body) ||
         std::holds_alternative<SnapshotPiece>(body) ||
         std::holds_alternative<EntryRequest>(body) || std::holds_alternative<EntryReply>(body);
}

absl::Status CheckTermJump(const Envelope& envelope, Term own) {
  const auto* body = std::get_if<MessageBody>(&envelope.body);
  const auto* offer = std::get_if<SnapshotOffer>(&envelope.body);
  const auto* request = std::get_if<EntryRequest>(&envelope.body);
  const Term term = body != nullptr      ? TermOf(*body)
                    : offer != nullptr   ? offer->term
                    : request != nullptr ? request->term
                                         : 0;
  if (term <= own + kMaxTermJump) return absl::OkStatus();
  const absl::string_view name = body != nullptr    ? NameOf(*body)
                                 : offer != nullptr ? "SnapshotOffer"
                                                    : "EntryRequest";
  return absl::InvalidArgumentError(absl::StrCat("TERM_RANGE: a ", name, " of node ",
                                                 ToInteger(envelope.from), " has term ", term,
                                                 ", this node is in term ", own));
}

absl::Status CheckLeader(const Envelope& envelope, Term own, NodeId leader) {
  const auto* body = std::get_if<MessageBody>(&envelope.body);
  if (body == nullptr || leader == NodeId::kNone || envelope.from == leader) {
    return absl::OkStatus();
  }
  const bool of_a_leader = std::holds_alternative<AppendEntries>(*body) ||
                           std::holds_alternative<Heartbeat>(*body) ||
                           std::holds_alternative<TimeoutNow>(*body);
  if (!of_a_leader || TermOf(*body) != own) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "SAFETY_VIOLATION: node ", ToInteger(envelope.from), " says that it leads term ", own,
      " of group ", ToInteger(envelope.group), ", which node ", ToInteger(leader), " leads"));
}

absl::Status CheckRemoved(const Envelope& envelope, const MembersKnown& known) {
  const auto* body = std::get_if<MessageBody>(&envelope.body);
  if (body == nullptr || !known.configuration.WasRemoved(envelope.from)) return absl::OkStatus();
  LogPosition last;
  if (const auto* pre_vote = std::get_if<PreVoteRequest>(body)) {
    last = pre_vote->last;
  } else if (const auto* vote = std::get_if<VoteRequest>(body)) {
    last = vote->last;
  } else {
    return absl::OkStatus();
  }
  if (!AtLeastAsUpToDate(known.last, last)) return absl::OkStatus();
  absl::Status refusal = absl::FailedPreconditionError(
      absl::StrCat(kMemberRemoved, ": node ", ToInteger(envelope.from), " is no member of group ",
                   ToInteger(envelope.group), " any more, by configuration ", ToString(known.at)));
  const auto say = [&](const char* name, uint64_t value) {
    refusal.SetPayload(name, absl::Cord(absl::StrCat(value)));
  };
  say(kGroup, ToInteger(envelope.group));
  say(kIncarnation, ToInteger(known.self));
  say(kTerm, known.term);
  say(kIndexAt, known.at.index);
  say(kTermAt, known.at.term);
  return refusal;
}

bool IsRemoval(const absl::Status& refusal) {
  return absl::StartsWith(refusal.message(), kMemberRemoved);
}

std::optional<Envelope> RemovalOf(const Envelope& greeting,
                                  absl::FunctionRef<std::string(absl::string_view)> said) {
  const auto number = [&](absl::string_view name) {
    uint64_t value = 0;
    return absl::SimpleAtoi(said(name), &value) ? value : 0;
  };
  Envelope envelope;
  envelope.cluster = greeting.cluster;
  envelope.from = greeting.to;
  envelope.to = greeting.from;
  envelope.group = GroupId{number(kGroup)};
  envelope.from_incarnation = Incarnation{number(kIncarnation)};
  envelope.body =
      MessageBody(RemovedNotice{.term = number(kTerm), .at = {number(kIndexAt), number(kTermAt)}});
  if (!Validate(envelope).ok()) return std::nullopt;
  return envelope;
}

absl::Status Vet(const Envelope& envelope, const Configuration& configuration, Term own,
                 NodeId leader, bool successor) {
  if (std::holds_alternative<Hello>(envelope.body)) return absl::OkStatus();
  std::optional<IdentityRefusal> refusal = CheckSender(envelope, configuration, successor);
  if (!refusal || refusal->reason != IdentityRefusal::Reason::kMemberAmnesia) {
    absl::Status jump = CheckTermJump(envelope, own);
    return jump.ok() ? CheckLeader(envelope, own, leader) : jump;
  }
  for (NodeId node : configuration.Nodes()) {
    if (configuration.Find(node)->incarnation != SenderIn(envelope)) continue;
    return absl::PermissionDeniedError(absl::StrCat("SENDER_MISMATCH: node ", ToInteger(node),
                                                    " speaks as node ", ToInteger(envelope.from),
                                                    ": ", refusal->message));
  }
  return absl::FailedPreconditionError(refusal->message);
}

}  // namespace cairn
