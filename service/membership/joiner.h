// Joiner: how a new node finds a running cluster and becomes a member of it.

#ifndef SERVICE_MEMBERSHIP_JOINER_H_
#define SERVICE_MEMBERSHIP_JOINER_H_

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/log_sink.h"
#include "base/time.h"
#include "base/types.h"
#include "cairn/data_directory.h"
#include "client/client.h"
#include "client/retry.h"
#include "raft/core/configuration.h"

namespace cairn {

// Asks the nodes at `addresses` which cluster they are and who is a member, for at most `patience`.
// FAILED_PRECONDITION if nobody tells, or, the message beginning with MEMBER_AMNESIA, if `node` is
// a member already: then it is one with another disk than this new one.
absl::StatusOr<FormedCluster> FindCluster(const std::vector<std::string>& addresses, NodeId node,
                                          Duration patience);

// Asks the cluster's leader to add this node, again and again until it is a member.
//
// Threads: one of its own; made and destroyed on one.
class Joiner {
 public:
  struct Options {
    std::vector<std::string> addresses;
    Member self;
    bool learner = false;
    // Whether this node's own log names it as a member with this disk; from any thread.
    std::function<bool()> joined;
    // It was removed before, and is not taken in again (MEMBER_REMOVED, with which the message
    // begins): told once, and not asked again. On the joiner's thread.
    std::function<void(const absl::Status&)> removed;
    LogSink* log = nullptr;
  };
  explicit Joiner(Options options);
  // Ends the tries.
  ~Joiner();
  Joiner(const Joiner&) = delete;
  Joiner& operator=(const Joiner&) = delete;

 private:
  void Run();

  const Options options_;
  Retry retry_;
  std::thread thread_;
};

}  // namespace cairn

#endif  // SERVICE_MEMBERSHIP_JOINER_H_
