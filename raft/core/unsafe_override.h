// UnsafeOverride: an operator's word that a majority is lost for good, and what a node makes of it.

#ifndef RAFT_CORE_UNSAFE_OVERRIDE_H_
#define RAFT_CORE_UNSAFE_OVERRIDE_H_

#include <cstddef>
#include <string>
#include <vector>

#include "base/time.h"
#include "base/types.h"
#include "raft/core/configuration.h"
#include "raft/core/quorum.h"

namespace cairn {

// An override ends by itself after at most this long.
inline constexpr Duration kLongestOverride = Seconds(3600);

// Who campaigns under an override does so in a term at least this far ahead, by a drawn number, and
// less than twice as far. So no leader of a majority that lives after all has the same one, and no
// two entries of the two histories look alike.
inline constexpr Term kUnsafeTermJump = Term{1} << 20;

// What holds until it expires, in one process and for its own elections and commits only: nothing
// of it is sent or kept, so that each survivor must be told, and a restart forgets it. What it made
// is kept: the first entry of the leader it elects is a configuration with one more of
// UnsafeRecoveries, so that nothing is ever committed by an override that is not written down.
//
// It is one of two:
//  - an eviction: some members are not counted any more. An election takes the vote of every other
//    voter, so that whatever one of them holds is kept. The configuration the leader begins with is
//    the one without the evicted, and from there on its majority decides.
//  - a quorum: so many voters, of each half while joint, are enough, for votes and for commits. The
//    members stay; the operator removes those who are lost by an ordinary change.
//
// Unsafe: the quorums before and after need not meet. Entries acknowledged by the lost members are
// gone, and if they live after all, they can go on without the survivors.
struct UnsafeOverride {
  std::vector<NodeId> evicted = {};  // ordered; empty for a quorum
  size_t quorum = 0;                 // 0 for an eviction
  Instant expires = {};
  WallTime asked = {};
  Duration expiry = {};  // from `asked` on

  // When it expires, for people.
  WallTime until() const { return {asked.nanoseconds + expiry.nanoseconds}; }
};

// Whether it changes anything under `configuration`: an eviction does while it names the evicted, a
// quorum while a majority of some half is more.
bool ActsOn(const UnsafeOverride& unsafe, const Configuration& configuration);

// How voters are counted under it. Holds on to `unsafe`.
QuorumRule RuleOf(const UnsafeOverride& unsafe, const Configuration& configuration);

// "nodes 2,3 are not counted", "1 voter is enough".
std::string ToString(const UnsafeOverride& unsafe);

// The voters a decision takes: of the half that needs more.
size_t NaturalQuorum(const Configuration& configuration);

// Why `self` must not evict `lost`, in any order: nobody, nodes that are no members or named twice,
// itself, no voter. Empty if it may.
std::string EvictionFault(const Configuration& configuration, NodeId self,
                          const std::vector<NodeId>& lost);

// "3 of 5 voters are left, and 3 decide" if without `lost` both halves still have a majority: then
// nothing is lost that an ordinary change of members could not do. Empty if it is lost.
std::string MajorityLeft(const Configuration& configuration, const std::vector<NodeId>& lost);

// The configuration that makes the override good for ever, at `at` in the log. Under an eviction
// without the evicted: a half of which nobody is left is dropped, and so is a target that names no
// voter any more, whose change began with such a half, or by which `self` would go. Under a quorum
// the members stay as they are. CHECKs that the override acts.
Configuration Recovered(const Configuration& configuration, const UnsafeOverride& unsafe,
                        NodeId self, LogPosition at);

}  // namespace cairn

#endif  // RAFT_CORE_UNSAFE_OVERRIDE_H_
