// Quorums: what sets of nodes decide in a configuration. Worked out here once more, so that the
// harness does not believe raft/core/quorum.h.

#ifndef TESTS_SIM_QUORUMS_H_
#define TESTS_SIM_QUORUMS_H_

#include <cstddef>
#include <functional>
#include <vector>

#include "base/types.h"
#include "raft/core/configuration.h"

namespace cairn::sim {

// Whether more than half of `voters` are `in`.
bool IsMajority(const std::vector<Member>& voters, const std::function<bool(NodeId)>& in);

// Whether the nodes that are `in` decide alone: a majority of the voters, and of the outgoing ones
// where there are any (thesis 4.3). Learners do not count.
bool IsQuorum(const Configuration& configuration, const std::function<bool(NodeId)>& in);

// The largest index that a majority of `voters` has `reached`.
Index ReachedByMajority(const std::vector<Member>& voters,
                        const std::function<Index(NodeId)>& reached);

// The largest index that so many of `voters` have `reached`; 0 if there are not so many.
Index ReachedBy(size_t count, const std::vector<Member>& voters,
                const std::function<Index(NodeId)>& reached);

// Whether each quorum of `a` has a node in common with each of `b`, so that they cannot decide two
// things. By trying all sets of nodes.
bool QuorumsMeet(const Configuration& a, const Configuration& b);

}  // namespace cairn::sim

#endif  // TESTS_SIM_QUORUMS_H_
