// Node: drives one Raft: turns what comes in into its events, and carries out its effects.

#ifndef RAFT_NODE_H_
#define RAFT_NODE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/log_sink.h"
#include "base/time.h"
#include "base/types.h"
#include "raft/applier.h"
#include "raft/apply_feed.h"
#include "raft/cache/cache_share.h"
#include "raft/compaction.h"
#include "raft/control/pending_controls.h"
#include "raft/control/room_watch.h"
#include "raft/core/raft.h"
#include "raft/core/trace.h"
#include "raft/entry_clock.h"
#include "raft/envelope.h"
#include "raft/forwarding/forward_intake.h"
#include "raft/forwarding/forwarder.h"
#include "raft/group_log.h"
#include "raft/group_options.h"
#include "raft/group_status.h"
#include "raft/liveness/catch_up.h"
#include "raft/log_writer.h"
#include "raft/mailbox.h"
#include "raft/metrics/group_metrics.h"
#include "raft/peers/introduction.h"
#include "raft/peers/successors.h"
#include "raft/pending_proposals.h"
#include "raft/pending_reads.h"
#include "raft/repair/repairs.h"
#include "raft/sender_check.h"
#include "raft/transport.h"
#include "storage/incoming_snapshot.h"
#include "storage/log_store.h"
#include "storage/loss_report.h"
#include "storage/stored_snapshot.h"

namespace cairn {

// What a node works with; all of it outlives the node.
struct NodeDependencies {
  const Clock* clock = nullptr;
  Transport* transport = nullptr;
  LogStore* store = nullptr;
  LogWriter* log_writer = nullptr;
  const CacheShare* cache_share = nullptr;  // may be null
  LogWriter::Client log_client = 0;         // whose completions come in as MailboxContents::synced
  Applier* applier = nullptr;               // opened
  CallBudget* budget = nullptr;             // for commands other members forward
  GroupMetrics* metrics = nullptr;
  LossReport* losses = nullptr;  // may be null
  LogSink* log = nullptr;
  TraceSink* trace = nullptr;              // may be null
  const Successors* successors = nullptr;  // of members known with other disks; null: none
  std::function<bool()> has_room;          // the disks take new entries; any thread
  // The life of this host (raft/liveness/host_watch.h), for members who are to rely on it; null:
  // the group never rests.
  std::function<HostLife()> host_life;
  // Writes entries to the store that could not be read there, elsewhere, and comes back with
  // Node::Repaired.
  std::function<void(std::vector<RecordRun>)> repair;
  // Reads entries of the store elsewhere, from one on up to `last`, which are of one term, and
  // comes back with Node::Damaged if the first ones cannot be read; null: only what is needed is
  // read.
  std::function<void(LogPosition, Index last)> look;
  // Reads entries for a peer that lags behind the cache, elsewhere, and comes back with
  // Node::Fetched; null: they are read at once.
  std::function<void(const SendEntries&, Index last)> fetch;
  // Snapshots (raft/snapshots/snapshot_mover.h); null: there are none, and the whole log is kept.
  std::function<void(const SendSnapshot&)> offer_snapshot;
  std::function<void(NodeId from, const SnapshotOffer&)> take_offer;
  // Of a snapshot that holds what is damaged of the state; comes back with Node::MendState.
  std::function<void(NodeId from, const SnapshotOffer&)> take_patch;
  // Has the state machine take it, and comes back with Node::StateMended.
  std::function<void(std::shared_ptr<const IncomingSnapshot>)> mend;
  std::function<std::optional<Index>()> wanted;  // as SnapshotMover::wanted
  // State and log have come to the snapshot received last.
  std::function<void()> installed;
  // Found at the start: the state machine holds what it says, the log may not have given way yet.
  std::shared_ptr<const StoredSnapshot> received;
  // The state up to here is durable outside the log.
  Index state_durable = 0;
};

struct NodeSettings {
  LocalIdentity self;
  GroupId group = GroupId::kNone;
  GroupOptions options;
  // Of the first entry's group: who its members are until the log says so.
  Configuration initial_members;
  uint64_t seed = 0;  // differs from start to start
};

// Deterministic; without a thread, a lock or a timer of its own. Each Handle takes all that came
// in, steps Raft with it, and carries out the merged effects in their order: append (readable at
// once) and start the write, send, apply up to where this node is durable.
//
// Fenced: this node's log could not be written or contradicts another one's, or committed entries
// are gone. It sends and votes no more, and everything that waits is answered.
//
// Threads: the runner's sequence.
class Node {
 public:
  using Fenced = absl::AnyInvocable<void(NodeState, const absl::Status&)>;

  // DATA_LOSS if the recovered configurations cannot be decoded. `recovered` has no lost hard
  // state. `fenced` is called once, from within
  // Create, Handle or StopServing.
  static absl::StatusOr<std::unique_ptr<Node>> Create(const NodeSettings& settings,
                                                      const NodeDependencies& dependencies,
                                                      const RecoveredLog& recovered, Instant now,
                                                      Fenced fenced);
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // Takes what `contents` holds, all but its tasks.
  void Handle(Instant now, MailboxContents& contents);
  // The entries asked for by NodeDependencies::fetch, or why they cannot be read. Before Handle,
  // which sends what there is more to send.
  void Fetched(Instant now, const SendEntries& send, absl::StatusOr<std::vector<RecordRun>> runs);
  // An operator asks. Before Handle, which carries out what comes of it.
  void Control(Instant now, ControlCall call);
  // Before Handle, as Fetched. A snapshot of another node, offered in `term`, is published here.
  void Received(Instant now, Term term, std::shared_ptr<const StoredSnapshot> snapshot);
  // The state up to `index` is durable outside the log.
  void StateDurable(Index index);
  // So much was applied since then that it should be made so.
  bool SnapshotDue() const;
  // Entries cannot be read, each range for its reason (DATA_LOSS); before Handle, as the next. It
  // costs what the number of ranges does, not that of entries.
  struct BadRange {
    HoleRange entries;
    absl::Status why;
  };
  using BadEntries = std::vector<BadRange>;
  void Damaged(Instant now, const BadEntries& bad);
  // What NodeDependencies::repair was given is durable, or `status` tells why it is not.
  void Repaired(Instant now, const std::vector<RecordRun>& runs, const absl::Status& status);
  // The state machine says so (OpenContext::damaged): `parts` of its state cannot be read.
  void StateDamaged(size_t parts, const absl::Status& why);
  void MendState(std::shared_ptr<const IncomingSnapshot> patch);
  void StateMended(Instant now, const absl::Status& status);
  size_t damaged_parts() const { return repair_.state.damaged_parts(); }
  // Group::PauseApply, ResumeApply and ReplaySnapshot; before Handle, too (node_apply.cc).
  void PauseApply(Instant now, ApplyFeed::Done done);
  void ResumeApply(Instant now);
  void Replay(std::shared_ptr<const StoredSnapshot> snapshot, ApplyFeed::Done done);
  void Replayed(Index from);
  bool apply_paused() const { return feed_.paused(); }
  // Looks at how far this member is; whenever something was handled.
  const CatchUp& LookAtCatchUp();
  size_t proposals_in_log() const { return pending_.size(); }
  size_t held_proposals() const { return held_.requests.size() + held_.behind_doubt.size(); }
  size_t waiting_reads() const { return reads_.waiting(); }
  Index state_durable() const { return compaction_.durable(); }
  // When Handle must be called at the latest, whatever comes in.
  Instant NextWakeup() const;
  // A write or a sync has failed, which is final: fences this node, if it is not yet. A leader asks
  // a successor to campaign first.
  void StorageFailed(Instant now, const absl::Status& status);
  // Fences this node, if it is not yet.
  void StopServing(NodeState state, const absl::Status& status);
  // Answers everybody who waits: the host stops.
  void GiveUp(absl::string_view message);

  const Raft& raft() const { return raft_; }
  bool fenced() const { return fenced_; }
  size_t cached_bytes() const { return log_.cached_bytes(); }
  // Nothing is to do until something comes in, and the hosts of raft().relies_on() are watched.
  bool quiesced() const { return !fenced_ && raft_.quiesced(); }
  Instant fresh_as_of() const { return reads_.fresh_as_of(); }  // PendingReads
  // The leader of its term, which it can prove by an entry of that term, applied here.
  bool serving_leader() const;

 private:
  Node(const NodeSettings& settings, const NodeDependencies& dependencies,
       const RecoveredLog& recovered, RecoveredRaft raft, Instant now, Fenced fenced);

  // What comes in (node.cc).
  void HandleFenced(MailboxContents& contents);
  void TakeEnvelope(Instant now, Envelope envelope);
  bool IsSuccessor(const Envelope& envelope) const;
  void TakeMessage(Instant now, Envelope envelope, MessageBody body);
  void TakeForwarded(const Envelope& envelope, ForwardedProposals forwarded);
  void Route(Instant now, std::vector<ProposalRequest> requests);
  bool WaitsForLeader(Instant now) const;
  bool WaitsForDoubt(const ProposalCall& call) const;
  std::vector<ProposalRequest> TakeHeld();
  void RouteAgain(Instant now);
  void ProposeOwn(Instant now, std::vector<ProposalRequest> requests);
  void Ask(Instant now, std::vector<ReadRequest> requests);
  void AskHowFar(Instant now);
  void NoteLeadership(Instant now);
  bool NoteApplied(Instant now);

  // The disk is full, or slow (node_effects.cc).
  bool IsLostHere(const MessageBody& body) const;
  std::optional<ProposalNotApplied::Reason> RefusesToPropose() const;
  void DriveRoom(Instant now);

  // Snapshots (node_snapshots.cc).
  void TakeOffer(Instant now, NodeId from, const SnapshotOffer& offer);
  void TakeAskedOffer(Instant now, NodeId from, const SnapshotOffer& offer);
  void PullOffered(NodeId from, const SnapshotOffer& offer);
  void RefuseConflict(NodeId by, absl::string_view what);
  void TakeAnswer(NodeId from, const SnapshotAnswer& answer);
  bool Contradicted(const SnapshotManifest& manifest);
  void RestoreFrom(LogPosition position);
  void NoteInstalled();
  bool CompactLog(Instant now);
  void MeasureBatch(const LogBatch& batch, const LogAppend& append);

  // Entries that cannot be read (node_repair.cc).
  std::vector<HoleRange> AddHoles(Instant now, HoleRange entries, const absl::Status& why);
  void AddHole(Instant now, HoleRange entries, const absl::Status& why);
  Index EndOfLog() const;
  bool NoteDamage(HoleRange entries, absl::string_view where);  // false: no more are kept
  std::string WhereDamaged() const;                             // "; " and where, if it is known
  void DriveRepair(Instant now);
  void GiveUp(Instant now, const EntryRepair::Nowhere& nowhere);
  HoleRange FirstReadable(const EntryRange& range, Index from) const;
  void GiveEntries(Instant now, NodeId to, const EntryRequest& request);
  void GiveState(Instant now, NodeId to, const EntryRequest& request);
  void StateHealed(size_t parts);
  void TellMended(size_t parts) const;
  void Report(LossEvent event) const;
  void TakeEntries(Instant now, NodeId from, const EntryReply& reply,
                   const std::vector<RecordRun>& entries);
  void NoteRepaired(Instant now, const std::vector<RecordRun>& runs);
  void AskForTorn(Instant now, const AskTorn& ask);
  void TakeTorn(Instant now, const std::vector<RecordRun>& entries);
  void WriteTorn(Instant now);

  // What Raft wants (node_effects.cc).
  void Flush(Instant now);
  bool Write(Instant now, const std::vector<LogBatch>& batches);
  void TakeOutcome(Instant now, const ProposalOutcome& outcome);
  void Read(Instant now, const SendEntries& send);
  void SendFrames(Instant now, const SendEntries& send,
                  absl::StatusOr<std::vector<RecordRun>> runs);
  void TakeReadOutcome(const ReadOutcome& outcome);
  // Says where members are dialled, and to them what this node is to the group.
  void SetPeers();
  Introduction IntroductionOfSelf() const;
  void SignRest(MessageBody& body) const;
  void Send(NodeId to, EnvelopeBody body, std::vector<RecordRun> entries = {});
  std::optional<std::string> Contradiction(const AppendEntries& append,
                                           const std::vector<RecordRun>& entries) const;
  void Complain(Instant now, absl::string_view what);

  const NodeSettings settings_;
  const NodeDependencies dependencies_;
  Raft raft_;
  GroupLog log_;
  Payloads payloads_;
  EntryClock entry_clock_;
  PendingProposals pending_;
  ApplyFeed feed_;
  Compaction compaction_;
  std::shared_ptr<const StoredSnapshot> received_;  // until state and log have come to it
  PendingReads reads_;
  PendingControls controls_;
  ForwardIntake intake_;
  Forwarder forwarder_;
  Repairs repair_;
  struct Watches {
    CatchUp catch_up;
    RoomWatch room;
  };
  Watches watches_;
  // Commands that wait: for the end of this Handle; while leadership is handed over, and for a
  // moment without a leader; or, of an order, until it is known what becomes of those before.
  struct Held {
    std::vector<ProposalRequest> forwarded;  // came over the network in this Handle
    std::vector<ProposalRequest> requests;
    std::vector<ProposalRequest> behind_doubt;
    Instant leaderless_since;
  };
  Held held_;
  struct Told {
    LeadershipChange leadership;  // pending_, intake_ and forwarder_ were
    LogPosition peers_of;         // the configuration the transport knows
    std::map<NodeId, std::pair<ContentId, SnapshotAnswer::Verdict>> snapshot_answers;  // the log
    // Of unreadable entries by the first: the last, and which file.
    std::map<Index, std::pair<Index, std::string>> damage;
    Instant next_complaint;              // not before
    NodeId repaired_by = NodeId::kNone;  // who gave the entries that are being written
    bool had_holes = false;              // at the last DriveRepair; the loss report
  };
  Told told_;
  bool fenced_ = false;
  Fenced on_fenced_;
};

// What Raft starts from (node_repair.cc). DATA_LOSS as Node::Create.
absl::StatusOr<RecoveredRaft> RaftOf(const NodeSettings& settings,
                                     const NodeDependencies& dependencies,
                                     const RecoveredLog& recovered);
// DATA_LOSS if its configuration cannot be decoded.
absl::StatusOr<SnapshotPoint> PointOf(const SnapshotManifest& manifest);

}  // namespace cairn

#endif  // RAFT_NODE_H_
