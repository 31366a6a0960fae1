// HintedFile: a file that holds nothing and remembers the hints it was given.

#ifndef TESTS_STORAGE_HINTED_FILE_H_
#define TESTS_STORAGE_HINTED_FILE_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/file_system.h"

namespace cairn {

class HintedFile final : public File {
 public:
  using Ranges = std::vector<std::pair<uint64_t, uint64_t>>;  // begin, length

  bool cached = false;  // what IsCached gives
  Ranges begun;         // StartWriteback
  mutable Ranges dropped;

  const std::string& path() const override { return path_; }
  absl::StatusOr<uint64_t> Size() const override { return 0; }
  absl::StatusOr<size_t> Read(uint64_t, size_t, char*) const override { return 0; }
  absl::StatusOr<size_t> ReadDirect(uint64_t, size_t, char*) const override { return 0; }
  bool IsCached(uint64_t) const override { return cached; }
  absl::Status Write(uint64_t, absl::string_view) override { return absl::OkStatus(); }
  void StartWriteback(uint64_t offset, uint64_t length) override {
    begun.emplace_back(offset, length);
  }
  void DropCached(uint64_t offset, uint64_t length) const override {
    dropped.emplace_back(offset, length);
  }
  absl::Status Resize(uint64_t) override { return absl::OkStatus(); }

 private:
  const std::string path_ = "/hinted";
};

}  // namespace cairn

#endif  // TESTS_STORAGE_HINTED_FILE_H_
