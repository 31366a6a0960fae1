// TailFollowers: who follows the committed entries of groups during a run.

#ifndef TESTS_SIM_TAIL_FOLLOWERS_H_
#define TESTS_SIM_TAIL_FOLLOWERS_H_

#include <memory>
#include <vector>

#include "base/types.h"
#include "tests/sim/calls.h"
#include "tests/sim/sim_cluster.h"

namespace cairn::sim {

// Each asks one member for the next entries, takes its time, and asks again, at another member
// where it was refused. One thread. `cluster` and `calls` outlive it.
class TailFollowers {
 public:
  TailFollowers(SimCluster& cluster, Calls& calls);
  ~TailFollowers();

  void Start();
  // Nobody takes their time any more.
  void Hurry() { hurries_ = true; }
  // What came behind `index` is lost with a majority.
  void ForgetBehind(Index index);
  // Nobody asks any more.
  void Stop() { stopped_ = true; }
  // Whether each of `group` has all that is committed.
  bool HaveAll(GroupId group) const;

 private:
  class Follower;
  bool hurries_ = false;
  bool stopped_ = false;
  std::vector<std::unique_ptr<Follower>> followers_;
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_TAIL_FOLLOWERS_H_
