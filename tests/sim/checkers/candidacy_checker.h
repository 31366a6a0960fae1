// CandidacyChecker: who must not lead does not.

#ifndef TESTS_SIM_CHECKERS_CANDIDACY_CHECKER_H_
#define TESTS_SIM_CHECKERS_CANDIDACY_CHECKER_H_

#include <map>
#include <set>
#include <utility>

#include "base/types.h"
#include "tests/sim/counters.h"
#include "tests/sim/violations.h"

namespace cairn::sim {

// Observers, which vote and never campaign (GroupOptions::never_campaigns), ask for no vote and
// lead no term; nor does a member whose applying is paused, or who was deleted and comes back (its
// votes are not counted: that is the referee's). One thread.
class CandidacyChecker {
 public:
  CandidacyChecker(Violations& violations, Counters& counters)
      : violations_(violations), counters_(counters) {}

  void Observes(NodeId node) { observers_.insert(node); }
  void Deleted(NodeId node) { deleted_.insert(node); }
  // `node` says that applying is paused, by when it had come to `term`; that ends.
  void Paused(NodeId node, Term term) { paused_[node] = term; }
  void Resumed(NodeId node) { paused_.erase(node); }

  // `node` asks for votes in `term`; gives one; leads it.
  void AskedForVotes(NodeId node, Term term) { CheckMay(node, term, "asks for votes in"); }
  void Voted(NodeId node);
  void Elected(NodeId node, Term term) { CheckMay(node, term, "leads"); }

 private:
  void Report(NodeId node, Term term, const char* what, const char* but);
  void CheckMay(NodeId node, Term term, const char* what);

  Violations& violations_;
  Counters& counters_;
  std::set<NodeId> observers_;
  std::set<NodeId> deleted_;
  std::map<NodeId, Term> paused_;
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_CHECKERS_CANDIDACY_CHECKER_H_
