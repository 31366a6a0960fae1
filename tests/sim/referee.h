// Referee: sees everything that happens to one group and lets the checkers judge it.

#ifndef TESTS_SIM_REFEREE_H_
#define TESTS_SIM_REFEREE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "raft/envelope.h"
#include "raft/group.h"
#include "storage/log_store.h"
#include "tests/sim/checkers/bounds_checker.h"
#include "tests/sim/checkers/candidacy_checker.h"
#include "tests/sim/checkers/client_checker.h"
#include "tests/sim/checkers/durability_checker.h"
#include "tests/sim/checkers/membership_checker.h"
#include "tests/sim/checkers/state_checker.h"
#include "tests/sim/ledger.h"
#include "tests/sim/list_machine.h"
#include "tests/sim/resets.h"
#include "tests/sim/world.h"

namespace cairn::sim {

// One thread. `world` outlives it.
class Referee {
 public:
  // `voters` are the initial members; `limits` hold what may grow.
  Referee(World& world, GroupId group, std::vector<NodeId> voters,
          DurabilityChecker::RecoverWorstCase recover, const DurabilityChecker::Options& options,
          const GroupOptions& limits);

  // The disk of a node, see LogObserver. `rotten`: the harness has damaged it.
  void LogOpened(NodeId node, const OpenedLog& opened, bool rotten);
  void LogAppended(NodeId node, LogChange change);
  void LogSynced(NodeId node, uint64_t appended);

  // The group's part of a node is to be deleted: from now on it may be gone whenever the log is
  // opened; it is. Then the node is no member any more, and counts for nothing.
  void Deleting(NodeId node) { deletions_.begun.insert(node); }
  void Deleted(NodeId node);
  // Who is reset begins anew as another member (raft/host.h, Reset).
  Resets& resets() { return resets_; }
  // A reset of `node` is said to be done: it must not have been a voter.
  void CheckMayReset(NodeId node);
  // The group is open on a node of this disk, under this incarnation.
  void Opened(NodeId node, Incarnation incarnation, Incarnation of_disk);

  // See Ledger::Rescue. Those who are lost may come back, and are outcasts: what they hold is
  // another history, which is kept as it is; they neither lead nor ask for votes nor acknowledge.
  void Rescue(NodeId best, const std::set<NodeId>& lost, Ledger::Override rule);

  bool IsOutcast(NodeId node) const { return outcasts_.contains(node); }

  // An envelope of this group is sent.
  void Sent(const Envelope& envelope);
  // A node shows its status, within the life of one process.
  void Shown(NodeId node, const GroupStatus& status);
  void ProcessEnded(NodeId node);
  // What a new state machine on `node` reports to.
  ListMachine::Observer MachineObserver(NodeId node);

  // See Ledger::ObserveLeaders.
  void ObserveLeaders(std::function<void(NodeId)> observer) {
    observers_.push_back(std::move(observer));
  }

  const Ledger& ledger() const { return ledger_; }
  StateChecker& states() { return states_; }
  ClientChecker& clients() { return clients_; }
  MembershipChecker& membership() { return membership_; }
  BoundsChecker& bounds() { return bounds_; }
  CandidacyChecker& candidacy() { return candidacy_; }

 private:
  // The snapshot whose chunks a node asked for last.
  struct Pulled {
    ContentId id;
    bool by_another_process = false;
  };
  void Begun(NodeId node, Incarnation incarnation);
  void CheckRecovery(NodeId node, const OpenedLog& opened, const LogImage& image, bool rotten);
  void CheckRecoveredIsDurable(NodeId node, const LogImage& image);
  void SentByOutcast(const Envelope& envelope);
  void CountPull(NodeId node, const SnapshotRequest& request);
  void CountRecovery(NodeId node, const RecoveredLog& recovered);
  void Report(const char* invariant, NodeId node, const std::string& what);

  World& world_;
  GroupId group_;
  DurabilityChecker::RecoverWorstCase recover_;
  const bool by_bytes_;  // alone the bytes of a log decide what of it is kept
  Ledger ledger_;
  StateChecker states_;
  DurabilityChecker durability_;
  ClientChecker clients_;
  MembershipChecker membership_;
  BoundsChecker bounds_;
  CandidacyChecker candidacy_;
  std::vector<std::function<void(NodeId)>> observers_;  // of leaders
  std::set<NodeId> opened_;                             // at least once
  std::set<NodeId> outcasts_;
  struct Deletions {
    std::set<NodeId> begun;
    std::set<NodeId> done;
    std::set<NodeId> vanished;  // the log, while it may have been gone; until Opened
  };
  Deletions deletions_;
  Resets resets_;
  std::map<NodeId, Index> torn_;  // first undecided entry
  std::map<NodeId, GroupStatus> shown_;
  std::map<NodeId, Pulled> pulled_;
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_REFEREE_H_
