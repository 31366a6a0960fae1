// Content of snapshots for tests.

#ifndef TESTS_STORAGE_SNAPSHOT_CONTENT_H_
#define TESTS_STORAGE_SNAPSHOT_CONTENT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/snapshot_store.h"

namespace cairn {

class TestContent final : public SnapshotContent {
 public:
  using Files = std::vector<std::pair<std::string, std::string>>;  // name, bytes
  explicit TestContent(Files files) : files_(std::move(files)) {}

  size_t files() const override { return files_.size(); }
  std::string NameOf(size_t file) const override { return files_[file].first; }
  uint64_t BytesOf(size_t file) const override { return files_[file].second.size(); }
  absl::StatusOr<std::string> Read(size_t file, uint64_t offset, size_t bytes) const override {
    ++reads_;
    if (reads_ == fail_read_) return absl::InternalError("the state machine failed");
    return files_[file].second.substr(offset, bytes);
  }

  void FailRead(int read) { fail_read_ = read; }
  const Files& content() const { return files_; }

 private:
  const Files files_;
  mutable int reads_ = 0;
  int fail_read_ = 0;
};

// As EncodeManifest gives it for `content` at `head`.
inline std::string ManifestOf(SnapshotManifest head, const TestContent::Files& content) {
  for (const auto& [name, bytes] : content) {
    ManifestFile file = {.name = name, .bytes = bytes.size(), .chunks = {}};
    for (size_t at = 0; at < bytes.size(); at += kChunkBytes) {
      file.chunks.push_back(ContentIdOf(bytes.substr(at, kChunkBytes)));
    }
    head.files.push_back(std::move(file));
  }
  return EncodeManifest(head);
}

}  // namespace cairn

#endif  // TESTS_STORAGE_SNAPSHOT_CONTENT_H_
