#include "storage/read_only_file_system.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace cairn {
namespace {

absl::Status Refuse(absl::string_view what, const std::string& path) {
  return absl::PermissionDeniedError(absl::StrCat(what, " ", path, ": it is only to be read"));
}

// Opened to be read: nothing else is called.
class MeteredFile final : public File {
 public:
  MeteredFile(std::unique_ptr<File> file, const ReadOnlyFileSystem::OnRead& on_read)
      : file_(std::move(file)), on_read_(on_read) {}

  const std::string& path() const override { return file_->path(); }
  absl::StatusOr<uint64_t> Size() const override { return file_->Size(); }
  absl::StatusOr<size_t> Read(uint64_t offset, size_t length, char* to) const override {
    return Tell(file_->Read(offset, length, to));
  }
  absl::StatusOr<size_t> ReadDirect(uint64_t offset, size_t length, char* to) const override {
    return Tell(file_->ReadDirect(offset, length, to));
  }
  bool IsCached(uint64_t offset) const override { return file_->IsCached(offset); }
  absl::Status Write(uint64_t offset, absl::string_view data) override {
    return file_->Write(offset, data);
  }
  void StartWriteback(uint64_t offset, uint64_t length) override {
    file_->StartWriteback(offset, length);
  }
  void DropCached(uint64_t offset, uint64_t length) const override {
    file_->DropCached(offset, length);
  }
  absl::Status Resize(uint64_t length) override { return file_->Resize(length); }

 private:
  absl::StatusOr<size_t> Tell(absl::StatusOr<size_t> read) const {
    if (read.ok()) on_read_(*read);
    return read;
  }

  const std::unique_ptr<File> file_;
  const ReadOnlyFileSystem::OnRead on_read_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<File>> ReadOnlyFileSystem::Open(const std::string& path,
                                                               OpenOptions options) {
  if (options.mode != OpenMode::kRead) return Refuse("open to write", path);
  absl::StatusOr<std::unique_ptr<File>> file = real_.Open(path, options);
  if (!file.ok() || on_read_ == nullptr) return file;
  return std::make_unique<MeteredFile>(*std::move(file), on_read_);
}

absl::Status ReadOnlyFileSystem::Preallocate(File& file, uint64_t) {
  return Refuse("preallocate", file.path());
}

void ReadOnlyFileSystem::Sync(File& file, SyncDone done) {
  std::move(done)(Refuse("sync", file.path()));
}

absl::Status ReadOnlyFileSystem::SyncNow(File& file) { return Refuse("sync", file.path()); }

absl::Status ReadOnlyFileSystem::SyncDirectory(const std::string& directory) {
  return Refuse("sync", directory);
}

absl::Status ReadOnlyFileSystem::Rename(const std::string& from, const std::string&) {
  return Refuse("rename", from);
}

absl::Status ReadOnlyFileSystem::Remove(const std::string& path) { return Refuse("remove", path); }

absl::Status ReadOnlyFileSystem::MakeDirectory(const std::string& path) {
  return Refuse("make directory", path);
}

absl::StatusOr<std::unique_ptr<FileLock>> ReadOnlyFileSystem::Lock(const std::string& path) {
  return Refuse("lock", path);
}

}  // namespace cairn
