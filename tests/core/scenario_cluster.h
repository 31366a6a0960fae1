// ScenarioCluster: a few Rafts, their disks and the messages between them, moved by hand.

#ifndef TESTS_CORE_SCENARIO_CLUSTER_H_
#define TESTS_CORE_SCENARIO_CLUSTER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/time.h"
#include "base/types.h"
#include "raft/core/invariants.h"
#include "raft/core/raft.h"
#include "raft/core/trace.h"
#include "tests/core/scenario_ledger.h"
#include "tests/core/scenario_text.h"
#include "tests/core/simulated_disk.h"

namespace cairn {

// Which messages; what is not set matches all.
struct MessageFilter {
  std::optional<NodeId> from = {};
  std::optional<NodeId> to = {};
  std::optional<std::string> type = {};  // as NameOf(MessageBody) says

  bool Matches(const Message& message) const;
};

enum class Detail { kNothing, kDecisions, kMessages };

// Nothing happens by itself: time passes, messages arrive and disks sync when told. Everything that
// happens is printed, one line each; after every step the invariants of the node and the promises
// of the group are checked, and the first broken one stays in violation().
class ScenarioCluster : public TraceSink {
 public:
  // The nodes of `configuration` exist, with empty disks, and do not run. `options` are those of
  // all; what is a node's own is set when it starts. `joiners` exist, too, and know no
  // configuration.
  ScenarioCluster(Configuration configuration, const std::vector<NodeId>& joiners,
                  RaftOptions options);

  // Nodes. CHECKs that a node exists and is up or down as the call needs.
  void Start(NodeId node);
  // A power cut: of what is not synced, the first `kept_writes` batches survive.
  void Crash(NodeId node, size_t kept_writes);
  void SetPriority(NodeId node, uint32_t priority) { Of(node).priority = priority; }
  void SetNeverCampaigns(NodeId node) { Of(node).never_campaigns = true; }
  // The node, which is down, gets an empty disk, a new incarnation and no configuration.
  void Wipe(NodeId node);
  Incarnation incarnation(NodeId node) const { return nodes_.at(node).incarnation; }
  // The disk completes nothing by itself until it is no longer slow.
  void SetSlow(NodeId node, bool slow) { Of(node).slow = slow; }
  SimulatedDisk& disk(NodeId node) { return Of(node).disk; }
  // The entries that stand on the disk of a node that never ran get their names.
  void AdoptDisk(NodeId node);

  // Time.
  void Advance(Duration duration) { now_ = now_ + duration; }
  void Tick(NodeId node);
  // Only `node` notices that its time is up.
  void Timeout(NodeId node);
  // Timers fire as they are due, and all settles in between.
  void Run(Duration duration);

  // Clients and the node above.
  void Propose(NodeId node, uint64_t count, size_t bytes);
  void Read(NodeId node, bool lease);
  void Sync(NodeId node, size_t writes);
  void ReportUnreachable(NodeId node, NodeId peer);
  void ReportHostLost(NodeId node, HostLost lost);
  // Requests are numbered from 1 on.
  void Change(NodeId node, DeclaredMembers members);
  void Cancel(NodeId node);
  void Transfer(NodeId node, NodeId target, Duration patience);
  void Campaign(NodeId node);
  void RecoverUnsafely(NodeId node, UnsafeRecover recover);
  // From here on the promises of the group are not checked, those of each node are.
  void ExpectLoss() { loss_expected_ = true; }
  void StepDown(NodeId node);
  void FailDisk(NodeId node);
  void HoldCandidacy(NodeId node, bool hold);
  void Compact(NodeId node, Index up_to);
  // A snapshot of what `from` has applied, up to `at`, stands whole on the disk of `to`, offered in
  // the term of `from`. If `to` is up it is told.
  void SendSnapshot(NodeId from, NodeId to, Index at);

  // Messages. Those that match at the call, not those that come of it. Gives how many.
  size_t Deliver(const MessageFilter& filter, size_t limit);
  size_t Drop(const MessageFilter& filter, size_t limit);
  size_t Duplicate(const MessageFilter& filter, size_t limit);
  // Settling leaves matching messages alone.
  void Hold(const MessageFilter& filter) { holds_.push_back(filter); }
  void Release() { holds_.clear(); }
  // Nodes of different sides, or of none, do not hear each other.
  void Partition(std::vector<std::set<NodeId>> sides) { sides_ = std::move(sides); }
  // Delivers and syncs until there is nothing to do at this instant.
  void Settle();
  std::vector<std::string> PendingMessages();

  // What happened since the last call.
  std::vector<std::string> TakeLines();
  // How much of it is printed.
  void SetDetail(Detail detail) { detail_ = detail; }
  const std::string& violation() const { return violation_; }

  bool Exists(NodeId node) const { return nodes_.contains(node); }
  bool IsUp(NodeId node) const { return nodes_.at(node).raft != nullptr; }
  const Raft& raft(NodeId node) const { return *nodes_.at(node).raft; }
  std::vector<NodeId> nodes() const;
  // The node that leads the highest term, kNone if nobody leads.
  NodeId Leader() const;

  void Trace(Instant now, NodeId node, absl::string_view decision) override;

 private:
  struct Packet {
    Message message;
    std::vector<SimulatedEntry> entries;
  };
  struct Payload {
    Index first = 0;  // of received entries
    std::vector<SimulatedEntry> entries;
  };
  struct Snapshot {
    SnapshotPoint point;
    std::vector<SimulatedEntry> entries;  // from index 1 on
  };
  struct Node {
    SimulatedDisk disk;
    std::unique_ptr<Raft> raft;  // null while it is down
    InvariantChecker invariants;
    std::map<PayloadId, Payload> payloads;
    Index applied = 0;  // the state machine is durable
    std::map<Index, Snapshot> received;
    uint32_t priority = 0;
    bool never_campaigns = false;
    bool slow = false;
    Incarnation incarnation = Incarnation::kUnknown;
    Configuration initial;
  };

  Node& Of(NodeId node) { return nodes_.at(node); }
  void Step(NodeId id, Event event);
  void Execute(NodeId id);
  void ExecuteOnce(NodeId id, const Effects& effects);
  void Write(NodeId id, const LogBatch& batch);
  void Carry(NodeId id, const SendEntries& send);
  // Who is asked for torn entries and is heard gives what it has, at once.
  void GiveTorn(NodeId id, const AskTorn& ask);
  void Apply(NodeId id, Index up_to);
  void Receive(Packet packet);
  bool Connected(NodeId a, NodeId b) const;
  // Whether `to` knows the sender's id with another disk; the node above refuses such a frame.
  bool IsStranger(const Message& message) const;
  bool IsHeld(const Message& message) const;
  // Takes out up to `limit` packets that match, in order.
  std::vector<Packet> Take(const std::function<bool(const Message&)>& matches, size_t limit);
  std::optional<LedgerEntry> EntryAt(NodeId id, Index index);

  void Print(NodeId node, absl::string_view text, Detail detail = Detail::kDecisions);
  void Expect(const std::optional<std::string>& broken);
  void ExpectPromise(const std::optional<std::string>& broken);

  const RaftOptions options_;
  std::map<NodeId, Node> nodes_;
  std::deque<Packet> network_;
  std::vector<std::set<NodeId>> sides_;
  std::vector<MessageFilter> holds_;
  Instant now_;
  uint64_t last_id_ = 0;  // of values, payloads and starts
  ReadId last_read_ = 0;
  uint64_t last_request_ = 0;
  ShortNames names_;
  ScenarioLedger ledger_;
  bool loss_expected_ = false;
  Detail detail_ = Detail::kMessages;
  std::vector<std::string> lines_;
  std::string violation_;
};

}  // namespace cairn

#endif  // TESTS_CORE_SCENARIO_CLUSTER_H_
