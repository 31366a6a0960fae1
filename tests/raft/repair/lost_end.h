// Damage at the end of a block log that no power cut leaves.

#ifndef TESTS_RAFT_REPAIR_LOST_END_H_
#define TESTS_RAFT_REPAIR_LOST_END_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "storage/simulated_file_system.h"

namespace cairn {

// Damages both copies of what says what the last batch of the log in `directory` held. Nobody uses
// the log. An error if the log does not say then that its end is lost.
absl::Status LoseEndOfLog(SimulatedFileSystem& files, const std::string& directory = "/data/log");

// The same of batch `number`, wherever it stands.
absl::Status LoseBatch(SimulatedFileSystem& files, const std::string& directory, uint64_t number);

}  // namespace cairn

#endif  // TESTS_RAFT_REPAIR_LOST_END_H_
