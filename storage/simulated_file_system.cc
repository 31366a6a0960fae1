#include "storage/simulated_file_system.h"

#include <utility>

#include "absl/strings/match.h"
#include "base/check.h"
#include "storage/simulated_disk.h"

namespace cairn {
namespace {

using internal::SimulatedDisk;
using internal::SimulatedHandle;

class SimulatedFile final : public File {
 public:
  SimulatedFile(std::shared_ptr<SimulatedDisk> disk, SimulatedHandle handle)
      : disk_(std::move(disk)), handle_(std::move(handle)) {}

  const SimulatedHandle& handle() const { return handle_; }
  const SimulatedDisk* disk() const { return disk_.get(); }

  const std::string& path() const override { return handle_.path; }
  absl::StatusOr<uint64_t> Size() const override { return disk_->Size(handle_); }
  absl::StatusOr<size_t> Read(uint64_t offset, size_t length, char* to) const override {
    return disk_->Read(handle_, offset, length, to);
  }
  absl::StatusOr<size_t> ReadDirect(uint64_t offset, size_t length, char* to) const override {
    return disk_->ReadDirect(handle_, offset, length, to);
  }
  absl::Status Write(uint64_t offset, absl::string_view data) override {
    return disk_->Write(handle_, offset, data);
  }
  void StartWriteback(uint64_t, uint64_t) override {}  // a write may reach the disk at any time
  void DropCached(uint64_t, uint64_t) const override {}
  bool IsCached(uint64_t) const override { return true; }
  absl::Status Resize(uint64_t length) override { return disk_->Resize(handle_, length); }

 private:
  const std::shared_ptr<SimulatedDisk> disk_;
  const SimulatedHandle handle_;
};

class SimulatedLock final : public FileLock {
 public:
  SimulatedLock(std::shared_ptr<SimulatedDisk> disk, std::string path, uint64_t epoch)
      : disk_(std::move(disk)), path_(std::move(path)), epoch_(epoch) {}
  ~SimulatedLock() override { disk_->Unlock(path_, epoch_); }

 private:
  const std::shared_ptr<SimulatedDisk> disk_;
  const std::string path_;
  const uint64_t epoch_;
};

const SimulatedHandle& HandleOf(const SimulatedDisk& disk, const File& file) {
  const auto& simulated = static_cast<const SimulatedFile&>(file);
  CAIRN_CHECK(simulated.disk() == &disk) << file.path() << " is of another file system";
  return simulated.handle();
}

}  // namespace

SimulatedFileSystem::SimulatedFileSystem() : SimulatedFileSystem(Options()) {}

SimulatedFileSystem::SimulatedFileSystem(Options options)
    : disk_(std::make_shared<SimulatedDisk>(std::move(options))) {}

SimulatedFileSystem::SimulatedFileSystem(std::shared_ptr<SimulatedDisk> disk)
    : disk_(std::move(disk)) {}

SimulatedFileSystem::~SimulatedFileSystem() = default;

absl::StatusOr<std::unique_ptr<File>> SimulatedFileSystem::Open(const std::string& path,
                                                                OpenOptions options) {
  auto handle = disk_->Open(path, options);
  if (!handle.ok()) return handle.status();
  return std::make_unique<SimulatedFile>(disk_, std::move(handle).value());
}

absl::Status SimulatedFileSystem::Preallocate(File& file, uint64_t length) {
  return disk_->WriteZeroes(FileAccess::Operation::kPreallocate, HandleOf(*disk_, file), length);
}

// Zeros that a crash leaves as they were before, or not, are as good a model of promised ones.
absl::Status SimulatedFileSystem::ReserveZeroes(File& file, uint64_t length) {
  return disk_->WriteZeroes(FileAccess::Operation::kReserveZeroes, HandleOf(*disk_, file), length);
}

void SimulatedFileSystem::Sync(File& file, SyncDone done) {
  const uint64_t sync = disk_->BeginSync(HandleOf(*disk_, file), std::move(done));
  const auto& schedule = disk_->options().schedule;
  if (schedule == nullptr) {
    disk_->EndSync(sync);
    return;
  }
  schedule([disk = std::weak_ptr<SimulatedDisk>(disk_), sync] {
    if (const auto alive = disk.lock(); alive != nullptr) alive->EndSync(sync);
  });
}

absl::Status SimulatedFileSystem::SyncNow(File& file) {
  absl::Status result;
  disk_->EndSync(disk_->BeginSync(HandleOf(*disk_, file),
                                  [&result](absl::Status status) { result = std::move(status); }));
  return result;
}

absl::Status SimulatedFileSystem::SyncDirectory(const std::string& directory) {
  return disk_->SyncDirectory(directory);
}

absl::Status SimulatedFileSystem::Rename(const std::string& from, const std::string& to) {
  return disk_->Rename(from, to);
}

absl::Status SimulatedFileSystem::Remove(const std::string& path) { return disk_->Remove(path); }

absl::Status SimulatedFileSystem::MakeDirectory(const std::string& path) {
  return disk_->MakeDirectory(path);
}

absl::StatusOr<bool> SimulatedFileSystem::Exists(const std::string& path) {
  return disk_->Exists(path);
}

absl::StatusOr<std::vector<std::string>> SimulatedFileSystem::List(const std::string& directory) {
  return disk_->List(directory);
}

absl::StatusOr<std::unique_ptr<FileLock>> SimulatedFileSystem::Lock(const std::string& path) {
  const auto epoch = disk_->Lock(path);
  if (!epoch.ok()) return epoch.status();
  return std::make_unique<SimulatedLock>(disk_, path, *epoch);
}

absl::StatusOr<std::optional<std::string>> SimulatedFileSystem::LockHolder(
    const std::string& path) {
  return disk_->LockHolder(path);
}

absl::StatusOr<std::string> SimulatedFileSystem::BootId() { return disk_->BootId(); }

void SimulatedFileSystem::Crash(const CrashChoice& choice) { disk_->Crash(choice); }

void SimulatedFileSystem::Crash(CrashPolicy policy, Random& random) {
  disk_->Crash(ChooseCrash(policy, disk_->Pending(), random));
}

std::vector<PendingOperation> SimulatedFileSystem::Pending() const { return disk_->Pending(); }

std::unique_ptr<SimulatedFileSystem> SimulatedFileSystem::CrashImage(
    const CrashChoice& choice) const {
  return std::unique_ptr<SimulatedFileSystem>(new SimulatedFileSystem(disk_->CrashImage(choice)));
}

std::unique_ptr<SimulatedFileSystem> SimulatedFileSystem::WorstCaseImage() const {
  return CrashImage({});
}

void SimulatedFileSystem::RestartProcess() { disk_->RestartProcess(); }

void SimulatedFileSystem::set_fault_hook(FaultHook hook) { disk_->set_fault_hook(std::move(hook)); }

void SimulatedFileSystem::set_capacity_bytes(uint64_t bytes) { disk_->set_capacity_bytes(bytes); }

void SimulatedFileSystem::Overwrite(const std::string& path, uint64_t offset,
                                    absl::string_view bytes) {
  disk_->Damage(path, offset, bytes.size(), [bytes](size_t i, char) { return bytes[i]; });
}

void SimulatedFileSystem::FlipBits(const std::string& path, uint64_t offset, uint8_t mask) {
  disk_->Damage(path, offset, 1, [mask](size_t, char old) {
    return static_cast<char>(old ^ static_cast<char>(mask));
  });
}

void SimulatedFileSystem::ZeroSector(const std::string& path, uint64_t offset) {
  disk_->Damage(path, offset / kSectorBytes * kSectorBytes, kSectorBytes,
                [](size_t, char) { return '\0'; });
}

void SimulatedFileSystem::FailReads(const std::string& path, uint64_t offset, uint64_t length) {
  disk_->FailReads(path, offset, length);
}

uint64_t SimulatedFileSystem::uses_after_failure() const { return disk_->uses_after_failure(); }

SimulatedFileSystem::FaultHook NthFault(FileAccess::Operation operation, std::string path_part,
                                        uint64_t nth, FileFault fault) {
  // Shared, because a hook may be copied.
  auto seen = std::make_shared<uint64_t>(0);
  return [=](const FileAccess& access) {
    if (access.operation != operation || !absl::StrContains(access.path, path_part)) {
      return FileFault();
    }
    return ++*seen == nth ? fault : FileFault();
  };
}

}  // namespace cairn
