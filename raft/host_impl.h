// HostImpl: the Host there is. Its sources: host.cc (life, transport, how the cluster forms, scrub
// of the log), host_groups.cc (groups come and go).

#ifndef RAFT_HOST_IMPL_H_
#define RAFT_HOST_IMPL_H_

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/executor.h"
#include "base/mutex.h"
#include "base/time.h"
#include "base/types.h"
#include "raft/cache/cache_share.h"
#include "raft/core/configuration.h"
#include "raft/envelope.h"
#include "raft/group_runner.h"
#include "raft/host.h"
#include "raft/lifecycle/graveyard.h"
#include "raft/lifecycle/openings.h"
#include "raft/lifecycle/post_gate.h"
#include "raft/lifecycle/stop_news.h"
#include "raft/liveness/group_upkeep.h"
#include "raft/log_writer.h"
#include "raft/peers/formation.h"
#include "raft/scrub/scrubber.h"
#include "raft/sender_check.h"
#include "raft/snapshots/byte_budget.h"

namespace cairn {

class HostImpl final : public Host {
 public:
  HostImpl(const NodeIdentity& identity, HostDependencies dependencies);
  ~HostImpl() override { Shutdown(Instant{}); }

  absl::Status Begin();
  absl::StatusOr<Group> Open(GroupId group, std::unique_ptr<StateMachine> state_machine,
                             GroupOptions options) override;
  std::vector<absl::StatusOr<Group>> OpenAll(std::vector<GroupToOpen> groups) override;
  OpeningsStatus StatusOfOpenings() const override { return lives_.openings.status(); }
  absl::Status Vet(const Envelope& envelope) override;
  bool WasRemoved(NodeId node) override {
    return SomeGroup(node, GroupRunner::Acquaintance::kRemoved);
  }
  bool Believes(NodeId from, const Introduction& introduction) override;
  void Close(GroupId group, Instant deadline, LifeDone done) override {
    Leave(group, deadline, /*remove=*/false, std::move(done));
  }
  void Delete(GroupId group, Instant deadline, LifeDone done) override {
    Leave(group, deadline, /*remove=*/true, std::move(done));
  }
  void Reset(GroupId group, LifeDone done) override;
  void HandOver(Instant deadline, LifeDone done) override;
  std::optional<ScrubStatus> Scrub() override;
  void Shutdown(Instant deadline) override;
  void StartScrub();

 private:
  // Whether the groups may take part.
  struct Standing {
    enum class Cluster { kForming, kFormed, kRefused };
    Cluster cluster = Cluster::kForming;
    Configuration members;                 // formed
    NodeState state = NodeState::kHalted;  // refused
    absl::Status refusal;                  // refused
  };
  using Cluster = Standing::Cluster;
  // A group on its way out; not open, and not to be opened.
  struct Leaving {
    std::shared_ptr<GroupRunner> runner;  // null: it was not open, or has ended
    LifeDone done;
  };

  // From the transport.
  void Receive(Envelope envelope);
  void ReceiveOfNode(Envelope envelope);
  void PeerLost(NodeId peer);
  void Send(NodeId to, GroupId group, EnvelopeBody body);
  std::shared_ptr<GroupRunner> Find(GroupId group);
  // Whether some group knows `node` so.
  bool SomeGroup(NodeId node, GroupRunner::Acquaintance acquaintance);

  // The cluster forms; on the runner's sequence.
  void TakeHello(const Envelope& envelope);
  void DriveFormation(Instant now);
  void Formed();
  void RefuseToTakePart(NodeState state, const absl::Status& status);

  // Groups come and go.
  absl::StatusOr<std::unique_ptr<Openings::Opening>> BeginOpening(GroupId group);
  absl::StatusOr<std::shared_ptr<GroupRunner>> Recover(const LocalIdentity& self, GroupId group,
                                                       std::unique_ptr<StateMachine> state_machine,
                                                       const GroupOptions& options);
  GroupRunnerDependencies PartsFor(GroupId group);
  absl::Status FinishRemovals();
  absl::StatusOr<LocalIdentity> IdentityIn(GroupId group) const;
  void Leave(GroupId group, Instant deadline, bool remove, LifeDone done);
  void Left(GroupId group, const absl::Status& status);

  // The log is read in the background.
  void Rotten(const std::vector<ScrubFinding>& findings);
  ScrubStep ScrubStates(ScrubPosition& position, uint64_t max_bytes);
  void Repaired(GroupId group, Index first, Index last);

  HostDependencies dependencies_;
  const LocalIdentity self_;
  std::unique_ptr<Executor> runner_;
  std::unique_ptr<Executor> writer_executor_;
  std::vector<std::unique_ptr<Executor>> appliers_;  // may be null
  std::unique_ptr<Executor> reader_;                 // may be null
  struct Snapshots {
    std::unique_ptr<Executor> executor;  // may be null
    ByteBudget budget;
  };
  Snapshots snapshots_;
  std::unique_ptr<LogWriter> log_writer_;
  std::unique_ptr<Graveyard> graveyard_;
  std::unique_ptr<GroupUpkeep> upkeep_;
  std::unique_ptr<Scrubber> scrubber_;  // null: nothing is scrubbed
  std::atomic<int> waiting_ = 0;        // envelopes of nodes, for the runner

  // On the runner's sequence.
  NodeIdentity identity_;
  struct Forming {
    std::unique_ptr<Formation> formation;
    Instant wakeup = kDistantFuture;
  };
  Forming forming_;

  // A group is there until it is in groups_ and has started. Openings are asked and begun with
  // mutex_ held.
  struct Lives {
    Openings openings;
    PostGate posts;
    CacheShare caches;
    StopNews ends;
    std::atomic<uint64_t> begun = 0;  // how many groups were opened, one that came again included
  };
  Lives lives_;
  Mutex mutex_;
  Standing standing_ CAIRN_GUARDED_BY(mutex_);
  std::map<GroupId, std::shared_ptr<GroupRunner>> groups_ CAIRN_GUARDED_BY(mutex_);
  std::map<GroupId, Leaving> leaving_ CAIRN_GUARDED_BY(mutex_);
  struct Ending {
    bool stopping = false;  // Shutdown was called
  };
  Ending ending_ CAIRN_GUARDED_BY(mutex_);
};

}  // namespace cairn

#endif  // RAFT_HOST_IMPL_H_
