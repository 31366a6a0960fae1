#include "storage/simulated_disk.h"

#include <errno.h>

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "storage/posix_error.h"

namespace cairn::internal {
namespace {

constexpr size_t kDirectReadAlignment = 4096;
constexpr size_t kZeroes = size_t{1} << 20;

bool IsDirectAligned(uint64_t offset, absl::string_view data) {
  return offset % kSectorBytes == 0 && data.size() % kSectorBytes == 0 &&
         reinterpret_cast<uintptr_t>(data.data()) % kDirectReadAlignment == 0;
}

}  // namespace

SimulatedDisk::SimulatedDisk(SimulatedFileSystem::Options options)
    : options_(std::move(options)),
      random_(options_.seed),
      capacity_bytes_(options_.capacity_bytes) {}

FileFault SimulatedDisk::Ask(Operation operation, const std::string& path, uint64_t offset,
                             uint64_t length) {
  std::shared_ptr<const FaultHook> hook;
  {
    MutexLock lock(mutex_);
    hook = hook_;
  }
  if (hook == nullptr) return {};
  return (*hook)(FileAccess{operation, path, offset, length});
}

absl::Status SimulatedDisk::Usable(const char* operation, const SimulatedHandle& handle) const {
  if (handle.epoch == epoch_) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat(operation, " ", handle.path, ": the process that opened it has ended"));
}

absl::Status SimulatedDisk::Changeable(const char* operation, const SimulatedHandle& handle) {
  if (absl::Status status = Usable(operation, handle); !status.ok()) return status;
  if (!handle.writable) return PosixError(operation, handle.path, EBADF);
  if (handle.inode->failed_epoch == epoch_) ++uses_after_failure_;
  counter_.call++;
  return absl::OkStatus();
}

absl::Status SimulatedDisk::Fail(const char* operation, const SimulatedHandle& handle, int error) {
  // A write for which there is no room may be repeated (File).
  const bool may_be_repeated = error == ENOSPC && absl::string_view(operation) != "sync";
  if (!may_be_repeated) handle.inode->failed_epoch = epoch_;
  return PosixError(operation, handle.path, error);
}

bool SimulatedDisk::Fits(const SimulatedHandle& handle, uint64_t length) const {
  const uint64_t old_length = handle.inode->cached().length();
  if (capacity_bytes_ == UINT64_MAX || length <= old_length) return true;
  return tree_.TotalLength() + (length - old_length) <= capacity_bytes_;
}

absl::StatusOr<SimulatedHandle> SimulatedDisk::Open(const std::string& path,
                                                    FileSystem::OpenOptions options) {
  using Mode = FileSystem::OpenMode;
  const FileFault fault = Ask(Operation::kOpen, path);
  if (fault.error != 0) return PosixError("open", path, fault.error);
  MutexLock lock(mutex_);
  SimulatedHandle handle;
  handle.epoch = epoch_;
  handle.path = path;
  handle.writable = options.mode != Mode::kRead;
  handle.direct = options.direct && handle.writable;
  int error = tree_.Find(path, &handle.inode);
  if (error == 0 && options.mode == Mode::kCreate) return PosixError("open", path, EEXIST);
  if (error == 0 && handle.inode->is_directory()) return PosixError("open", path, EISDIR);
  if (handle.direct && !options_.has_direct_writes) {
    return absl::UnimplementedError(absl::StrCat("open ", path, ": no direct writes here"));
  }
  if (error == ENOENT && (options.mode == Mode::kCreate || options.mode == Mode::kOpenOrCreate)) {
    counter_.call++;
    error = tree_.Create(path, counter_, &handle.inode);
  }
  if (error != 0) return PosixError("open", path, error);
  return handle;
}

absl::StatusOr<uint64_t> SimulatedDisk::Size(const SimulatedHandle& handle) {
  MutexLock lock(mutex_);
  if (absl::Status status = Usable("stat", handle); !status.ok()) return status;
  return handle.inode->cached().length();
}

absl::StatusOr<size_t> SimulatedDisk::Read(const SimulatedHandle& handle, uint64_t offset,
                                           size_t length, char* to) {
  const FileFault fault = Ask(Operation::kRead, handle.path, offset, length);
  if (fault.error != 0) return PosixError("read", handle.path, fault.error);
  MutexLock lock(mutex_);
  if (absl::Status status = Usable("read", handle); !status.ok()) return status;
  if (!handle.inode->Readable(offset, length)) return PosixError("read", handle.path, EIO);
  return handle.inode->cached().Read(offset, length, to);
}

absl::StatusOr<size_t> SimulatedDisk::ReadDirect(const SimulatedHandle& handle, uint64_t offset,
                                                 size_t length, char* to) {
  CAIRN_CHECK_EQ(offset % kDirectReadAlignment, 0u) << handle.path;
  CAIRN_CHECK_EQ(length % kDirectReadAlignment, 0u) << handle.path;
  CAIRN_CHECK_EQ(reinterpret_cast<uintptr_t>(to) % kDirectReadAlignment, 0u) << handle.path;
  const FileFault fault = Ask(Operation::kReadDirect, handle.path, offset, length);
  if (fault.error != 0) return PosixError("read", handle.path, fault.error);
  MutexLock lock(mutex_);
  if (absl::Status status = Usable("read", handle); !status.ok()) return status;
  if (!handle.inode->Readable(offset, length)) return PosixError("read", handle.path, EIO);
  return handle.inode->OnDisk().Read(offset, length, to);
}

absl::Status SimulatedDisk::WriteWithFault(const char* operation, const SimulatedHandle& handle,
                                           uint64_t offset, absl::string_view data,
                                           const FileFault& fault) {
  if (handle.direct && !IsDirectAligned(offset, data)) return Fail(operation, handle, EINVAL);
  if (!Fits(handle, offset + data.size())) return Fail(operation, handle, ENOSPC);
  if (fault.error != 0 && fault.reached == FileFault::Reached::kNothing) data = {};
  if (fault.error != 0 && fault.reached == FileFault::Reached::kSome) {
    const uint64_t end = (offset + random_.Below(data.size() + 1)) / kSectorBytes * kSectorBytes;
    data = data.substr(0, static_cast<size_t>(std::max(end, offset) - offset));
  }
  if (fault.lost) {
    handle.inode->WriteLost(offset, data);
  } else {
    handle.inode->Write(offset, data, counter_);
  }
  return fault.error == 0 ? absl::OkStatus() : Fail(operation, handle, fault.error);
}

absl::Status SimulatedDisk::Write(const SimulatedHandle& handle, uint64_t offset,
                                  absl::string_view data) {
  const FileFault fault = Ask(Operation::kWrite, handle.path, offset, data.size());
  MutexLock lock(mutex_);
  if (absl::Status status = Changeable("write", handle); !status.ok()) return status;
  return WriteWithFault("write", handle, offset, data, fault);
}

absl::Status SimulatedDisk::Resize(const SimulatedHandle& handle, uint64_t length) {
  const FileFault fault = Ask(Operation::kResize, handle.path, 0, length);
  MutexLock lock(mutex_);
  if (absl::Status status = Changeable("resize", handle); !status.ok()) return status;
  if (fault.error != 0) return Fail("resize", handle, fault.error);
  if (!Fits(handle, length)) return Fail("resize", handle, ENOSPC);
  handle.inode->Resize(length, counter_);
  return absl::OkStatus();
}

absl::Status SimulatedDisk::WriteZeroes(Operation operation, const SimulatedHandle& handle,
                                        uint64_t length) {
  alignas(kDirectReadAlignment) static constexpr std::array<char, kZeroes> kZero = {};
  const FileFault fault = Ask(operation, handle.path, 0, length);
  MutexLock lock(mutex_);
  if (absl::Status status = Changeable("preallocate", handle); !status.ok()) return status;
  if (!Fits(handle, length)) return Fail("preallocate", handle, ENOSPC);
  for (uint64_t offset = 0; offset < length; offset += kZeroes) {
    const size_t piece = static_cast<size_t>(std::min<uint64_t>(kZeroes, length - offset));
    const absl::Status status =
        WriteWithFault("preallocate", handle, offset, {kZero.data(), piece}, fault);
    if (!status.ok()) return status;
  }
  handle.inode->Resize(length, counter_);
  return absl::OkStatus();
}

uint64_t SimulatedDisk::BeginSync(const SimulatedHandle& handle, FileSystem::SyncDone done) {
  SyncUnderWay sync;
  sync.handle = handle;
  sync.fault = Ask(Operation::kSync, handle.path);
  sync.done = std::move(done);
  MutexLock lock(mutex_);
  sync.end = counter_.next;
  const uint64_t id = ++syncs_begun_;
  syncs_.emplace(id, std::move(sync));
  return id;
}

void SimulatedDisk::EndSync(uint64_t id) {
  SyncUnderWay sync;
  absl::Status status;
  {
    MutexLock lock(mutex_);
    const auto found = syncs_.find(id);
    if (found == syncs_.end()) return;
    sync = std::move(found->second);
    syncs_.erase(found);
    status = CarryOut(sync);
  }
  sync.done(std::move(status));
}

absl::Status SimulatedDisk::CarryOut(const SyncUnderWay& sync) {
  const SimulatedHandle& handle = sync.handle;
  if (absl::Status status = Usable("sync", handle); !status.ok()) return status;
  if (handle.inode->failed_epoch == epoch_) ++uses_after_failure_;
  if (sync.fault.lost) return absl::OkStatus();
  if (sync.fault.error == 0) {
    handle.inode->MakeDurable(sync.end);
    return absl::OkStatus();
  }
  const FileFault::Reached reached = sync.fault.reached;
  handle.inode->LoseSectors(sync.end, [&]() CAIRN_REQUIRES(mutex_) {
    if (reached == FileFault::Reached::kSome) return random_.OneIn(2);
    return reached == FileFault::Reached::kEverything;
  });
  return Fail("sync", handle, sync.fault.error);
}

absl::Status SimulatedDisk::SyncDirectory(const std::string& directory) {
  const FileFault fault = Ask(Operation::kSyncDirectory, directory);
  if (fault.error != 0) return PosixError("sync directory", directory, fault.error);
  MutexLock lock(mutex_);
  std::shared_ptr<SimulatedInode> inode;
  int error = tree_.Find(directory, &inode);
  if (error == 0 && !inode->is_directory()) error = ENOTDIR;
  if (error != 0) return PosixError("sync directory", directory, error);
  if (!fault.lost) tree_.MakeDurable(*inode);
  return absl::OkStatus();
}

absl::Status SimulatedDisk::Rename(const std::string& from, const std::string& to) {
  const FileFault fault = Ask(Operation::kRename, from);
  MutexLock lock(mutex_);
  counter_.call++;
  const int error = fault.error != 0 ? fault.error : tree_.Rename(from, to, counter_);
  if (error != 0) return PosixError("rename", absl::StrCat(from, " to ", to), error);
  return absl::OkStatus();
}

absl::Status SimulatedDisk::Remove(const std::string& path) {
  const FileFault fault = Ask(Operation::kRemove, path);
  MutexLock lock(mutex_);
  counter_.call++;
  const int error = fault.error != 0 ? fault.error : tree_.Remove(path, counter_);
  return error == 0 ? absl::OkStatus() : PosixError("remove", path, error);
}

absl::Status SimulatedDisk::MakeDirectory(const std::string& path) {
  const FileFault fault = Ask(Operation::kMakeDirectory, path);
  MutexLock lock(mutex_);
  const int error = fault.error != 0 ? fault.error : tree_.MakeDirectory(path);
  return error == 0 ? absl::OkStatus() : PosixError("make directory", path, error);
}

absl::StatusOr<bool> SimulatedDisk::Exists(const std::string& path) {
  MutexLock lock(mutex_);
  std::shared_ptr<SimulatedInode> inode;
  return tree_.Find(path, &inode) == 0;
}

absl::StatusOr<std::vector<std::string>> SimulatedDisk::List(const std::string& directory) {
  const FileFault fault = Ask(Operation::kList, directory);
  MutexLock lock(mutex_);
  std::shared_ptr<SimulatedInode> inode;
  int error = fault.error != 0 ? fault.error : tree_.Find(directory, &inode);
  if (error == 0 && !inode->is_directory()) error = ENOTDIR;
  if (error != 0) return PosixError("list", directory, error);
  std::vector<std::string> names;
  for (const auto& [name, child] : inode->entries) names.push_back(name);
  return names;
}

absl::StatusOr<uint64_t> SimulatedDisk::Lock(const std::string& path) {
  const FileFault fault = Ask(Operation::kLock, path);
  if (fault.error != 0) return PosixError("lock", path, fault.error);
  MutexLock lock(mutex_);
  std::shared_ptr<SimulatedInode> inode;
  int error = tree_.Find(path, &inode);
  counter_.call++;
  if (error == ENOENT) error = tree_.Create(path, counter_, &inode);
  if (error == 0 && inode->is_directory()) error = EISDIR;
  if (error != 0) return PosixError("open lock", path, error);
  if (!locks_.insert(SimulatedTree::Normalize(path)).second) {
    return absl::AlreadyExistsError(absl::StrCat("lock ", path, ": held by process ", epoch_));
  }
  inode->Resize(0, counter_);
  inode->Write(0, absl::StrCat(epoch_, "\n"), counter_);
  return epoch_;
}

void SimulatedDisk::Unlock(const std::string& path, uint64_t epoch) {
  MutexLock lock(mutex_);
  if (epoch == epoch_) locks_.erase(SimulatedTree::Normalize(path));
}

std::optional<std::string> SimulatedDisk::LockHolder(const std::string& path) {
  MutexLock lock(mutex_);
  if (!locks_.contains(SimulatedTree::Normalize(path))) return std::nullopt;
  return absl::StrCat("process ", epoch_);
}

std::string SimulatedDisk::BootId() {
  MutexLock lock(mutex_);
  return absl::StrCat("simulated-", options_.seed, "-", boots_);
}

SimulatedDisk::Syncs SimulatedDisk::EndProcess() {
  ++epoch_;
  locks_.clear();
  return std::exchange(syncs_, {});
}

void SimulatedDisk::Crash(const CrashChoice& choice) {
  Syncs dropped;  // destroyed unlocked: what their callbacks own may call back
  MutexLock lock(mutex_);
  tree_ = tree_.AfterCrash(choice.kept);
  ++boots_;
  dropped = EndProcess();
}

void SimulatedDisk::RestartProcess() {
  Syncs dropped;
  MutexLock lock(mutex_);
  dropped = EndProcess();
}

std::vector<PendingOperation> SimulatedDisk::Pending() {
  MutexLock lock(mutex_);
  return tree_.Pending();
}

std::shared_ptr<SimulatedDisk> SimulatedDisk::CrashImage(const CrashChoice& choice) {
  MutexLock lock(mutex_);
  SimulatedFileSystem::Options options = options_;
  options.schedule = nullptr;
  options.capacity_bytes = capacity_bytes_;
  auto image = std::make_shared<SimulatedDisk>(std::move(options));
  MutexLock image_lock(image->mutex_);
  image->tree_ = tree_.AfterCrash(choice.kept);
  image->boots_ = boots_ + 1;
  return image;
}

void SimulatedDisk::set_fault_hook(FaultHook hook) {
  auto shared = hook == nullptr ? nullptr : std::make_shared<const FaultHook>(std::move(hook));
  MutexLock lock(mutex_);
  hook_.swap(shared);
}

void SimulatedDisk::set_capacity_bytes(uint64_t bytes) {
  MutexLock lock(mutex_);
  capacity_bytes_ = bytes;
}

std::shared_ptr<SimulatedInode> SimulatedDisk::FileAt(const std::string& path) {
  std::shared_ptr<SimulatedInode> inode;
  CAIRN_CHECK_EQ(tree_.Find(path, &inode), 0) << path;
  CAIRN_CHECK(!inode->is_directory()) << path;
  return inode;
}

void SimulatedDisk::Damage(const std::string& path, uint64_t offset, size_t length,
                           const SimulatedInode::Change& change) {
  MutexLock lock(mutex_);
  FileAt(path)->Damage(offset, length, change);
}

void SimulatedDisk::FailReads(const std::string& path, uint64_t offset, uint64_t length) {
  MutexLock lock(mutex_);
  FileAt(path)->FailReads(offset, length);
}

uint64_t SimulatedDisk::uses_after_failure() {
  MutexLock lock(mutex_);
  return uses_after_failure_;
}

}  // namespace cairn::internal
