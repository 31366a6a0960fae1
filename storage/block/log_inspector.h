// LogInspector: what stands in the files of a log, for people and offline tools.
//
// Holds: it writes nothing, takes no lock, and goes on where recovery would stop: each block is
// looked at by itself, also where the log as a whole cannot be put together.

#ifndef STORAGE_BLOCK_LOG_INSPECTOR_H_
#define STORAGE_BLOCK_LOG_INSPECTOR_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/types.h"
#include "storage/block/block_walk.h"
#include "storage/block/log_directory.h"
#include "storage/block/log_scan.h"
#include "storage/block/written_log.h"
#include "storage/file_system.h"
#include "storage/record.h"

namespace cairn {

struct IndexRange {
  Index first = 0;
  Index last = 0;
  friend bool operator==(const IndexRange&, const IndexRange&) = default;
};

// What one file of the log is and holds.
struct BlockSummary {
  enum class State {
    kSealed,
    kHead,      // the next batch goes there
    kPrepared,  // made ahead of time, holds nothing
    kSpare,     // to make a block of; means nothing
    kDamaged,   // cannot be read: `notes` says why
  };
  uint64_t block = 0;  // or the number of the spare
  std::string path;
  State state = State::kDamaged;
  uint64_t bytes = 0;  // length of the file
  uint64_t key = 0;    // id of the master key; 0: the block is not encrypted, or is damaged
  Cipher cipher = Cipher::kNone;
  uint64_t uncompressed_bytes = 0;  // length of the file before; 0: the block is not compressed
  uint64_t first_batch = 0;
  uint64_t last_batch = 0;
  uint64_t batches = 0;
  // The entries in use, as far as this block knows: what later ones truncate or drop is here.
  std::map<GroupId, std::vector<IndexRange>> groups = {};
  std::vector<std::string> notes = {};
};

// Threads: one at a time.
class LogInspector {
 public:
  // One file named a block, as it was found.
  struct Block {
    std::string path;
    uint64_t bytes = 0;
    absl::Status status;  // why it cannot be read; nothing below is set then
    std::shared_ptr<BlockFile> file;
    FoundSeal seal;
  };

  // `directory` is a node's data directory or the log in it. NOT_FOUND if there is no block log,
  // FAILED_PRECONDITION for a newer format, or for a block that is encrypted with a key that
  // `keys`, which may be null, has not got: that is no damage. Any damage is looked at.
  // `file_system` outlives the inspector.
  static absl::StatusOr<std::unique_ptr<LogInspector>> Open(
      FileSystem& file_system, const std::string& directory,
      std::shared_ptr<const KeyRing> keys = nullptr);

  const std::string& directory() const { return directory_; }  // of the log
  // What it was opened with.
  const std::shared_ptr<const KeyRing>& keys() const { return keys_; }
  // As the manifest says, or the blocks; nothing if none of them can be read.
  const std::optional<LogIdentity>& identity() const { return identity_; }
  // Who writes the log at this moment, as "process 17".
  const std::optional<std::string>& writer() const { return writer_; }
  // What is to be said of the manifest.
  const std::vector<std::string>& notes() const { return notes_; }
  const std::map<uint64_t, Block>& blocks() const { return blocks_; }

  // The log as recovery would find it now, or what recovery would say.
  const absl::StatusOr<LogScan>& scan() const { return scan_; }
  // The groups of the scan; without one as far as the blocks that can be read tell.
  const std::map<GroupId, WrittenLog>& groups() const;

  // Reads all of the block, past the page cache.
  absl::StatusOr<BlockWalk> Walk(uint64_t block) const;
  // The same, of a block that was read before.
  absl::StatusOr<BlockWalk> Walk(uint64_t block, BlockBytes& image) const;

  // One for each block and spare, by name.
  std::vector<BlockSummary> Summaries() const;

  // Entries that are named by the log and cannot be read.
  struct Unreadable {
    IndexRange entries;
    std::string reason;
  };
  // Gives `take` the entries of `group` from `from` on, in order, at most `count`, and `unreadable`
  // what is missing between them.
  void Read(GroupId group, Index from, uint64_t count,
            const std::function<void(const RecordRun&)>& take,
            const std::function<void(const Unreadable&)>& unreadable) const;

 private:
  LogInspector(FileSystem& file_system, std::string directory, std::shared_ptr<const KeyRing> keys)
      : file_system_(file_system), directory_(std::move(directory)), keys_(std::move(keys)) {}

  absl::Status LoadBlocks();

  absl::Status Load();
  void OpenBlock(uint64_t block);
  void PutTogether();
  BlockSummary Summarize(uint64_t id, const Block& block) const;

  FileSystem& file_system_;
  const std::string directory_;
  const std::shared_ptr<const KeyRing> keys_;
  std::optional<std::string> writer_;
  std::vector<std::string> notes_;
  std::optional<LogIdentity> identity_;
  LogFiles files_;
  std::map<uint64_t, Block> blocks_;
  absl::StatusOr<LogScan> scan_ = absl::UnknownError("not scanned");
  // Without a scan.
  BlockUsage usage_;
  std::map<GroupId, WrittenLog> groups_;
};

// What is bad and does no harm, because another copy serves: of header, seal and footer of a block
// that can be read, and of id records.
std::vector<std::string> NotesOf(const LogInspector::Block& block);
std::vector<std::string> NotesOf(const BlockWalk& walk);

}  // namespace cairn

#endif  // STORAGE_BLOCK_LOG_INSPECTOR_H_
