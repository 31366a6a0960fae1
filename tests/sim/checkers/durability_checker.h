// DurabilityChecker: what a message asserts survives a power cut before the message leaves.

#ifndef TESTS_SIM_CHECKERS_DURABILITY_CHECKER_H_
#define TESTS_SIM_CHECKERS_DURABILITY_CHECKER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "absl/status/statusor.h"
#include "base/random.h"
#include "raft/envelope.h"
#include "tests/sim/counters.h"
#include "tests/sim/ledger.h"
#include "tests/sim/log_model.h"
#include "tests/sim/violations.h"

namespace cairn::sim {

// I4 (persist before send) and I2 (one vote per node and term, over restarts), judged as envelopes
// are sent: votes and RequestVotes by the durable term and vote, append acknowledgements by the
// durable log, all of it as the worst power cut would leave it. The model of the disk answers
// that; on a sample the real store recovers the worst image of the real disk and has to agree.
//
// A node whose disk has lost a vote may give it once more where nobody is elected by the first one
// (raft/core/rejoin.h): its candidate's log lacked what was committed before that term.
// One thread.
class DurabilityChecker {
 public:
  // What the node's real store recovers if the power goes now and takes all that is not synced.
  using RecoverWorstCase = std::function<absl::StatusOr<LogImage>(NodeId)>;
  struct Options {
    // One of so many assertions is checked with the real store; 0: none.
    uint64_t real_one_in = 16;
    uint64_t seed = 0;
  };
  DurabilityChecker(const Ledger& ledger, Violations& violations, Counters& counters,
                    RecoverWorstCase recover, const Options& options);

  // The durable hard state of a node may have changed.
  void HardStateDurable(NodeId node, HardState hard_state);
  // `node` begins anew as another member, which has voted for nobody. Who was elected by the votes
  // of the one before stays elected.
  void Begun(NodeId node);
  bool VotedFor(NodeId node, Term term, NodeId candidate) const;
  void Sent(const Envelope& envelope);
  // A client, or a node that forwarded for one, is told that `index` is applied.
  void Answered(NodeId node, Index index);

 private:
  void CheckVote(NodeId node, Term term, NodeId candidate, const char* message);
  bool InVain(Term term, NodeId candidate) const;
  void CheckHeld(NodeId node, Term term, Index index, const char* message);
  void CheckReal(NodeId node, const char* message,
                 const std::function<bool(const LogImage&)>& holds);
  void Report(NodeId node, const char* message, const std::string& what);

  const Ledger& ledger_;
  Violations& violations_;
  Counters& counters_;
  RecoverWorstCase recover_;
  Options options_;
  Random random_;
  std::map<std::pair<NodeId, Term>, NodeId> sent_;             // votes, own ones included
  std::map<std::pair<NodeId, Term>, NodeId> durable_;          // votes that were ever durable
  std::set<std::tuple<NodeId, Term, NodeId>> of_former_;       // of members that began anew
  std::map<std::pair<NodeId, Term>, LogPosition> candidates_;  // and where their logs end
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_CHECKERS_DURABILITY_CHECKER_H_
