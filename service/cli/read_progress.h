// ReadProgress: says on stderr how much of a log was read while an offline tool is at it.

#ifndef SERVICE_CLI_READ_PROGRESS_H_
#define SERVICE_CLI_READ_PROGRESS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "base/mutex.h"
#include "base/thread_annotations.h"
#include "service/cli/progress.h"
#include "storage/file_system.h"
#include "storage/read_only_file_system.h"

namespace cairn {

// Threads: any may read; Begin and End on one.
class ReadProgress {
 public:
  explicit ReadProgress(FileSystem& real) : files_(real, [this](size_t bytes) { Read(bytes); }) {}

  // Through which the files are to be read. This outlives what is opened.
  FileSystem& files() { return files_; }

  // From now on what is read counts, as part of all there is below `directory`.
  void Begin(const std::string& what, const std::string& directory);
  void End();

 private:
  void Read(size_t bytes);

  ReadOnlyFileSystem files_;
  Mutex mutex_;
  std::optional<ProgressLine> line_ CAIRN_GUARDED_BY(mutex_);
  uint64_t bytes_ CAIRN_GUARDED_BY(mutex_) = 0;
  uint64_t total_ CAIRN_GUARDED_BY(mutex_) = 0;
};

}  // namespace cairn

#endif  // SERVICE_CLI_READ_PROGRESS_H_
