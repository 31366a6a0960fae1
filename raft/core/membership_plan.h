// MembershipPlan: the way from a group's configuration to a declared target, one configuration
// entry after the other, as pure functions. The leader walks it (raft/core/change_membership.cc).
//
//   declared    the old voters; whoever is new is a learner          {1,2,3} learners=4
//   joint       once every voter to be has caught up (thesis 4.3)    {1,2,4} outgoing={1,2,3}
//   reached     as soon as that is committed                         {1,2,4}
//
// A target with the voters there are needs one entry and no wait.

#ifndef RAFT_CORE_MEMBERSHIP_PLAN_H_
#define RAFT_CORE_MEMBERSHIP_PLAN_H_

#include <cstddef>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "base/types.h"
#include "raft/core/configuration.h"

namespace cairn {

// Who shall be what, in any order. An incarnation that is not known (kUnknown) is taken from the
// configuration, or the member has none until a later declaration gives it one.
struct DeclaredMembers {
  std::vector<Member> voters = {};
  std::vector<Member> learners = {};
};

// INVALID_ARGUMENT for members that make no configuration: no voters, a node named twice or without
// an id or address, two nodes of one address, more than kMaxMembers; or that name another data
// directory for a member than `current` does: that one is removed first and comes back as new.
absl::Status CheckDeclared(const Configuration& current, const DeclaredMembers& declared);

// CheckDeclared is ok.
MembershipTarget MakeTarget(const Configuration& current, const DeclaredMembers& declared);

// True if `current` is on the way to `target` or there.
bool LeadsTo(const Configuration& current, const MembershipTarget& target);

// The first configuration on the way; `current` has no target, is not joint, and is not there yet.
Configuration FirstStep(const Configuration& current, const MembershipTarget& target);

// The next configuration on the way, once `current` is committed; nullopt: not yet, or there is
// none. `caught_up`: whether a learner may become a voter; `answers`: whether a node is heard of.
// Nobody becomes a voter while less than a majority of the voters to be, or than `most` of them,
// answers.
std::optional<Configuration> NextStep(const Configuration& current,
                                      absl::FunctionRef<bool(NodeId)> caught_up,
                                      absl::FunctionRef<bool(NodeId)> answers,
                                      size_t most = std::numeric_limits<size_t>::max());

// Back to where the target was declared; `current` has a target and is not joint.
Configuration StepBack(const Configuration& current);

// Why a majority of `voters`, or `most` of them, could not be had now; empty if it could. "needs 2
// of 3 voters, only node 1 answers".
std::string QuorumFault(const std::vector<Member>& voters, absl::FunctionRef<bool(NodeId)> answers,
                        size_t most = std::numeric_limits<size_t>::max());

// Why `after` must not follow `before` in one log; empty if it may: any two quorums of neighbours
// must meet (thesis 4.3), unless it is one more unsafe recovery; those before are taken over.
// Initial configurations follow nothing.
std::string TransitionFault(const Configuration& before, const Configuration& after);

}  // namespace cairn

#endif  // RAFT_CORE_MEMBERSHIP_PLAN_H_
