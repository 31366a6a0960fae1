// DemoCluster: cairnd processes on this machine, started, killed and restarted by `cairn demo`.

#ifndef SERVICE_CLI_DEMO_CLUSTER_H_
#define SERVICE_CLI_DEMO_CLUSTER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "service/cli/child_process.h"

namespace cairn {

struct DemoOptions {
  int nodes = 3;
  std::string directory = "cairn-demo";
  std::string log_store = "block";
  int first_port = 7101;  // node i listens on first_port + i - 1; 0: ports that are free now
  std::string cairnd;     // path of the server; empty: beside this program
  std::vector<std::string> extra_flags;  // for every cairnd
};

// Threads: one. The processes end with this object.
class DemoCluster {
 public:
  // Starts all nodes and waits until each says it is ready.
  static absl::StatusOr<std::unique_ptr<DemoCluster>> Start(DemoOptions options);

  int nodes() const { return static_cast<int>(processes_.size()); }
  // Of node 1, 2, …
  std::vector<std::string> endpoints() const { return addresses_; }
  std::string endpoint_list() const;
  const std::string& directory() const { return options_.directory; }

  // `node` from 1. FAILED_PRECONDITION if the node is not in the state the action needs.
  absl::Status Kill(int node);     // SIGKILL: no chance to tidy up
  absl::Status Pause(int node);    // SIGSTOP
  absl::Status Resume(int node);   // SIGCONT
  absl::Status Restart(int node);  // kills it first if it runs; returns when it is ready

  // Asks all nodes to stop (SIGTERM), and makes them after a while.
  void Stop();

 private:
  explicit DemoCluster(DemoOptions options) : options_(std::move(options)) {}

  absl::Status Spawn(int node);
  absl::Status WaitReady(int node);
  absl::StatusOr<ChildProcess*> Running(int node);
  std::string NodeDirectory(int node) const;

  const DemoOptions options_;
  std::vector<std::string> addresses_;
  std::vector<std::unique_ptr<ChildProcess>> processes_;  // null: killed
};

}  // namespace cairn

#endif  // SERVICE_CLI_DEMO_CLUSTER_H_
