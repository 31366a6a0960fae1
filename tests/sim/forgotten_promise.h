// ForgottenPromise: a member gives its word, its disk loses it, and others ask it for another.
//
// That is the harm raft/core/rejoin.h protects from. It takes a bare quorum with the member in it,
// and a second one that has nobody else in common with the first:
//  - an acknowledgement commits an entry; then a candidate that lacks it asks for the vote;
//  - a vote elects a leader; then another candidate of the same term asks for it;
//  - a vote elects a successor; then the leader before, who has not heard of that, asks for
//    acknowledgements.
// Chance alone hardly ever gets there: the end that is lost has to be the promise, and the right
// ones have to be cut off at the right moment.

#ifndef TESTS_SIM_FORGOTTEN_PROMISE_H_
#define TESTS_SIM_FORGOTTEN_PROMISE_H_

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "base/types.h"
#include "raft/envelope.h"
#include "tests/sim/sim_cluster.h"

namespace cairn::sim {

// One thread. `cluster` outlives it.
class ForgottenPromise {
 public:
  // `restart` starts a node again, soon, however often it ends.
  ForgottenPromise(SimCluster& cluster, std::function<void(SimNode&)> restart);

  // Does nothing while one is under way, or where none is possible: the disk that may be damaged
  // has to be the one of a voter, of an odd number of them.
  void Begin();
  // What is cut stays cut, for SimCluster::Heal.
  void Stop();

 private:
  enum class Promise { kAcknowledgement, kVote, kVoteForSuccessor };
  enum class Stage {
    kNone,
    kAwaited,    // the member is to make its promise
    kForgotten,  // those who know of it are cut off
  };
  using Nodes = std::vector<NodeId>;

  bool DrawSides(NodeId leader, const Configuration& members);
  void AskForPromise(NodeId leader);
  void Sent(const Envelope& envelope);
  bool IsPromise(const Envelope& envelope) const;
  bool Commits() const;
  void Forget();
  void End();
  void EndAfter(Duration length);
  // In the place of the cut that there is.
  void Cut(const Nodes& side, const Nodes& other);
  void Mend();
  SimNode& member() { return cluster_.node(member_); }

  SimCluster& cluster_;
  World& world_;
  const std::function<void(SimNode&)> restart_;
  const NodeId member_;
  Random random_;
  uint64_t round_ = 0;  // tells what is under way from what was
  Stage stage_ = Stage::kNone;
  Promise promise_ = Promise::kAcknowledgement;
  GroupId group_ = GroupId::kNone;
  Term term_ = 0;    // when it began
  Nodes witnesses_;  // they make a bare quorum with the member, and know of the promise
  Nodes askers_;     // all others
  std::vector<std::pair<NodeId, NodeId>> cut_;
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_FORGOTTEN_PROMISE_H_
