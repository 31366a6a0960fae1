// TailChecker: who follows a group's committed entries gets each of them once, in order.

#ifndef TESTS_SIM_CHECKERS_TAIL_CHECKER_H_
#define TESTS_SIM_CHECKERS_TAIL_CHECKER_H_

#include <algorithm>
#include <cstddef>
#include <string>

#include "base/types.h"
#include "raft/tail/committed_tails.h"
#include "tests/sim/counters.h"
#include "tests/sim/ledger.h"
#include "tests/sim/violations.h"

namespace cairn::sim {

// One tail, which asks one member after the other. What it is told follows what it was told before
// without a gap, but for what its member's log has no more; it is committed and durable on that
// member, and no more than was asked for. One thread.
class TailChecker {
 public:
  TailChecker(const Ledger& ledger, Violations& violations, Counters& counters)
      : ledger_(ledger), violations_(violations), counters_(counters) {}

  // Where to ask from.
  Index next() const { return next_; }
  void ForgetBehind(Index index) { next_ = std::min(next_, index + 1); }
  // `node` was asked from there, for at most `max_bytes`, and answers.
  void Told(NodeId node, size_t max_bytes, const TailResult& result);

 private:
  void TakeEntries(NodeId node, size_t max_bytes, const TailEntries& entries);
  void Report(NodeId node, const std::string& what);

  const Ledger& ledger_;
  Violations& violations_;
  Counters& counters_;
  Index next_ = 1;
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_CHECKERS_TAIL_CHECKER_H_
