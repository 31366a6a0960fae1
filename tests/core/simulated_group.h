// SimulatedGroup: a few Rafts, their disks and a network, stepped by hand or at random, with every
// promise of Raft checked after every step.

#ifndef TESTS_CORE_SIMULATED_GROUP_H_
#define TESTS_CORE_SIMULATED_GROUP_H_

#include <cstdint>
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
#include "raft/core/invariants.h"
#include "raft/core/raft.h"
#include "raft/core/trace.h"
#include "tests/core/simulated_disk.h"

namespace cairn {

// What can go wrong, each as "one in n" of its occasions; 0: never.
struct SimulatedFaults {
  uint64_t lose = 0;
  uint64_t repeat = 0;
  uint64_t reorder = 0;
  uint64_t late = 0;       // of messages: it is held up for long
  uint64_t crash = 0;      // of steps
  uint64_t partition = 0;  // of steps: another partition, or none
  uint64_t pause = 0;      // of steps: a node stands still, its timers too, and goes on unaware
  uint64_t change = 0;     // of steps: members are declared at some node, or a change is cancelled
  uint64_t control = 0;    // of steps: a transfer, a step-down or a campaign is asked for
  uint64_t wipe = 0;       // of steps: a node that nobody knows as a member loses its disk
  bool slow_disks = false;
  bool torn = false;
  // Logs are compacted, and members that lag far behind are fed by snapshots.
  uint64_t compact = 0;  // of steps: a node drops what its state machine has durably, or a part
  bool forget = false;   // a power cut may take what was synced, term and vote too, of few nodes
  bool rot = false;      // a power cut may take acknowledged entries, of one node at a time
  bool hasty = false;    // election timeouts are so short that leaders change all the time
  // Only what a user would notice counts: two leaders, lost or changed entries, stale reads. Shows
  // that the schedules turn a false claim into harm.
  bool outcomes_only = false;
};

class SimulatedGroup : public TraceSink {
 public:
  // Nodes 1..size are voters.
  SimulatedGroup(int size, uint64_t seed, SimulatedFaults faults = {});
  SimulatedGroup(Configuration initial, uint64_t seed, SimulatedFaults faults = {});
  // Nodes 1..size are voters, those up to `nodes` exist and know no members.
  SimulatedGroup(int size, int nodes, uint64_t seed, SimulatedFaults faults);

  // The first broken promise; empty while all is well. Nothing moves after it.
  const std::string& violation() const { return violation_; }
  // What the nodes decided, the last few thousand lines of it.
  std::string Story() const;

  // One random thing happens.
  void RandomStep();
  // Faults stop, all nodes run, and everything is delivered for `duration`.
  void Heal(Duration duration);
  // Delivers and syncs until nothing is left to do at this instant.
  void Settle();
  // Lets time pass; timers fire, and everything settles in between.
  void Run(Duration duration);

  void Propose(NodeId node, uint64_t count = 1);
  void Read(NodeId node);
  // The node's state machine has durably what it has applied, but for the last `retained` entries.
  void Compact(NodeId node, Index retained);
  // Declares the voters `nodes`, each with its disk of now, at `node`.
  void Declare(NodeId node, const std::vector<NodeId>& nodes);
  void Crash(NodeId node);
  void Restart(NodeId node);
  // Members of different sides do not hear each other.
  void Partition(std::set<NodeId> side) { side_ = std::move(side); }

  Raft& raft(NodeId node) { return *Of(node).raft; }
  bool running(NodeId node) { return Of(node).raft != nullptr; }
  const SimulatedDisk& disk(NodeId node) { return Of(node).disk; }
  // The leader of the highest term; kNone if no node leads.
  NodeId Leader() const;
  const std::vector<NodeId>& nodes() const { return ids_; }
  Index committed() const { return ledger_.size(); }
  int reads_answered() const { return tally_.reads_answered; }
  int changes() const { return tally_.changes; }                  // committed configurations
  int transfers() const { return tally_.transfers; }              // that went well
  int snapshots_taken() const { return tally_.snapshots_taken; }  // by a log that gave way
  int snapshots_restored() const { return tally_.snapshots_restored; }
  int forgotten() const { return tally_.forgotten; }    // disks that lost what was synced
  int torn_taken() const { return tally_.torn_taken; }  // torn entries that another one gave
  int elections() const { return static_cast<int>(leaders_.size()); }
  Instant now() const { return now_; }
  RaftOptions options;  // of the nodes that start from now on; node and seed are set for each

  void Trace(Instant now, NodeId node, absl::string_view decision) override;

 private:
  struct Snapshot {
    SnapshotPoint point;
    std::vector<SimulatedEntry> entries;  // from index 1 on
  };
  struct Packet {
    Message message;
    std::vector<SimulatedEntry> entries;
    // Then `message` has no body but from and to: a whole snapshot arrives, and its leader's term.
    std::shared_ptr<const SnapshotReceived> offer = nullptr;
    // Or it is a question for torn entries, or their answer.
    std::shared_ptr<const AskTorn> ask = nullptr;
    std::shared_ptr<const TornEntriesGiven> given = nullptr;
  };
  struct Payload {
    Index first = 0;  // of received entries
    std::vector<SimulatedEntry> entries;
  };
  struct Node {
    SimulatedDisk disk;
    std::unique_ptr<Raft> raft;  // null while it is down
    bool dirty = false;          // stepped since its effects were taken
    InvariantChecker invariants;
    std::map<PayloadId, Payload> payloads;
    std::map<ReadId, Index> reads;  // the commit index when they were asked
    std::optional<Instant> paused_until;
    Index applied = 0;                   // by the state machine, which is durable
    Index saved = 0;                     // of that, what a power cut leaves at least
    std::map<Index, Snapshot> received;  // whole and durable
    Index checked_commit = 0;
    Incarnation incarnation = Incarnation::kUnknown;
    Configuration initial;
  };
  struct Committed {
    Term term = 0;
    uint64_t value = 0;
    Term committed_in = 0;
  };

  Node& Of(NodeId node) { return nodes_.at(node); }
  void Step(NodeId id, Event event);
  void Execute(NodeId id);
  void Write(NodeId id, const LogBatch& batch);
  void Carry(NodeId id, const SendEntries& send);
  void GiveTorn(NodeId id, NodeId to, const AskTorn& ask);
  void Answer(NodeId id, const ReadOutcome& outcome);
  void SendSnapshot(NodeId id, const cairn::SendSnapshot& send);
  Snapshot MakeSnapshot(NodeId id, Index at);
  void CompactSome(NodeId id);
  void Deliver(size_t index);
  void DeliverSome();
  void Disturb();
  void DeclareSome(NodeId id);
  void ControlSome(NodeId id);
  void WipeSome(NodeId id);
  void Answer(NodeId id, const ControlOutcome& outcome);
  bool IsStranger(const Message& message);
  void RotSome(NodeId id);
  void ForgetSome(NodeId id);
  bool RewritesRot(NodeId id);
  void Resume();
  void Sync(NodeId id, Ticket ticket);
  void TickDue();
  bool Connected(NodeId a, NodeId b) const { return side_.contains(a) == side_.contains(b); }
  bool Stands(NodeId id) { return Of(id).paused_until.has_value(); }
  std::optional<NodeId> RandomRunning();

  // checks
  void Violate(std::string what);
  void ViolateClaim(std::string what);
  void CheckSend(NodeId from, const Message& message);
  void CheckAll(NodeId id);
  void CheckLeader(NodeId id);
  void CheckCommit(NodeId id);
  void CheckWritten(NodeId id, Index index);
  void CheckCommittedConfiguration(const SimulatedEntry& entry);
  Configuration ConfigurationBefore(NodeId id);
  bool DurableOnQuorum(Index index, Term term, const Configuration& configuration);

  Random random_;
  SimulatedFaults faults_;
  std::vector<NodeId> ids_;
  std::map<NodeId, Node> nodes_;
  std::deque<Packet> network_;
  std::deque<Packet> late_;
  std::set<NodeId> side_;
  Instant now_ = Instant{} + Seconds(1000);
  uint64_t last_id_ = 0;  // of values, payloads, reads and starts

  // what must stay true over the whole run
  std::map<Term, NodeId> leaders_;
  std::map<std::pair<NodeId, Term>, NodeId> votes_;
  std::vector<Committed> ledger_;  // ledger_[i]: what was committed at i + 1
  std::map<LogPosition, std::pair<uint64_t, Term>> entries_;  // value, term of the entry before
  std::optional<Configuration> last_configuration_;           // of those committed
  std::set<uint64_t> requests_;                               // not answered
  struct Tally {
    int changes = 0;
    int transfers = 0;
    int reads_answered = 0;
    int snapshots_taken = 0;
    int snapshots_restored = 0;
    int forgotten = 0;
    int torn_taken = 0;
  };
  Tally tally_;
  std::string violation_;
  std::deque<std::string> story_;
};

}  // namespace cairn

#endif  // TESTS_CORE_SIMULATED_GROUP_H_
