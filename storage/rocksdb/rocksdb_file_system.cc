#include "storage/rocksdb/rocksdb_file_system.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "storage/rocksdb/rocksdb_status.h"

namespace cairn {
namespace {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

constexpr uint64_t kPageBytes = 4096;

// What a path is of, as far as that matters on a full disk.
enum class Content { kLog, kTable, kOther };
Content ContentOf(absl::string_view path) {
  if (absl::EndsWith(path, ".log")) return Content::kLog;
  return absl::EndsWith(path, ".sst") ? Content::kTable : Content::kOther;
}

// Where all of the reserve was not enough, RocksDB is not to try again: of its manifest some may be
// there. But a start without room has not failed.
IOStatus Final(const absl::Status& status, const DatabaseRoom& room) {
  if (!absl::IsResourceExhausted(status) || room.this_thread_opens()) return ToRocksDb(status);
  return ToRocksDb(absl::InternalError(status.message()));
}

// A call that may need about `bytes`, and can be repeated.
IOStatus WithRoom(DatabaseRoom* room, Content content, uint64_t bytes,
                  absl::FunctionRef<absl::Status()> call) {
  if (room == nullptr) return ToRocksDb(call());
  if (content == Content::kTable) return ToRocksDb(room->WriteTable(bytes, call));
  return Final(room->reserve().WithRoom(DiskReserve::Claim::kDatabase, bytes, call), *room);
}

// RocksDB appends; where, is known here.
class WritableFile final : public rocksdb::FSWritableFile {
 public:
  WritableFile(FileSystem& file_system, std::shared_ptr<File> file, DatabaseRoom* room)
      : file_system_(file_system),
        file_(std::move(file)),
        room_(room),
        content_(ContentOf(file_->path())) {}

  using rocksdb::FSWritableFile::Append;
  IOStatus Append(const Slice& slice, const IOOptions&, IODebugContext*) override {
    const absl::string_view data(slice.data(), slice.size());
    IOStatus status;
    if (keeps()) {
      status = ToRocksDb(room_->unwritten().Write(file_, size_, data));
    } else {
      status = WithRoom(room_, content_, data.size(), [&] { return file_->Write(size_, data); });
    }
    if (status.ok()) size_ += data.size();
    return status;
  }
  IOStatus Truncate(uint64_t size, const IOOptions&, IODebugContext*) override {
    if (size == size_) return IOStatus::OK();
    const absl::Status status = file_->Resize(size);
    if (status.ok()) size_ = size;
    return ToRocksDb(status);
  }
  IOStatus Close(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Flush(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Sync(const IOOptions&, IODebugContext*) override {
    // What is not in the file cannot be synced: RocksDbLog does not ask for it then.
    if (keeps()) {
      if (absl::Status status = room_->unwritten().WriteOut(); !status.ok()) {
        return Final(status, *room_);
      }
    }
    return ToRocksDb(file_system_.SyncNow(*file_));
  }
  IOStatus RangeSync(uint64_t offset, uint64_t length, const IOOptions&, IODebugContext*) override {
    file_->StartWriteback(offset, length);
    return IOStatus::OK();
  }
  bool IsSyncThreadSafe() const override { return true; }
  uint64_t GetFileSize(const IOOptions&, IODebugContext*) override { return size_; }

 private:
  bool keeps() const { return room_ != nullptr && content_ == Content::kLog; }

  FileSystem& file_system_;
  const std::shared_ptr<File> file_;
  DatabaseRoom* const room_;
  const Content content_;
  uint64_t size_ = 0;
};

IOStatus ReadInto(const File& file, uint64_t offset, size_t length, Slice* result, char* scratch) {
  const absl::StatusOr<size_t> read = file.Read(offset, length, scratch);
  *result = Slice(scratch, read.ok() ? *read : 0);
  return ToRocksDb(read.status());
}

// Where rot and reads that fail are one matter. It is not one of IDENTITY, which RocksDB makes
// anew.
bool DatabaseHangsOn(const std::string& path) {
  return absl::EndsWith(path, ".log") || absl::EndsWith(path, "/CURRENT") ||
         absl::StrContains(path, "/MANIFEST-");
}

class SequentialFile final : public rocksdb::FSSequentialFile {
 public:
  explicit SequentialFile(std::unique_ptr<File> file) : file_(std::move(file)) {}

  IOStatus Read(size_t length, const IOOptions&, Slice* result, char* scratch,
                IODebugContext*) override {
    IOStatus status = ReadInto(*file_, at_, length, result, scratch);
    // What RocksDB takes for rot it forgets for good; a disk may be better at the second attempt.
    if (!status.ok()) status = ReadInto(*file_, at_, length, result, scratch);
    at_ += result->size();
    if (status.ok() || !DatabaseHangsOn(file_->path())) return status;
    return IOStatus::Corruption("cannot be read", status.ToString());
  }
  IOStatus Skip(uint64_t length) override {
    const absl::StatusOr<uint64_t> size = file_->Size();
    if (size.ok()) at_ = std::min(*size, at_ + length);
    return ToRocksDb(size.status());
  }

 private:
  const std::unique_ptr<File> file_;
  uint64_t at_ = 0;
};

// A table.
class RandomAccessFile final : public rocksdb::FSRandomAccessFile {
 public:
  RandomAccessFile(std::unique_ptr<File> file, TableReads reads)
      : file_(std::move(file)), reads_(reads) {}

  IOStatus Read(uint64_t offset, size_t length, const IOOptions& options, Slice* result,
                char* scratch, IODebugContext*) const override {
    const bool direct = reads_ == TableReads::kAlwaysPastPageCache ||
                        options.rate_limiter_priority == kPastPageCache;
    const IOStatus status = ReadSome(direct, offset, length, result, scratch);
    if (status.ok()) return status;
    // RocksDB reads ahead: what stands before the place that is bad is good.
    uint64_t end = offset;
    while (end < offset + length) {
      const uint64_t next = std::min(offset + length, (end / kPageBytes + 1) * kPageBytes);
      Slice page;
      if (!ReadSome(direct, end, next - end, &page, scratch + (end - offset)).ok()) break;
      end += page.size();
      if (end != next) break;
    }
    *result = Slice(scratch, static_cast<size_t>(end - offset));
    if (end != offset) return IOStatus::OK();
    return IOStatus::Corruption("cannot be read", status.ToString());
  }

 private:
  IOStatus ReadSome(bool direct, uint64_t offset, size_t length, Slice* result,
                    char* scratch) const {
    return direct ? ReadDirect(offset, length, result, scratch)
                  : ReadInto(*file_, offset, length, result, scratch);
  }
  IOStatus ReadDirect(uint64_t offset, size_t length, Slice* result, char* scratch) const {
    *result = Slice(scratch, 0);
    const uint64_t begin = offset / kPageBytes * kPageBytes;
    const uint64_t end = (offset + length + kPageBytes - 1) / kPageBytes * kPageBytes;
    const std::unique_ptr<char, decltype(&std::free)> pages(
        static_cast<char*>(std::aligned_alloc(kPageBytes, end - begin)), &std::free);
    const absl::StatusOr<size_t> read = file_->ReadDirect(begin, end - begin, pages.get());
    if (!read.ok()) return ToRocksDb(read.status());
    const size_t skipped = static_cast<size_t>(offset - begin);
    if (*read <= skipped) return IOStatus::OK();
    const size_t size = std::min(length, *read - skipped);
    std::memcpy(scratch, pages.get() + skipped, size);
    *result = Slice(scratch, size);
    return IOStatus::OK();
  }

  const std::unique_ptr<File> file_;
  const TableReads reads_;
};

class Directory final : public rocksdb::FSDirectory {
 public:
  Directory(FileSystem& file_system, std::string path)
      : file_system_(file_system), path_(std::move(path)) {}
  IOStatus Fsync(const IOOptions&, IODebugContext*) override {
    return ToRocksDb(file_system_.SyncDirectory(path_));
  }

 private:
  FileSystem& file_system_;
  const std::string path_;
};

class HeldLock final : public rocksdb::FileLock {
 public:
  explicit HeldLock(std::unique_ptr<cairn::FileLock> lock) : lock_(std::move(lock)) {}

 private:
  const std::unique_ptr<cairn::FileLock> lock_;
};

// RocksDB joins directories and names with more slashes than it needs, and syncs "dir/".
std::string Plain(const std::string& path) {
  std::string plain;
  for (const char c : path) {
    if (c != '/' || plain.empty() || plain.back() != '/') plain.push_back(c);
  }
  if (plain.size() > 1 && plain.back() == '/') plain.pop_back();
  return plain;
}

class RocksDbFileSystem final : public rocksdb::FileSystem {
 public:
  RocksDbFileSystem(cairn::FileSystem& file_system, TableReads table_reads, DatabaseRoom* room)
      : file_system_(file_system), table_reads_(table_reads), room_(room) {}

  static const char* kClassName() { return "cairn"; }
  const char* Name() const override { return kClassName(); }

  IOStatus NewSequentialFile(const std::string& path, const rocksdb::FileOptions&,
                             std::unique_ptr<rocksdb::FSSequentialFile>* result,
                             IODebugContext*) override {
    return OpenToRead<SequentialFile>(path, result);
  }
  IOStatus NewRandomAccessFile(const std::string& path, const rocksdb::FileOptions&,
                               std::unique_ptr<rocksdb::FSRandomAccessFile>* result,
                               IODebugContext*) override {
    return OpenToRead<RandomAccessFile>(path, result, table_reads_);
  }
  IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions&,
                           std::unique_ptr<rocksdb::FSWritableFile>* result,
                           IODebugContext*) override {
    const Content content = ContentOf(path);
    if (room_ != nullptr && content == Content::kTable) {
      if (absl::Status status = room_->BeginTable(); !status.ok()) return ToRocksDb(status);
    }
    absl::StatusOr<std::unique_ptr<File>> file;
    const IOStatus opened = WithRoom(room_, content, kPageBytes, [&] {
      file = file_system_.Open(Plain(path), {.mode = cairn::FileSystem::OpenMode::kOpenOrCreate});
      return file.status();
    });
    if (!opened.ok()) return opened;
    // As RocksDB wants it: what was there is gone.
    const absl::StatusOr<uint64_t> size = (*file)->Size();
    if (!size.ok()) return ToRocksDb(size.status());
    if (*size != 0) {
      if (absl::Status status = (*file)->Resize(0); !status.ok()) return ToRocksDb(status);
    }
    *result = std::make_unique<WritableFile>(file_system_, *std::move(file), room_);
    return IOStatus::OK();
  }
  IOStatus NewDirectory(const std::string& path, const IOOptions&,
                        std::unique_ptr<rocksdb::FSDirectory>* result, IODebugContext*) override {
    *result = std::make_unique<Directory>(file_system_, Plain(path));
    return IOStatus::OK();
  }

  IOStatus FileExists(const std::string& path, const IOOptions&, IODebugContext*) override {
    const absl::StatusOr<bool> there = file_system_.Exists(Plain(path));
    if (!there.ok()) return ToRocksDb(there.status());
    // What stands in it matters to nobody, and RocksDB makes another one where there is none.
    const bool is_name = absl::EndsWith(path, "/IDENTITY");
    if (is_name && *there && !ReadWholeFile(file_system_, Plain(path)).ok()) {
      return IOStatus::NotFound(path);
    }
    return *there ? IOStatus::OK() : IOStatus::NotFound(path);
  }
  IOStatus GetChildren(const std::string& path, const IOOptions&, std::vector<std::string>* result,
                       IODebugContext*) override {
    auto names = file_system_.List(Plain(path));
    if (absl::IsNotFound(names.status())) return IOStatus::NotFound(path);
    if (!names.ok()) return ToRocksDb(names.status());
    *result = *std::move(names);
    return IOStatus::OK();
  }
  IOStatus DeleteFile(const std::string& path, const IOOptions&, IODebugContext*) override {
    if (room_ != nullptr) room_->unwritten().Forget(Plain(path));
    return ToRocksDb(file_system_.Remove(Plain(path)));
  }
  IOStatus CreateDir(const std::string& path, const IOOptions&, IODebugContext*) override {
    return ToRocksDb(file_system_.MakeDirectory(Plain(path)));
  }
  IOStatus CreateDirIfMissing(const std::string& path, const IOOptions&, IODebugContext*) override {
    return ToRocksDb(file_system_.MakeDirectory(Plain(path)));
  }
  IOStatus DeleteDir(const std::string& path, const IOOptions&, IODebugContext*) override {
    return IOStatus::NotSupported("removing directories", path);
  }
  IOStatus GetFileSize(const std::string& path, const IOOptions&, uint64_t* size,
                       IODebugContext*) override {
    auto file = file_system_.Open(Plain(path), {.mode = cairn::FileSystem::OpenMode::kRead});
    if (!file.ok()) return ToRocksDb(file.status());
    const absl::StatusOr<uint64_t> found = (*file)->Size();
    if (found.ok()) *size = *found;
    return ToRocksDb(found.status());
  }
  IOStatus GetFileModificationTime(const std::string&, const IOOptions&, uint64_t* time,
                                   IODebugContext*) override {
    *time = 0;
    return IOStatus::OK();
  }
  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions&,
                      IODebugContext*) override {
    // RocksDB renames CURRENT into its place and only then syncs the directory, which the manifest
    // it names is new in too: a power cut could leave CURRENT without its manifest.
    absl::Status status = file_system_.SyncDirectory(DirectoryOf(Plain(from)));
    if (!status.ok()) return ToRocksDb(status);
    return WithRoom(room_, Content::kOther, kPageBytes,
                    [&] { return file_system_.Rename(Plain(from), Plain(to)); });
  }
  IOStatus LockFile(const std::string& path, const IOOptions&, rocksdb::FileLock** lock,
                    IODebugContext*) override {
    *lock = nullptr;
    auto held = file_system_.Lock(Plain(path));
    if (held.ok()) *lock = new HeldLock(*std::move(held));  // UnlockFile deletes it
    return ToRocksDb(held.status());
  }
  IOStatus UnlockFile(rocksdb::FileLock* lock, const IOOptions&, IODebugContext*) override {
    delete lock;
    return IOStatus::OK();
  }
  IOStatus GetTestDirectory(const IOOptions&, std::string*, IODebugContext*) override {
    return IOStatus::NotSupported("a directory for tests");
  }
  IOStatus GetAbsolutePath(const std::string& path, const IOOptions&, std::string* absolute,
                           IODebugContext*) override {
    *absolute = path;
    return IOStatus::OK();
  }
  IOStatus IsDirectory(const std::string& path, const IOOptions&, bool* is_directory,
                       IODebugContext*) override {
    *is_directory = file_system_.List(Plain(path)).ok();
    return IOStatus::OK();
  }

 private:
  template <typename Opened, typename Result, typename... How>
  IOStatus OpenToRead(const std::string& path, Result* result, How... how) {
    auto file = file_system_.Open(Plain(path), {.mode = cairn::FileSystem::OpenMode::kRead});
    if (!file.ok()) return ToRocksDb(file.status());
    *result = std::make_unique<Opened>(*std::move(file), how...);
    return IOStatus::OK();
  }

  cairn::FileSystem& file_system_;
  const TableReads table_reads_;
  DatabaseRoom* const room_;
};

}  // namespace

std::shared_ptr<rocksdb::FileSystem> MakeRocksDbFileSystem(FileSystem& file_system,
                                                           TableReads table_reads,
                                                           DatabaseRoom* room) {
  return std::make_shared<RocksDbFileSystem>(file_system, table_reads, room);
}

}  // namespace cairn
