// StateChecker: all members apply the same commands in the same order, each once.

#ifndef TESTS_SIM_CHECKERS_STATE_CHECKER_H_
#define TESTS_SIM_CHECKERS_STATE_CHECKER_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/time.h"
#include "base/types.h"
#include "storage/record.h"
#include "storage/snapshot_manifest.h"
#include "tests/sim/counters.h"
#include "tests/sim/ledger.h"
#include "tests/sim/violations.h"

namespace cairn::sim {

// Names a command of the workload; the command's bytes begin with it.
using CommandId = uint64_t;

// What a state machine did with one command.
struct AppliedCommand {
  LogPosition position;
  WallTime time;
  CommandId command = 0;
  uint64_t command_hash = 0;
  uint64_t state_hash = 0;  // of the state afterwards
  std::string reply;
};

// I8 (state machine safety), I12 (nothing is applied that was not proposed, or with other bytes),
// I15 (nothing twice), I17 (applied is committed, in order) and I18 (a snapshot is what the entries
// made, byte for byte the same wherever it was made). A fenced command is applied in no other term
// than its own; nothing is applied while that is paused, and only a replay takes a state back. One
// thread.
class StateChecker {
 public:
  StateChecker(Ledger& ledger, Violations& violations, Counters& counters)
      : ledger_(ledger), violations_(violations), counters_(counters) {}

  // The workload is going to propose it, the same way each time. `fence`:
  // ProposeOptions::expected_term.
  void Proposed(CommandId command, uint64_t command_hash, const SessionCall& call, Term fence = 0) {
    proposed_[command] = {command_hash, call, fence};
  }

  // A state machine of `node` starts with an empty state.
  void Started(NodeId node);
  // `node` has said that applying is paused there; is asked to go on.
  void Paused(NodeId node) { machines_[node].paused = true; }
  void Resumed(NodeId node) { machines_[node].paused = false; }
  bool paused(NodeId node) const;
  // `node` is asked to replay its snapshot; has told what came of that.
  void ReplayAsked(NodeId node) { ++machines_[node].replays; }
  void ReplayTold(NodeId node) { --machines_[node].replays; }
  void Applied(NodeId node, const AppliedCommand& applied);
  // The state machine of `node` comes from a snapshot at `position` (I18).
  void Restored(NodeId node, LogPosition position, uint64_t state_hash);
  // A snapshot at `position` has this id on `node`.
  void SnapshotMade(NodeId node, LogPosition position, const ContentId& id);
  // Everything up to `index` was applied, entries that are no commands included.
  void AppliedUpTo(NodeId node, LogPosition position);

  // What was applied behind `index` is lost with a majority, and may be applied again elsewhere.
  void ForgetBehind(Index index);

  // The first application of a command, on whichever node; null if there was none.
  const AppliedCommand* Find(CommandId command) const;
  // How far the state machine of `node` is.
  Index applied(NodeId node) const;
  // All commands applied by anybody, in order of index.
  std::vector<CommandId> Commands() const;

 private:
  struct Proposal {
    uint64_t command_hash = 0;
    SessionCall call;
    Term fence = 0;  // 0: none
  };
  struct Machine {
    LogPosition applied;
    bool paused = false;
    int replays = 0;  // asked for, and not answered
  };
  void CheckNotPaused(NodeId node, Index index);
  void CheckFirst(NodeId node, const AppliedCommand& applied);
  void CheckSession(CommandId command, const SessionCall& call);

  Ledger& ledger_;
  Violations& violations_;
  Counters& counters_;
  std::map<CommandId, Proposal> proposed_;
  std::map<uint64_t, std::set<uint64_t>> session_numbers_;  // applied, by session
  std::map<Index, AppliedCommand> by_index_;
  std::map<CommandId, Index> by_command_;
  std::map<NodeId, Machine> machines_;
  std::map<LogPosition, ContentId> snapshots_;
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_CHECKERS_STATE_CHECKER_H_
