// OpenLogDisk: the log disk of a simulated node, as a server would open it.

#ifndef TESTS_SIM_LOG_DISK_FACTORY_H_
#define TESTS_SIM_LOG_DISK_FACTORY_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "raft/identity.h"
#include "storage/file_system.h"
#include "storage/log_store.h"
#include "tests/sim/fault_plan.h"

namespace cairn::sim {

// `file_system` outlives the disk.
absl::StatusOr<std::unique_ptr<LogDisk>> OpenLogDisk(const FaultPlan& plan, FileSystem& file_system,
                                                     const std::string& directory,
                                                     const NodeIdentity& identity);

}  // namespace cairn::sim

#endif  // TESTS_SIM_LOG_DISK_FACTORY_H_
