#include "raft/envelope.h"

#include <optional>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "raft/core/configuration.h"
#include "raft/core/options.h"

namespace cairn {
namespace {

// A frame holds no more records than this, however small they are.
constexpr size_t kMaxFrameEntries = 100'000;
constexpr size_t kMaxForwardedEntries = 100'000;
constexpr size_t kMaxTornRuns = 100'000;

absl::Status Invalid(absl::string_view what) { return absl::InvalidArgumentError(what); }

absl::Status CheckTerm(absl::string_view field, Term term) {
  if (term > kMaxTerm) {
    return Invalid(absl::StrCat("TERM_RANGE: ", field, " is ", term, ", at most ", kMaxTerm));
  }
  return absl::OkStatus();
}

absl::Status CheckIndex(absl::string_view field, Index index) {
  if (index > kMaxIndex) {
    return Invalid(absl::StrCat("TERM_RANGE: ", field, " is ", index, ", at most ", kMaxIndex));
  }
  return absl::OkStatus();
}

// Every message comes from a node that has been in an election, or campaigns in one; only what a
// new node answers without adopting a term does not (OfNewNode).
absl::Status CheckMessageTerm(Term term) {
  if (term == 0) return Invalid("TERM_RANGE: the term is 0");
  return CheckTerm("term", term);
}

// A position of an entry, or the empty log's {0, 0}.
absl::Status CheckPosition(absl::string_view field, LogPosition position) {
  if (absl::Status status = CheckIndex(field, position.index); !status.ok()) return status;
  if (absl::Status status = CheckTerm(field, position.term); !status.ok()) return status;
  if ((position.index == 0) != (position.term == 0)) {
    return Invalid(absl::StrCat(field, " is ", ToString(position), ", no place in a log"));
  }
  return absl::OkStatus();
}

// Runs behind `previous` that grow in index and do not fall in term, none above `term`.
absl::Status CheckRuns(LogPosition previous, const std::vector<TermRun>& runs, Term term) {
  TermRun last = {previous.term, previous.index};
  for (const TermRun& run : runs) {
    if (run.last_index <= last.last_index || run.last_index > kMaxIndex) {
      return Invalid(absl::StrCat("a run ends at ", run.last_index, " behind ", last.last_index));
    }
    if (run.term == 0 || run.term < last.term || run.term > term) {
      return Invalid(absl::StrCat("a run of term ", run.term, " behind term ", last.term,
                                  ", in a message of term ", term));
    }
    last = run;
  }
  return absl::OkStatus();
}

// The last log position of a candidate that campaigns in `term`.
absl::Status CheckLast(LogPosition last, Term term) {
  if (absl::Status status = CheckPosition("last", last); !status.ok()) return status;
  if (last.term > term) {
    return Invalid(absl::StrCat("last is ", ToString(last), " in a request of term ", term));
  }
  return absl::OkStatus();
}

absl::Status Check(const PreVoteRequest& body) {
  // Campaigning in a term above its own, a node has no last entry of that term.
  if (body.last.term >= body.term) return Invalid("the last term is not below the campaign's");
  return CheckLast(body.last, body.term);
}
absl::Status Check(const PreVoteReply&) { return absl::OkStatus(); }

absl::Status Check(const VoteRequest& body) {
  if (body.last.term >= body.term) return Invalid("the last term is not below the campaign's");
  return CheckLast(body.last, body.term);
}
absl::Status Check(const VoteReply&) { return absl::OkStatus(); }

absl::Status CheckAcknowledged(LogPosition acknowledged, Term term) {
  if (absl::Status status = CheckPosition("acknowledged", acknowledged); !status.ok()) {
    return status;
  }
  return acknowledged.term > term ? Invalid("what is acknowledged is of a later term")
                                  : absl::OkStatus();
}

absl::Status Check(const AppendEntries& body) {
  if (absl::Status status = CheckPosition("previous", body.previous); !status.ok()) return status;
  if (body.previous.term > body.term) return Invalid("the previous term is above the term");
  absl::Status acknowledged = CheckAcknowledged(body.acknowledged, body.term);
  return acknowledged.ok() ? CheckIndex("commit", body.commit) : acknowledged;
}

absl::Status Check(const AppendReply& body) {
  if (absl::Status status = CheckIndex("match", body.match); !status.ok()) return status;
  if (absl::Status status = CheckIndex("refused", body.refused_index); !status.ok()) return status;
  if (absl::Status status = CheckPosition("hint", body.hint); !status.ok()) return status;
  if (!body.success && body.hint.index > body.refused_index) {
    return Invalid(absl::StrCat("hint ", ToString(body.hint), " lies behind the refused index ",
                                body.refused_index));
  }
  return absl::OkStatus();
}

// Sums of instants and durations that pass do not overflow.
absl::Status CheckInstant(absl::string_view field, Instant instant) {
  if (instant.nanoseconds < 0 || instant.nanoseconds > kDistantFuture.nanoseconds / 4) {
    return Invalid(absl::StrCat(field, " is ", instant.nanoseconds, ", which no clock says"));
  }
  return absl::OkStatus();
}

absl::Status Check(const Heartbeat& body) {
  if (absl::Status status = CheckIndex("commit", body.commit); !status.ok()) return status;
  absl::Status acknowledged = CheckAcknowledged(body.acknowledged, body.term);
  if (!acknowledged.ok()) return acknowledged;
  if (body.quiesce) {
    const LogPosition last = body.quiesce->last;
    if (absl::Status status = CheckPosition("quiesce", last); !status.ok()) return status;
    if (last.term > body.term || last.index != body.commit || body.quiesce->life == 0) {
      return Invalid(absl::StrCat("an offer to rest at ", ToString(last), " in term ", body.term,
                                  " with commit ", body.commit, " by life ", body.quiesce->life));
    }
  }
  return CheckInstant("sent", body.sent);
}

absl::Status Check(const HeartbeatReply& body) {
  if (absl::Status status = CheckInstant("sent", body.sent); !status.ok()) return status;
  if (absl::Status status = CheckInstant("clock", body.clock); !status.ok()) return status;
  if (body.promise < Duration{} || body.promise > kLongestTimeout) {
    return Invalid(absl::StrCat("a promise of ", body.promise.nanoseconds, " ns"));
  }
  if (body.quiesced != (body.life != 0)) return Invalid("a life of one who does not rest");
  return absl::OkStatus();
}
absl::Status Check(const ReadIndexRequest&) { return absl::OkStatus(); }
absl::Status Check(const ReadIndexReply& body) { return CheckIndex("index", body.index); }

absl::Status Check(const TailQuery& body) {
  if (absl::Status status = CheckPosition("good", body.good); !status.ok()) return status;
  if (body.torn.empty() || body.torn.size() > kMaxTornRuns) {
    return Invalid(absl::StrCat("a tail query of ", body.torn.size(), " runs"));
  }
  return CheckRuns(body.good, body.torn, kMaxTerm);
}

absl::Status Check(const TailReply& body) {
  for (const Index index :
       {body.faulty_from, body.torn_from, body.claimed_through, body.in_state}) {
    if (absl::Status status = CheckIndex("claims", index); !status.ok()) return status;
  }
  if (absl::Status status = CheckIndex("have_through", body.have_through); !status.ok()) {
    return status;
  }
  return CheckIndex("known_commit", body.known_commit);
}

absl::Status Check(const TimeoutNow&) { return absl::OkStatus(); }

absl::Status Check(const RejoinRequest& body) {
  return body.nonce != 0 ? absl::OkStatus() : Invalid("a question without a number");
}
absl::Status Check(const RejoinReply& body) {
  if (body.nonce == 0 || body.barrier == 0) return Invalid("an answer to no question");
  return CheckIndex("barrier", body.barrier);
}

absl::Status Check(const RemovedNotice& body) {
  if (body.at.index == 0) return Invalid("a removal by no configuration");
  if (body.at.term > body.term) {
    return Invalid(absl::StrCat("a removal by ", ToString(body.at), " in term ", body.term));
  }
  return CheckPosition("at", body.at);
}

// `entries` follow `previous` without a gap, each by its index and by its hash of the one before.
absl::Status CheckEntries(const AppendEntries& body, const std::vector<RecordRun>& entries,
                          GroupId group) {
  if (entries.empty()) return Invalid("an append without entries");
  LogPosition last = body.previous;
  std::optional<EntryHash> last_hash;  // that of `previous` only the receiver knows
  size_t count = 0;
  for (const RecordRun& run : entries) {
    if (run.empty()) return Invalid("an empty run of entries");
    LogPosition first = run.first();
    if (run[0].group() != group) return Invalid("entries of another group");
    if (first.index != last.index + 1 || first.term < last.term) {
      return Invalid(absl::StrCat("entry ", ToString(first), " does not follow ", ToString(last)));
    }
    if (last_hash.has_value() && run.previous_hash() != *last_hash) {
      return Invalid(absl::StrCat("entry ", ToString(first), " has another entry before it"));
    }
    count += run.size();
    if (count > kMaxFrameEntries) return Invalid("too many entries");
    last = run.last();
    last_hash = run.last_hash();
  }
  if (last.term > body.term) {
    return Invalid(absl::StrCat("entry ", ToString(last), " in a message of term ", body.term));
  }
  return CheckIndex("last index", last.index);
}

// The shape of the entries: the runs of all of them, joined where a term goes on.
std::vector<TermRun> ShapeOf(const std::vector<RecordRun>& entries) {
  std::vector<TermRun> shape;
  for (const RecordRun& run : entries) {
    for (const TermRun& part : run.TermRuns()) {
      if (!shape.empty() && shape.back().term == part.term) {
        shape.back().last_index = part.last_index;
      } else {
        shape.push_back(part);
      }
    }
  }
  return shape;
}

// A new node refuses a pre-vote and tells what it holds of a torn tail in term 0.
bool OfNewNode(const MessageBody& body) {
  if (TermOf(body) != 0) return false;
  const auto* pre_vote = std::get_if<PreVoteReply>(&body);
  return pre_vote == nullptr ? std::holds_alternative<TailReply>(body) : !pre_vote->granted;
}

absl::Status CheckBody(const Envelope& envelope, const MessageBody& body) {
  if (!OfNewNode(body)) {
    if (absl::Status status = CheckMessageTerm(TermOf(body)); !status.ok()) return status;
  }
  absl::Status status = std::visit([](const auto& message) { return Check(message); }, body);
  if (!status.ok()) return status;
  const auto* append = std::get_if<AppendEntries>(&body);
  if (append == nullptr) {
    return envelope.entries.empty() ? absl::OkStatus() : Invalid("entries without an append");
  }
  status = CheckEntries(*append, envelope.entries, envelope.group);
  if (!status.ok()) return status;
  if (!append->runs.empty() && append->runs != ShapeOf(envelope.entries)) {
    return Invalid("the entries are not the announced ones");
  }
  return absl::OkStatus();
}

absl::Status CheckBody(const Envelope&, const Hello& hello) {
  for (const Member& member : hello.members.voters) {
    if (member.node == NodeId::kNone) return Invalid("a member without an id");
    if (hello.formed && member.incarnation == Incarnation::kUnknown) {
      return Invalid("a formed cluster with a member of unknown incarnation");
    }
  }
  return hello.members.voters.empty() ? Invalid("a hello without members") : absl::OkStatus();
}

absl::Status CheckBody(const Envelope&, const ForwardedProposals& forwarded) {
  if (absl::Status status = CheckMessageTerm(forwarded.term); !status.ok()) return status;
  if (forwarded.entries.empty() || forwarded.entries.size() > kMaxForwardedEntries) {
    return Invalid(absl::StrCat(forwarded.entries.size(), " forwarded entries"));
  }
  for (const PreparedEntry& entry : forwarded.entries) {
    if (entry.type() != EntryType::kCommand && entry.type() != EntryType::kOpenSession &&
        entry.type() != EntryType::kCloseSession) {
      return Invalid("a forwarded entry that no client can propose");
    }
  }
  return forwarded.request == 0 ? Invalid("a forwarded request 0") : absl::OkStatus();
}

absl::Status CheckBody(const Envelope& envelope, const HostHeartbeat& heartbeat) {
  if (envelope.group != GroupId::kNone) return Invalid("a host heartbeat of a group");
  return heartbeat.life == 0 ? Invalid("a host heartbeat without a life") : absl::OkStatus();
}

absl::Status CheckBody(const Envelope&, const ForwardedResults& results) {
  return results.results.empty() ? Invalid("no results") : absl::OkStatus();
}

absl::Status CheckBody(const Envelope&, const IdentityRefusal&) { return absl::OkStatus(); }

absl::Status CheckBody(const Envelope&, const SnapshotOffer& offer) {
  if (absl::Status status = CheckMessageTerm(offer.term); !status.ok()) return status;
  if (absl::Status status = CheckPosition("position", offer.position); !status.ok()) return status;
  if (offer.position.index == 0 || offer.position.term > offer.term) {
    return Invalid(
        absl::StrCat("a snapshot at ", ToString(offer.position), " in term ", offer.term));
  }
  if (offer.manifest_bytes == 0 || offer.manifest_bytes > kMaxManifestBytes) {
    return Invalid(absl::StrCat("a snapshot with a manifest of ", offer.manifest_bytes, " bytes"));
  }
  return absl::OkStatus();
}

absl::Status CheckBody(const Envelope&, const SnapshotAnswer& answer) {
  if (absl::Status status = CheckMessageTerm(answer.term); !status.ok()) return status;
  return CheckIndex("commit", answer.commit);
}

absl::Status CheckBody(const Envelope&, const EntryRequest& request) {
  if (request.state_at_least != 0 && request.wanted.empty()) {
    if (request.term > kMaxTerm || request.state_term > request.term) {
      return Invalid("a state of a term out of range");
    }
    return CheckIndex("state_at_least", request.state_at_least);
  }
  if (request.state_at_least != 0 || request.wanted.empty() ||
      request.wanted.size() > kMaxEntryRanges) {
    return Invalid(absl::StrCat("a request for ", request.wanted.size(), " ranges of entries"));
  }
  Index before = 0;
  for (const EntryRange& range : request.wanted) {
    if (absl::Status status = CheckIndex("last", range.last); !status.ok()) return status;
    if (absl::Status status = CheckMessageTerm(range.term); !status.ok()) return status;
    if (range.first <= before || range.last < range.first) {
      return Invalid(absl::StrCat("a request for entries ", range.first, "..", range.last));
    }
    before = range.last;
  }
  return absl::OkStatus();
}

absl::Status CheckBody(const Envelope& envelope, const EntryReply&) {
  size_t count = 0;
  for (const RecordRun& run : envelope.entries) {
    if (run.empty()) return Invalid("an empty run of entries");
    if (run[0].group() != envelope.group) return Invalid("entries of another group");
    count += run.size();
  }
  return count > kMaxFrameEntries ? Invalid("too many entries") : absl::OkStatus();
}

// Whether there are such bytes only the sender, or the receiver of the snapshot, knows.
absl::Status CheckPart(uint64_t offset, size_t bytes) {
  if (bytes == 0 || bytes > kSnapshotPieceBytes || offset > kMaxIndex) {
    return Invalid(absl::StrCat("a piece of ", bytes, " bytes at ", offset));
  }
  return absl::OkStatus();
}

absl::Status CheckBody(const Envelope&, const SnapshotRequest& request) {
  return CheckPart(request.offset, request.bytes);
}

absl::Status CheckBody(const Envelope&, const SnapshotPiece& piece) {
  if (!piece.gone) return CheckPart(piece.offset, piece.bytes.size());
  return piece.bytes.empty() ? absl::OkStatus() : Invalid("a piece that is gone and here");
}

}  // namespace

const char* NameOf(SnapshotAnswer::Verdict verdict) {
  switch (verdict) {
    case SnapshotAnswer::Verdict::kAlreadyHave:
      return "ALREADY_HAVE";
    case SnapshotAnswer::Verdict::kStaleTerm:
      return "STALE_TERM";
    case SnapshotAnswer::Verdict::kDataLoss:
      return "DATA_LOSS";
    case SnapshotAnswer::Verdict::kNoSpace:
      return "NO_SPACE";
    case SnapshotAnswer::Verdict::kBusy:
      return "BUSY";
    case SnapshotAnswer::Verdict::kStorageFailed:
      return "STORAGE_FAILED";
  }
  return "UNKNOWN";
}

Lane LaneOf(const Envelope& envelope) {
  if (const auto* body = std::get_if<MessageBody>(&envelope.body)) {
    return std::holds_alternative<AppendEntries>(*body) ? Lane::kAppend : Lane::kControl;
  }
  if (std::holds_alternative<ForwardedProposals>(envelope.body) ||
      std::holds_alternative<EntryReply>(envelope.body) ||
      std::holds_alternative<ForwardedResults>(envelope.body)) {
    return Lane::kAppend;
  }
  if (std::holds_alternative<SnapshotOffer>(envelope.body) ||
      std::holds_alternative<SnapshotAnswer>(envelope.body) ||
      std::holds_alternative<SnapshotRequest>(envelope.body) ||
      std::holds_alternative<SnapshotPiece>(envelope.body)) {
    return Lane::kSnapshot;
  }
  return Lane::kControl;
}

absl::Status Validate(const Envelope& envelope) {
  if (envelope.from == NodeId::kNone || envelope.to == NodeId::kNone) {
    return Invalid("an envelope without a node");
  }
  if (envelope.from == envelope.to) return Invalid("an envelope to its sender");
  if (envelope.from_incarnation == Incarnation::kUnknown) {
    return Invalid("an envelope without an incarnation");
  }
  bool of_node = std::holds_alternative<Hello>(envelope.body) ||
                 std::holds_alternative<HostHeartbeat>(envelope.body) ||
                 std::holds_alternative<IdentityRefusal>(envelope.body);
  if (envelope.group == GroupId::kNone && !of_node) return Invalid("an envelope without a group");
  if (!envelope.entries.empty() && !std::holds_alternative<MessageBody>(envelope.body) &&
      !std::holds_alternative<EntryReply>(envelope.body)) {
    return Invalid("entries without an append");
  }
  return std::visit([&](const auto& body) { return CheckBody(envelope, body); }, envelope.body);
}

absl::StatusOr<LoggedConfigurations> ConfigurationsIn(const std::vector<RecordRun>& entries) {
  LoggedConfigurations found;
  for (const RecordRun& run : entries) {
    for (size_t i = 0; i < run.size(); ++i) {
      RecordView record = run[i];
      if (record.type() != EntryType::kConfiguration) continue;
      absl::StatusOr<Configuration> configuration =
          DecodeConfiguration(record.Payload(run.bytes()).view());
      if (!configuration.ok()) {
        return Invalid(absl::StrCat("configuration entry ", ToString(record.position()), ": ",
                                    configuration.status().message()));
      }
      found.emplace_back(record.position(), *std::move(configuration));
    }
  }
  return found;
}

absl::Status DescribeEntries(AppendEntries& append, const std::vector<RecordRun>& entries) {
  append.runs = ShapeOf(entries);
  append.configurations.clear();
  absl::StatusOr<LoggedConfigurations> configurations = ConfigurationsIn(entries);
  if (!configurations.ok()) return configurations.status();
  append.configurations = *std::move(configurations);
  return absl::OkStatus();
}

}  // namespace cairn
