#include "tests/sim/quorums.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/check.h"

namespace cairn::sim {

bool IsMajority(const std::vector<Member>& voters, const std::function<bool(NodeId)>& in) {
  size_t count = 0;
  for (const Member& voter : voters) count += in(voter.node) ? 1 : 0;
  return 2 * count > voters.size();
}

bool IsQuorum(const Configuration& configuration, const std::function<bool(NodeId)>& in) {
  return IsMajority(configuration.voters, in) &&
         (!configuration.joint() || IsMajority(configuration.outgoing_voters, in));
}

Index ReachedByMajority(const std::vector<Member>& voters,
                        const std::function<Index(NodeId)>& reached) {
  return ReachedBy(voters.size() / 2 + 1, voters, reached);
}

Index ReachedBy(size_t count, const std::vector<Member>& voters,
                const std::function<Index(NodeId)>& reached) {
  std::vector<Index> indexes;
  for (const Member& voter : voters) indexes.push_back(reached(voter.node));
  std::sort(indexes.begin(), indexes.end(), std::greater<>());
  return count == 0 || count > indexes.size() ? 0 : indexes[count - 1];
}

bool QuorumsMeet(const Configuration& a, const Configuration& b) {
  std::vector<NodeId> nodes = a.Nodes();
  for (NodeId node : b.Nodes()) {
    if (std::find(nodes.begin(), nodes.end(), node) == nodes.end()) nodes.push_back(node);
  }
  CAIRN_CHECK_LT(nodes.size(), size_t{20});
  for (uint64_t set = 0; set < uint64_t{1} << nodes.size(); ++set) {
    auto in = [&](NodeId node) {
      const auto place = std::find(nodes.begin(), nodes.end(), node) - nodes.begin();
      return (set >> place & 1) != 0;
    };
    if (IsQuorum(a, in) && IsQuorum(b, [&](NodeId node) { return !in(node); })) return false;
  }
  return true;
}

}  // namespace cairn::sim
