// Ledger: what the harness itself knows to be committed in one group, worked out from the disks
// and not from what nodes say. It judges what nodes say.

#ifndef TESTS_SIM_LEDGER_H_
#define TESTS_SIM_LEDGER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/types.h"
#include "tests/sim/counters.h"
#include "tests/sim/log_model.h"
#include "tests/sim/violations.h"

namespace cairn::sim {

// The rule (paper 5.4.2): an entry of term T is committed once a quorum of voters, being in term T,
// holds it durably behind the same log as the leader of T; so is everything before it.
//
// Checks I1 (one leader a term), I5 (log matching), I6 (a leader only appends), I7 (a new leader
// holds everything committed), I9 (commit on a quorum) and I10 (what is committed stays).
//
// The set of voters is fixed. One thread.
class Ledger {
 public:
  Ledger(std::vector<NodeId> voters, Violations& violations, Counters& counters);

  // The disks. Every change of a group's log on every node comes here, in order.
  void Recovered(NodeId node, LogImage image);
  void Appended(NodeId node, LogChange change);
  // The node's first `appended` changes since it recovered are durable.
  void Synced(NodeId node, uint64_t appended);

  // Is called with each leader of a new term, in the moment the ledger learns of it.
  void ObserveLeaders(std::function<void(NodeId)> observer) { observer_ = std::move(observer); }

  // `node` says or shows that it leads `term`.
  void Led(NodeId node, Term term);
  // `node` sends entries it leads `term` with; they may not be on its own disk yet.
  void SentEntries(NodeId node, Term term, Index first, const std::vector<EntryId>& entries);
  // `node` claims that everything up to `index` is committed. `how` says where.
  void Claimed(NodeId node, Index index, const char* how);

  const LogModel& log(NodeId node) const { return logs_.at(node); }
  Index commit() const { return committed_.size(); }
  // Of a committed entry. CHECKs that it is one.
  const EntryId& Committed(Index index) const;
  // kNone if nobody is known to have led `term`.
  NodeId LeaderOf(Term term) const;
  Term last_term() const { return reigns_.empty() ? 0 : reigns_.rbegin()->first; }
  size_t reigns() const { return reigns_.size(); }
  size_t quorum() const { return voters_.size() / 2 + 1; }
  // How many voters hold the committed entry `index` so that any power cut leaves it.
  size_t Holders(Index index) const;
  // The disk of `node` rotted: it may have lost what it held, which speaks against nobody who
  // counted on it before. It counts as a holder from now on.
  void Damaged(NodeId node) { damaged_.insert(node); }

 private:
  // The time of one leader.
  struct Reign {
    NodeId leader = NodeId::kNone;
    bool over = false;              // the leader was restarted
    LogImage log;                   // the leader's, as it wrote or sent it while it led
    std::map<NodeId, Index> match;  // what each voter held durably of it while in this term
  };

  void Extend(Reign& reign, Index first, const std::vector<EntryId>& entries);
  void Count(NodeId node);
  void Commit(Term term, const Reign& reign, Index index);
  void CheckCompleteness(NodeId node, Term term, const LogImage& log);
  void CheckMatching(Index first, const std::vector<EntryId>& entries, NodeId node);
  void CheckTruncation(NodeId node, Index from);

  std::vector<NodeId> voters_;
  std::set<NodeId> damaged_;
  Violations& violations_;
  Counters& counters_;
  std::function<void(NodeId)> observer_;
  std::map<NodeId, LogModel> logs_;
  std::map<Term, Reign> reigns_;
  std::vector<EntryId> committed_;  // [i] is entry i + 1
  std::vector<Term> committed_in_;  // the terms in which; never fall
  std::map<std::pair<Index, Term>, EntryHash> entries_;
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_LEDGER_H_
