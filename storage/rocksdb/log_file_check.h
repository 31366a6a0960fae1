// CheckLogFile: reads a file of RocksDB's write-ahead log that is being written to.

#ifndef STORAGE_ROCKSDB_LOG_FILE_CHECK_H_
#define STORAGE_ROCKSDB_LOG_FILE_CHECK_H_

#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "storage/file_system.h"

namespace cairn {

struct LogFileCheck {
  uint64_t bytes = 0;  // read
  uint64_t next = 0;   // where the next call goes on, if the file did not end
  bool ended = false;
  // DATA_LOSS, naming file and offset, for the first place that is bad or cannot be read; another
  // error if the file cannot be opened: NOT_FOUND if it is not there any more.
  absl::Status status;
};

// Verifies the checksum of each piece from `offset` on, which is where a block of the format begins
// (anything else is rounded down), past the page cache: about `max_bytes`, one block at least. What
// was written before the call is verified whole. `write_out` is called once: has RocksDB write what
// it has buffered of the log; true if all that was begun before is in the file on return. Where it
// is not, a piece that the end of the file cuts is not taken for damage.
//
// A batch that says it is of another log than that of `identity`, the value of the key of that
// name, is as bad (log_owner.h). Else it is not verified that a piece is the one that was written
// there: one of another file of this log would pass, or one in the middle of another's batch.
//
// Threads: any, beside whoever writes the file.
LogFileCheck CheckLogFile(FileSystem& file_system, const std::string& path,
                          absl::string_view identity, uint64_t offset, uint64_t max_bytes,
                          absl::FunctionRef<bool()> write_out);

}  // namespace cairn

#endif  // STORAGE_ROCKSDB_LOG_FILE_CHECK_H_
