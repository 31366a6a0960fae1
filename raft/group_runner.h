// GroupRunner: one group on this node: its node, applier, timers and the calls of the program.

#ifndef RAFT_GROUP_RUNNER_H_
#define RAFT_GROUP_RUNNER_H_

#include <atomic>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/executor.h"
#include "base/log_sink.h"
#include "base/mutex.h"
#include "base/time.h"
#include "base/types.h"
#include "raft/applier.h"
#include "raft/cache/cache_share.h"
#include "raft/call_budget.h"
#include "raft/control/control.h"
#include "raft/core/trace.h"
#include "raft/envelope.h"
#include "raft/group_options.h"
#include "raft/group_status.h"
#include "raft/lifecycle/post_gate.h"
#include "raft/liveness/group_upkeep.h"
#include "raft/log_writer.h"
#include "raft/mailbox.h"
#include "raft/metrics/group_metrics.h"
#include "raft/node.h"
#include "raft/peers/introduction.h"
#include "raft/proposal.h"
#include "raft/proposal_call.h"
#include "raft/sender_check.h"
#include "raft/snapshots/byte_budget.h"
#include "raft/snapshots/snapshot_mover.h"
#include "raft/state_machine.h"
#include "raft/tail/committed_tails.h"
#include "raft/transport.h"
#include "storage/file_system.h"
#include "storage/log_scrub.h"
#include "storage/log_store.h"
#include "storage/loss_report.h"
#include "storage/snapshot_store.h"

namespace cairn {

struct GroupRunnerSettings {
  LocalIdentity self;
  GroupId group = GroupId::kNone;
  GroupOptions options;
  uint64_t seed = 0;
};

struct GroupRunnerDependencies {
  const Clock* clock = nullptr;
  Transport* transport = nullptr;
  LogDisk* log_disk = nullptr;
  LogWriter* log_writer = nullptr;
  std::shared_ptr<const LogWriterMetrics> log_writer_metrics;  // of that
  const CacheShare* cache_share = nullptr;                     // of the host's groups; may be null
  PostGate* posts = nullptr;  // for a group that leaves, to all sequences that follow
  Executor* runner = nullptr;
  GroupUpkeep* upkeep = nullptr;  // of the host
  Executor* applier = nullptr;    // null: state machines run on the runner's sequence
  Executor* reader = nullptr;     // null: the runner reads what lagging peers need
  // Of snapshots; null: there are none. Then the next three are not needed.
  Executor* snapshots = nullptr;
  ByteBudget* snapshot_budget = nullptr;
  FileSystem* file_system = nullptr;
  std::string data_directory;  // durable state machines and snapshots are below it
  // Entries of the log that were bad are written again; may be null. On the log writer's sequence.
  std::function<void(Index first, Index last)> repaired;
  LossReport* losses = nullptr;  // may be null
  LogSink* log = nullptr;
  TraceSink* trace = nullptr;  // may be null
};

// Life: Open (once), Start (once, when the cluster has formed), then, while the host goes on,
// Leave; or, when the host stops, StopCalls, Close and, when no task of the executors runs any
// more, Finish. Group handles may outlive all of it; their calls are refused then.
//
// Threads: the program's calls, Deliver, PeerLost and Status from any; the node lives on the
// runner's sequence.
class GroupRunner : public std::enable_shared_from_this<GroupRunner> {
 public:
  using BatchCallback = ProposalCall::BatchCallback;
  using Watcher = absl::AnyInvocable<void(const GroupStatus&)>;
  // This node's part of the group serves no more. Called at most once.
  using Stopped = absl::AnyInvocable<void(NodeState, const absl::Status&)>;

  // The dependencies outlive the runner's last task.
  GroupRunner(const GroupRunnerSettings& settings, const GroupRunnerDependencies& dependencies,
              Stopped stopped);
  ~GroupRunner();
  GroupRunner(const GroupRunner&) = delete;
  GroupRunner& operator=(const GroupRunner&) = delete;

  // Recovers the log and opens the state machine. Damage halts the group, and is no error: it
  // answers its status and tells `stopped`.
  absl::Status Open(std::unique_ptr<StateMachine> machine);
  // The cluster consists of `members`, all incarnations known: take part.
  void Start(const Configuration& members);
  // Never take part: `state` is kHalted or kFenced.
  void Halt(NodeState state, const absl::Status& status);

  // The program's calls; see raft/group.h.
  void Propose(EntryType type, std::string payload, const ProposeOptions& options,
               ProposalCallback done);
  void Propose(PreparedEntry entry, const ProposeOptions& options, ProposalCallback done);
  void ProposeBatch(std::vector<PreparedEntry> entries, const ProposeOptions& options,
                    BatchCallback done);
  void BeginRead(const ReadOptions& options, ReadCallback done);
  void Control(ControlRequest request, Instant deadline, ControlCallback done);
  void Snapshot(SnapshotMover::TakenCallback done);
  bool AbortSnapshot() { return mover_ != nullptr && mover_->AbortTaking(); }
  void Tail(TailRequest request);
  // group_runner_apply.cc
  using ApplyDone = absl::AnyInvocable<void(const absl::Status&)>;
  void PauseApply(ApplyDone done);
  void ResumeApply();
  void ReplaySnapshot(ApplyDone done);
  GroupStatus Status() const;
  void Watch(Watcher watcher);

  // From the transport. The envelope is addressed to this node (CheckAddress).
  void Deliver(Envelope envelope);
  void PeerLost(NodeId peer) { mailbox_.PutLost(peer); }
  // From the host's upkeep.
  void TellHostLost(const HostLost& lost) { mailbox_.PutHostLost(lost); }
  void TimerDue(Instant when);
  // The scrub of the log has found that these entries have rotted where they stand; by index.
  void Rotten(std::vector<ScrubFinding> findings);
  // A step of the scrub of the state machine (StateMachine::Scrub), while the group is open. On one
  // thread at a time.
  StateScrubStep ScrubState(uint64_t& at, uint64_t max_bytes);
  // Why an envelope should not be delivered (sender_check.h), as far as is known by now.
  absl::Status Vet(const Envelope& envelope) const;
  // What the configuration in force says of `node`.
  enum class Acquaintance { kStranger, kRemoved, kMember };
  Acquaintance Knows(NodeId node) const;
  // Whether the group's log, as far as it is known here to be committed, leaves room for it, and
  // the sender may be the member of that id. A successor (Successors) is listened to from then on.
  bool Believes(NodeId from, const Introduction& introduction);

  // Refuses new calls.
  void StopCalls();
  // Blocks until the calls under way are answered or `deadline` has passed.
  void WaitForCalls(Instant deadline) { budget_.WaitUntilIdle(*dependencies_.clock, deadline); }
  // No task is posted from now on.
  void Close();
  // Answers everybody who still waits.
  void Finish();
  // Refuses new calls, and waits for those under way until `deadline`; then tells `quiet`, answers
  // the rest as unknown, ends the state machine, closes the log, and tells `ended`, both on the
  // runner's sequence. Nothing of the group runs or calls back any more then.
  void Leave(Instant deadline, Task quiet, Task ended);
  // From the moment `done` is told OK this member takes no part any more; Leave follows. Refused if
  // it is a voter, by the configuration in force or the last committed one, or nobody can tell.
  void EndUnlessVoter(absl::AnyInvocable<void(const absl::Status&)> done);

 private:
  enum class Gate { kNotFormed, kOpen, kFenced, kStopping };

  void Run();
  void Wake(Mailbox::Where where);
  void LimitTurn();
  void RefuseWaiting(MailboxContents& contents);
  void Publish(Instant now);
  void TellWatchers();
  void AddLoad(GroupStatus& status) const;
  std::optional<ProposalNotApplied::Reason> Refuses() const;
  void Put(ProposalRequest request);
  bool HasRoom() const;
  Index KnownCommit() const CAIRN_REQUIRES(mutex_);
  absl::Status OpenMachine(std::unique_ptr<StateMachine> machine, LogStore* store);

  // group_runner_entries.cc
  void Fetch(const SendEntries& send, Index last);
  void Look(LogPosition at, Index last);
  void Repair(std::vector<RecordRun> runs);
  using WrittenAgain = absl::AnyInvocable<void(const std::vector<RecordRun>&, const absl::Status&)>;
  void WriteAgain(std::vector<RecordRun> runs, WrittenAgain done);
  void ReadRotten(const std::vector<ScrubFinding>& findings);
  void WriteKept(std::vector<RecordRun> runs);

  // group_runner_timers.cc (and TimerDue)
  void ScheduleWakeup();
  void NoteRest();

  // group_runner_life.cc
  Task WhileAlive(Task task);
  void AwaitCalls(Instant deadline, Task quiet, Task ended);
  void End(Task ended);
  void EndTasks(Task ended);
  void PostTo(Executor* sequence, Task task);
  void EndHere();

  // group_runner_snapshots.cc
  absl::StatusOr<std::unique_ptr<SnapshotStore>> OpenSnapshots();
  absl::StatusOr<OpenContext> MakeOpenContext();
  absl::Status RestoreAtStart(SnapshotStore& store);
  void StartMover(std::unique_ptr<SnapshotStore> store, bool durable);
  void AddSnapshotHooks(NodeDependencies& dependencies);
  void FreezeState();
  void TakeDueSnapshot();
  // Who asked for a snapshot; told once, at the latest when it is dropped.
  class SnapshotCall;
  void TakeSnapshot(std::shared_ptr<SnapshotCall> call);
  void StateDurable(LogPosition position);
  void StateLost(const absl::Status& why);
  void StateDamaged(size_t parts, const absl::Status& why);
  void CompareState(LogPosition at, uint64_t call);
  void Mend(const std::shared_ptr<const IncomingSnapshot>& patch);
  void EndStateScrub();
  // group_runner_apply.cc
  void DriveTails(Instant now);

  const GroupRunnerSettings settings_;
  const GroupRunnerDependencies dependencies_;
  std::atomic<Gate> gate_ = Gate::kNotFormed;
  GroupMetrics metrics_;
  CallBudget budget_;
  Mailbox mailbox_;

  // Set by Open.
  OpenedLog opened_;
  std::unique_ptr<Applier> applier_;
  std::shared_ptr<SnapshotMover> mover_;  // null: there are no snapshots
  std::optional<LogWriter::Client> log_client_;

  // On the runner's sequence.
  std::unique_ptr<Node> node_;
  MailboxContents contents_;
  Stopped stopped_;
  struct Waiting {
    std::vector<Watcher> watchers;
    std::vector<std::shared_ptr<SnapshotCall>> durable;  // for what the machine says is safe
    CommittedTails tails;
    // The machine has found this before there was a node.
    std::optional<std::pair<size_t, absl::Status>> damage;
  };
  Waiting waiting_;
  struct Turns {
    Instant next_wakeup = kDistantFuture;  // of the timer that counts
    bool ended = false;                    // there are no more
    std::deque<ProposalRequest> backlog;   // drained, and left for the next one
  };
  Turns turns_;
  struct Published {
    Instant peers_due;  // when to publish the peers again
    LogPosition configuration;
    bool quiesced = false;
  };
  Published published_;

  struct Shown {                                                   // to any thread
    Mutex scrubbing;                                               // held while it is
    StateMachine* scrubbed CAIRN_GUARDED_BY(scrubbing) = nullptr;  // null: it is not open
    // Node::fresh_as_of, in nanoseconds, for reads that may be as old.
    std::atomic<int64_t> fresh_as_of = 0;
    std::atomic<bool> machine_full = false;  // as OpenContext::room said last
    Successors successors;
  };
  Shown shown_;

  mutable Mutex mutex_;
  GroupStatus status_ CAIRN_GUARDED_BY(mutex_);
  struct Closed {
    bool yes = false;
    MailboxContents with;
  };
  Closed closed_ CAIRN_GUARDED_BY(mutex_);
};

}  // namespace cairn

#endif  // RAFT_GROUP_RUNNER_H_
