// FileSystem: the only door to disks. Posix in production, simulated in tests.

#ifndef STORAGE_FILE_SYSTEM_H_
#define STORAGE_FILE_SYSTEM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cairn {

// The unit a disk writes whole or not at all. (Of the text of an encrypted file these are pieces of
// 482 bytes, storage/encrypted; never count on where they begin.)
inline constexpr size_t kSectorBytes = 512;

// An open file. Errors name the path, the operation and the system's reason. What cannot be read is
// INTERNAL, or DATA_LOSS where it is known to have rotted.
//
// After a failed Write or Sync nothing is known of what the file holds: the caller never writes or
// syncs it again (fsync is not retryable; reference: fault catalogue D5). But a Write that is
// RESOURCE_EXHAUSTED only found no room: of what it was to write some may be there, the rest of the
// file is as it was, and the same may be written again.
// Threads: Read may run beside anything; Write and Resize by one thread at a time.
// Ownership: the file is closed by the destructor.
class File {
 public:
  virtual ~File() = default;

  virtual const std::string& path() const = 0;
  virtual absl::StatusOr<uint64_t> Size() const = 0;

  // Reads up to `length` bytes at `offset` into `to`; gives how many there were (fewer only at the
  // end of the file).
  virtual absl::StatusOr<size_t> Read(uint64_t offset, size_t length, char* to) const = 0;

  // As Read, but of what the disk holds, past the page cache. `offset`, `length` and the address
  // `to` must be multiples of 4096 (the last read of a file may come up short). After a failed sync
  // or a restart only this tells what is really there (fault catalogue D6). Falls back to dropping
  // the cached pages first where the file system has no direct access.
  virtual absl::StatusOr<size_t> ReadDirect(uint64_t offset, size_t length, char* to) const = 0;

  // True if nothing is read but what was written there, or zeros: what has rotted is DATA_LOSS.
  virtual bool NoticesRot() const { return false; }

  // A hint: whether the byte can be read without the disk.
  virtual bool IsCached(uint64_t offset) const = 0;

  // Writes all of `data` at `offset`, growing the file if needed. In the file for readers on
  // return, on the disk only after a Sync.
  virtual absl::Status Write(uint64_t offset, absl::string_view data) = 0;

  // A hint: what was written there will be synced later, so the disk may begin with it, and the
  // sync has less to do. Does not wait, and changes nothing else.
  virtual void StartWriteback(uint64_t offset, uint64_t length) = 0;

  // A hint: what stands there, and is synced, is not read soon, so the system need not keep it in
  // memory. Changes nothing else.
  virtual void DropCached(uint64_t offset, uint64_t length) const = 0;

  // Makes the file `length` bytes long; new bytes read as zero. Does not write them: see
  // FileSystem::Preallocate.
  virtual absl::Status Resize(uint64_t length) = 0;
};

// Held until destroyed, or until the process ends.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

// Threads: any, for different files; see File for one file.
class FileSystem {
 public:
  enum class OpenMode {
    kRead,       // must exist
    kReadWrite,  // must exist
    kCreate,     // must not exist
    kOpenOrCreate,
  };
  virtual ~FileSystem() = default;

  // `direct`: Writes bypass the page cache (O_DIRECT): their offsets and lengths are multiples of
  // 512 and the address of the data is a multiple of 4096.
  struct OpenOptions {
    OpenMode mode = OpenMode::kRead;
    bool direct = false;
  };
  virtual absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path,
                                                     OpenOptions options) = 0;

  // Writes `length` zero bytes from the start of `file` and leaves it that long. Not synced.
  virtual absl::Status Preallocate(File& file, uint64_t length) = 0;

  // As Preallocate, but the zeros are only promised where the system can do that: the space is the
  // file's own, nothing is written. Until all of it has been written, syncs take longer.
  virtual absl::Status ReserveZeroes(File& file, uint64_t length) {
    return Preallocate(file, length);
  }

  // Calls `done` once everything written to `file` before this call survives a power cut, or with
  // the error that makes the file final. Posix calls it before it returns; the simulator later, on
  // the executor of the node. `file` must live until then.
  using SyncDone = absl::AnyInvocable<void(absl::Status)>;
  virtual void Sync(File& file, SyncDone done) = 0;

  // Blocks until `file` is synced. For set-up and recovery, not for the write path.
  virtual absl::Status SyncNow(File& file) = 0;

  // Blocks until the entries of the directory (creations, renames, removals) survive a power cut.
  virtual absl::Status SyncDirectory(const std::string& directory) = 0;

  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  virtual absl::Status Remove(const std::string& path) = 0;
  // Makes the directory and its parents; fine if it is there. Each new entry is synced.
  virtual absl::Status MakeDirectory(const std::string& path) = 0;
  virtual absl::StatusOr<bool> Exists(const std::string& path) = 0;
  // Names (not paths) in the directory, in byte order.
  virtual absl::StatusOr<std::vector<std::string>> List(const std::string& directory) = 0;

  // Takes the exclusive lock of `path`, making the file if needed and writing the own pid into it.
  // ALREADY_EXISTS naming the holder's pid if another process has it.
  virtual absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) = 0;

  // Who holds the lock of `path`, as "process 17", or nothing if nobody does. Writes nothing and
  // needs no right to; a process that takes the lock at this very moment may be refused, though.
  virtual absl::StatusOr<std::optional<std::string>> LockHolder(const std::string& path) = 0;

  // Identifies the boot of the machine: a file written under another boot id may have lost what was
  // not synced; under the same one it has not.
  virtual absl::StatusOr<std::string> BootId() = 0;
};

// The directory whose entry `path` is: what SyncDirectory needs after `path` was made, renamed or
// removed. "." for a bare name, "/" for what stands in the root.
std::string DirectoryOf(const std::string& path);

// Reads a whole file. NOT_FOUND if it is not there.
absl::StatusOr<std::string> ReadWholeFile(FileSystem& file_system, const std::string& path);

// Writes `content` under a temporary name, syncs, renames over `path` and syncs the directory:
// afterwards, and after a power cut at any moment, `path` holds the old or the new content whole.
absl::Status WriteFileAtomically(FileSystem& file_system, const std::string& path,
                                 absl::string_view content);

}  // namespace cairn

#endif  // STORAGE_FILE_SYSTEM_H_
