// CrashEnumerator: cuts the power at every operation of a script, in every way that matters, and
// looks at what recovery makes of it (fault catalogue 4.5).

#ifndef TESTS_STORAGE_BLOCK_CRASH_ENUMERATOR_H_
#define TESTS_STORAGE_BLOCK_CRASH_ENUMERATOR_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/log_driver.h"

namespace cairn {

// What a recovery found of all groups, to be compared with what another one found.
struct RecoveredState {
  std::string text;           // everything but reports
  std::optional<Index> torn;  // of any group
  std::string error;          // where recovery failed
  bool operator==(const RecoveredState&) const = default;
};

class CrashEnumerator {
 public:
  explicit CrashEnumerator(uint64_t seed, BlockLogOptions options = TestOptions())
      : options_(std::move(options)), random_(seed), file_system_({.schedule = {}, .seed = seed}) {}

  // What the log is opened with for the setup, if it is not what it is opened with afterwards.
  void set_setup_options(BlockLogOptions options) { setup_options_ = std::move(options); }

  using Script = std::function<void(LogDriver&)>;

  // Runs `setup` as it is, and then, in a new process, `script` with all its power cuts; the
  // opening of the log in that process belongs to it. Failures are gtest's.
  void Run(const Script& setup, const Script& script);

  // What was tried so far.
  struct Counts {
    uint64_t boundaries = 0;
    uint64_t states = 0;
    uint64_t inside_recovery = 0;
    uint64_t torn = 0;  // states that ended as MAYBE_TORN
    uint64_t kept = 0;  // states in which a batch survived that was never acknowledged
    uint64_t cut = 0;
  };
  const Counts& counts() const { return counts_; }

 private:
  void AtBoundary();
  void Check(const CrashChoice& choice);
  RecoveredState Recover(SimulatedFileSystem& file_system, bool write);
  void CheckInsideRecovery(const SimulatedFileSystem& before, const RecoveredState& expected);
  // Empty if the state is one a power cut may leave.
  std::string Judge(SimulatedFileSystem& file_system);
  std::string CompareWith(LogDriver& driver, const Model& model, bool may_be_torn);

  const BlockLogOptions options_;
  std::optional<BlockLogOptions> setup_options_;
  Random random_;
  SimulatedFileSystem file_system_;
  LogDriver* driver_ = nullptr;  // null while the log is being opened
  Model before_;                 // what was there before the script
  std::vector<PendingOperation> last_pending_;
  uint64_t last_done_ = 0;
  Counts counts_;
};

}  // namespace cairn

#endif  // TESTS_STORAGE_BLOCK_CRASH_ENUMERATOR_H_
