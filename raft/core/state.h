// Raft::State: everything one member of a group knows, and the rules that change it. The sources
// split by rule: raft.cc (dispatch, terms, roles, effects), elections.cc, append.cc (the log's
// side of both roles), replication.cc (the leader and its peers), read_index.cc, quiesce.cc,
// snapshots.cc, tail_query.cc, hole_rules.cc, rejoin_rules.cc, change_membership.cc, transfer.cc
// (leadership by wish), unsafe_recovery.cc.

#ifndef RAFT_CORE_STATE_H_
#define RAFT_CORE_STATE_H_

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/random.h"
#include "base/time.h"
#include "base/types.h"
#include "raft/core/durability.h"
#include "raft/core/effects.h"
#include "raft/core/election_clock.h"
#include "raft/core/entry_query.h"
#include "raft/core/events.h"
#include "raft/core/log_batches.h"
#include "raft/core/membership.h"
#include "raft/core/messages.h"
#include "raft/core/options.h"
#include "raft/core/outbox.h"
#include "raft/core/quorum.h"
#include "raft/core/raft.h"
#include "raft/core/rejoin.h"
#include "raft/core/roles.h"
#include "raft/core/torn_tail.h"
#include "raft/core/trace.h"
#include "raft/core/trail.h"
#include "raft/core/unsafe_override.h"
namespace cairn {
class Raft::State {
 public:
  State(const RaftOptions& options, RecoveredRaft recovered, Instant now, TraceSink* trace);

  void Step(Instant now, Event event);
  Effects TakeEffects();
  Instant NextWakeup() const;

  NodeId node() const { return options_.node; }
  Role role() const;
  const HardState& hard_state() const { return ballot_.state; }
  NodeId leader() const;
  // The log's last entry, undecided ones included: what elections compare.
  LogPosition claimed_last() const {
    return doubt_.torn.empty() ? trail_.last() : doubt_.torn.last();
  }
  LogPosition base() const { return trail_.base(); }
  Index commit() const { return commit_; }
  // Up to where this node can answer for the log. An entry that cannot be read ends it, unless the
  // state machine has it.
  Index durable() const;
  Index applied() const { return applied_; }
  std::optional<Index> torn_from() const;
  bool leads_with_commit() const;
  bool Transferring() const;
  bool Quiesced() const;
  std::vector<Reliance> ReliesOn() const;
  Term TermAt(Index index) const;
  const Trail& trail() const { return trail_; }
  bool state_lost() const { return doubt_.state_lost; }
  Index StateNeeded() const;
  bool KnowsMembers() const;
  bool unsure() const { return doubt_.rejoin.unsure(); }
  bool term_durable() const { return durability_.HardStateDurable(); }
  std::optional<LogPosition> restoring() const {
    return restore_ ? std::optional(restore_->position) : std::nullopt;
  }
  const Membership& membership() const { return membership_; }
  const std::optional<UnsafeOverride>& unsafe_override() const { return control_.unsafe; }
  std::optional<Instant> last_heard_leader() const {
    return std::max(clock_.last_heard(), control_.led_until);
  }
  std::optional<PeerStatus> Peer(NodeId peer) const;

 private:
  // What this node knows of the current term.
  struct Ballot {
    HardState state;
    Ticket ticket = 0;  // of the last batch that carries `state`
    // Who leads the term, if known, alive or not: there is at most one (election safety).
    NodeId leader = NodeId::kNone;
  };
  // A hand-over of leadership from its request to its end. It may outlive the leadership.
  struct Transfer {
    uint64_t request = 0;  // 0: nobody waits for it
    NodeId target = NodeId::kNone;
    Term term = 0;  // of the leadership that is handed over
    Instant deadline = {};
    bool then_step_down = false;  // at the deadline, too
    Instant ask_again = {};
  };
  struct Control {
    std::optional<Transfer> transfer;
    // The committed configuration by which this node is no member any more.
    std::optional<LogPosition> removed;
    std::optional<UnsafeOverride> unsafe;
    std::optional<Instant> led_until;  // when this node stopped leading last
    bool candidacy_held = false;
    bool stalled = false;  // led, and could not replicate; others go first
  };
  // What the others are asked about. Answers hold as long as this does not change: an entry that
  // was here again in between may have been acknowledged, one of another term is another entry, and
  // a leader may have given it to others or have it committed since.
  struct Asked {
    LogPosition first;  // the entry that must be decided
    bool torn = false;
    bool committed = false;  // as this node knows
    LogPosition members;     // the configuration whose members are asked
    NodeId leader = NodeId::kNone;
    friend bool operator==(const Asked&, const Asked&) = default;
  };
  // Who is asked for torn entries.
  struct TornHolders {
    NodeId asked = NodeId::kNone;  // since the query began
    std::set<NodeId> failed;       // before, in vain
    bool passed_over = false;      // one of these holds them, by its answer to the query
    // A query begins.
    void Next();
    // Of who answered: who is to be asked now, if anybody.
    NodeId Choose(const std::map<NodeId, TailReply>& answers, Index last);
  };
  // What this node claims and cannot read: the end of the log, or holes in trail_.
  struct Doubt {
    Doubt(TornTail undecided, bool unsure) : torn(std::move(undecided)), rejoin(unsure) {}
    TornTail torn;
    Rejoin rejoin;  // what it has promised
    EntryQuery query;
    TornHolders holders;
    std::optional<Asked> asked;       // what `query` is about
    std::set<uint64_t> lost_by;       // queries about it by which nobody has it
    HoleRange nowhere = {};           // a hole that nobody can fill
    bool state_lost = false;          // RecoveredRaft::state_lost, until a snapshot is here
    Instant nobody_since = {};        // since when no other member was heard, of who lost its state
    bool gave_way = false;            // let another one campaign first
    std::optional<Instant> holds_up;  // since when holes keep this leader from serving
  };
  // A snapshot the state machine is to be restored from.
  struct Restore {
    LogPosition position;
    Ticket ticket = 0;  // of the batch that resets the log to it
  };
  // What the effects said last, so that they say only what changed.
  struct Published {
    Index apply_up_to = 0;
    LeadershipChange leadership;
  };

  // raft.cc: events
  void On(const Tick& tick);
  void On(Receive& receive);
  void On(const Propose& propose);
  void On(const ReadBarrier& read);
  void On(const LogSynced& synced);
  void On(const EntriesSent& sent);
  void On(const PeerUnreachable& unreachable);
  void On(const HostLost& lost);
  void On(const Applied& applied);
  void On(const ChangeMembership& change);
  void On(const CancelMembership& cancel);
  void On(const TransferLeadership& transfer);
  void On(const Campaign& campaign);
  void On(const StepDown& step_down);
  void On(const DiskFailed& failed);
  void On(const UnsafeRecover& recover);
  void On(const HoldCandidacy& held);
  bool NeverLeads() const { return options_.never_campaigns || control_.candidacy_held; }
  void On(const Compact& compact);
  void On(const SnapshotReceived& received);
  void On(const TermReached& reached);
  void On(const BegunBehind& begun);
  void On(const EntriesDamaged& damaged);
  void On(const EntriesRepaired& repaired);
  void On(const EntriesNowhere& nowhere);
  void On(const TornEntriesGiven& given);
  void StepFenced(const Event& event);

  // raft.cc: terms and roles
  bool Admits(const Message& message) const;
  void Dispatch(const Message& message, PayloadId payload);
  bool PassesTermRule(const Message& message);
  void AnswerOlderTerm(const Message& message);
  void SetTerm(Term term);
  void SetVote(NodeId candidate);
  void SaveHardState();
  void AdoptTerm(Term term, absl::string_view reason);
  void ChangeRole(RoleState role);
  bool FollowLeader(NodeId leader);
  void RaiseFence(Fence::Reason reason, std::string message);
  void Send(NodeId to, MessageBody body);
  void SendAfter(Ticket ticket, NodeId to, MessageBody body);

  // elections.cc
  void Handle(NodeId from, const PreVoteRequest& request);
  void Handle(NodeId from, const PreVoteReply& reply);
  void Handle(NodeId from, const VoteRequest& request);
  void Handle(NodeId from, const VoteReply& reply);
  VoteResult ResultOf(const std::map<NodeId, bool>& votes) const;
  void OnElectionTimeout();
  void BecomePreCandidate(absl::string_view why);
  Term NextTerm();
  void BecomeCandidate(bool forced);
  void BecomeLeader();
  bool RefusesElections() const;
  bool MayVote() const;
  bool OwnCandidacyDurable() const;
  void CountOwnVote();
  void CountPreVotes();
  void CountVotes();
  const Configuration& Counted() const;
  void StepDownWithoutQuorum();

  // append.cc
  void Handle(NodeId from, const AppendEntries& append, PayloadId payload);
  bool KeepsOffTheLog() const;
  bool MatchesPrevious(NodeId from, const AppendEntries& append);
  bool StillHas(NodeId leader, LogPosition acknowledged);
  bool MakeRoom(Index first, const AppendEntries& append);
  void RewriteTornTail(const AppendEntries& append);
  void AppendReceived(Index first, const AppendEntries& append, PayloadId payload);
  void TruncateLog(Index first_removed);
  Index AckableIndex(const Follower& follower) const;
  void TakeAcknowledgement(Follower& follower);
  void LearnCommit(Index commit);
  LogPosition AppendOwn(AppendRun run, uint64_t count);

  // replication.cc
  void Handle(NodeId from, const AppendReply& reply);
  void Handle(NodeId from, const Heartbeat& heartbeat);
  void Handle(NodeId from, const HeartbeatReply& reply);
  Index CountedCommit(const Leader& leader) const;
  bool MayCommitByCounting(Index index, const Leader& leader) const;
  void AdvanceCommit();
  bool HeardFromQuorum(const Leader& leader) const;
  bool QuorumTakesEntries(Leader& leader) const;
  void OnHeartbeatDue(Leader& leader);
  void SendHeartbeat(NodeId peer, Leader& leader);
  void RequestEntries(NodeId peer, Leader& leader);
  void TakeReplication(Leader& leader);

  // read_index.cc
  void Handle(NodeId from, const ReadIndexRequest& request);
  void Handle(NodeId from, const ReadIndexReply& reply);
  Duration Promise() const;
  bool HoldsLease(const Leader& leader) const;
  void AddRead(Leader& leader, Reader reader, bool lease);
  ReadContext ConfirmedContext(const Leader& leader) const;
  void AnswerConfirmedReads(Leader& leader);
  void AnswerRead(Reader reader, bool ready, Index index, bool lease = false);
  void SendReadRequest(const ForwardedReads::Asked& asked);
  void RefuseReads(RoleState& role);

  // quiesce.cc (and On HostLost)
  Instant NextHeartbeat() const;
  bool NothingToDo(const Leader& leader) const;
  void NoteQuietHeartbeat(Leader& leader);
  std::optional<QuiesceOffer> OfferToRest(const Leader& leader) const;
  void TakeRestReply(NodeId from, const HeartbeatReply& reply, Leader& leader);
  void Stir(Leader& leader, absl::string_view why, NodeId silent = NodeId::kNone);
  bool TakesOffer(const Heartbeat& heartbeat) const;
  void Rest(const QuiesceOffer& offer, bool rested);
  void WakeResting(NodeId to);
  void WakeFollower(absl::string_view why);
  void StirBy(const Event& event);
  void StirBy(const Message& message);

  // snapshots.cc (and On Compact, On SnapshotReceived)
  void InstallAtStart(const SnapshotPoint& snapshot);
  void TakeSnapshot(const SnapshotPoint& snapshot);
  void ResetLog(const SnapshotPoint& snapshot);
  void RestoreOverHole(LogPosition position);
  void MissState();
  bool KnowsNobody() const;
  bool StopsForNobodyCame();
  void StopAlone(absl::string_view why);
  void AcknowledgeSnapshot(Term offered_in, Index index);
  void OfferSnapshot(NodeId peer, Leader& leader);
  void TakeRestore(Effects& effects);

  // tail_query.cc (and On TornEntriesGiven)
  void Handle(NodeId from, const TailQuery& query);
  void Handle(NodeId from, const TailReply& reply);
  Index HeldOf(const TailQuery& query) const;
  Index TornOf(const TailQuery& query) const;
  std::optional<EntryQuery::Doubt> InDoubt() const;
  bool CouldCommit(const EntryQuery::Claims& claims, Index index) const;
  std::optional<Asked> ToAsk() const;
  void QueryDoubt();
  void AskHolder();
  void ForgetAnswers();
  void DecideDoubt();

  // rejoin_rules.cc
  void Handle(NodeId from, const RejoinRequest& request);
  void Handle(NodeId from, const RejoinReply& reply);
  void BeUnsure();
  void AskToRejoin(NodeId leader);
  bool SnapshotHoldsBarrier() const;
  void FinishRejoin();

  // hole_rules.cc (and On EntriesDamaged, On EntriesRepaired, On EntriesNowhere)
  Index HoleToApply() const {
    return doubt_.state_lost ? applied_ + 1 : trail_.holes().FirstFrom(applied_ + 1);
  }
  bool HoleUpTo(Index index) const { return HoleToApply() != 0 && HoleToApply() <= index; }
  bool IsNowhere(Index index) const;
  void ForgetNowhere();
  bool NeedsSnapshotForHole(Index next) const;
  bool HeldUpByHoles();
  void AskForSnapshot(NodeId leader, Index refused);

  // change_membership.cc
  void Handle(NodeId from, const RemovedNotice& notice);
  bool MayChange() const;
  bool ReadyForChange(uint64_t request);
  bool NoChangeUnderWay(uint64_t request);
  LogPosition AppendConfiguration(Configuration next);
  void FollowConfiguration(Leader& leader);
  void DriveMembership();
  void ForgetRemoved(Leader& leader);
  bool CaughtUp(Leader& leader, NodeId learner) const;
  bool Answers(const Leader& leader, NodeId id) const;
  void TellRemoved(NodeId to);
  void AskWhetherRemoved();
  bool IsMeantBy(const Configuration& configuration) const;
  bool IsAlone(const Configuration& configuration) const;
  void LearnRemoval();
  void NoteRemoved(LogPosition at, NodeId told_by);
  std::string CampaignFault() const;

  // transfer.cc
  void Handle(NodeId from, const TimeoutNow& now);
  void Refuse(uint64_t request, ControlRefusal refusal, std::string text);
  void Answer(ControlOutcome outcome);
  void BeginTransfer(Transfer transfer);
  NodeId BestSuccessor(const Leader& leader) const;
  std::string SuccessorFault(const Leader& leader, NodeId target) const;
  void HandOverAndLeave(const Leader& leader);
  Instant SlowDiskDue(const Leader& leader) const;
  void WatchOwnDisk();
  void DriveTransfer();
  void FinishTransfer(const Transfer& transfer);
  void AbortTransfer(std::string why);

  // unsafe_recovery.cc (and On UnsafeRecover)
  std::string RecoveryFault() const;
  std::string SignOfLeader() const;
  std::string DemandFault(const UnsafeRecover& recover) const;
  bool OverrideActs() const;
  QuorumRule Rule() const;
  bool Evicts(NodeId id) const;
  void ExpireOverride();
  void DriveOverride();
  void EndOverride(absl::string_view why);
  bool EvictedForGood(NodeId id) const;
  bool Contradicts(LogPosition at) const;

  template <typename... Parts>
  void Trace(const Parts&... parts) const {
    if (trace_ != nullptr) trace_->Trace(now_, options_.node, absl::StrCat(parts...));
  }

  const RaftOptions options_;
  TraceSink* const trace_;
  Random random_;
  Instant now_;
  ElectionClock clock_;
  Ballot ballot_;
  RoleState role_;
  Doubt doubt_;
  Trail trail_;  // up to the first torn entry
  Durability durability_;
  Membership membership_;
  Index commit_;
  Index applied_;
  LogBatches batches_;
  Outbox outbox_;
  std::optional<Restore> restore_;
  Effects effects_;  // what is not derived when they are taken
  Published published_;
  Control control_;
  bool fenced_ = false;
};

}  // namespace cairn

#endif  // RAFT_CORE_STATE_H_
