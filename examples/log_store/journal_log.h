// JournalLog: a whole log store of one's own, as small as one can be that loses nothing. All groups
// share one file that only grows; what it says is kept in memory. docs/own-log-store.md explains.

#ifndef EXAMPLES_LOG_STORE_JOURNAL_LOG_H_
#define EXAMPLES_LOG_STORE_JOURNAL_LOG_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/mutex.h"
#include "base/types.h"
#include "storage/file_system.h"
#include "storage/log_store.h"
#include "storage/memory_log.h"

namespace cairn {

// The file is a row of frames, one a sync:
//
//   a sector: magic, version, number, place, length and checksum of the content, checksum of these
//   the content, filled up to whole sectors
//
// The content of frame 1 is the owner; that of others changes to groups. The content is written and
// synced first, then the sector before it, then that is synced, and only then the sync is done. A
// disk writes a sector whole or not at all, so a frame without its sector was never acknowledged,
// and one that has it is whole or damaged. Each sync costs two; that is the price of being simple.
//
// What it does not do: give space back, open quickly, notice that the disk lost the very last
// sector it said was synced, go on with some groups when others are damaged. The block log does.
//
// Threads: as LogDisk and LogStore say; Sync blocks and calls `done` before it returns.
class JournalLog final : public LogDisk {
 public:
  // `directory` is there; `owner` is whose log it is, in any words. `file_system` outlives the log.
  // ALREADY_EXISTS if another process has it open, FAILED_PRECONDITION for another owner or
  // version, DATA_LOSS naming the place if something acknowledged cannot be read.
  static absl::StatusOr<std::unique_ptr<JournalLog>> Open(FileSystem& file_system,
                                                          const std::string& directory,
                                                          const std::string& owner);
  ~JournalLog() override;

  absl::StatusOr<OpenedLog> OpenGroup(GroupId group) override;
  void CloseGroup(GroupId group) override;
  absl::Status DropGroup(GroupId group) override;
  std::vector<GroupId> Groups() const override;
  void Sync(absl::AnyInvocable<void(absl::Status)> done) override;
  const char* name() const override { return "journal"; }

 private:
  class Store;

  JournalLog(FileSystem& file_system, std::unique_ptr<FileLock> lock)
      : file_system_(file_system), lock_(std::move(lock)) {}

  absl::Status Recover(const std::string& path, const std::string& owner);
  // Cuts off what was never acknowledged; what is left is durable afterwards.
  absl::Status CutTail(absl::string_view bytes);
  absl::Status Replay(absl::string_view content);
  // Applies one change, encoded, to the logs in memory.
  absl::Status Apply(absl::string_view change) CAIRN_REQUIRES(mutex_);
  // Each changes the logs in memory and lets the next sync write it.
  absl::Status Append(GroupId group, const LogAppend& append);
  absl::Status Write(absl::string_view change);
  absl::Status WriteFrame(absl::string_view content);
  MemoryLog& LogOf(GroupId group) CAIRN_REQUIRES(mutex_);

  FileSystem& file_system_;
  const std::unique_ptr<FileLock> lock_;
  std::unique_ptr<File> file_;
  uint64_t end_ = 0;     // where the next frame begins
  uint64_t number_ = 0;  // of the last frame
  std::vector<std::string> notes_;

  mutable Mutex mutex_;
  std::map<GroupId, MemoryLog> logs_ CAIRN_GUARDED_BY(mutex_);
  std::map<GroupId, std::unique_ptr<LogStore>> stores_ CAIRN_GUARDED_BY(mutex_);
  std::string pending_ CAIRN_GUARDED_BY(mutex_);  // changes, each length-prefixed
  absl::Status failed_ CAIRN_GUARDED_BY(mutex_);
};

}  // namespace cairn

#endif  // EXAMPLES_LOG_STORE_JOURNAL_LOG_H_
