// MemoryLogDisk: a LogDisk without a disk. For tests, the simulator, and experiments.

#ifndef STORAGE_MEMORY_LOG_STORE_H_
#define STORAGE_MEMORY_LOG_STORE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/executor.h"
#include "base/mutex.h"
#include "base/types.h"
#include "storage/log_store.h"
#include "storage/memory_log.h"

namespace cairn {

// What stays when a MemoryLogDisk is destroyed: the disk under the disk. It knows what was synced
// and what was not, so a power cut can be played on it.
//
// Threads: any.
class MemoryLogMedium {
 public:
  struct Options {
    // Runs the end of a Sync later. Without one a Sync ends before it returns.
    std::function<void(Task)> schedule = nullptr;
  };
  MemoryLogMedium() : MemoryLogMedium(Options()) {}
  explicit MemoryLogMedium(Options options) : options_(std::move(options)) {}
  MemoryLogMedium(const MemoryLogMedium&) = delete;
  MemoryLogMedium& operator=(const MemoryLogMedium&) = delete;

  // How many single changes (a hard state, a truncation, an entry, a commit index, a dropped
  // prefix, a reset) were made since what was synced.
  size_t PendingParts() const;

  // A power cut: of these changes the first `kept` stay. Whoever has the medium open gets errors
  // from now on, and a sync under way never calls its `done`.
  void Crash(size_t kept = 0);
  // The end of the process: as a power cut for who has it open, but nothing is lost; what was not
  // synced is so until somebody opens it again.
  void RestartProcess();
  // The medium as such a power cut now would leave it.
  std::unique_ptr<MemoryLogMedium> CrashImage(size_t kept = 0) const;

  // From now on every write and sync fails with `status`, until a power cut or restart.
  void FailWrites(absl::Status status);

 private:
  friend class MemoryLogDisk;
  friend class MemoryLogStore;
  struct Drop {
    Index up_to = 0;
  };
  struct Reset {
    LogPosition base;
    EntryHash hash;
  };
  struct Forget {};
  struct Change {
    GroupId group = GroupId::kNone;
    std::variant<LogAppend, Drop, Reset, Forget> what;
  };
  using SyncDone = absl::AnyInvocable<void(absl::Status)>;
  struct SyncUnderWay {
    uint64_t id = 0;
    uint64_t end = 0;  // of the changes it covers
    SyncDone done;
  };
  using Logs = std::map<GroupId, MemoryLog>;

  static MemoryLog& LogOf(Logs& logs, GroupId group);
  static absl::Status Apply(const Change& change, Logs& logs);
  Logs AfterCrash(size_t kept) const CAIRN_REQUIRES(mutex_);
  void MakeDurable(uint64_t end) CAIRN_REQUIRES(mutex_);
  std::optional<SyncUnderWay> EndProcess() CAIRN_REQUIRES(mutex_);
  absl::Status Usable(uint64_t epoch) const CAIRN_REQUIRES(mutex_);

  // What a MemoryLogDisk does that was opened in `epoch`.
  uint64_t Open();
  std::vector<GroupId> Groups() const;
  RecoveredLog Recover(GroupId group);
  // Not `whole`: the entries of an append are not as they were made.
  absl::Status Write(uint64_t epoch, Change change, absl::Status whole = absl::OkStatus());
  void Sync(uint64_t epoch, SyncDone done, std::shared_ptr<MemoryLogMedium> self);
  void EndSync(uint64_t id);
  // Calls `read` with the group's log, under the lock.
  template <typename Read>
  auto WithLog(GroupId group, Read read) const;

  const Options options_;
  mutable Mutex mutex_;
  uint64_t epoch_ CAIRN_GUARDED_BY(mutex_) = 1;  // grows with each opening and each end
  Logs written_ CAIRN_GUARDED_BY(mutex_);
  Logs durable_ CAIRN_GUARDED_BY(mutex_);
  std::vector<Change> pending_ CAIRN_GUARDED_BY(mutex_);   // lead from durable_ to written_
  uint64_t durable_changes_ CAIRN_GUARDED_BY(mutex_) = 0;  // those before pending_
  uint64_t syncs_begun_ CAIRN_GUARDED_BY(mutex_) = 0;
  std::optional<SyncUnderWay> sync_ CAIRN_GUARDED_BY(mutex_);
  absl::Status failure_ CAIRN_GUARDED_BY(mutex_);
};

// Opening a medium ends what had it open before. Threads: see LogDisk; `done` of a Sync is called
// where the medium's schedule runs it, else before Sync returns.
class MemoryLogDisk final : public LogDisk {
 public:
  explicit MemoryLogDisk(std::shared_ptr<MemoryLogMedium> medium);
  // On a medium of its own: the log ends with the disk.
  MemoryLogDisk();
  ~MemoryLogDisk() override;

  absl::StatusOr<OpenedLog> OpenGroup(GroupId group) override;
  void CloseGroup(GroupId group) override;
  absl::Status DropGroup(GroupId group) override;
  std::vector<GroupId> Groups() const override;
  void Sync(absl::AnyInvocable<void(absl::Status)> done) override;
  const char* name() const override { return "memory"; }

 private:
  const std::shared_ptr<MemoryLogMedium> medium_;
  const uint64_t epoch_;
  Mutex mutex_;
  std::map<GroupId, std::unique_ptr<LogStore>> stores_ CAIRN_GUARDED_BY(mutex_);
};

}  // namespace cairn

#endif  // STORAGE_MEMORY_LOG_STORE_H_
