#include "raft/core/raft.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/check.h"
#include "raft/core/mutants.h"
#include "raft/core/state.h"

namespace cairn {
namespace {

// The same seed on every node must not make their timeouts equal.
Random SeededFor(const RaftOptions& options) {
  return Random(Random(options.seed).Next() ^ Random(ToInteger(options.node)).Next());
}

// Cuts what stands from `first` on off `runs`, which begin behind `base`.
std::vector<TermRun> CutFrom(Index base, Index first, std::vector<TermRun>& runs) {
  std::vector<TermRun> cut;
  Index begin = base + 1;
  std::vector<TermRun> kept;
  for (const TermRun& run : runs) {
    if (begin < first) kept.push_back({run.term, std::min(run.last_index, first - 1)});
    if (run.last_index >= first) cut.push_back(run);
    begin = run.last_index + 1;
  }
  runs = std::move(kept);
  return cut;
}

// Moves the undecided entries out of what recovery found.
TornTail TakeTornTail(RecoveredRaft& recovered) {
  if (!recovered.torn_from) return TornTail();
  const Index from = *recovered.torn_from;
  CAIRN_CHECK_GT(from, recovered.base.index) << "the base is never torn";
  std::erase_if(recovered.configurations,
                [&](const auto& configuration) { return configuration.first.index >= from; });
  const std::vector<TermRun> torn = CutFrom(recovered.base.index, from, recovered.runs);
  return torn.empty() ? TornTail() : TornTail(from, torn);
}

// Messages whose term never makes the receiver adopt it: a question about a campaign that may never
// come, and what is said of entries, which holds in any term.
bool FollowsTermRule(const MessageBody& body) {
  if (const auto* reply = std::get_if<PreVoteReply>(&body)) return !reply->granted;
  return !std::holds_alternative<PreVoteRequest>(body) &&
         !std::holds_alternative<TailQuery>(body) && !std::holds_alternative<TailReply>(body) &&
         !std::holds_alternative<RemovedNotice>(body);
}

Role RoleOf(const RoleState& role) {
  static_assert(std::is_same_v<std::variant_alternative_t<3, RoleState>, Leader>);
  return static_cast<Role>(role.index());
}

}  // namespace

Raft::State::State(const RaftOptions& options, RecoveredRaft recovered, Instant now,
                   TraceSink* trace)
    : options_(options),
      trace_(trace),
      random_(SeededFor(options)),
      now_(now),
      clock_(options, random_.Fork(), now, recovered.hard_state.term),
      ballot_{.state = recovered.hard_state},
      doubt_(TakeTornTail(recovered), recovered.unsure),
      trail_(recovered.base, std::move(recovered.runs)),
      durability_(trail_.last().index),
      membership_(recovered.base_configuration_position, std::move(recovered.base_configuration),
                  std::move(recovered.configurations)),
      // What it has applied need not be what stands there, if what is here is older.
      commit_(recovered.unsure ? recovered.base.index
                               : std::max(recovered.base.index,
                                          std::min(recovered.applied, trail_.last().index))),
      applied_(recovered.state_lost ? recovered.applied
                                    : std::max(recovered.base.index, recovered.applied)) {
  CAIRN_CHECK(Validate(options).ok()) << Validate(options).ToString();
  doubt_.state_lost = recovered.state_lost;
  published_.apply_up_to = applied_;
  published_.leadership = {.role = Role::kFollower, .term = ballot_.state.term};
  Trace("starts: term ", ballot_.state.term, " last ", ToString(claimed_last()), " durable ",
        durable());
  for (const HoleRange& hole : recovered.holes) trail_.AddHole(hole);
  if (recovered.snapshot) InstallAtStart(*recovered.snapshot);
  if (applied_ > claimed_last().index && !unsure()) {
    RaiseFence(Fence::Reason::kDataLoss,
               absl::StrCat("the state machine holds entries up to ", applied_,
                            ", the log ends at ", claimed_last().index));
  } else if (!doubt_.torn.empty()) {
    Trace("undecided: entries ", doubt_.torn.from(), "..", doubt_.torn.last().index,
          " may be torn");
  }
  if (!fenced_ && !trail_.holes().empty()) {
    Trace("cannot read ", trail_.holes().size(), " entries, the first is ", trail_.holes().first());
  }
  if (!fenced_ && unsure()) BeUnsure();
  if (!fenced_ && doubt_.state_lost) MissState();
  if (!fenced_ && OtherVoters(membership_.in_force(), node()).empty()) QueryDoubt();
}

// Events ------------------------------------------------------------------------------------------

void Raft::State::Step(Instant now, Event event) {
  now_ = std::max(now_, now);
  if (fenced_) {
    StepFenced(event);
  } else {
    ExpireOverride();
    StirBy(event);
    std::visit([this](auto& each) { On(each); }, event);
    WatchOwnDisk();
    DriveTransfer();
    DriveOverride();
    DriveMembership();
    LearnRemoval();
    ForgetAnswers();
    FinishRejoin();
  }
}

void Raft::State::On(const Tick&) {
  if (auto* leader = std::get_if<Leader>(&role_)) {
    if (now_ >= leader->heartbeat_due) OnHeartbeatDue(*leader);
  } else if (now_ >= clock_.deadline()) {
    OnElectionTimeout();
  }
}

void Raft::State::On(Receive& receive) {
  const Message& message = receive.message;
  if (message.to != node() || message.from == node() || !Admits(message)) {
    Trace("ignores ", NameOf(message.body), " of ", ToInteger(message.from), ": not for us");
    return;
  }
  doubt_.nobody_since = now_;
  if (Evicts(message.from)) {
    EndOverride(absl::StrCat("node ", ToInteger(message.from), " is not lost"));
  }
  if (EvictedForGood(message.from)) {
    Trace("does not listen to ", ToInteger(message.from), ": evicted");
    return TellRemoved(message.from);
  }
  if (std::holds_alternative<PreVoteRequest>(message.body) ||
      std::holds_alternative<VoteRequest>(message.body) ||
      std::holds_alternative<TailQuery>(message.body)) {
    TellRemoved(message.from);
  }
  if (PassesTermRule(message)) Dispatch(message, receive.payload);
  StirBy(message);
}

void Raft::State::Dispatch(const Message& message, PayloadId payload) {
  std::visit(
      [&](const auto& body) {
        if constexpr (std::is_same_v<std::decay_t<decltype(body)>, AppendEntries>) {
          Handle(message.from, body, payload);
        } else {
          Handle(message.from, body);
        }
      },
      message.body);
}

void Raft::State::On(const Propose& propose) {
  CAIRN_CHECK_GT(propose.count, uint64_t{0});
  auto* leader = std::get_if<Leader>(&role_);
  if (leader == nullptr) {
    effects_.proposals.push_back({.payload = propose.payload,
                                  .reason = RefusalReason::kNotLeader,
                                  .leader = this->leader()});
    return;
  }
  if (Transferring()) {
    effects_.proposals.push_back({.payload = propose.payload,
                                  .reason = RefusalReason::kTransferring,
                                  .leader = control_.transfer->target});
    return;
  }
  if (!leader->uncommitted.Admits(propose.bytes, options_.max_uncommitted_bytes)) {
    effects_.proposals.push_back(
        {.payload = propose.payload, .reason = RefusalReason::kBusy, .leader = node()});
    return;
  }
  if (MutantEnabled(Mutant::kLeaderOverwrites) && commit_ < trail_.last().index &&
      trail_.last().index > std::max(leader->first_index, membership_.position().index)) {
    TruncateLog(trail_.last().index);
  }
  const LogPosition first = AppendOwn(
      {.source = AppendRun::Source::kProposals, .payload = propose.payload}, propose.count);
  leader->uncommitted.Add(trail_.last().index, propose.bytes);
  effects_.proposals.push_back({.payload = propose.payload, .accepted = true, .first = first});
}

void Raft::State::On(const LogSynced& synced) {
  durability_.OnSynced(synced.ticket);
  if (std::holds_alternative<Candidate>(role_)) CountOwnVote();
  if (std::holds_alternative<Leader>(role_)) AdvanceCommit();
}

void Raft::State::On(const Applied& applied) {
  CAIRN_CHECK_LE(applied.index, std::max(published_.apply_up_to, applied_))
      << "applied what was not handed out";
  applied_ = std::max(applied_, applied.index);
}

void Raft::State::StepFenced(const Event& event) {
  // A fenced node neither votes nor acknowledges; those who wait still get their answer.
  if (const auto* propose = std::get_if<Propose>(&event)) On(*propose);
  if (const auto* read = std::get_if<ReadBarrier>(&event)) On(*read);
  if (const auto* synced = std::get_if<LogSynced>(&event)) durability_.OnSynced(synced->ticket);
  if (const auto* applied = std::get_if<Applied>(&event)) On(*applied);
  if (const auto* change = std::get_if<ChangeMembership>(&event)) On(*change);
  if (const auto* cancel = std::get_if<CancelMembership>(&event)) On(*cancel);
  if (const auto* transfer = std::get_if<TransferLeadership>(&event)) On(*transfer);
  if (const auto* campaign = std::get_if<Campaign>(&event)) On(*campaign);
  if (const auto* step_down = std::get_if<StepDown>(&event)) On(*step_down);
  if (const auto* recover = std::get_if<UnsafeRecover>(&event)) On(*recover);
  if (const auto* held = std::get_if<HoldCandidacy>(&event)) On(*held);
}

// Terms and roles ---------------------------------------------------------------------------------

bool Raft::State::Admits(const Message& message) const {
  if (membership_.in_force().IsMember(message.from)) return true;
  // A leader that removes itself still leads, and one still listens to those it removes.
  if (message.from == ballot_.leader) return true;
  const auto* leader = std::get_if<Leader>(&role_);
  if (leader != nullptr && leader->peers.contains(message.from)) return true;
  // A stranger may be a member that this log does not know yet. Membership decides who is counted,
  // not who is answered; but a stranger's answers and reads are nobody's business.
  const MessageBody& body = message.body;
  // But one that rests is woken, also if it was removed.
  const auto* reply = std::get_if<HeartbeatReply>(&body);
  if (reply != nullptr && reply->quiesced && reply->term <= ballot_.state.term) return true;
  return std::holds_alternative<PreVoteRequest>(body) ||
         std::holds_alternative<VoteRequest>(body) || std::holds_alternative<AppendEntries>(body) ||
         std::holds_alternative<Heartbeat>(body) || std::holds_alternative<TailQuery>(body) ||
         std::holds_alternative<TimeoutNow>(body) || std::holds_alternative<RemovedNotice>(body);
}

// Paper figure 2, "Rules for Servers": true if the message is of the current term now.
bool Raft::State::PassesTermRule(const Message& message) {
  const Term term = TermOf(message.body);
  const Term own = ballot_.state.term;
  if (term == own || !FollowsTermRule(message.body)) return true;
  if (term < own) {
    AnswerOlderTerm(message);
    return false;
  }
  const auto* vote = std::get_if<VoteRequest>(&message.body);
  if (vote != nullptr && !vote->forced && RefusesElections()) {
    Trace("ignores VoteRequest of ", ToInteger(message.from), " term ", term,
          ": a leader may be live");
    return false;
  }
  AdoptTerm(term, NameOf(message.body));
  return true;
}

// Tells a sender that its term is over; what else it said is void.
void Raft::State::AnswerOlderTerm(const Message& message) {
  const Term own = ballot_.state.term;
  if (const auto* append = std::get_if<AppendEntries>(&message.body)) {
    Send(message.from, AppendReply{.term = own, .refused_index = append->previous.index});
  } else if (std::holds_alternative<Heartbeat>(message.body)) {
    Send(message.from, HeartbeatReply{.term = own});
  } else if (const auto* vote = std::get_if<VoteRequest>(&message.body)) {
    SendAfter(ballot_.ticket, message.from, VoteReply{.term = own, .campaign = vote->campaign});
  } else if (const auto* read = std::get_if<ReadIndexRequest>(&message.body)) {
    Send(message.from, ReadIndexReply{.term = own, .request = read->request});
  } else if (const auto* reply = std::get_if<HeartbeatReply>(&message.body)) {
    if (reply->quiesced) WakeResting(message.from);
  }
}

// The only place that changes the term.
void Raft::State::SetTerm(Term term) {
  CAIRN_CHECK_GT(term, ballot_.state.term);
  ballot_.state = {.term = term, .vote = NodeId::kNone};
  ballot_.leader = NodeId::kNone;
  SaveHardState();
}

// The only place that sets the vote; once a term.
void Raft::State::SetVote(NodeId candidate) {
  CAIRN_CHECK(ballot_.state.vote == NodeId::kNone) << "one vote a term";
  ballot_.state.vote = candidate;
  if (!MutantEnabled(Mutant::kVoteNotSaved)) SaveHardState();
}

void Raft::State::SaveHardState() {
  ballot_.ticket = batches_.SetHardState(ballot_.state);
  durability_.OnHardState(ballot_.ticket);
}

void Raft::State::AdoptTerm(Term term, absl::string_view reason) {
  Trace("adopts term ", term, ": ", reason);
  SetTerm(term);
  ChangeRole(Follower{});
}

// The only place that changes the role. Unsent messages were those of the old one.
void Raft::State::ChangeRole(RoleState role) {
  outbox_.Drop();
  const bool was_follower = std::holds_alternative<Follower>(role_);
  RoleState old = std::exchange(role_, std::move(role));
  if (std::holds_alternative<Leader>(old)) control_.led_until = now_;
  if (std::holds_alternative<PreCandidate>(role_)) {
    clock_.StartCampaign(now_);
  } else if (std::holds_alternative<Candidate>(role_) &&
             std::holds_alternative<PreCandidate>(old)) {
    clock_.ContinueCampaign(now_);
  } else if (!was_follower || !std::holds_alternative<Follower>(role_) || clock_.stopped()) {
    // A follower that only learns of a newer term keeps its deadline (paper 5.2).
    clock_.Restart(now_);
  }
  RefuseReads(old);
}

// A message of the current term's leader has come in. False: the term has two leaders.
bool Raft::State::FollowLeader(NodeId leader) {
  if (ballot_.leader != NodeId::kNone && ballot_.leader != leader) {
    RaiseFence(Fence::Reason::kSafetyViolation,
               absl::StrCat("term ", ballot_.state.term, " has two leaders: ",
                            ToInteger(ballot_.leader), " and ", ToInteger(leader)));
    return false;
  }
  ballot_.leader = leader;
  control_.stalled = false;  // it has let one go first
  const auto* follower = std::get_if<Follower>(&role_);
  if (follower == nullptr || follower->leader != leader) {
    Trace("follows ", ToInteger(leader), " in term ", ballot_.state.term);
    ChangeRole(Follower{.leader = leader, .reads = ForwardedReads(random_.Next())});
  }
  clock_.HeardLeader(now_);
  return true;
}

void Raft::State::RaiseFence(Fence::Reason reason, std::string message) {
  Trace("fenced: ", message);
  fenced_ = true;
  effects_.fence = Fence{.reason = reason, .by = ballot_.leader, .message = std::move(message)};
  ChangeRole(Follower{});
  if (const auto transfer = std::exchange(control_.transfer, std::nullopt)) {
    Refuse(transfer->request, ControlRefusal::kTimeout, "the node is fenced");
  }
}

void Raft::State::Send(NodeId to, MessageBody body) { SendAfter(0, to, std::move(body)); }

void Raft::State::SendAfter(Ticket ticket, NodeId to, MessageBody body) {
  outbox_.SendAfter(ticket, {.from = node(), .to = to, .body = std::move(body)});
}

// Effects -----------------------------------------------------------------------------------------

Effects Raft::State::TakeEffects() {
  if (auto* leader = std::get_if<Leader>(&role_)) {
    TakeReplication(*leader);
  } else if (auto* follower = std::get_if<Follower>(&role_)) {
    TakeAcknowledgement(*follower);
    while (const auto request = follower->reads.StartRequest(now_)) SendReadRequest(*request);
  }
  Effects effects = std::exchange(effects_, {});
  effects.messages = outbox_.Take(durability_.synced());
  effects.log_batches = batches_.Take(commit_);
  TakeRestore(effects);
  const Index apply_up_to = std::min(commit_, durable());
  if (apply_up_to > published_.apply_up_to) {
    effects.apply_up_to = published_.apply_up_to = apply_up_to;
  }
  const LeadershipChange& last = published_.leadership;
  const LeadershipChange now = {.role = role(), .term = ballot_.state.term, .leader = leader()};
  if (now.role != last.role || now.term != last.term || now.leader != last.leader) {
    effects.leadership = published_.leadership = now;
  }
  return effects;
}

Instant Raft::State::NextWakeup() const {
  if (fenced_) return kDistantFuture;
  const auto* leader = std::get_if<Leader>(&role_);
  const Instant transfer = control_.transfer ? control_.transfer->deadline : kDistantFuture;
  const Instant control = control_.unsafe ? std::min(transfer, control_.unsafe->expires) : transfer;
  if (leader == nullptr) return std::min(clock_.deadline(), control);
  if (leader->peers.empty()) return control;
  return std::min(
      {leader->heartbeat_due, leader->commit_notice_due, control, SlowDiskDue(*leader)});
}

// State -------------------------------------------------------------------------------------------

Role Raft::State::role() const { return RoleOf(role_); }

NodeId Raft::State::leader() const {
  if (std::holds_alternative<Leader>(role_)) return node();
  const auto* follower = std::get_if<Follower>(&role_);
  return follower == nullptr ? NodeId::kNone : follower->leader;
}

std::optional<Index> Raft::State::torn_from() const {
  if (doubt_.torn.empty()) return std::nullopt;
  return doubt_.torn.from();
}

bool Raft::State::leads_with_commit() const {
  const auto* leader = std::get_if<Leader>(&role_);
  return leader != nullptr && commit_ >= leader->first_index;
}

Term Raft::State::TermAt(Index index) const {
  return index <= trail_.last().index ? trail_.TermAt(index) : doubt_.torn.TermAt(index);
}

std::optional<Raft::PeerStatus> Raft::State::Peer(NodeId peer) const {
  const auto* leader = std::get_if<Leader>(&role_);
  if (leader == nullptr) return std::nullopt;
  const auto found = leader->peers.find(peer);
  if (found == leader->peers.end()) return std::nullopt;
  const Progress& progress = found->second.progress;
  return PeerStatus{.match = progress.match(),
                    .next = progress.next(),
                    .probing = progress.probing(),
                    .snapshotting = progress.snapshotting(),
                    .inflight_messages = progress.inflight_messages(),
                    .inflight_bytes = progress.inflight_bytes(),
                    .last_contact = progress.last_contact()};
}

// The public face ---------------------------------------------------------------------------------

Raft::Raft(const RaftOptions& options, RecoveredRaft recovered, Instant now, TraceSink* trace)
    : state_(std::make_unique<State>(options, std::move(recovered), now, trace)) {}
Raft::~Raft() = default;

void Raft::Step(Instant now, Event event) { state_->Step(now, std::move(event)); }
Effects Raft::TakeEffects() { return state_->TakeEffects(); }
Instant Raft::NextWakeup() const { return state_->NextWakeup(); }
NodeId Raft::node() const { return state_->node(); }
Role Raft::role() const { return state_->role(); }
Term Raft::term() const { return state_->hard_state().term; }
NodeId Raft::vote() const { return state_->hard_state().vote; }
NodeId Raft::leader() const { return state_->leader(); }
LogPosition Raft::last() const { return state_->claimed_last(); }
LogPosition Raft::base() const { return state_->base(); }
Index Raft::commit() const { return state_->commit(); }
Index Raft::durable() const { return state_->durable(); }
Index Raft::applied() const { return state_->applied(); }
std::optional<Index> Raft::torn_from() const { return state_->torn_from(); }
const Holes& Raft::holes() const { return state_->trail().holes(); }
Index Raft::LastOfTerm(Index index) const { return state_->trail().LastOfTerm(index); }
bool Raft::state_lost() const { return state_->state_lost(); }
Index Raft::state_needed() const { return state_->StateNeeded(); }
bool Raft::knows_members() const { return state_->KnowsMembers(); }
bool Raft::unsure() const { return state_->unsure(); }
bool Raft::term_durable() const { return state_->term_durable(); }
std::optional<LogPosition> Raft::restoring() const { return state_->restoring(); }
bool Raft::leads_with_commit() const { return state_->leads_with_commit(); }
bool Raft::quiesced() const { return state_->Quiesced(); }
std::vector<Raft::Reliance> Raft::relies_on() const { return state_->ReliesOn(); }
bool Raft::transferring() const { return state_->Transferring(); }
Term Raft::TermAt(Index index) const { return state_->TermAt(index); }
const Configuration& Raft::configuration() const { return state_->membership().in_force(); }
const Configuration& Raft::committed_configuration() const {
  return state_->membership().committed(state_->commit()).second;
}
bool Raft::MayBeMember(NodeId node) const {
  return state_->membership().AnyFrom(state_->commit(), [node](const Configuration& configuration) {
    return configuration.IsMember(node);
  });
}
LogPosition Raft::configuration_position() const { return state_->membership().position(); }
const std::optional<UnsafeOverride>& Raft::unsafe_override() const {
  return state_->unsafe_override();
}
std::optional<Instant> Raft::last_heard_leader() const { return state_->last_heard_leader(); }
std::optional<Raft::PeerStatus> Raft::Peer(NodeId peer) const { return state_->Peer(peer); }

}  // namespace cairn
