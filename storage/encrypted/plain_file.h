// Files of an encrypted file system that are not encrypted, or not known to be.

#ifndef STORAGE_ENCRYPTED_PLAIN_FILE_H_
#define STORAGE_ENCRYPTED_PLAIN_FILE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "storage/file_system.h"

namespace cairn {

// `real` as it stands on the disk, with something that is kept as long as it is open.
class PlainFile final : public File {
 public:
  PlainFile(std::unique_ptr<File> real, std::shared_ptr<void> held)
      : real_(std::move(real)), held_(std::move(held)) {}

  // What is synced.
  File& real() { return *real_; }

  const std::string& path() const override { return real_->path(); }
  absl::StatusOr<uint64_t> Size() const override { return real_->Size(); }
  absl::StatusOr<size_t> Read(uint64_t offset, size_t length, char* to) const override {
    return real_->Read(offset, length, to);
  }
  absl::StatusOr<size_t> ReadDirect(uint64_t offset, size_t length, char* to) const override {
    return real_->ReadDirect(offset, length, to);
  }
  bool IsCached(uint64_t offset) const override { return real_->IsCached(offset); }
  absl::Status Write(uint64_t offset, absl::string_view data) override {
    return real_->Write(offset, data);
  }
  void StartWriteback(uint64_t offset, uint64_t length) override {
    real_->StartWriteback(offset, length);
  }
  void DropCached(uint64_t offset, uint64_t length) const override {
    real_->DropCached(offset, length);
  }
  absl::Status Resize(uint64_t length) override { return real_->Resize(length); }

 private:
  const std::unique_ptr<File> real_;
  const std::shared_ptr<void> held_;
};

// `real`, of which nobody knows now what it is: whoever reads it is told `why`.
class UnreadableFile final : public File {
 public:
  UnreadableFile(std::unique_ptr<File> real, absl::Status why)
      : real_(std::move(real)), why_(std::move(why)) {}

  const std::string& path() const override { return real_->path(); }
  absl::StatusOr<uint64_t> Size() const override { return real_->Size(); }
  absl::StatusOr<size_t> Read(uint64_t, size_t, char*) const override { return why_; }
  absl::StatusOr<size_t> ReadDirect(uint64_t, size_t, char*) const override { return why_; }
  bool IsCached(uint64_t) const override { return false; }
  absl::Status Write(uint64_t, absl::string_view) override { return why_; }
  void StartWriteback(uint64_t, uint64_t) override {}
  void DropCached(uint64_t, uint64_t) const override {}
  absl::Status Resize(uint64_t) override { return why_; }

 private:
  const std::unique_ptr<File> real_;
  const absl::Status why_;
};

}  // namespace cairn

#endif  // STORAGE_ENCRYPTED_PLAIN_FILE_H_
