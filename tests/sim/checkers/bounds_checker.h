// BoundsChecker: what may grow stays within its limits.

#ifndef TESTS_SIM_CHECKERS_BOUNDS_CHECKER_H_
#define TESTS_SIM_CHECKERS_BOUNDS_CHECKER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/time.h"
#include "base/types.h"
#include "raft/envelope.h"
#include "raft/group_options.h"
#include "raft/group_status.h"
#include "tests/sim/violations.h"

namespace cairn::sim {

// I23 (bounded), of one group: bytes sent to a peer and not acknowledged, commands not answered,
// sessions, entries kept in memory, files of snapshots, messages per commit; and tasks that wait on
// one node. One thread.
class BoundsChecker {
 public:
  BoundsChecker(const GroupOptions& options, Violations& violations)
      : options_(options), violations_(violations) {}

  void Shown(NodeId node, const GroupStatus& status);
  // Whether all that was sent to peers is acknowledged.
  static bool NothingUnderWay(const GroupStatus& status);
  // The same on a node that has written all it holds.
  void ShownAtRest(NodeId node, const GroupStatus& status);

  // A command of so many bytes was taken by `node` and is not answered yet; then it is.
  void Taken(NodeId node, size_t bytes);
  void Answered(NodeId node, size_t bytes);
  void ProcessEnded(NodeId node) { open_.erase(node); }

  // Somebody says something for entries or reads to go on; how often that was.
  void Sent(const Envelope& envelope);
  uint64_t messages() const { return messages_; }
  // On a network that loses nothing commands were committed one after the other by one leader, and
  // so much was said, within a time by the fastest clock there is.
  struct Commits {
    uint64_t commits = 0;
    size_t peers = 0;  // of the leader
    uint64_t messages = 0;
    Duration took;
  };
  void Committed(const Commits& seen);

  // Tasks that wait on all sequences of `node`.
  void Waiting(NodeId node, size_t tasks);
  // The names in the directory of the group's snapshots.
  void SnapshotFiles(NodeId node, const std::vector<std::string>& names);

 private:
  struct Open {
    uint64_t calls = 0;
    size_t bytes = 0;
  };
  void Require(NodeId node, const char* what, size_t have, size_t limit);

  const GroupOptions options_;
  Violations& violations_;
  std::map<NodeId, Open> open_;
  uint64_t messages_ = 0;
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_CHECKERS_BOUNDS_CHECKER_H_
