// DamagedGroup: a group of Rafts that starts from disks which have lost something, all of them up.

#ifndef TESTS_CORE_RECOVERY_DAMAGED_GROUP_H_
#define TESTS_CORE_RECOVERY_DAMAGED_GROUP_H_

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "base/types.h"
#include "raft/core/configuration.h"
#include "raft/core/invariants.h"
#include "raft/core/raft.h"
#include "raft/core/trace.h"

namespace cairn {

inline constexpr Index kModelBase = 1;  // of every history; entries stand behind it

// One node's disk before the start. Entry 0 is the one at kModelBase + 1.
struct DamagedDisk {
  std::vector<Term> terms = {};
  std::vector<bool> good = {};
  bool torn = false;  // what is bad at the end a power cut may have done
  // It cannot tell what it has promised: `terms` may be less than it had (raft/core/rejoin.h).
  bool unsure = false;
  // So many of the first entries a snapshot stands for: they are not in the log any more.
  size_t compacted = 0;
  bool state_lost = false;  // and the snapshot cannot be read
  size_t applied = 0;       // else what so many entries have made is there; at least `compacted`

  size_t size() const { return terms.size(); }
  // The first of the bad ones that nothing good stands behind; size() if there is none.
  size_t bad_end() const;
};
using DamagedDisks = std::vector<DamagedDisk>;

// "1 2x | 1 2? unsure": x is bad, ? torn, and what stands in brackets is in a snapshot.
std::string Describe(const DamagedDisks& disks);

// Who the members are: `base` from the start on, and `joint` from where it stands in the log.
struct ModelMembers {
  Configuration base;
  Index joint_at = kMaxIndex;  // of the log's entries; kMaxIndex: none
  Configuration joint = {};
  std::set<NodeId> observers = {};  // vote and never campaign
};
Configuration VotersUpTo(size_t count);

// Their effects are carried out in memory. What stands for raft/repair/ fills a hole from any
// member that can read the entry, says where none can, and gives snapshots.
class DamagedGroup {
 public:
  // With `luck` a repair now and then, else all at once. `trace` may be null.
  DamagedGroup(const DamagedDisks& disks, ModelMembers members, Random* luck = nullptr,
               TraceSink* trace = nullptr);

  // Until a leader has committed in its term, no configuration is joint, and the logs of all
  // members are equal, sure and whole, or for `limit`.
  bool Recovers(Duration limit);
  // Whether the group, recovered, holds the first `count` entries of `disk`.
  bool Keeps(const DamagedDisk& disk, size_t count) const;
  // What no group may do, the first time it is done; empty: nothing.
  const std::string& violation() const { return violation_; }

  // Two more entries are acknowledged by all and committed, which the others have not heard yet.
  // The first of them turns out unreadable at each of those, and all that was ever answered is
  // answered to them again: none forgets anything or halts. Gives how many had asked before.
  size_t DamageAgain();

 private:
  struct Node {
    std::unique_ptr<Raft> raft;
    InvariantChecker checker;
    std::vector<bool> good;   // by index
    Index kept = kModelBase;  // the state up to here is durable outside the log
    bool fenced = false;
  };
  struct Offer {
    NodeId from = NodeId::kNone;
    NodeId to = NodeId::kNone;
    Term term = 0;
    Index at_least = 0;
  };

  void Start(size_t i, const DamagedDisk& disk, Term term, TraceSink* trace);
  Node& At(NodeId node) { return *nodes_[ToInteger(node) - 1]; }
  void Step(Node& node, Event event);
  void Take(Node& node);
  void Write(Node& node, const LogBatch& batch);
  void Apply(Node& node, Index up_to);
  void Send(Node& node, const SendEntries& send);
  void Settle();
  bool GiveTorn();
  bool GiveSnapshot();
  bool CanGive(const Node& giver, LogPosition entry) const;
  bool Repair();
  void AskForStates();
  void TellNowhere(Node& node);
  bool Nowhere(const Node& node, LogPosition entry) const;
  void CheckDecided(LogPosition entry);
  // The configuration that stands there, if one does.
  std::vector<std::pair<LogPosition, Configuration>> ConfigurationsAt(LogPosition at) const;
  std::pair<LogPosition, Configuration> DecidedUpTo(Index index) const;
  const Raft* Leader() const;
  bool Recovered() const;
  bool Lucky(uint64_t one_in) { return luck_ == nullptr || luck_->OneIn(one_in); }
  void Violate(const std::string& what) {
    if (violation_.empty()) violation_ = what;
  }

  const ModelMembers members_;
  Random* const luck_;
  std::vector<std::pair<LogPosition, Configuration>> appended_;
  Term first_term_ = 1;  // all entries of the disks are of this one or an earlier one
  Instant now_ = Instant() + Seconds(1000);
  std::vector<std::unique_ptr<Node>> nodes_;
  std::deque<Message> queue_;
  std::deque<std::pair<NodeId, AskTorn>> asked_;
  std::deque<Offer> offers_;
  std::deque<Message> answers_;    // TailReply, all there were
  std::map<Index, Term> decided_;  // what some state holds
  bool quiet_ = false;             // heartbeats are lost
  std::string violation_;
};

}  // namespace cairn

#endif  // TESTS_CORE_RECOVERY_DAMAGED_GROUP_H_
