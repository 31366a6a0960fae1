// The half of Node that carries out what Raft wants.

#include <algorithm>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "raft/core/membership.h"
#include "raft/frames.h"
#include "raft/node.h"

namespace cairn {
namespace {

// The log writer holds so much that a busy node does better to refuse or drop.
constexpr size_t kMaxUnwrittenBytes = size_t{64} << 20;

// Why leadership goes from here.
std::vector<std::string> ComplaintsOf(const Effects& effects, const GroupOptions& options) {
  std::vector<std::string> complaints;
  if (effects.slow_disk_successor != NodeId::kNone) {
    complaints.push_back(absl::StrCat(
        "the log's disk is slow: a majority has what it has not synced for ",
        ToMilliseconds(options.slow_disk_timeout), " ms; hands leadership over to node ",
        ToInteger(effects.slow_disk_successor)));
  }
  if (effects.stalled) {
    complaints.push_back(absl::StrCat("a majority answers, and has taken no entries for ",
                                      ToMilliseconds(options.stall_timeout),
                                      " ms; leads no more, so that another member can try"));
  }
  return complaints;
}

}  // namespace

void Node::Flush(Instant now) {
  while (!fenced_) {
    Effects effects = raft_.TakeEffects();
    bool idle = effects.empty();
    if (effects.fence.has_value()) {
      if (effects.fence->reason == Fence::Reason::kRolledBack) {
        return StopServing(
            NodeState::kHalted,
            absl::FailedPreconditionError(absl::StrCat(
                "MEMBER_AMNESIA: ", effects.fence->message,
                ". The data directory is as it was some time ago, and may have forgotten votes, "
                "too: remove this member and add it as a new one")));
      }
      bool lost = effects.fence->reason == Fence::Reason::kDataLoss;
      if (effects.fence->reason == Fence::Reason::kCommittedConflict) {
        RefuseConflict(effects.fence->by, effects.fence->message);
      }
      StopServing(
          lost ? NodeState::kHalted : NodeState::kFenced,
          lost ? absl::DataLossError(absl::StrCat(effects.fence->message, WhereDamaged()))
               : absl::InternalError(absl::StrCat("safety violation: ", effects.fence->message)));
      return;
    }
    if (!Write(now, effects.log_batches)) return;
    NoteLeadership(now);
    for (const ProposalOutcome& outcome : effects.proposals) TakeOutcome(now, outcome);
    payloads_.Clear();
    for (Message& message : effects.messages) {
      SignRest(message.body);
      Send(message.to, std::move(message.body));
    }
    for (const SendEntries& send : effects.send_entries) Read(now, send);
    for (const SendSnapshot& send : effects.send_snapshots) {
      if (dependencies_.offer_snapshot != nullptr) dependencies_.offer_snapshot(send);
    }
    if (effects.ask_torn.has_value()) AskForTorn(now, *effects.ask_torn);
    for (Forwarder::Outgoing& out : forwarder_.TakeOutgoing(now)) {
      Send(out.to, std::move(out.forwarded));
    }
    for (const ReadOutcome& outcome : effects.reads) TakeReadOutcome(outcome);
    for (const ControlOutcome& outcome : effects.controls) controls_.Take(outcome);
    controls_.Committed(raft_.commit(), [this](Index index) { return raft_.TermAt(index); });
    for (const std::string& complaint : ComplaintsOf(effects, settings_.options)) {
      Complain(now, complaint);
    }
    if (raft_.configuration_position() != told_.peers_of) SetPeers();
    if (effects.restore.has_value()) RestoreFrom(*effects.restore);
    feed_.Reach(effects.apply_up_to);
    // What the machine holds is committed, and Raft does not name it. Where the machine kept no
    // sessions, they are built from it, as far as the log has it: its end may be torn.
    feed_.Reach(std::min({raft_.applied(), raft_.commit(), raft_.durable()}));
    feed_.Advance();
    bool applied = NoteApplied(now);
    const bool again =
        forwarder_.has_retries() || (!held_.requests.empty() && !WaitsForLeader(now));
    if (effects.removed.has_value()) {
      return StopServing(NodeState::kHalted,
                         absl::FailedPreconditionError(absl::StrCat(
                             "MEMBER_REMOVED: node ", ToInteger(settings_.self.node),
                             " is no member of group ", ToInteger(settings_.group),
                             " any more, by configuration ", ToString(*effects.removed))));
    }
    if (idle && !applied && !again) return;
    if (again) RouteAgain(now);
  }
}

// Who sent entries for the place of committed ones hears it (fault catalogue 5.2, row 16).
void Node::RefuseConflict(NodeId by, absl::string_view what) {
  dependencies_.transport->Refuse(
      by, absl::FailedPreconditionError(absl::StrCat("COMMITTED_CONFLICT: ", what)));
}

// False if this node is fenced now.
bool Node::Write(Instant now, const std::vector<LogBatch>& batches) {
  if (batches.empty()) return true;
  bool disbelieved = entry_clock_.disbelieved().has_value();
  WallTime timestamp = entry_clock_.Stamp(now, dependencies_.clock->WallNow());
  if (!disbelieved && entry_clock_.disbelieved().has_value()) {
    Complain(now, absl::StrCat("the wall clock is ahead by ",
                               ToMilliseconds(*entry_clock_.disbelieved()),
                               " ms all at once and is not believed"));
  }
  std::vector<LogWriter::Batch> writes;
  for (const LogBatch& batch : batches) {
    absl::StatusOr<LogAppend> append = log_.Append(batch, payloads_, timestamp);
    if (!append.ok()) {
      StopServing(NodeState::kFenced, append.status());
      return false;
    }
    MeasureBatch(batch, *append);
    for (const RecordRun& run : append->runs) {
      dependencies_.metrics->appended.entries.Add(run.size());
      dependencies_.metrics->appended.bytes.Add(run.byte_size());
    }
    writes.push_back({batch.ticket, *std::move(append), batch.reset_to, batch.drop_to});
  }
  entry_clock_.Saw(log_.last_timestamp());
  dependencies_.metrics->appended.batches.Add(writes.size());
  dependencies_.log_writer->Write(dependencies_.log_client, std::move(writes));
  return true;
}

void Node::TakeOutcome(Instant now, const ProposalOutcome& outcome) {
  Index next = outcome.first.index;
  for (ProposalRequest& request : payloads_.At(outcome.payload).proposals) {
    if (outcome.accepted) {
      pending_.Add({next, outcome.first.term}, std::move(request.span));
      next += request.entries.size();
    } else if (outcome.reason == RefusalReason::kBusy) {
      request.span.Answer(NotApplied(ProposalNotApplied::Reason::kOverloaded, settings_.self.node));
    } else if (outcome.reason == RefusalReason::kTransferring) {
      held_.requests.push_back(std::move(request));
    } else {
      request.span.Answer(NotApplied(ProposalNotApplied::Reason::kNotLeader, outcome.leader));
    }
  }
  bool leads =
      told_.leadership.role == Role::kLeader && told_.leadership.term == outcome.first.term;
  if (outcome.accepted && !leads) {
    pending_.LeadershipLost(now + settings_.options.election_timeout);
  }
}

void Node::Read(Instant now, const SendEntries& send) {
  Index first = send.previous.index + 1;
  if (dependencies_.fetch != nullptr && first < log_.first_cached()) {
    // From the first cached one on the store may have entries that were truncated.
    dependencies_.fetch(send, std::min(send.last.index, log_.first_cached() - 1));
  } else {
    SendFrames(now, send, log_.Read(first, send.last.index, send.max_bytes));
  }
}

void Node::Fetched(Instant now, const SendEntries& send,
                   absl::StatusOr<std::vector<RecordRun>> runs) {
  // In a later term nobody asks for them any more, and they may not be the log's.
  bool leads = raft_.role() == Role::kLeader && raft_.term() == send.term;
  if (!fenced_ && leads) SendFrames(now, send, std::move(runs));
}

void Node::SendFrames(Instant now, const SendEntries& send,
                      absl::StatusOr<std::vector<RecordRun>> runs) {
  EntriesSent sent = {send.to, send.request, send.previous.index, 0};
  if (!runs.ok()) {
    if (absl::IsDataLoss(runs.status())) {
      const Index first = send.previous.index + 1;
      Damaged(now, {{{first, first}, runs.status()}});
    } else {
      Complain(now, absl::StrCat("entries for node ", ToInteger(send.to),
                                 " could not be read: ", runs.status().ToString()));
    }
    raft_.Step(now, sent);
    return;
  }
  for (EntryFrame& frame : CutFrames(send.previous, *std::move(runs), kFrameBytes)) {
    sent.last = frame.last().index;
    sent.bytes += frame.bytes;
    if (sent.last == send.last.index) CAIRN_CHECK_EQ(frame.last().term, send.last.term);
    AppendEntries append;
    append.term = send.term;
    append.previous = frame.previous;
    append.commit = send.commit;
    append.acknowledged = send.acknowledged;
    Send(send.to, MessageBody(std::move(append)), std::move(frame.entries));
  }
  raft_.Step(now, sent);
}

void Node::TakeReadOutcome(const ReadOutcome& outcome) {
  if (!outcome.ready) {
    reads_.Refuse(outcome.read, {ReadRefused::Reason::kNoLeader, outcome.leader});
    return;
  }
  reads_.Ready(outcome.read, outcome.index);
  reads_.Applied(dependencies_.applier->shown());
}

void Node::SetPeers() {
  told_.peers_of = raft_.configuration_position();
  const Configuration& configuration = raft_.configuration();
  const NodeId own = settings_.self.node;
  // Before the first leader has written the members down, they know each other without.
  const bool introduces =
      told_.peers_of.index > 0 && NamesDisk(configuration, own, settings_.self.incarnation);
  for (NodeId node : configuration.Nodes()) {
    if (node == own) continue;
    if (introduces) dependencies_.transport->Introduce(node, IntroductionOfSelf());
    dependencies_.transport->SetPeer(node, configuration.Find(node)->address);
  }
  // Who is no member only by what is not committed may need this node's entries yet.
  const Configuration& committed = raft_.committed_configuration();
  for (NodeId node : committed.Nodes()) {
    if (node == own || configuration.IsMember(node)) continue;
    dependencies_.transport->SetPeer(node, committed.Find(node)->address);
  }
}

// By the configuration in force, which names this node.
Introduction Node::IntroductionOfSelf() const {
  const Configuration& configuration = raft_.configuration();
  const Member& self = *configuration.Find(settings_.self.node);
  Introduction introduction = {settings_.group, told_.peers_of, self.address, self.incarnation};
  for (const FormerDisk& disk : configuration.former_disks) {
    if (disk.node == self.node) introduction.disks_before.push_back(disk.incarnation);
  }
  std::vector<Incarnation>& before = introduction.disks_before;
  if (before.size() > kMaxDisksBefore) {
    before.erase(before.begin(), before.end() - static_cast<std::ptrdiff_t>(kMaxDisksBefore));
  }
  return introduction;
}

// What this node does better not to take counts as lost on the way: the leader asks with ever less
// whether it is there (Progress), and another member takes over.
bool Node::IsLostHere(const MessageBody& body) const {
  if (std::holds_alternative<TimeoutNow>(body)) return !dependencies_.has_room();
  if (!std::holds_alternative<AppendEntries>(body)) return false;
  return dependencies_.log_writer->queued_bytes() > kMaxUnwrittenBytes || !dependencies_.has_room();
}

std::optional<ProposalNotApplied::Reason> Node::RefusesToPropose() const {
  if (fenced_) return ProposalNotApplied::Reason::kFenced;
  if (!dependencies_.has_room()) return ProposalNotApplied::Reason::kNoSpace;
  if (dependencies_.log_writer->queued_bytes() > kMaxUnwrittenBytes) {
    return ProposalNotApplied::Reason::kOverloaded;
  }
  return std::nullopt;
}

void Node::StorageFailed(Instant now, const absl::Status& status) {
  if (fenced_) return;
  raft_.Step(now, DiskFailed{});
  for (Message& message : raft_.TakeEffects().messages) Send(message.to, std::move(message.body));
  StopServing(NodeState::kFenced, status);
}

void Node::DriveRoom(Instant now) {
  const bool leads = raft_.role() == Role::kLeader;
  if (!watches_.room.HandOverDue(now, leads, dependencies_.has_room())) return;
  Complain(now, "the disk is full: takes no entries, and hands over if another one can lead");
  raft_.Step(now, TransferLeadership{.request = 0,
                                     .target = NodeId::kNone,
                                     .deadline = now + settings_.options.election_timeout});
}

// Who offers rest, or takes the offer, says in which life of its host; and whose disk is full, that
// it is nobody to hand over to.
void Node::SignRest(MessageBody& body) const {
  if (auto* heartbeat = std::get_if<Heartbeat>(&body); heartbeat && heartbeat->quiesce) {
    heartbeat->quiesce->life = dependencies_.host_life();
  }
  if (auto* reply = std::get_if<HeartbeatReply>(&body); reply && reply->quiesced) {
    reply->life = dependencies_.host_life();
  }
  if (auto* reply = std::get_if<HeartbeatReply>(&body);
      reply != nullptr && !dependencies_.has_room()) {
    reply->priority = kNeverLeads;
  }
}

void Node::Send(NodeId to, EnvelopeBody body, std::vector<RecordRun> entries) {
  Envelope envelope;
  SignEnvelope(settings_.self, envelope);
  envelope.group = settings_.group;
  envelope.to = to;
  envelope.body = std::move(body);
  envelope.entries = std::move(entries);
  dependencies_.transport->Send(std::move(envelope));
}

}  // namespace cairn
