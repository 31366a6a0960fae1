// ReadProgress: says on stderr how much of a directory was read while an offline tool is at it.

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
  // Of the files below `directory`.
  explicit ReadProgress(FileSystem& real, std::string directory)
      : directory_(std::move(directory)), files_(real, [this](size_t bytes) { Read(bytes); }) {}

  // Through which the files are to be read. This outlives what is opened.
  FileSystem& files() { return files_; }

  // From now on what is read counts, as part of all there is.
  void Begin(const std::string& what);
  void End();

 private:
  void Read(size_t bytes);

  const std::string directory_;
  ReadOnlyFileSystem files_;
  Mutex mutex_;
  std::optional<ProgressLine> line_ CAIRN_GUARDED_BY(mutex_);
  uint64_t bytes_ CAIRN_GUARDED_BY(mutex_) = 0;
  uint64_t total_ CAIRN_GUARDED_BY(mutex_) = 0;
};

}  // namespace cairn

#endif  // SERVICE_CLI_READ_PROGRESS_H_
