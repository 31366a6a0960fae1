// Group: a program's handle on one replicated log and its state machine.

#ifndef RAFT_GROUP_H_
#define RAFT_GROUP_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "base/time.h"
#include "base/types.h"
#include "raft/control/control.h"
#include "raft/core/configuration.h"
#include "raft/group_options.h"
#include "raft/group_status.h"
#include "raft/proposal.h"
#include "raft/state_machine.h"
#include "raft/tail/committed_tails.h"

namespace cairn {

class GroupRunner;

// What a blocking call waits on. Wait may be called once, on any thread that is not one of Cairn's.
template <typename Result>
class Pending {
 public:
  virtual ~Pending() = default;
  virtual Result Wait() = 0;
};

// A value; copies refer to the same group. All calls are thread-safe and do not block, except Wait.
// Callbacks run on a thread of Cairn's, never under a lock, and must not block. A call that is
// refused at once (overloaded, too large, stopping, fenced, not formed) is answered on the caller's
// thread before it returns, so that refusing costs no queue. Each callback is called exactly once,
// also when the host stops.
class Group {
 public:
  explicit Group(std::shared_ptr<GroupRunner> runner);

  // Replicates `command` and applies it.
  void Propose(std::string command, ProposeOptions options, ProposalCallback done);
  std::unique_ptr<Pending<ProposalResult>> Propose(std::string command,
                                                   ProposeOptions options = {});
  // As above, for an entry that was prepared elsewhere (the service prepares while it parses). Its
  // own session call counts, not that of `options`.
  void Propose(PreparedEntry entry, ProposeOptions options, ProposalCallback done);

  // A session makes retries safe: the answer of each of its calls is kept, replicated. The id is in
  // ProposalApplied::at.index.
  void OpenSession(std::string client_name, ProposeOptions options, ProposalCallback done);
  void CloseSession(uint64_t session, ProposeOptions options, ProposalCallback done);

  // Proposes entries in a row with one hand-over, as if each were proposed after the other with the
  // same ProposeOptions::order (a new one if that is null). `done` is called with the results of
  // the entries first.., in pieces as they come, until each entry has had one; with them all at
  // once where that is possible, for instance for all entries of one apply batch.
  using BatchCallback = absl::AnyInvocable<void(size_t first, std::vector<ProposalResult> results)>;
  void ProposeBatch(std::vector<PreparedEntry> entries, ProposeOptions options, BatchCallback done);

  // Once ready, this node's state machine has applied what the options ask for: by default
  // everything that was acknowledged before the call (read index, thesis 6.4). Works on every
  // member, learners included.
  void BeginRead(const ReadOptions& options, ReadCallback done);
  // The default, for short.
  void Linearize(std::optional<Instant> deadline, ReadCallback done);
  std::unique_ptr<Pending<ReadResult>> Linearize(std::optional<Instant> deadline = std::nullopt);

  // Membership and leadership; the leader is asked, others refuse and name it. The outcomes:
  // raft/control/control.h.
  //
  // Declares who the members shall be. The group goes there by itself. `based_on`: the
  // GroupStatus::configuration_index the members were worked out from; refused if it is another one
  // by now. 0: whatever it is.
  void ChangeMembership(DeclaredMembers members, Instant deadline, ControlCallback done,
                        Index based_on = 0);
  // Goes back to where the change under way began, as long as it is not joint.
  void CancelMembership(Instant deadline, ControlCallback done);
  // Hands leadership over to `target`, kNone for the best voter. Proposals are refused meanwhile.
  void TransferLeadership(NodeId target, Instant deadline, ControlCallback done);
  // Asks for pre-votes now.
  void Campaign(ControlCallback done);
  // Stops leading and hands nothing over.
  void StepDown(ControlCallback done);
  // For operators who have lost a majority for good, on each survivor that may lead: it may lose
  // what was acknowledged (raft/core/unsafe_override.h; docs/operations.md says when). Answered at
  // once; GroupStatus then says what holds.
  void RecoverUnsafely(UnsafeRecoveryRequest request, ControlCallback done);

  // Entries from `first` on, as soon as one of them is committed and durable on this member: at
  // least one, then at most `max_bytes` of them; commands and all others. For who follows the log:
  // ask again behind what came, when you are ready for more; who is slow gets no more than it
  // asked for and costs nothing. Works on every member, also while applying is paused; nothing that
  // came is ever taken back. TailCompacted once the log has been dropped past `first`: a snapshot
  // stands for what is missing.
  void Tail(Index first, size_t max_bytes, std::optional<Instant> deadline, TailCallback done);

  // Saves the state now, so that the log up to there can be dropped; `done` gets the position of
  // the last snapshot then, or, of a machine that is durable by itself, up to where its state is
  // safe. UNIMPLEMENTED where the state machine has none. Meant for operators:
  // snapshots are taken by themselves (GroupOptions::compaction).
  void Snapshot(absl::AnyInvocable<void(const absl::StatusOr<LogPosition>&)> done);

  // Ends the attempt to save the state that runs on this member, whoever asked for it: who waits
  // for it is told CANCELLED, and nothing of it stays on the disk. True if there was one; it may
  // have come to its end by then, and is told of as ever. The next one that is due by itself begins
  // 10 s later at the earliest; Snapshot begins one at once. What other members are sent goes on,
  // and a durable machine that makes its state safe by itself is not stopped in that.
  bool AbortSnapshot();

  // From the moment `done` is told OK nothing more is given to this member's state machine, until
  // ResumeApply or a restart. It still replicates, votes and learns what is committed
  // (GroupStatus::commit_index), but never leads meanwhile; reads that need what is not applied
  // wait until their deadlines, and so do calls proposed here; a snapshot that comes in is
  // installed when applying goes on. A group all of whose voters are paused has no leader.
  // FAILED_PRECONDITION on the leader (hand leadership over first); CANCELLED if it was resumed
  // before that.
  using ApplyDone = absl::AnyInvocable<void(const absl::Status&)>;
  void PauseApply(ApplyDone done);
  // Goes on, in order, up to what is committed.
  void ResumeApply();
  // For a machine that has lost its state: StateMachine::Restore is called with the last snapshot
  // of this member, and what was applied since is applied once more, then `done` is told. Nobody
  // gets a second answer, sessions become what they were, and reads here wait meanwhile. A leader
  // may do it too. While applying is paused it waits for that. FAILED_PRECONDITION where no
  // snapshot is kept (durable machines keep none of their own), the log begins behind it, or
  // another replay is under way; DATA_LOSS if the snapshot is damaged: nothing was changed then.
  void ReplaySnapshot(ApplyDone done);

  GroupStatus Status() const;
  // Calls `changed` now and at every change of role, term, leader, state or health, until the host
  // stops.
  void WatchLeadership(absl::AnyInvocable<void(const GroupStatus&)> changed);

 private:
  std::shared_ptr<GroupRunner> runner_;
};

}  // namespace cairn

#endif  // RAFT_GROUP_H_
