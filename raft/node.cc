#include "raft/node.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/random.h"
#include "raft/core/configuration.h"

namespace cairn {
namespace {

// Commands are proposed to Raft this many bytes at a time: all of them are taken, or none.
constexpr size_t kProposeBytes = size_t{1} << 20;
constexpr Duration kComplaintInterval = Seconds(1);

using Reason = ProposalNotApplied::Reason;

RaftOptions MakeRaftOptions(const NodeSettings& settings, bool hosts_are_watched) {
  RaftOptions options;
  options.node = settings.self.node;
  options.incarnation = settings.self.incarnation;
  options.only_by_disk = IsAnotherThere(settings.self);
  options.election_timeout = settings.options.election_timeout;
  options.heartbeat_interval = settings.options.heartbeat_interval;
  options.commit_notice_delay = settings.options.commit_notice_delay;
  options.quiesce_after = hosts_are_watched ? settings.options.quiesce_after : 0;
  options.align_heartbeats = true;
  options.priority = settings.options.priority;
  options.slow_disk_timeout = settings.options.slow_disk_timeout;
  options.stall_timeout = settings.options.stall_timeout;
  options.never_campaigns = settings.options.never_campaigns;
  options.lease = settings.options.lease;
  options.max_clock_drift_per_mille = settings.options.max_clock_drift_per_mille;
  options.seed = settings.seed;
  return options;
}

Forwarder::Options MakeForwarderOptions(const NodeSettings& settings) {
  Forwarder::Options options;
  options.timeout = settings.options.election_timeout * 5;
  options.grace = settings.options.heartbeat_interval * 2;
  options.life = Random(settings.seed ^ ToInteger(settings.group)).Next();
  return options;
}

Repairs MakeRepairs(const NodeSettings& settings) {
  Random random(settings.seed);
  return {.entries = EntryRepair(settings.options.heartbeat_interval * 2,
                                 settings.options.election_timeout, random.Next()),
          .state = StateRepair(settings.options.election_timeout / 2, random.Next())};
}

// What Raft itself has to say: the first entry of a term, who the members are.
bool HaveNoCommands(const std::vector<RecordRun>& entries) {
  return !entries.empty() && std::all_of(entries.begin(), entries.end(), [](const RecordRun& run) {
    for (size_t i = 0; i < run.size(); ++i) {
      if (run[i].type() == EntryType::kCommand) return false;
    }
    return true;
  });
}

// Collects the results of a forwarded request and sends them when the last one is there.
class ForwardedReply {
 public:
  ForwardedReply(Transport* transport, Envelope envelope, const ForwardedProposals& forwarded)
      : transport_(transport), envelope_(std::move(envelope)), missing_(forwarded.entries.size()) {
    results_.life = forwarded.life;
    results_.request = forwarded.request;
    results_.results.resize(missing_);
  }

  void operator()(size_t first, std::vector<ProposalResult> results) {
    missing_ -= results.size();
    std::move(results.begin(), results.end(),
              results_.results.begin() + static_cast<std::ptrdiff_t>(first));
    if (missing_ > 0) return;
    envelope_.body = std::move(results_);
    transport_->Send(std::move(envelope_));
  }

 private:
  Transport* transport_;
  Envelope envelope_;
  size_t missing_;
  ForwardedResults results_;
};

std::string NameOf(HoleRange entries) {
  if (entries.first == entries.last) return absl::StrCat("entry ", entries.first);
  return absl::StrCat("entries ", entries.first, " to ", entries.last);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Node>> Node::Create(const NodeSettings& settings,
                                                   const NodeDependencies& dependencies,
                                                   const RecoveredLog& recovered, Instant now,
                                                   Fenced fenced) {
  absl::StatusOr<RecoveredRaft> raft = RaftOf(settings, dependencies, recovered);
  if (!raft.ok()) return raft.status();
  return std::unique_ptr<Node>(
      new Node(settings, dependencies, recovered, *std::move(raft), now, std::move(fenced)));
}

Node::Node(const NodeSettings& settings, const NodeDependencies& dependencies,
           const RecoveredLog& recovered, RecoveredRaft raft, Instant now, Fenced fenced)
    : settings_(settings),
      dependencies_(dependencies),
      raft_(MakeRaftOptions(settings, dependencies.host_life != nullptr), std::move(raft), now,
            dependencies.trace),
      log_(settings.group, dependencies.store, recovered, settings.options.log_cache_bytes,
           dependencies.cache_share),
      entry_clock_(settings.options.max_clock_jump, now, dependencies.clock->WallNow()),
      feed_(dependencies.applier, &log_, &pending_, dependencies.applier->applied()),
      compaction_(settings.options.compaction, recovered.base.index, log_.last_index()),
      received_(dependencies.received),
      forwarder_(MakeForwarderOptions(settings)),
      repair_(MakeRepairs(settings)),
      watches_{.catch_up = CatchUp(settings.options.max_healthy_lag),
               .room = RoomWatch(settings.options.election_timeout * 2)},
      on_fenced_(std::move(fenced)) {
  for (const FaultyEntries& faulty : recovered.faulty) {
    const HoleRange range = {faulty.first.index, faulty.last};
    const std::string where = absl::StrCat(NameOf(range), " in ", faulty.file, " at byte ",
                                           faulty.offset, ": ", faulty.reason);
    if (!NoteDamage(range, where)) break;
  }
  entry_clock_.Saw(log_.last_timestamp());
  compaction_.Durable(dependencies.state_durable);
  SetPeers();
  Flush(now);
}

void Node::Handle(Instant now, MailboxContents& contents) {
  if (!contents.log_status.ok()) StorageFailed(now, contents.log_status);
  if (fenced_) return HandleFenced(contents);
  if (contents.synced != 0) {
    log_.Written(contents.synced);
    raft_.Step(now, LogSynced{contents.synced});
  }
  for (Envelope& envelope : contents.envelopes) TakeEnvelope(now, std::move(envelope));
  for (NodeId peer : contents.lost) raft_.Step(now, PeerUnreachable{peer});
  for (const HostLost& lost : contents.hosts_lost) raft_.Step(now, lost);
  if (raft_.NextWakeup() <= now) raft_.Step(now, Tick{});
  if (fenced_) return HandleFenced(contents);
  NoteApplied(now);
  NoteLeadership(now);

  RouteAgain(now);
  Route(now, std::exchange(held_.forwarded, {}));
  Route(now, std::exchange(contents.proposals, {}));
  Ask(now, std::exchange(contents.reads, {}));
  AskHowFar(now);
  pending_.Expire(now);
  reads_.Expire(now);
  forwarder_.Expire(now);
  controls_.Expire(now);
  DriveRepair(now);
  DriveRoom(now);
  Flush(now);
  if (!fenced_ && CompactLog(now)) Flush(now);
}

void Node::Control(Instant now, ControlCall call) {
  if (fenced_) {
    return call.Answer(ControlRefused{ControlRefused::Reason::kFenced,
                                      "this member does not take part any more", NodeId::kNone});
  }
  if (std::optional<Event> event = controls_.Ask(std::move(call), dependencies_.clock->WallNow())) {
    raft_.Step(now, *std::move(event));
  }
}

void Node::HandleFenced(MailboxContents& contents) {
  for (auto* requests :
       {&held_.behind_doubt, &held_.requests, &held_.forwarded, &contents.proposals}) {
    for (ProposalRequest& request : std::exchange(*requests, {})) {
      request.span.Answer(NotApplied(Reason::kFenced));
    }
  }
  for (ReadRequest& request : contents.reads) {
    request.Answer(ReadRefused{ReadRefused::Reason::kFenced, NodeId::kNone});
  }
}

Instant Node::NextWakeup() const {
  if (fenced_) return kDistantFuture;
  // A hand-over ends in an event of Raft's.
  const bool waits = !held_.requests.empty() && !raft_.transferring();
  const Instant held =
      waits ? held_.leaderless_since + settings_.options.heartbeat_interval * 2 : kDistantFuture;
  return std::min({raft_.NextWakeup(), pending_.NextDeadline(), reads_.NextDeadline(),
                   forwarder_.NextDeadline(), controls_.NextDeadline(), repair_.NextDeadline(),
                   watches_.room.NextDeadline(), held});
}

void Node::TakeEnvelope(Instant now, Envelope envelope) {
  if (absl::Status status = Validate(envelope); !status.ok()) {
    return Complain(now, absl::StrCat("a frame of node ", ToInteger(envelope.from),
                                      " was dropped: ", status.message()));
  }
  const bool successor = IsSuccessor(envelope);
  if (successor && !MayStrangerSay(envelope.body)) return;
  if (std::optional<IdentityRefusal> refusal =
          CheckSender(envelope, raft_.configuration(), successor)) {
    Complain(now, absl::StrCat("a frame was refused: ", refusal->message));
    return Send(envelope.from, *std::move(refusal));
  }
  if (absl::Status status = CheckTermJump(envelope, raft_.term()); !status.ok()) {
    return Complain(now, status.message());
  }
  if (auto* body = std::get_if<MessageBody>(&envelope.body)) {
    MessageBody message = std::move(*body);
    return TakeMessage(now, std::move(envelope), std::move(message));
  }
  if (auto* forwarded = std::get_if<ForwardedProposals>(&envelope.body)) {
    ForwardedProposals taken = std::move(*forwarded);
    return TakeForwarded(envelope, std::move(taken));
  }
  if (auto* results = std::get_if<ForwardedResults>(&envelope.body)) {
    return forwarder_.Receive(envelope.from, std::move(*results));
  }
  if (const auto* offer = std::get_if<SnapshotOffer>(&envelope.body)) {
    return TakeOffer(now, envelope.from, *offer);
  }
  if (const auto* answer = std::get_if<SnapshotAnswer>(&envelope.body)) {
    return TakeAnswer(envelope.from, *answer);
  }
  if (const auto* request = std::get_if<EntryRequest>(&envelope.body)) {
    return GiveEntries(now, envelope.from, *request);
  }
  if (const auto* reply = std::get_if<EntryReply>(&envelope.body)) {
    return TakeEntries(now, envelope.from, *reply, envelope.entries);
  }
  if (const auto* refusal = std::get_if<IdentityRefusal>(&envelope.body)) {
    Complain(now, absl::StrCat("node ", ToInteger(envelope.from),
                               " refuses this node's frames: ", refusal->message));
  }
}

// Whether the sender is a member with another disk than the one this log names, and later.
bool Node::IsSuccessor(const Envelope& envelope) const {
  const Configuration& configuration = raft_.configuration();
  if (dependencies_.successors == nullptr || !HasAnotherDisk(envelope, configuration)) return false;
  const Index known = raft_.knows_members() ? raft_.commit() : 0;
  return dependencies_.successors->Has(
      envelope.from, configuration.Find(envelope.from)->incarnation, SenderIn(envelope), known);
}

void Node::TakeMessage(Instant now, Envelope envelope, MessageBody body) {
  if (IsLostHere(body) && !HaveNoCommands(envelope.entries)) return;
  Receive receive;
  watches_.catch_up.Hear(body);
  if (auto* append = std::get_if<AppendEntries>(&body)) {
    if (absl::Status status = DescribeEntries(*append, envelope.entries); !status.ok()) {
      return Complain(now, absl::StrCat("entries of node ", ToInteger(envelope.from),
                                        " were dropped: ", status.message()));
    }
    if (std::optional<std::string> found = Contradiction(*append, envelope.entries)) {
      if (append->previous.index < raft_.commit()) RefuseConflict(envelope.from, *found);
      return StopServing(NodeState::kFenced, absl::InternalError(*found));
    }
    receive.payload = payloads_.Add({std::move(envelope.entries), {}});
  }
  receive.message = {envelope.from, envelope.to, std::move(body)};
  raft_.Step(now, std::move(receive));
}

// Equal positions with unequal hashes: the logs differ where Raft promises that they do not. The
// first entry that is appended is checked again, against the log as it is then (GroupLog).
std::optional<std::string> Node::Contradiction(const AppendEntries& append,
                                               const std::vector<RecordRun>& entries) const {
  // What is said in a term that is over is void.
  if (append.term < raft_.term()) return std::nullopt;
  // With effects to carry out, Raft's log is ahead of the one here: a position may be overwritten
  // already.
  if (!payloads_.empty()) return std::nullopt;
  auto differs = [&](LogPosition at, EntryHash theirs) -> std::optional<std::string> {
    bool known = at.index >= raft_.base().index && raft_.TermAt(at.index) == at.term &&
                 at.index < raft_.torn_from().value_or(kMaxIndex);
    if (!known || at.index > log_.last_index()) return std::nullopt;
    absl::StatusOr<EntryHash> ours = log_.HashAt(at.index);
    if (!ours.ok() || *ours == theirs) return std::nullopt;
    return absl::StrCat("safety violation: entry ", ToString(at), " has hash ", ToString(*ours),
                        " here and ", ToString(theirs), " at the leader of term ", append.term);
  };
  if (auto found = differs(append.previous, entries.front().previous_hash())) return found;
  Index shared = std::min(append.last_index(), log_.last_index());
  for (const RecordRun& run : entries) {
    if (shared < run.first().index || shared > run.last().index) continue;
    RecordView record = run.At(shared);
    return differs(record.position(), record.hash());
  }
  return std::nullopt;
}

void Node::TakeForwarded(const Envelope& envelope, ForwardedProposals forwarded) {
  if (!intake_.Admit(envelope.from, forwarded)) return;
  Envelope reply;
  SignEnvelope(settings_.self, reply);
  reply.group = settings_.group;
  reply.to = envelope.from;
  size_t bytes = 0;
  for (const PreparedEntry& entry : forwarded.entries) bytes += entry.record_bytes();
  bool fits = dependencies_.budget->Take(bytes);
  ProposeOptions options;
  options.forward = false;
  options.expected_term = forwarded.expected_term;
  auto call = std::make_shared<ProposalCall>(
      ForwardedReply(dependencies_.transport, std::move(reply), forwarded),
      forwarded.entries.size(), options, fits ? dependencies_.budget : nullptr, bytes);
  ProposalRequest request;
  request.span = {std::move(call), 0, forwarded.entries.size()};
  if (!fits) return request.span.Answer(NotApplied(Reason::kOverloaded, settings_.self.node));
  request.entries.assign(std::make_move_iterator(forwarded.entries.begin()),
                         std::make_move_iterator(forwarded.entries.end()));
  held_.forwarded.push_back(std::move(request));
}

// Whether a command would be refused now, and not in a moment: leadership is being handed over, or
// nobody has led for less than two heartbeats.
bool Node::WaitsForLeader(Instant now) const {
  if (raft_.role() == Role::kLeader) return raft_.transferring();
  return forwarder_.leader() == NodeId::kNone &&
         now - held_.leaderless_since < settings_.options.heartbeat_interval * 2;
}

// Whether something of its order is in doubt, or waits because of that: the answer may have come
// this very moment.
bool Node::WaitsForDoubt(const ProposalCall& call) const {
  const ProposalOrder* order = call.options().order.get();
  if (order == nullptr) return false;
  return order->in_doubt > 0 ||
         std::any_of(held_.behind_doubt.begin(), held_.behind_doubt.end(),
                     [order](const ProposalRequest& request) {
                       return request.span.call->options().order.get() == order;
                     });
}

std::vector<ProposalRequest> Node::TakeHeld() {
  std::vector<ProposalRequest> held = std::exchange(held_.behind_doubt, {});
  std::move(held_.requests.begin(), held_.requests.end(), std::back_inserter(held));
  held_.requests.clear();
  return held;
}

// What was given back goes before what came later.
void Node::RouteAgain(Instant now) {
  std::vector<ProposalRequest> requests = forwarder_.TakeRetries();
  std::vector<ProposalRequest> held = TakeHeld();
  std::move(held.begin(), held.end(), std::back_inserter(requests));
  if (!requests.empty()) Route(now, std::move(requests));
}

void Node::Route(Instant now, std::vector<ProposalRequest> requests) {
  std::vector<ProposalRequest> own;
  for (ProposalRequest& request : requests) {
    const ProposalCall& call = *request.span.call;
    if (call.order_broken()) {
      request.span.Answer(NotApplied(Reason::kOrderBroken));
    } else if (call.Expired(now)) {
      request.span.Answer(NotApplied(Reason::kDeadline));
    } else if (call.ExpectsAnotherTerm(raft_.term())) {
      request.span.Answer(TermChanged(raft_.term(), raft_.leader()));
    } else if (WaitsForDoubt(call)) {
      held_.behind_doubt.push_back(std::move(request));
    } else if (!held_.requests.empty() || WaitsForLeader(now)) {
      held_.requests.push_back(std::move(request));
    } else if (forwarder_.Busy(call.options().order)) {
      forwarder_.Forward(now, std::move(request));
    } else if (raft_.role() == Role::kLeader) {
      own.push_back(std::move(request));
    } else if (forwarder_.leader() == NodeId::kNone) {
      request.span.Answer(NotApplied(Reason::kNoLeader));
    } else if (!call.options().forward) {
      request.span.Answer(NotApplied(Reason::kNotLeader, forwarder_.leader()));
    } else {
      forwarder_.Forward(now, std::move(request));
    }
  }
  if (!own.empty()) ProposeOwn(now, std::move(own));
}

// In pieces, each after the effects of the one before: where one is refused, its order is broken,
// and the next one must know.
void Node::ProposeOwn(Instant now, std::vector<ProposalRequest> requests) {
  Payload payload;
  size_t bytes = 0;
  uint64_t count = 0;
  auto propose = [&] {
    if (count == 0) return;
    PayloadId id = payloads_.Add(std::exchange(payload, {}));
    raft_.Step(now, Propose{id, count, bytes});
    bytes = 0;
    count = 0;
  };
  for (ProposalRequest& request : requests) {
    if (bytes >= kProposeBytes) {
      propose();
      Flush(now);
    }
    if (const std::optional<Reason> refusal = RefusesToPropose()) {
      request.span.Answer(NotApplied(*refusal));
    } else if (request.span.call->order_broken()) {
      request.span.Answer(NotApplied(Reason::kOrderBroken));
    } else if (request.span.call->ExpectsAnotherTerm(raft_.term())) {
      request.span.Answer(TermChanged(raft_.term(), raft_.leader()));
    } else {
      for (const PreparedEntry& entry : request.entries) bytes += entry.record_bytes();
      count += request.entries.size();
      payload.proposals.push_back(std::move(request));
    }
  }
  propose();
}

void Node::Ask(Instant now, std::vector<ReadRequest> requests) {
  std::vector<ReadRequest> asked;
  std::vector<ReadRequest> asked_by_lease;
  for (ReadRequest& request : requests) {
    if (fenced_) {
      request.Answer(ReadRefused{ReadRefused::Reason::kFenced, NodeId::kNone});
    } else if (request.deadline.has_value() && *request.deadline <= now) {
      request.Answer(ReadRefused{ReadRefused::Reason::kDeadline, NodeId::kNone});
    } else {
      (request.lease ? asked_by_lease : asked).push_back(std::move(request));
    }
  }
  for (bool lease : {false, true}) {
    std::vector<ReadRequest>& batch = lease ? asked_by_lease : asked;
    if (batch.empty()) continue;
    raft_.Step(now, ReadBarrier{.read = reads_.Ask(now, std::move(batch)), .lease = lease});
  }
}

// Tells the others who leads. Before anything is proposed or forwarded, since that depends on it.
void Node::NoteLeadership(Instant now) {
  LeadershipChange current = {raft_.role(), raft_.term(), raft_.leader()};
  bool leads = current.role == Role::kLeader;
  bool led = told_.leadership.role == Role::kLeader;
  bool same_term = current.term == told_.leadership.term;
  if (led && !(leads && same_term))
    pending_.LeadershipLost(now + settings_.options.election_timeout);
  if (leads && !(led && same_term)) intake_.Lead(current.term);
  // A hand-over counts as if the leader were there: the time without one begins with its end.
  if (current.leader != NodeId::kNone) held_.leaderless_since = now;
  forwarder_.SetLeader(leads ? NodeId::kNone : current.leader, current.term, now);
  told_.leadership = current;
  dependencies_.metrics->NoteLeadership(current.role, current.term, current.leader);
}

void Node::GiveUp(absl::string_view message) {
  fenced_ = true;
  for (ProposalRequest& request : TakeHeld()) {
    request.span.Answer(NotApplied(Reason::kStopping));
  }
  pending_.GiveUpAll(message);
  forwarder_.GiveUpAll(message);
  reads_.RefuseAll({ReadRefused::Reason::kStopping, NodeId::kNone});
  controls_.RefuseAll(ControlRefused::Reason::kStopping, message);
  feed_.GiveUp(absl::UnavailableError(message));
}

void Node::StopServing(NodeState state, const absl::Status& status) {
  if (fenced_) return;
  fenced_ = true;
  // What Raft has not taken, or was not written, is surely not applied.
  for (ProposalRequest& request : TakeHeld()) {
    request.span.Answer(NotApplied(Reason::kFenced));
  }
  payloads_.ForEachProposal(
      [](ProposalRequest& request) { request.span.Answer(NotApplied(Reason::kFenced)); });
  pending_.GiveUpAll(status.message());
  forwarder_.GiveUpAll(status.message());
  reads_.RefuseAll({ReadRefused::Reason::kFenced, NodeId::kNone});
  controls_.RefuseAll(ControlRefused::Reason::kFenced, status.message());
  feed_.GiveUp(status);
  on_fenced_(state, status);
}

void Node::Complain(Instant now, absl::string_view what) {
  if (now < told_.next_complaint) return;
  told_.next_complaint = now + kComplaintInterval;
  dependencies_.log->Log(LogLevel::kWarning,
                         absl::StrCat("group ", ToInteger(settings_.group), ": ", what));
}

}  // namespace cairn
