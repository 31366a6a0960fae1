#include "storage/posix_file_system.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/check.h"
#include "base/mutex.h"
#include "storage/posix_error.h"

namespace cairn {
namespace {

constexpr mode_t kFileMode = 0600;
constexpr mode_t kDirectoryMode = 0700;
constexpr size_t kDirectAlignment = 4096;
// Zeros that are written at once. Behind a larger write other files' syncs wait for longer.
constexpr size_t kZeroes = size_t{256} << 10;
// How long a lock is tried for.
constexpr int kLockRetries = 20;
constexpr useconds_t kLockPauseMicroseconds = 5000;

// Closes a descriptor. Errors of close are of no use: what was to last was synced before.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }

  int get() const { return number_; }
  bool valid() const { return number_ >= 0; }

 private:
  int number_ = -1;
};

Descriptor OpenDescriptor(const std::string& path, int flags) {
  int number;
  do {
    number = open(path.c_str(), flags | O_CLOEXEC, kFileMode);
  } while (number < 0 && errno == EINTR);
  return Descriptor(number);
}

// 0, or the errno of the flock.
int LockWithoutWaiting(const Descriptor& file, int kind) {
  int result;
  do {
    result = flock(file.get(), kind | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  return result == 0 ? 0 : errno;
}

// The same file once more, past the page cache. By the descriptor and not by the path, which may
// name another file by now.
Descriptor ReopenDirect(const Descriptor& file, int access) {
  return OpenDescriptor(absl::StrCat("/proc/self/fd/", file.get()), access | O_DIRECT);
}

// Reads until `length` or the end of the file.
absl::StatusOr<size_t> ReadFully(int descriptor, const std::string& path, uint64_t offset,
                                 size_t length, char* to, bool direct) {
  size_t done = 0;
  while (done < length) {
    const ssize_t n =
        pread(descriptor, to + done, length - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return PosixError("read", path, errno);
    done += static_cast<size_t>(n);
    // Only the end of the file breaks the alignment; going on from there would be an error.
    if (n == 0 || (direct && done % kSectorBytes != 0)) break;
  }
  return done;
}

// Beside its own handle a file keeps one for direct reads, but only so many of all files: a log has
// tens of thousands, and all are read so when it is opened. The others make one for each read,
// which takes microseconds.
constexpr int kMostDirectReaders = 64;
std::atomic<int> direct_readers = 0;

bool KeepDirectReader() {
  if (direct_readers.fetch_add(1, std::memory_order_relaxed) < kMostDirectReaders) return true;
  direct_readers.fetch_sub(1, std::memory_order_relaxed);
  return false;
}

class PosixFile final : public File {
 public:
  PosixFile(std::string path, Descriptor file, Descriptor direct_writer)
      : path_(std::move(path)), file_(std::move(file)), direct_writer_(std::move(direct_writer)) {}
  ~PosixFile() override {
    MutexLock lock(mutex_);
    if (direct_reader_.valid()) direct_readers.fetch_sub(1, std::memory_order_relaxed);
  }

  const std::string& path() const override { return path_; }

  absl::StatusOr<uint64_t> Size() const override {
    struct stat information;
    if (fstat(file_.get(), &information) != 0) return PosixError("stat", path_, errno);
    return static_cast<uint64_t>(information.st_size);
  }

  absl::StatusOr<size_t> Read(uint64_t offset, size_t length, char* to) const override {
    return ReadFully(file_.get(), path_, offset, length, to, /*direct=*/false);
  }

  absl::StatusOr<size_t> ReadDirect(uint64_t offset, size_t length, char* to) const override {
    CAIRN_CHECK_EQ(offset % kDirectAlignment, 0u) << path_;
    CAIRN_CHECK_EQ(length % kDirectAlignment, 0u) << path_;
    CAIRN_CHECK_EQ(reinterpret_cast<uintptr_t>(to) % kDirectAlignment, 0u) << path_;
    Descriptor own;
    if (const int direct = DirectReader(own); direct >= 0) {
      return ReadFully(direct, path_, offset, length, to, /*direct=*/true);
    }
    const int error = posix_fadvise(file_.get(), static_cast<off_t>(offset),
                                    static_cast<off_t>(length), POSIX_FADV_DONTNEED);
    if (error != 0) return PosixError("drop cached pages of", path_, error);
    return ReadFully(file_.get(), path_, offset, length, to, /*direct=*/false);
  }

  bool IsCached(uint64_t offset) const override {
    char byte;
    const iovec piece{&byte, 1};
    return preadv2(file_.get(), &piece, 1, static_cast<off_t>(offset), RWF_NOWAIT) == 1;
  }

  absl::Status Write(uint64_t offset, absl::string_view data) override {
    if (absl::Status status = failure(); !status.ok()) return status;
    const int descriptor = direct_writer_.valid() ? direct_writer_.get() : file_.get();
    size_t done = 0;
    while (done < data.size()) {
      const ssize_t n = pwrite(descriptor, data.data() + done, data.size() - done,
                               static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      // What found no room may be written again, and the rest of the file has not suffered.
      if (n < 0 && (errno == ENOSPC || errno == EDQUOT)) return PosixError("write", path_, errno);
      if (n < 0) return Fail("write", errno);
      if (n == 0) return Fail("write", EIO);
      done += static_cast<size_t>(n);
    }
    return absl::OkStatus();
  }

  void StartWriteback(uint64_t offset, uint64_t length) override {
    // An error shows at the sync.
    sync_file_range(file_.get(), static_cast<off_t>(offset), static_cast<off_t>(length),
                    SYNC_FILE_RANGE_WRITE);
  }

  void DropCached(uint64_t offset, uint64_t length) const override {
    // What it cannot drop stays where it is.
    posix_fadvise(file_.get(), static_cast<off_t>(offset), static_cast<off_t>(length),
                  POSIX_FADV_DONTNEED);
  }

  absl::Status Resize(uint64_t length) override {
    if (absl::Status status = failure(); !status.ok()) return status;
    int result;
    do {
      result = ftruncate(file_.get(), static_cast<off_t>(length));
    } while (result != 0 && errno == EINTR);
    return result == 0 ? absl::OkStatus() : Fail("resize", errno);
  }

  // Reserves the space in one piece where the file system can, so that a full disk shows before
  // the first byte is written.
  absl::Status Reserve(uint64_t length) {
    if (absl::Status status = failure(); !status.ok()) return status;
    return Allocate(0, length).status();
  }

  // The same, and all of it reads as zero then. False, and nothing, where the file system cannot.
  absl::StatusOr<bool> ReserveZeroes(uint64_t length) {
    if (absl::Status status = failure(); !status.ok()) return status;
    return Allocate(FALLOC_FL_ZERO_RANGE, length);
  }

  // Writes `length` zeros from the start, past the page cache: what is written there later does not
  // need them, and copying them in costs more processor time than all else that becomes of a block.
  // Gives how far it came; the rest is for who writes through the cache.
  absl::StatusOr<uint64_t> ZeroDirect(uint64_t length, absl::string_view zeros) {
    if (absl::Status status = failure(); !status.ok()) return status;
    const Descriptor direct = ReopenDirect(file_, O_RDWR);
    const uint64_t end = direct.valid() ? length / kDirectAlignment * kDirectAlignment : 0;
    uint64_t done = 0;
    while (done < end && done % kDirectAlignment == 0) {
      const size_t piece = static_cast<size_t>(std::min<uint64_t>(zeros.size(), end - done));
      const ssize_t n = pwrite(direct.get(), zeros.data(), piece, static_cast<off_t>(done));
      if (n < 0 && errno == EINTR) continue;
      // No direct writes, or none of this alignment.
      if (n < 0 && (errno == EINVAL || errno == EOPNOTSUPP)) break;
      if (n <= 0) return Fail("preallocate", n == 0 ? EIO : errno);
      done += static_cast<size_t>(n);
    }
    return done;
  }

  absl::Status Sync() {
    if (absl::Status status = failure(); !status.ok()) return status;
    // No loop for EINTR: what an interrupted sync reached is unknown, so it failed.
    return fdatasync(file_.get()) == 0 ? absl::OkStatus() : Fail("sync", errno);
  }

 private:
  // False where the file system cannot.
  absl::StatusOr<bool> Allocate(int mode, uint64_t length) {
    int result;
    do {
      result = fallocate(file_.get(), mode, 0, static_cast<off_t>(length));
    } while (result != 0 && errno == EINTR);
    if (result == 0) return true;
    if (errno == EOPNOTSUPP || errno == ENOSYS) return false;
    return Fail("preallocate", errno);
  }

  // A descriptor for direct reads, perhaps `own`, or -1 where there can be none.
  int DirectReader(Descriptor& own) const {
    MutexLock lock(mutex_);
    if (direct_reader_.valid() || direct_refused_) return direct_reader_.get();
    own = ReopenDirect(file_, O_RDONLY);
    direct_refused_ = !own.valid() && errno == EINVAL;
    if (!own.valid() || !KeepDirectReader()) return own.get();
    direct_reader_ = std::move(own);
    return direct_reader_.get();
  }

  absl::Status failure() const {
    MutexLock lock(mutex_);
    return failure_;
  }

  absl::Status Fail(absl::string_view operation, int error) {
    absl::Status status = PosixError(operation, path_, error);
    MutexLock lock(mutex_);
    if (failure_.ok()) failure_ = status;
    return status;
  }

  const std::string path_;
  const Descriptor file_;
  const Descriptor direct_writer_;  // only if opened for direct writes
  mutable Mutex mutex_;
  absl::Status failure_ CAIRN_GUARDED_BY(mutex_);  // the first one of a write or sync: final
  mutable bool direct_refused_ CAIRN_GUARDED_BY(mutex_) = false;  // by the file system
  mutable Descriptor direct_reader_ CAIRN_GUARDED_BY(mutex_);
};

class PosixFileLock final : public FileLock {
 public:
  explicit PosixFileLock(Descriptor file) : file_(std::move(file)) {}

 private:
  const Descriptor file_;  // closing it releases the lock
};

int FlagsOf(FileSystem::OpenMode mode) {
  switch (mode) {
    case FileSystem::OpenMode::kRead:
      return O_RDONLY;
    case FileSystem::OpenMode::kReadWrite:
      return O_RDWR;
    case FileSystem::OpenMode::kCreate:
      return O_RDWR | O_CREAT | O_EXCL;
    case FileSystem::OpenMode::kOpenOrCreate:
      return O_RDWR | O_CREAT;
  }
  CAIRN_CHECK(false) << "open mode " << static_cast<int>(mode);
  return 0;
}

absl::StatusOr<bool> IsDirectory(const std::string& path) {
  struct stat information;
  if (stat(path.c_str(), &information) != 0) {
    if (errno == ENOENT) return false;
    return PosixError("stat", path, errno);
  }
  if (!S_ISDIR(information.st_mode)) return PosixError("make directory", path, ENOTDIR);
  return true;
}

// "process N", as far as the holder has written its pid.
std::string HolderOf(int lock_file) {
  char text[32];
  const ssize_t n = pread(lock_file, text, sizeof text, 0);
  const absl::string_view pid =
      absl::StripAsciiWhitespace(absl::string_view(text, n > 0 ? static_cast<size_t>(n) : 0));
  return pid.empty() ? "another process" : absl::StrCat("process ", pid);
}

}  // namespace

absl::StatusOr<std::unique_ptr<File>> PosixFileSystem::Open(const std::string& path,
                                                            OpenOptions options) {
  Descriptor file = OpenDescriptor(path, FlagsOf(options.mode));
  if (!file.valid()) return PosixError("open", path, errno);
  Descriptor direct_writer;
  if (options.direct && options.mode != OpenMode::kRead) {
    direct_writer = ReopenDirect(file, O_RDWR);
    if (!direct_writer.valid()) {
      const int error = errno;
      if (options.mode == OpenMode::kCreate) unlink(path.c_str());
      if (error != EINVAL) return PosixError("open for direct writes", path, error);
      return absl::UnimplementedError(
          absl::StrCat("open ", path, ": the file system has no direct writes (O_DIRECT)"));
    }
  }
  return std::make_unique<PosixFile>(path, std::move(file), std::move(direct_writer));
}

absl::Status PosixFileSystem::ReserveZeroes(File& file, uint64_t length) {
  absl::StatusOr<bool> reserved = static_cast<PosixFile&>(file).ReserveZeroes(length);
  if (!reserved.ok()) return reserved.status();
  return *reserved ? file.Resize(length) : Preallocate(file, length);
}

absl::Status PosixFileSystem::Preallocate(File& file, uint64_t length) {
  alignas(kDirectAlignment) static const char kZero[kZeroes] = {};
  auto& posix_file = static_cast<PosixFile&>(file);
  if (absl::Status status = posix_file.Reserve(length); !status.ok()) return status;
  absl::StatusOr<uint64_t> done = posix_file.ZeroDirect(length, {kZero, kZeroes});
  if (!done.ok()) return done.status();
  for (uint64_t offset = *done; offset < length; offset += kZeroes) {
    const size_t piece = static_cast<size_t>(std::min<uint64_t>(kZeroes, length - offset));
    if (absl::Status status = file.Write(offset, absl::string_view(kZero, piece)); !status.ok()) {
      return status;
    }
  }
  return file.Resize(length);
}

void PosixFileSystem::Sync(File& file, SyncDone done) { done(SyncNow(file)); }

absl::Status PosixFileSystem::SyncNow(File& file) { return static_cast<PosixFile&>(file).Sync(); }

absl::Status PosixFileSystem::SyncDirectory(const std::string& directory) {
  const Descriptor descriptor = OpenDescriptor(directory, O_RDONLY | O_DIRECTORY);
  if (!descriptor.valid()) return PosixError("open directory", directory, errno);
  if (fsync(descriptor.get()) != 0) return PosixError("sync directory", directory, errno);
  return absl::OkStatus();
}

absl::Status PosixFileSystem::Rename(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) != 0) {
    return PosixError("rename", absl::StrCat(from, " to ", to), errno);
  }
  return absl::OkStatus();
}

absl::Status PosixFileSystem::Remove(const std::string& path) {
  if (unlink(path.c_str()) == 0) return absl::OkStatus();
  if (errno == EISDIR && rmdir(path.c_str()) == 0) return absl::OkStatus();
  return PosixError("remove", path, errno);
}

absl::Status PosixFileSystem::MakeDirectory(const std::string& path) {
  const auto there = IsDirectory(path);
  if (!there.ok()) return there.status();
  const std::string parent = DirectoryOf(path);
  if (*there) {
    // A process that ended between making and syncing it left an entry that may still vanish. Where
    // the parent is not ours to open, the directory is not ours either.
    const absl::Status status = SyncDirectory(parent);
    return absl::IsPermissionDenied(status) ? absl::OkStatus() : status;
  }
  if (parent != path) {
    if (absl::Status status = MakeDirectory(parent); !status.ok()) return status;
  }
  if (mkdir(path.c_str(), kDirectoryMode) != 0 && errno != EEXIST) {
    return PosixError("make directory", path, errno);
  }
  return SyncDirectory(parent);
}

absl::StatusOr<bool> PosixFileSystem::Exists(const std::string& path) {
  struct stat information;
  if (lstat(path.c_str(), &information) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  return PosixError("stat", path, errno);
}

absl::StatusOr<std::vector<std::string>> PosixFileSystem::List(const std::string& directory) {
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(opendir(directory.c_str()), closedir);
  if (stream == nullptr) return PosixError("list", directory, errno);
  std::vector<std::string> names;
  while (true) {
    errno = 0;
    const dirent* entry = readdir(stream.get());
    if (entry == nullptr) break;
    const absl::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return PosixError("list", directory, errno);
  std::sort(names.begin(), names.end());
  return names;
}

absl::StatusOr<std::unique_ptr<FileLock>> PosixFileSystem::Lock(const std::string& path) {
  Descriptor file = OpenDescriptor(path, O_RDWR | O_CREAT);
  if (!file.valid()) return PosixError("open lock", path, errno);
  int error = LockWithoutWaiting(file, LOCK_EX);
  // Somebody who only asks has it for a moment, and flock knows no wait that ends.
  for (int i = 0; error == EWOULDBLOCK && i < kLockRetries; ++i) {
    usleep(kLockPauseMicroseconds);
    error = LockWithoutWaiting(file, LOCK_EX);
  }
  if (error == EWOULDBLOCK) {
    return absl::AlreadyExistsError(
        absl::StrCat("lock ", path, ": held by ", HolderOf(file.get())));
  }
  if (error != 0) return PosixError("lock", path, error);
  const std::string pid = absl::StrCat(getpid(), "\n");
  if (ftruncate(file.get(), 0) != 0 ||
      pwrite(file.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    return PosixError("write the pid to lock", path, errno);
  }
  return std::make_unique<PosixFileLock>(std::move(file));
}

absl::StatusOr<std::optional<std::string>> PosixFileSystem::LockHolder(const std::string& path) {
  const Descriptor file = OpenDescriptor(path, O_RDONLY);
  if (!file.valid() && errno == ENOENT) return std::nullopt;
  if (!file.valid()) return PosixError("open lock", path, errno);
  // Shared, so that two who ask do not see each other.
  const int error = LockWithoutWaiting(file, LOCK_SH);
  if (error == EWOULDBLOCK) return HolderOf(file.get());
  if (error != 0) return PosixError("test lock", path, error);
  return std::nullopt;
}

absl::StatusOr<std::string> PosixFileSystem::BootId() {
  // Not ReadWholeFile: files of /proc say their size is 0.
  const std::string path = "/proc/sys/kernel/random/boot_id";
  const Descriptor file = OpenDescriptor(path, O_RDONLY);
  if (!file.valid()) return PosixError("open", path, errno);
  char text[64];
  const auto length = ReadFully(file.get(), path, 0, sizeof text, text, /*direct=*/false);
  if (!length.ok()) return length.status();
  return std::string(absl::StripAsciiWhitespace(absl::string_view(text, *length)));
}

}  // namespace cairn
