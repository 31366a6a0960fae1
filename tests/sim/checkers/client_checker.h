// ClientChecker: clients get what they were promised.

#ifndef TESTS_SIM_CHECKERS_CLIENT_CHECKER_H_
#define TESTS_SIM_CHECKERS_CLIENT_CHECKER_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "base/types.h"
#include "raft/proposal.h"
#include "tests/sim/checkers/durability_checker.h"
#include "tests/sim/checkers/state_checker.h"
#include "tests/sim/violations.h"

namespace cairn::sim {

// The history of a group as its clients see it. All clients append to one list and read all of it,
// so a history is linearizable (I13) if and only if what was acknowledged stands in the list behind
// everything that was acknowledged or read before it was asked for, and a read sees all of that
// too (I14). What any node has shown to be committed was known as well: reads and later commands
// come behind it. Checks also the three-fold outcome: what was "not applied" never is (fault
// catalogue 3.3), and retries of a session call get the first answer (I15). One thread.
class ClientChecker {
 public:
  ClientChecker(const Ledger& ledger, const StateChecker& states, DurabilityChecker& durability,
                Violations& violations, Counters& counters)
      : ledger_(ledger),
        states_(states),
        durability_(durability),
        violations_(violations),
        counters_(counters) {}

  // A client proposes `command`, for the first time or again.
  void Asked(CommandId command);
  // The answer to one such proposal. `node` gave it.
  void Told(CommandId command, NodeId node, const ProposalResult& result);

  // A client asks for a read; what it gets must have applied at least the result.
  Index AskedToRead() const { return std::max(horizon_, ledger_.claimed()); }
  // `node` says that its state may be read, for a read asked for at `horizon`.
  void ToldToRead(NodeId node, Index horizon, const ReadReady& ready);

  // A member asks the leader for an index to read at, for the first time or again; it is answered.
  // The answer belongs to that very question, and is no older (I14).
  void AskedLeader(NodeId node, uint64_t request);
  void LeaderAnswered(NodeId node, uint64_t request, Index index);

  // `command` was applied for the first time.
  void Applied(CommandId command);

  // What was acknowledged or read behind `index` is lost with a majority; nothing else is.
  void ForgiveBehind(Index index);

  // At the end: every acknowledged command is in the state of `node`, which has caught up.
  void CheckNothingLost(NodeId node) const;

  uint64_t acknowledged() const { return acknowledged_; }

 private:
  struct Command {
    Index horizon = 0;   // as it was first asked for
    uint64_t open = 0;   // proposals not yet answered
    bool maybe = false;  // one had an unknown outcome
    Index at = 0;        // acknowledged there
  };
  void ToldApplied(CommandId id, Command& command, NodeId node, const ProposalApplied& applied);

  const Ledger& ledger_;
  const StateChecker& states_;
  DurabilityChecker& durability_;
  Violations& violations_;
  Counters& counters_;
  std::map<CommandId, Command> commands_;
  std::map<std::pair<NodeId, uint64_t>, Index> asked_;  // the horizon of each question
  Index horizon_ = 0;                                   // the highest index anybody was told of
  uint64_t acknowledged_ = 0;
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_CHECKERS_CLIENT_CHECKER_H_
