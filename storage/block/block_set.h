// BlockSet: the block files of a log, from the day they are prepared to the day they are released.

#ifndef STORAGE_BLOCK_BLOCK_SET_H_
#define STORAGE_BLOCK_BLOCK_SET_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "storage/block/block_file.h"
#include "storage/block/layout.h"
#include "storage/crypto/key_ring.h"

namespace cairn {

// Holds: a file named a block was zeroed, synced, given its header and synced before it got that
// name, so what stands in it was written since. A block that is released loses its name, durably,
// before anything in it changes.
// Threads: any. One at a time prepares.
class BlockSet {
 public:
  struct Options {
    std::string directory;
    LogIdentity identity;
    BlockGeometry geometry;
    size_t max_spares = 2;  // kept for reuse, beside the reserve
    size_t reserve = 0;     // spares kept for a full disk
    // What new blocks are encrypted with, if they are. May be null.
    std::shared_ptr<const KeyRing> keys = nullptr;
  };
  // Spares that have not the usual length are removed: they may be the beginning of one. Also those
  // that are plain blocks of once, if new ones are encrypted. What cannot be looked at stays, and
  // is none.
  BlockSet(FileSystem& file_system, Options options, std::vector<uint64_t> spares);

  void Add(std::shared_ptr<BlockFile> block);
  std::shared_ptr<BlockFile> Find(uint64_t id) const;  // null if there is none
  std::vector<uint64_t> Ids() const;

  // True if the block is encrypted as one is that is made now, or as little.
  bool IsCurrent(const BlockFile& block) const;
  // The same, whatever its master key: false if only writing it anew will do.
  bool HasCurrentCipher(const BlockFile& block) const;

  // Wraps the data keys of the encrypted blocks before `end`, to which nobody writes any more, by
  // the newest master key. What fails stays as it was.
  void RewrapBefore(uint64_t end);

  // Makes block `id` ready to be written, unless it is: encrypted as is wanted now, and of the
  // usual length, or longer if that is less than `min_bytes` of plain text. Takes a spare file if
  // there is one. Nothing for a block that was begun or released, and for those before it: who
  // prepares ahead of time may come late, when entries stand there, and numbers are not used again.
  // NoRoomError if the disk is full, or nothing can be opened for want of handles; then there is no
  // such block, and nothing else has changed. A block of the usual length may be taken from the
  // reserve, if `reserve` says so.
  enum class Reserve { kKeep, kTake };
  absl::Status Prepare(uint64_t id, uint64_t min_bytes = 0, Reserve reserve = Reserve::kKeep);

  // Of the blocks of the usual length that are made from now on; kWritten at first. A longer one
  // is made for one batch, so that its zeros are not written.
  void FillWith(Zeroes zeroes);

  // Makes the spares that the reserve lacks. As Prepare if the disk is full.
  absl::Status FillReserve();
  // False: the disk was full, and the reserve has not been whole since.
  bool HasReserve() const;

  // Block `id` as Prepare makes it, for who writes there from now on.
  absl::StatusOr<std::shared_ptr<BlockFile>> Begin(uint64_t id, uint64_t min_bytes = 0,
                                                   Reserve reserve = Reserve::kKeep);
  // The log goes on in block `id`, which is there.
  void Continue(uint64_t id);

  // Returns when nothing is being prepared or wrapped anew, and nothing will: the files belong to
  // whoever opens the log next, and tasks of this one may be left.
  void Close();

  // Puts what `finish` gives in the place of `block`, which the caller holds: until this returns
  // the block is not released, and no key is wrapped anew. False, and nothing, if it is not there
  // any more, or the set is closed. An error of `finish` changes nothing here.
  using Finish = absl::FunctionRef<absl::StatusOr<std::shared_ptr<BlockFile>>()>;
  absl::StatusOr<bool> Replace(const std::shared_ptr<BlockFile>& block, Finish finish);

  // Block `id` becomes a spare, or goes away if there are enough, or it was compressed. Nothing if
  // somebody reads it: try again later. Where no handle is left to sync the directory it is no
  // spare until that was done, with what is made or released next.
  absl::Status Release(uint64_t id);

 private:
  enum class Purpose { kAhead, kBegin };
  absl::Status Make(uint64_t id, uint64_t min_bytes, Purpose purpose, Reserve reserve);
  absl::Status Format(uint64_t id, uint64_t bytes, Reserve reserve);
  absl::Status FormatIn(std::optional<uint64_t> spare, uint64_t id, uint64_t bytes);
  absl::Status MakeSpare(const std::string& path);
  absl::StatusOr<bool> IsSpare(const std::string& path) const;
  absl::Status SyncNames();
  std::set<uint64_t> KeysInUse();
  std::optional<uint64_t> TakeSpare(size_t keep);
  std::string PathOf(const std::string& name) const;

  FileSystem& file_system_;
  const Options options_;
  mutable Mutex mutex_;
  CondVar done_;  // preparing or wrapping
  bool preparing_ CAIRN_GUARDED_BY(mutex_) = false;
  bool wrapping_ CAIRN_GUARDED_BY(mutex_) = false;
  bool closed_ CAIRN_GUARDED_BY(mutex_) = false;
  std::map<uint64_t, std::shared_ptr<BlockFile>> blocks_ CAIRN_GUARDED_BY(mutex_);
  std::vector<uint64_t> spares_ CAIRN_GUARDED_BY(mutex_);
  // They were blocks, and the directory is not synced since: a power cut may bring these back.
  std::vector<uint64_t> unsynced_ CAIRN_GUARDED_BY(mutex_);
  uint64_t next_spare_ CAIRN_GUARDED_BY(mutex_) = 1;
  // Blocks up to this one are written to, or were: they are not prepared any more.
  uint64_t begun_ CAIRN_GUARDED_BY(mutex_) = 0;
  Zeroes zeroes_ CAIRN_GUARDED_BY(mutex_) = Zeroes::kWritten;
  bool short_ CAIRN_GUARDED_BY(mutex_) = false;  // the disk was full, at the last attempt
  std::unique_ptr<KeyRing::User> key_user_;      // the keys of its blocks are not let go
};

}  // namespace cairn

#endif  // STORAGE_BLOCK_BLOCK_SET_H_
