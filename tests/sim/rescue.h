// Rescue: the members that are left of a lost majority go on, unsafely.

#ifndef TESTS_SIM_RESCUE_H_
#define TESTS_SIM_RESCUE_H_

#include <memory>

#include "tests/sim/calls.h"
#include "tests/sim/sim_cluster.h"
#include "tests/sim/tail_followers.h"

namespace cairn::sim {

// Takes machines away until no majority of the members is left, undoes all other faults, and does
// what docs/operations.md tells operators to do then: says to each survivor that the others are
// lost, or how many voters are enough; removes who is lost where that has not happened by itself;
// adds a member.
//
// What was committed and is in no survivor's log may be lost by that, and nothing else (the
// checkers are told of just that much). Reports to the world where the survivors do not come to a
// leader, where that one lacks anything that the survivor with the furthest log held, where a
// minority of lost members is enough for an override, where a member does not show that there was
// one, and where some who were lost come back and are not told so. One thread. All outlive it.
class Rescue {
 public:
  Rescue(SimCluster& cluster, Calls& calls, TailFollowers& tails);
  ~Rescue();

  // With the faults.
  void Start();
  // When they have ended. False if there is nothing to recover further: what a survivor's log ends
  // in may be torn, which is for people to decide.
  bool Run();

 private:
  class Rescuer;
  std::unique_ptr<Rescuer> rescuer_;
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_RESCUE_H_
