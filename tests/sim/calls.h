// Calls: what clients ask of nodes and what they are told, for the checkers.

#ifndef TESTS_SIM_CALLS_H_
#define TESTS_SIM_CALLS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/time.h"
#include "raft/control/control.h"
#include "raft/group.h"
#include "raft/proposal.h"
#include "tests/sim/checkers/state_checker.h"
#include "tests/sim/sim_cluster.h"

namespace cairn::sim {

// An answer counts only if the process that was asked still lives: a client of a process that ends
// learns nothing, so the outcome is unknown to it. Checks that each callback is called exactly
// once. One thread. `cluster` outlives it.
class Calls {
 public:
  // A callback of the process that was asked.
  class Open {
   public:
    Open(Calls& calls, NodeId node, uint64_t life) : calls_(calls), node_(node), life_(life) {}
    // It is called. False if the process has ended: what it is told is unknown to who asked.
    bool Answered();
    // Whether the process still lives.
    bool Lives() const;

   private:
    Calls& calls_;
    NodeId node_;
    uint64_t life_;
    bool answered_ = false;
  };

  explicit Calls(SimCluster& cluster) : cluster_(cluster) {}

  // A call to the node, which runs, is made now, and will be answered.
  Open Begin(NodeId node);

  CommandId NewCommand() { return ++commands_; }

  using Done = std::function<void(ProposalResult)>;
  // If the node does not run, the answer comes at once: not applied.
  void Propose(GroupId group, NodeId node, CommandId id, const std::string& command,
               ProposeOptions options, Done done);
  void OpenSession(GroupId group, NodeId node, ProposeOptions options, Done done);
  void CloseSession(GroupId group, NodeId node, uint64_t session, ProposeOptions options,
                    Done done);
  // `done` is told whether the node let read.
  // What was known before `horizon` was read has to be seen.
  Index ReadHorizon(GroupId group) const;
  void Read(GroupId group, NodeId node, const ReadOptions& options, Index horizon,
            std::function<void(bool)> done);

  // What an operator asks (raft/control/control.h). The outcome is unknown if the process ends; if
  // the node does not run, `done` is not called.
  using ControlTold = std::function<void(ControlResult)>;
  void Control(GroupId group, NodeId node, ControlRequest request, Instant deadline,
               ControlTold done);
  // The same for declared members; one of them has the address `tag`, if that is not empty.
  void Declare(GroupId group, NodeId node, MembershipRequest request, const std::string& tag,
               Instant deadline);
  void Snapshot(GroupId group, NodeId node);
  uint64_t requests() const { return requests_; }

  // Callbacks not yet called: none once every process has ended.
  uint64_t open() const { return open_; }

 private:
  // A callback for a call to the node as it is now.
  ProposalCallback Wrap(NodeId node, Done done);
  // Null, and `done` answered, if the node does not run.
  Group* Reach(GroupId group, NodeId node, const Done& done);
  SimCluster& cluster_;
  CommandId commands_ = 0;
  uint64_t requests_ = 0;  // of operators
  uint64_t open_ = 0;
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_CALLS_H_
