// SimulatedDisk: the state behind a SimulatedFileSystem and its open files, under one lock.

#ifndef STORAGE_SIMULATED_DISK_H_
#define STORAGE_SIMULATED_DISK_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/mutex.h"
#include "base/random.h"
#include "storage/simulated_file_system.h"
#include "storage/simulated_inode.h"
#include "storage/simulated_tree.h"

namespace cairn::internal {

// An open file: what it refers to, and since when.
struct SimulatedHandle {
  std::shared_ptr<SimulatedInode> inode;
  uint64_t epoch = 0;
  std::string path;
  bool writable = false;
  bool direct = false;
};

class SimulatedDisk {
 public:
  using Operation = FileAccess::Operation;
  using FaultHook = SimulatedFileSystem::FaultHook;

  explicit SimulatedDisk(SimulatedFileSystem::Options options);

  absl::StatusOr<SimulatedHandle> Open(const std::string& path, FileSystem::OpenOptions options);
  absl::StatusOr<uint64_t> Size(const SimulatedHandle& handle);
  absl::StatusOr<size_t> Read(const SimulatedHandle& handle, uint64_t offset, size_t length,
                              char* to);
  absl::StatusOr<size_t> ReadDirect(const SimulatedHandle& handle, uint64_t offset, size_t length,
                                    char* to);
  absl::Status Write(const SimulatedHandle& handle, uint64_t offset, absl::string_view data);
  absl::Status Resize(const SimulatedHandle& handle, uint64_t length);
  // kPreallocate or kReserveZeroes.
  absl::Status WriteZeroes(FileAccess::Operation operation, const SimulatedHandle& handle,
                           uint64_t length);
  // Begins a sync of what is written by now; EndSync carries it out.
  uint64_t BeginSync(const SimulatedHandle& handle, FileSystem::SyncDone done);
  // Does nothing if a power cut came between.
  void EndSync(uint64_t sync);

  absl::Status SyncDirectory(const std::string& directory);
  absl::Status Rename(const std::string& from, const std::string& to);
  absl::Status Remove(const std::string& path);
  absl::Status MakeDirectory(const std::string& path);
  absl::StatusOr<bool> Exists(const std::string& path);
  absl::StatusOr<std::vector<std::string>> List(const std::string& directory);
  // Gives the epoch the lock was taken in.
  absl::StatusOr<uint64_t> Lock(const std::string& path);
  void Unlock(const std::string& path, uint64_t epoch);
  std::optional<std::string> LockHolder(const std::string& path);
  std::string BootId();

  void Crash(const CrashChoice& choice);
  void RestartProcess();
  std::vector<PendingOperation> Pending();
  std::shared_ptr<SimulatedDisk> CrashImage(const CrashChoice& choice);

  void set_fault_hook(FaultHook hook);
  void set_capacity_bytes(uint64_t bytes);
  void Damage(const std::string& path, uint64_t offset, size_t length,
              const SimulatedInode::Change& change);
  void FailReads(const std::string& path, uint64_t offset, uint64_t length);
  uint64_t uses_after_failure();

  const SimulatedFileSystem::Options& options() const { return options_; }

 private:
  struct SyncUnderWay {
    SimulatedHandle handle;
    OperationId end = 0;  // of what it covers
    FileFault fault;
    FileSystem::SyncDone done;
  };
  using Syncs = std::map<uint64_t, SyncUnderWay>;

  FileFault Ask(Operation operation, const std::string& path, uint64_t offset = 0,
                uint64_t length = 0);
  // The error of a call on `handle` that must not happen, else OK.
  absl::Status Usable(const char* operation, const SimulatedHandle& handle) const
      CAIRN_REQUIRES(mutex_);
  absl::Status Changeable(const char* operation, const SimulatedHandle& handle)
      CAIRN_REQUIRES(mutex_);
  absl::Status Fail(const char* operation, const SimulatedHandle& handle, int error)
      CAIRN_REQUIRES(mutex_);
  bool Fits(const SimulatedHandle& handle, uint64_t length) const CAIRN_REQUIRES(mutex_);
  absl::Status WriteWithFault(const char* operation, const SimulatedHandle& handle, uint64_t offset,
                              absl::string_view data, const FileFault& fault)
      CAIRN_REQUIRES(mutex_);
  absl::Status CarryOut(const SyncUnderWay& sync) CAIRN_REQUIRES(mutex_);
  Syncs EndProcess() CAIRN_REQUIRES(mutex_);
  std::shared_ptr<SimulatedInode> FileAt(const std::string& path) CAIRN_REQUIRES(mutex_);

  const SimulatedFileSystem::Options options_;
  Mutex mutex_;
  SimulatedTree tree_ CAIRN_GUARDED_BY(mutex_);
  OperationCounter counter_ CAIRN_GUARDED_BY(mutex_);
  Random random_ CAIRN_GUARDED_BY(mutex_);
  uint64_t epoch_ CAIRN_GUARDED_BY(mutex_) = 1;  // of the process
  uint64_t boots_ CAIRN_GUARDED_BY(mutex_) = 1;
  std::set<std::string> locks_ CAIRN_GUARDED_BY(mutex_);
  uint64_t syncs_begun_ CAIRN_GUARDED_BY(mutex_) = 0;
  Syncs syncs_ CAIRN_GUARDED_BY(mutex_);
  std::shared_ptr<const FaultHook> hook_ CAIRN_GUARDED_BY(mutex_);
  uint64_t capacity_bytes_ CAIRN_GUARDED_BY(mutex_);
  uint64_t uses_after_failure_ CAIRN_GUARDED_BY(mutex_) = 0;
};

}  // namespace cairn::internal

#endif  // STORAGE_SIMULATED_DISK_H_
