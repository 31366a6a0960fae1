// MembershipChecker: however the members change, no two groups of them decide apart.

#ifndef TESTS_SIM_CHECKERS_MEMBERSHIP_CHECKER_H_
#define TESTS_SIM_CHECKERS_MEMBERSHIP_CHECKER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "base/types.h"
#include "raft/control/control.h"
#include "raft/core/configuration.h"
#include "raft/core/membership_plan.h"
#include "raft/group_status.h"
#include "tests/sim/counters.h"
#include "tests/sim/ledger.h"
#include "tests/sim/violations.h"

namespace cairn::sim {

// I16 (membership safety): the quorums of any two configurations that can be active together meet;
// a leader appends none while the one before is not committed, and none before an entry of its own
// term is; elections are won by a quorum of voters (commits are the ledger's, which never counts
// learners). And the answers to operators: what was done is committed, and what was refused for
// sure is never appended. Only where a majority was lost and an operator has said so a leader may
// begin with other members, once, and it stays written down for ever. One thread.
class MembershipChecker {
 public:
  MembershipChecker(const Ledger& ledger, Violations& violations, Counters& counters)
      : ledger_(ledger), violations_(violations), counters_(counters) {}

  // Ledger::ObserveConfigurations.
  void Appended(const Ledger::ConfigurationChange& change);
  void Committed(const Ledger::ConfigurationChange& change);
  // `leader` leads `term`; `voted`: who has durably voted for it.
  void Elected(NodeId leader, Term term, const std::function<bool(NodeId)>& voted);

  // An operator declares `members`, of which one has `tag`, if it is not empty: an address that
  // nobody had before.
  void Declared(uint64_t request, DeclaredMembers members, std::string tag);
  // `node` answers.
  void Told(uint64_t request, NodeId node, const ControlResult& result);

  // The last configuration in a node's log is the one it goes by, committed or not, and no other
  // (thesis 4.1).
  void Shown(NodeId node, const GroupStatus& status);
  // Whether `status` shows the last committed configuration; and that it has to, on a member that
  // has all there is.
  bool IsInForce(const GroupStatus& status) const {
    return status.configuration == ledger_.configuration();
  }
  void ShownAtRest(NodeId node, const GroupStatus& status);

  // Members of some configuration that was ever appended.
  bool EverMember(NodeId node) const { return ever_.contains(node); }
  // Whether the last committed configuration does not name `node`, and one before it did, be it
  // that this one was never committed: a node that was to join cannot know that.
  bool WasRemoved(NodeId node) const { return removed_.contains(node); }

 private:
  struct Request {
    DeclaredMembers members;
    std::string tag;
  };
  void Report(NodeId node, const std::string& what);
  void CheckFollows(const Ledger::ConfigurationChange& change, const std::string& what);
  void CheckActive(const Ledger::ConfigurationChange& change);
  void CheckDone(NodeId node, const Request& request, const ControlDone& done);
  void CountCommitted(const Ledger::ConfigurationChange& change);

  const Ledger& ledger_;
  Violations& violations_;
  Counters& counters_;
  std::map<uint64_t, Request> requests_;
  std::set<std::string> appended_;  // addresses
  std::set<std::string> refused_;   // tags
  std::map<NodeId, Index> ever_;    // the first configuration that named it, committed or not
  std::set<NodeId> removed_;
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_CHECKERS_MEMBERSHIP_CHECKER_H_
