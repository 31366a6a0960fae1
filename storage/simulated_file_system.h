// SimulatedFileSystem: a machine's disk in memory that loses power, rots and fails on demand.

#ifndef STORAGE_SIMULATED_FILE_SYSTEM_H_
#define STORAGE_SIMULATED_FILE_SYSTEM_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/executor.h"
#include "base/random.h"
#include "storage/crash_choice.h"
#include "storage/file_system.h"

namespace cairn {

namespace internal {
class SimulatedDisk;
}

// One call to a file system, as a fault hook sees it before it happens.
struct FileAccess {
  enum class Operation {
    kOpen,
    kRead,
    kReadDirect,
    kWrite,
    kResize,
    kPreallocate,
    kReserveZeroes,
    kSync,  // SyncNow too
    kSyncDirectory,
    kRename,
    kRemove,
    kMakeDirectory,
    kList,
    kLock,
  };
  Operation operation;
  std::string path;
  uint64_t offset = 0;
  uint64_t length = 0;
};

struct FileFault {
  // Not 0: the call fails with this errno.
  int error = 0;
  // How much of a Write, Preallocate, ReserveZeroes or Sync that fails happens all the same. kSome
  // is any subset of sectors of a Sync, and of the others the beginning, up to the end of a sector.
  // As with Linux, content that a failed sync did not write is never written again, though reads
  // that are not direct still show it.
  enum class Reached { kNothing, kSome, kEverything };
  Reached reached = Reached::kNothing;
  // Says OK and does nothing: a Write that readers see and that never reaches the disk, a Sync or
  // SyncDirectory that makes nothing durable.
  bool lost = false;
};

// A FileSystem of which the whole state is known.
//
// Holds: reads see what was written (the cached image). A power cut leaves what was synced (the
// surely durable image) and a choice of what was written or done to directories since. Nothing is
// durable that was not synced: a new file needs its own sync and that of its directory.
//
// Deterministic: the same calls and the same seed give the same bytes. Threads: as FileSystem; the
// methods below it on any thread. The fault hook and the scheduler are called without a lock.
// Ownership: files and locks may outlive the file system.
class SimulatedFileSystem final : public FileSystem {
 public:
  using FaultHook = std::function<FileFault(const FileAccess&)>;

  struct Options {
    // Runs the end of a Sync later. Without one a Sync ends before it returns.
    //   [&](Task task) { executor.PostAt(clock.Now() + Latency(), std::move(task)); }
    std::function<void(Task)> schedule = nullptr;
    // Drawn from where a fault is left to chance, and for boot ids.
    uint64_t seed = 0;
    bool has_direct_writes = true;
    // Sum of the lengths of all files; what would exceed it fails with RESOURCE_EXHAUSTED.
    uint64_t capacity_bytes = UINT64_MAX;
  };

  SimulatedFileSystem();
  explicit SimulatedFileSystem(Options options);
  ~SimulatedFileSystem() override;

  // FileSystem. Preallocate, ReserveZeroes, Sync and SyncNow take files of this object only.
  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenOptions options) override;
  absl::Status Preallocate(File& file, uint64_t length) override;
  absl::Status ReserveZeroes(File& file, uint64_t length) override;
  void Sync(File& file, SyncDone done) override;
  absl::Status SyncNow(File& file) override;
  absl::Status SyncDirectory(const std::string& directory) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status MakeDirectory(const std::string& path) override;
  absl::StatusOr<bool> Exists(const std::string& path) override;
  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override;
  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) override;
  absl::StatusOr<std::optional<std::string>> LockHolder(const std::string& path) override;
  absl::StatusOr<std::string> BootId() override;

  // Power cuts. Afterwards open files give errors, locks are free, syncs under way never call
  // `done` (it is destroyed), and the boot id is another one.
  void Crash(const CrashChoice& choice);
  void Crash(CrashPolicy policy, Random& random);
  // What was not synced and may be lost, in order of issue.
  std::vector<PendingOperation> Pending() const;
  // The disk as a power cut now would leave it. It has no scheduler and no hook. Cheap: it shares
  // what neither side writes, so use it on the thread of its origin, or that one no more.
  std::unique_ptr<SimulatedFileSystem> CrashImage(const CrashChoice& choice) const;
  // All that is sure to survive: nothing that was not synced.
  std::unique_ptr<SimulatedFileSystem> WorstCaseImage() const;

  // The end of the process, not of the machine: as a power cut for files, locks and syncs, but
  // reads go on to see everything, what was not synced stays pending, the boot id stays.
  void RestartProcess();

  // Asked before each call; may look at Pending() and CrashImage(). To end the process at some call
  // it calls RestartProcess() (or Crash) and gives errors from then on. None if empty.
  void set_fault_hook(FaultHook hook);
  void set_capacity_bytes(uint64_t bytes);

  // Damage. `path` names a file that is there (CHECKed).
  // Rot: `bytes` stand at `offset` from now on, in every copy that is or may come on the disk. Does
  // not make the file longer.
  void Overwrite(const std::string& path, uint64_t offset, absl::string_view bytes);
  // Rot: turns over the bits of `mask` in the byte at `offset`.
  void FlipBits(const std::string& path, uint64_t offset, uint8_t mask);
  // Rot: the sector around `offset` reads as zero.
  void ZeroSector(const std::string& path, uint64_t offset);
  // Reads of these sectors fail (EIO) until they are written again.
  void FailReads(const std::string& path, uint64_t offset, uint64_t length);

  // How often a file was written, resized or synced after one of these had failed, within the life
  // of one process: what File forbids. A correct store keeps it at 0.
  uint64_t uses_after_failure() const;

 private:
  explicit SimulatedFileSystem(std::shared_ptr<internal::SimulatedDisk> disk);

  const std::shared_ptr<internal::SimulatedDisk> disk_;
};

// A hook under which the `nth` (from 1) such operation on a path that contains `path_part` suffers
// `fault`.
SimulatedFileSystem::FaultHook NthFault(FileAccess::Operation operation, std::string path_part,
                                        uint64_t nth, FileFault fault);

}  // namespace cairn

#endif  // STORAGE_SIMULATED_FILE_SYSTEM_H_
