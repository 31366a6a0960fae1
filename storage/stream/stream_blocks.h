// StreamBlocks: the records of a group's streams in a sequence of append-only files.

#ifndef STORAGE_STREAM_STREAM_BLOCKS_H_
#define STORAGE_STREAM_STREAM_BLOCKS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/mutex.h"
#include "base/thread_annotations.h"
#include "base/types.h"
#include "storage/file_system.h"
#include "storage/stream/block_damage.h"
#include "storage/stream/page_cache.h"
#include "storage/stream/stream_record.h"
#include "storage/stream/tail_buffer.h"
#include "storage/stream/write_behind.h"

namespace cairn {

struct StreamBlockOptions {
  FileSystem* file_system = nullptr;  // outlives the blocks
  std::string directory;
  GroupId group = GroupId::kNone;
  // Part of the files' names: a restored snapshot is the next generation.
  uint64_t generation = 0;
  // A block ends before the record that would make it longer, unless that is its first.
  uint64_t block_bytes = uint64_t{64} << 20;
  size_t tail_bytes = size_t{2} << 20;
  size_t cached_pages = 512;
  BlockDamage::Tell damaged = nullptr;
};

// A record as it is read back.
struct StoredStreamRecord {
  StreamRecord record;
  Bytes payload;
};

// Holds: the bytes of the blocks are a function of the records appended, in their order, and of
// nothing else. Append only copies into memory; Flush writes and Sync makes durable. What is read
// was verified, place included: damage is DATA_LOSS that names file and byte.
//
// Threads: Append on one; everything else on any, beside it.
class StreamBlocks {
 public:
  using MarkVisitor = absl::FunctionRef<void(const StreamMark& mark, uint32_t block)>;

  // Takes over files that hold `lengths` bytes each (the last is the one that goes on), cuts off
  // and removes what is behind them, and visits the marked records, oldest first. Damage is no
  // error here: marks of what cannot be read are left out.
  static absl::StatusOr<std::shared_ptr<StreamBlocks>> Open(StreamBlockOptions options,
                                                            std::vector<uint64_t> lengths,
                                                            MarkVisitor visit);
  // Removes the files after RemoveAtEnd.
  ~StreamBlocks();
  StreamBlocks(const StreamBlocks&) = delete;
  StreamBlocks& operator=(const StreamBlocks&) = delete;

  // `record` without its place, which is given back.
  Place Append(StreamRecord record, absl::string_view payload);
  // Bytes of each block so far.
  std::vector<uint64_t> lengths() const;

  // The record at `place`, where one was appended.
  absl::StatusOr<StoredStreamRecord> Read(Place place) const;
  // Visits the records of a block from `place`, where one begins, while they begin before
  // `end_offset` and `visit` gives true.
  absl::Status Scan(Place place, uint32_t end_offset,
                    absl::FunctionRef<bool(const StoredStreamRecord&)> visit) const;
  // Bytes of a block as they stand in its file. OUT_OF_RANGE if they are not all there.
  absl::StatusOr<std::string> ReadBytes(uint32_t block, uint64_t offset, size_t bytes) const;
  // Whether the first `length` bytes of a block are whole records. `full`: and their footer.
  absl::Status Verify(uint32_t block, uint64_t length, bool full) const;

  // Damage (stream_blocks_mend.cc) ---------------------------------------------------------------

  // The blocks that were found damaged and are not mended.
  BlockDamage& damage() const { return damage_; }
  // What of a block is in its file; `full`: all of it, footer included.
  struct Written {
    uint64_t bytes = 0;
    bool full = false;
  };
  Written WrittenOf(uint32_t block) const;
  // Bytes of a file as the disk holds them, past all caches. DATA_LOSS if they are not all there;
  // that is not noted as damage.
  absl::StatusOr<Bytes> ReadDirect(uint32_t block, uint64_t offset, size_t bytes) const;
  // The disk holds something else: takes it from where it is still right and writes it again, true,
  // or notes the damage and gives false. An error is as one of Flush.
  absl::StatusOr<bool> WriteAgain(uint32_t block);
  // Puts `bytes` of another member's block where they belong.
  absl::Status Mend(uint32_t block, uint64_t offset, absl::string_view bytes);
  // Mend was called for the block, for what was wrong with it: syncs and verifies it. `full_bytes`:
  // how long another member says that it is, which has seen the end of it, and then not beside
  // Append; or 0.
  absl::Status EndMending(uint32_t block, uint64_t full_bytes);
  // As Open does: visits the marked records. Not beside Append.
  void VisitMarks(MarkVisitor visit);
  uint64_t tag() const { return tag_; }
  GroupId group() const { return options_.group; }
  absl::Status Damage(uint32_t block, uint64_t offset, absl::string_view why) const;

  // Bytes that only memory has.
  size_t unwritten_bytes() const;
  // Writes them. An error is final: nothing is written or synced from then on, what was not written
  // is gone, and each call gives the error. But not one that IsNoRoom: what was not written stays
  // in memory, for the next call.
  absl::Status Flush();
  // Makes what was flushed before survive a power cut. One at a time.
  absl::Status Sync();

  // The files are of no more use to the store once nobody refers to this object.
  void RemoveAtEnd();

  static std::string NameOf(uint64_t generation, uint32_t block);
  // False for a name that NameOf does not give.
  static bool ParseName(absl::string_view name, uint64_t* generation, uint32_t* block);

 private:
  struct OpenFile {
    uint32_t block = 0;
    FileSystem::OpenMode mode = FileSystem::OpenMode::kRead;
    std::shared_ptr<File> file;
  };

  StreamBlocks(StreamBlockOptions options, std::vector<uint64_t> lengths);

  absl::Status CutBehind();
  bool CollectMarks(uint32_t block, uint64_t length, std::vector<StreamMark>& marks) const;
  absl::StatusOr<StreamFooter> ReadFooter(uint32_t block, uint64_t length) const;

  void StartBlock();
  char* Reserve(size_t bytes);
  void Commit(size_t bytes);
  void AppendBytes(absl::string_view bytes);

  uint64_t LengthOf(uint32_t block) const;
  absl::StatusOr<Bytes> ReadSome(uint32_t block, uint64_t offset) const;
  absl::StatusOr<Bytes> ReadExactly(uint32_t block, uint64_t offset, size_t bytes) const;
  absl::StatusOr<Bytes> ReadPage(uint32_t block, uint64_t offset, uint64_t end, bool final) const;
  absl::StatusOr<StoredStreamRecord> Parse(Place place, const Bytes& bytes) const;
  absl::Status Finish(const absl::Status& status) CAIRN_REQUIRES(writing_);
  absl::StatusOr<std::shared_ptr<File>> FileOf(uint32_t block, FileSystem::OpenMode mode) const;
  std::string PathOf(uint32_t block) const;

  const StreamBlockOptions options_;
  const uint64_t tag_;

  // The appender's.
  uint64_t end_ = 0;  // of the last block
  uint32_t last_block_ = 0;
  std::vector<StreamMark> marks_;  // of the last block

  mutable Mutex mutex_;
  std::vector<uint64_t> lengths_ CAIRN_GUARDED_BY(mutex_);
  TailBuffer tail_ CAIRN_GUARDED_BY(mutex_);
  mutable PageCache pages_;
  mutable BlockDamage damage_;

  Mutex writing_;  // taken before the others
  uint32_t created_ CAIRN_GUARDED_BY(writing_) = 0;
  uint32_t first_unsynced_ CAIRN_GUARDED_BY(writing_) = 0;
  bool directory_changed_ CAIRN_GUARDED_BY(writing_) = false;
  bool remove_at_end_ CAIRN_GUARDED_BY(writing_) = false;
  absl::Status failure_ CAIRN_GUARDED_BY(writing_);
  WriteBehind write_behind_ CAIRN_GUARDED_BY(writing_);

  mutable Mutex files_mutex_;
  mutable std::vector<OpenFile> files_ CAIRN_GUARDED_BY(files_mutex_);  // the last used first
};

}  // namespace cairn

#endif  // STORAGE_STREAM_STREAM_BLOCKS_H_
