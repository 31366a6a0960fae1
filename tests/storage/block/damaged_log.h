// DamagedLog: a log of three blocks, all of it synced, for tests to damage.

#ifndef TESTS_STORAGE_BLOCK_DAMAGED_LOG_H_
#define TESTS_STORAGE_BLOCK_DAMAGED_LOG_H_

#include <cstdint>
#include <string>

#include "base/types.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/log_driver.h"

namespace cairn {

class DamagedLog {
 public:
  // Writes the log to kTestDirectory and ends the process. Group A: an entry a batch from index 1,
  // of which some were overwritten; group B: some entries in the first block.
  explicit DamagedLog(SimulatedFileSystem& file_system);

  const Model& model() const { return model_; }
  LogPosition last() const { return model_.at(kGroupA).last(); }  // of group A
  uint64_t batches() const { return batches_; }

  static std::string PathOf(uint64_t block);

  struct Place {
    std::string path;
    uint64_t offset = 0;
  };
  // Where the record of group A's entry begins.
  Place Find(Index index) const;
  // Rot in the payload of group A's entry.
  void FlipEntry(Index index) const;

 private:
  SimulatedFileSystem& file_system_;
  Model model_;
  uint64_t batches_ = 0;
};

}  // namespace cairn

#endif  // TESTS_STORAGE_BLOCK_DAMAGED_LOG_H_
