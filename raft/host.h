// Host: one node of a cluster in this process. It runs any number of groups over one transport and
// one disk.

#ifndef RAFT_HOST_H_
#define RAFT_HOST_H_

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/executor.h"
#include "base/log_sink.h"
#include "base/time.h"
#include "base/types.h"
#include "raft/group.h"
#include "raft/identity.h"
#include "raft/state_machine.h"
#include "raft/transport.h"
#include "storage/file_system.h"
#include "storage/log_store.h"

namespace cairn {

// Everything a host needs from outside. The simulator gives other ones; nothing else differs.
struct HostDependencies {
  Clock* clock = nullptr;
  FileSystem* file_system = nullptr;
  LogDisk* log_disk = nullptr;
  Transport* transport = nullptr;
  // A new sequence; `name` is for thread names ("runner", "log-writer", "applier").
  std::function<std::unique_ptr<Executor>(const std::string& name)> make_executor;
  uint64_t seed = 0;  // of elections
  LogSink* log = nullptr;
  // Called once, when this node must stop serving: its storage failed or its data is damaged.
  absl::AnyInvocable<void(NodeState, absl::Status)> stopped;
};

// Threads: all calls from any thread.
// Ownership: the dependencies outlive the host; the host owns groups and their state machines.
class Host {
 public:
  // `identity` says who this node is and who the initial members are (raft/identity.h).
  static absl::StatusOr<std::unique_ptr<Host>> Start(const NodeIdentity& identity,
                                                     HostDependencies dependencies);
  virtual ~Host() = default;

  // Recovers the group's log and starts to take part. The state machine catches up in the
  // background; Group::Status tells how far it is.
  virtual absl::StatusOr<Group> Open(GroupId group, std::unique_ptr<StateMachine> state_machine,
                                     GroupOptions options) = 0;

  // Refuses new proposals, waits for those under way until `deadline`, answers the rest as unknown
  // and stops all tasks. Afterwards no callback runs.
  virtual void Shutdown(Instant deadline) = 0;
};

}  // namespace cairn

#endif  // RAFT_HOST_H_
