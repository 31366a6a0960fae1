// StreamStore: the messages of a group's streams on the disk, with the position in the log up to
// which they are there.

#ifndef STORAGE_STREAM_STREAM_STORE_H_
#define STORAGE_STREAM_STREAM_STORE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/executor.h"
#include "base/mutex.h"
#include "base/thread_annotations.h"
#include "base/time.h"
#include "base/types.h"
#include "storage/file_system.h"
#include "storage/stream/frozen_streams.h"
#include "storage/stream/stream_blocks.h"
#include "storage/stream/stream_checkpoint.h"
#include "storage/stream/stream_index.h"
#include "storage/stream/stream_reader.h"
#include "storage/stream/stream_record.h"
#include "storage/stream/stream_scrub.h"
#include "storage/stream/stream_table.h"

namespace cairn {

struct StreamStoreOptions {
  FileSystem* file_system = nullptr;  // outlives the store and what it froze
  std::string directory;              // exists; the store's own
  GroupId group = GroupId::kNone;
  Executor* background = nullptr;  // writes and syncs run here, which block; outlives the store
  // The state as of `position` survives a power cut, the archive included. On `background`. May be
  // null.
  std::function<void(LogPosition position)> durable;
  // A write or sync failed: nothing becomes durable any more. At most once, on any thread. May be
  // null.
  std::function<void(absl::Status)> failed;
  // The disk is full, or has room again; on any thread. What could not be written stays in memory,
  // and is tried again, after a while or when more is appended. Where this is null, a full disk is
  // a failure. With it, the clock of `background`.
  std::function<void(bool has_room)> room;
  const Clock* clock = nullptr;
  // So many files are known to be damaged, the last one for this reason (DATA_LOSS); on any thread,
  // from within calls of the store, each time another one is found. Where both copies of the
  // checkpoint were, the next one takes their place: then so many are left, and OK. May be null.
  std::function<void(size_t files, const absl::Status& why)> damaged;
  // Within Open: which streams there are is lost (DATA_LOSS `why`). What is left of the files is
  // set aside then, and the store begins with nothing. Null: Open gives that error.
  std::function<void(const absl::Status& why)> lost;

  uint64_t block_bytes = uint64_t{64} << 20;
  // A checkpoint is due after so many bytes of records, or so many entries of the log.
  uint64_t checkpoint_bytes = uint64_t{64} << 20;
  uint64_t checkpoint_entries = 250'000;
  // Of what was appended: kept for readers; written in the background from so many on; and written
  // by the appender itself from so many on, which then waits for the disk.
  size_t tail_bytes = size_t{2} << 20;
  size_t flush_bytes = size_t{256} << 10;
  size_t max_unwritten_bytes = size_t{16} << 20;
  size_t cached_pages = 512;           // of 8 KiB
  size_t max_marks = size_t{2} << 20;  // of 16 bytes
};

// One append.
struct StreamAppend {
  StreamId stream = 0;
  LogPosition at;
  WallTime time;
  uint32_t messages = 0;  // at least 1
  uint64_t counted_bytes = 0;
  absl::string_view payload;  // the messages; at most kMaxStreamPayloadBytes
};

// Holds: what Open finds is the state as of one position, everything up to there and nothing
// behind. Between checkpoints nothing is synced; what a power cut takes is in the log.
//
// Threads: Append and what is listed before Read on one sequence; Row and Read on any, beside it.
class StreamStore {
 public:
  // Gives a store as of the last checkpoint. DATA_LOSS if there is none that is whole, without
  // `options.lost`; other damage, files that are gone included, shows when it is read.
  static absl::StatusOr<std::unique_ptr<StreamStore>> Open(StreamStoreOptions options);
  // Waits for a write or sync under way.
  ~StreamStore();
  StreamStore(const StreamStore&) = delete;
  StreamStore& operator=(const StreamStore&) = delete;

  // As found by Open.
  LogPosition recovered() const { return recovered_.at; }
  std::string TakeRecoveredArchive() { return std::move(recovered_.archive); }

  // `definition` is the caller's.
  StreamId Create(std::string definition, WallTime time);
  // Gives the first sequence of the messages, which follow the stream's last one.
  uint64_t Append(const StreamAppend& append);
  // Everything up to `position` was given to the store. `archive` is called within, where a
  // checkpoint begins.
  void AppliedUpTo(LogPosition position, absl::FunctionRef<std::string()> archive);

  // Begins a checkpoint of the state as of the last AppliedUpTo, unless one is under way. False if
  // the store has failed.
  bool Checkpoint(absl::FunctionRef<std::string()> archive);

  // The state as of the last AppliedUpTo.
  std::shared_ptr<const FrozenStreams> Freeze();
  // Replaces everything by what another store froze, as of `position`. `image` is the content of
  // its first file, `sources` are the paths of the others, which are renamed away. Durable, all of
  // it or nothing, when this returns. DATA_LOSS if they are not that.
  absl::Status Restore(absl::string_view image, std::vector<std::string> sources,
                       LogPosition position, std::string archive);

  // Damage (stream_store_mend.cc) ----------------------------------------------------------------

  // Gives a piece of another member's block to `take`, whichever this store lacks, in any order.
  using MendPieces = absl::FunctionRef<absl::Status(
      uint32_t block, absl::FunctionRef<absl::Status(uint64_t offset, absl::string_view)> take)>;
  // Puts the blocks right by what another member's are, whose lengths as of some position up to
  // which everything is applied here are `lengths`. A checkpoint follows. DATA_LOSS if something is
  // still damaged.
  absl::Status Mend(const std::vector<uint64_t>& lengths, MendPieces pieces,
                    absl::FunctionRef<std::string()> archive);
  // A step of StreamScrub; the checkpoint is read at the end of a round. Beside everything, on one
  // thread at a time.
  StreamScrub::Step Scrub(uint64_t& block, uint64_t max_bytes);

  size_t size() const;
  // CHECKs that the stream is there.
  StreamRow Row(StreamId stream) const;

  // Visits the stream's records from the one that holds sequence `from` on (from 1 up to the
  // stream's last), in order, until `visit` gives false, or about `max_bytes` of records were
  // visited. DATA_LOSS, naming file and byte, where a record cannot be read.
  absl::Status Read(StreamId stream, uint64_t from, size_t max_bytes,
                    absl::FunctionRef<bool(const StoredStreamRecord&)> visit) const;

  // Memory of the index, for figures.
  size_t index_bytes() const;

 private:
  // Says to tasks on the executor whether the store is still there. Its lock is held while they
  // work for it.
  struct Life {
    Mutex mutex;
    StreamStore* store CAIRN_GUARDED_BY(mutex) = nullptr;
  };

  explicit StreamStore(StreamStoreOptions options);
  absl::Status Recover();
  absl::Status BeginAgain();
  absl::Status RollForward();
  absl::Status AdoptFiles(const StreamAdoption& adoption);
  absl::Status RemoveOtherGenerations(uint64_t generation);
  absl::Status OpenBlocks(const StreamCheckpoint& checkpoint);
  StreamBlockOptions BlockOptions(uint64_t generation) const;

  void InBackground(void (StreamStore::*work)());
  void FlushInBackground();
  void BeginCheckpoint(std::string archive);
  void CheckpointInBackground();
  absl::Status WriteCheckpoint(const StreamCheckpoint& checkpoint, const StreamBlocks& blocks);
  void Fail(const absl::Status& status);
  void Wrote(const absl::Status& status);

  // Without blocks if the sequence is behind the stream's last.
  StreamWindow Find(StreamId stream, uint64_t sequence) const;

  const StreamStoreOptions options_;
  StreamCheckpointFiles files_;
  const std::shared_ptr<Life> life_ = std::make_shared<Life>();

  // The appender's.
  struct Recovered {
    LogPosition at;
    std::string archive;
  };
  Recovered recovered_;
  uint64_t bytes_since_checkpoint_ = 0;
  Index checkpointed_ = 0;  // index of the last checkpoint that was begun

  mutable Mutex mutex_;
  StreamTable table_ CAIRN_GUARDED_BY(mutex_);
  StreamIndex index_ CAIRN_GUARDED_BY(mutex_);
  std::shared_ptr<StreamBlocks> blocks_ CAIRN_GUARDED_BY(mutex_);
  LogPosition applied_ CAIRN_GUARDED_BY(mutex_);
  bool flushing_ CAIRN_GUARDED_BY(mutex_) = false;
  bool failed_ CAIRN_GUARDED_BY(mutex_) = false;
  bool has_room_ CAIRN_GUARDED_BY(mutex_) = true;
  bool checkpointing_ CAIRN_GUARDED_BY(mutex_) = false;
  bool checkpoint_again_ CAIRN_GUARDED_BY(mutex_) = false;  // there was no room for the last one
  std::unique_ptr<StreamCheckpoint> due_ CAIRN_GUARDED_BY(mutex_);  // to be written

  StreamScrub scrub_;  // of who scrubs

  Mutex publishing_;  // taken before mutex_
  uint64_t generation_ CAIRN_GUARDED_BY(publishing_) = 1;
};

}  // namespace cairn

#endif  // STORAGE_STREAM_STREAM_STORE_H_
