// Ledger: what the harness itself knows to be committed in one group, worked out from the disks
// and not from what nodes say. It judges what nodes say.

#ifndef TESTS_SIM_LEDGER_H_
#define TESTS_SIM_LEDGER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/types.h"
#include "raft/core/configuration.h"
#include "tests/sim/counters.h"
#include "tests/sim/log_model.h"
#include "tests/sim/violations.h"

namespace cairn::sim {

// The rule (paper 5.4.2): an entry of term T is committed once a quorum of voters, being in term T,
// holds it durably behind the same log as the leader of T; so is everything before it. The voters
// are those of the last configuration in the leader's log (thesis 4.1). Once a joint configuration
// is committed a majority of its new voters is enough: whoever leads later needs one of them, and
// the leader may count by the configuration behind it before a disk has seen that.
//
// Checks I1 (one leader a term), I5 (log matching), I6 (a leader's log neither shrinks nor changes
// in its term), I7 (a new leader holds everything committed), I9 (commit on a quorum) and I10 (what
// is committed stays).
//
// One thread.
class Ledger {
 public:
  using ConfigurationPointer = std::shared_ptr<const Configuration>;

  // `voters` are those until the log says who they are.
  Ledger(std::vector<NodeId> voters, Violations& violations, Counters& counters);

  // The disks. Every change of a group's log on every node comes here, in order.
  void Recovered(NodeId node, LogImage image);
  void Appended(NodeId node, LogChange change);
  // The node's first `appended` changes since it recovered are durable.
  void Synced(NodeId node, uint64_t appended);

  // Is called with each leader of a new term, in the moment the ledger learns of it.
  void ObserveLeaders(std::function<void(NodeId, Term)> observer) {
    observer_ = std::move(observer);
  }
  // What a leader appends to its log: `next` at `index`, behind `previous`.
  struct ConfigurationChange {
    NodeId leader = NodeId::kNone;
    Term term = 0;
    Index first_of_term = 0;   // of the leader
    Index previous_index = 0;  // 0: the initial one
    ConfigurationPointer previous;
    Index index = 0;
    ConfigurationPointer next;
  };
  // They are called in the moment the ledger learns of one, and when one is committed; then
  // `previous` is the committed one before, and `leader` leads the term it is committed in.
  using ConfigurationObserver = std::function<void(const ConfigurationChange&)>;
  void ObserveConfigurations(ConfigurationObserver appended, ConfigurationObserver committed) {
    configuration_appended_ = std::move(appended);
    configuration_committed_ = std::move(committed);
  }

  // A majority is lost for good, and an operator says who is not counted any more, or how many
  // voters are enough (raft/core/unsafe_override.h). Of what was committed that stays of which
  // `best` holds the same, the survivor whose log is furthest; up to there it is committed, and
  // nobody speaks of more.
  struct Override {
    std::set<NodeId> evicted;
    size_t quorum = 0;  // 0: an eviction
  };
  void Rescue(NodeId best, const std::set<NodeId>& lost, Override rule);
  bool rescued() const { return override_.has_value(); }
  // Whether the votes of the nodes that have `voted` elect by `configuration`.
  bool Elects(const Configuration& configuration, const std::function<bool(NodeId)>& voted) const;

  // `node` says or shows that it leads `term`.
  void Led(NodeId node, Term term);
  // `node` sends entries it leads `term` with; they may not be on its own disk yet.
  void SentEntries(NodeId node, Term term, Index first, const std::vector<EntryId>& entries);
  // `node` claims that everything up to `index` is committed. `how` says where.
  void Claimed(NodeId node, Index index, const char* how);

  const LogModel& log(NodeId node) const { return logs_.at(node); }
  const std::map<NodeId, LogModel>& logs() const { return logs_; }
  Index commit() const { return committed_.size(); }
  // Of a committed entry. CHECKs that it is one.
  const EntryId& Committed(Index index) const;
  // The last entry known to be committed in a term before `term`, whose leader has to have it; 0 if
  // there is none.
  Index CommittedBefore(Term term) const;
  // kNone if nobody is known to have led `term`.
  NodeId LeaderOf(Term term) const;
  Term last_term() const { return reigns_.empty() ? 0 : reigns_.rbegin()->first; }
  size_t reigns() const { return reigns_.size(); }
  bool EverLed(NodeId node) const;
  // The highest index that anybody said was committed.
  Index claimed() const { return claimed_; }

  // The last committed configuration at or before `index`, and where it stands; at 0 the initial
  // one.
  std::pair<Index, ConfigurationPointer> ConfigurationAt(Index index) const;
  // The last committed one.
  const Configuration& configuration() const { return *configurations_.rbegin()->second; }
  Index configuration_index() const { return configurations_.rbegin()->first; }
  // All committed ones.
  const std::map<Index, ConfigurationPointer>& configurations() const { return configurations_; }
  // The one in force at the leader of `term`, which is known.
  ConfigurationPointer InForce(Term term) const { return reigns_.at(term).configuration; }

  // Whether `node` holds the committed entry `index` so that any power cut leaves it.
  bool Holds(NodeId node, Index index) const;
  // Whether a quorum does.
  bool QuorumHolds(Index index) const;
  // The disk of `node` rotted: it may have lost what it held, which speaks against nobody who
  // counted on it before. It counts as a holder from now on.
  void Damaged(NodeId node) { damaged_.insert(node); }
  bool damaged(NodeId node) const { return damaged_.contains(node); }
  // All that `node` held is deleted. Nobody who counted on it before did wrong.
  void Deleted(NodeId node) {
    logs_[node] = LogModel();
    damaged_.insert(node);
  }
  // `node` begins anew as another member, and holds nothing.
  void Begun(NodeId node) {
    logs_[node] = LogModel();
    for (auto& [term, reign] : reigns_) reign.match.erase(node);
  }

 private:
  // The time of one leader.
  struct Reign {
    NodeId leader = NodeId::kNone;
    bool over = false;  // the leader was restarted
    LogImage log;       // the leader's, as it wrote or sent it while it led
    // Entries behind its end, which a new member was sent before anybody else.
    std::map<Index, EntryId> ahead;
    Index first = 0;                // the first entry the leader made
    Index configuration_index = 0;  // of the last configuration in `log`; 0: the initial one
    ConfigurationPointer configuration;
    std::map<NodeId, Index> match;  // what each node held durably of it while in this term
  };

  void Extend(Term term, Reign& reign, Index first, const std::vector<EntryId>& entries);
  void Adopt(Term term, Reign& reign, Index index, ConfigurationPointer configuration);
  void Count(NodeId node);
  void Decide(Term term, const Reign& reign);
  // How many of them decide.
  size_t Enough(const std::vector<Member>& voters) const;
  void CheckOwnLog(NodeId node, Term term, const LogChange& change);
  void Commit(Term term, const Reign& reign, Index index);
  void CommitConfiguration(Term term, const Reign& reign, Index index,
                           ConfigurationPointer configuration);
  void CheckCompleteness(NodeId node, Term term, const LogImage& log);
  void CheckMatching(Index first, const std::vector<EntryId>& entries, NodeId node);
  void CheckTruncation(NodeId node, Index from);

  std::set<NodeId> damaged_;
  std::optional<Override> override_;
  Violations& violations_;
  Counters& counters_;
  std::function<void(NodeId, Term)> observer_;
  ConfigurationObserver configuration_appended_;
  ConfigurationObserver configuration_committed_;
  std::map<NodeId, LogModel> logs_;
  std::map<Term, Reign> reigns_;
  std::vector<EntryId> committed_;                        // [i] is entry i + 1
  std::vector<Term> committed_in_;                        // the terms in which; never fall
  std::map<Index, ConfigurationPointer> configurations_;  // committed; [0] is the initial one
  Index claimed_ = 0;
  std::map<std::pair<Index, Term>, EntryHash> entries_;
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_LEDGER_H_
