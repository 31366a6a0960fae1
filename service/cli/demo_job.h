// DemoJob: the demo's main act. Appends the lines of a file, kills the leader half-way, and reads
// everything back.

#ifndef SERVICE_CLI_DEMO_JOB_H_
#define SERVICE_CLI_DEMO_JOB_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/client.h"
#include "service/cli/demo_cluster.h"
#include "service/cli/output.h"

namespace cairn {

struct DemoResult {
  uint64_t appended = 0;    // acknowledged
  uint64_t read_back = 0;   // messages the stream has
  uint64_t lost = 0;        // acknowledged, and not at its place byte for byte
  uint64_t duplicated = 0;  // messages beyond those appended
  uint64_t leader_changes = 0;
  bool ok() const { return lost == 0 && duplicated == 0 && appended == read_back; }
};

// `report` gets a row per step, with "step" and "ok" first.
absl::StatusOr<DemoResult> RunDemoJob(DemoCluster& cluster, Client& client,
                                      const std::vector<std::string>& lines,
                                      const std::function<void(const Row&)>& report);

}  // namespace cairn

#endif  // SERVICE_CLI_DEMO_JOB_H_
