// Replica: what a group's committed entries have made on this node: the state machine and the
// sessions.

#ifndef RAFT_REPLICA_H_
#define RAFT_REPLICA_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/time.h"
#include "base/types.h"
#include "raft/frozen_state.h"
#include "raft/proposal.h"
#include "raft/session.h"
#include "raft/state_machine.h"
#include "storage/file_system.h"
#include "storage/incoming_snapshot.h"
#include "storage/record.h"
#include "storage/stored_snapshot.h"

namespace cairn {

// Holds: applied() grows by one entry after the other, or by a snapshot's; a command reaches the
// state machine only if its session says so; the time given to the machine never falls.
//
// Threads: one at a time.
class Replica final : public ReplicaArchive {
 public:
  Replica(std::unique_ptr<StateMachine> machine, size_t max_sessions);

  // Opens the machine. The first entry to Apply is the one behind applied(): where the machine
  // holds state but restored no sessions, that is the log's first, and the commands up to
  // machine_position() only pass through the session table.
  // `context` without the archive, which is this.
  absl::Status Open(OpenContext context);
  // Whether the machine keeps its state on disk by itself.
  bool durable() const { return machine_->durable(); }
  bool asynchronous() const { return machine_->asynchronous(); }
  LogPosition machine_position() const { return machine_position_; }
  LogPosition applied() const { return applied_; }
  size_t sessions() const { return sessions_.size(); }

  // Applies the run. With `results`: appends what is to be answered to the proposer of each entry.
  void Apply(const RecordRun& run, std::vector<ProposalResult>* results);
  // Tells the machine that everything up to applied() was applied, once that can be read.
  void Announce();

  // The last configuration applied, and where it stood; {0, 0} if there was none.
  LogPosition configuration_at() const { return configuration_at_; }
  const std::string& configuration() const { return configuration_; }

  // As StateMachine::MakeDurable.
  bool MakeDurable() { return machine_->MakeDurable(); }
  // What the entries up to applied() have made; nothing if the machine has no snapshots.
  std::optional<FrozenState> Freeze() const;
  // Becomes what `snapshot` says, later than applied() or not: applied() is its position then, and
  // what follows it is to be applied, again or for the first time. After an error nothing is sure.
  absl::Status RestoreFrom(const StoredSnapshot& snapshot);
  // StateMachine::Mend with what came of a snapshot.
  absl::Status Mend(const IncomingSnapshot& patch);

  std::string Save() const override;
  absl::Status Restore(absl::string_view saved) override;

 private:
  // The commands of a run that wait to be given to the machine together.
  struct Round {
    std::vector<ApplyEntry> commands;
    std::vector<SessionCall> calls;  // of each command
    std::vector<size_t> places;      // where its result stands
    std::vector<ProposalResult>* results = nullptr;
  };

  ProposalResult ApplyEntryOf(const RecordRun& run, const RecordView& record, Round& round);
  ProposalResult ApplyCommand(const RecordRun& run, const RecordView& record, Round& round);
  // Gives the commands to the machine and fills in the answers.
  void Finish(Round& round);

  const std::unique_ptr<StateMachine> machine_;
  SessionTable sessions_;
  LogPosition applied_;
  WallTime time_{0};
  LogPosition configuration_at_;
  std::string configuration_;
  LogPosition machine_position_;
  bool sessions_restored_ = false;
};

}  // namespace cairn

#endif  // RAFT_REPLICA_H_
