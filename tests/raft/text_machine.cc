#include "tests/raft/text_machine.h"

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace cairn {
namespace {

class FrozenText final : public SnapshotSource {
 public:
  explicit FrozenText(std::string text)
      : text_(std::move(text)), files_({{"commands", text_.size()}}) {}
  const std::vector<SnapshotFile>& files() const override { return files_; }
  absl::StatusOr<std::string> Read(size_t, uint64_t offset, size_t bytes) const override {
    return text_.substr(offset, bytes);
  }

 private:
  const std::string text_;
  const std::vector<SnapshotFile> files_;
};

}  // namespace

std::unique_ptr<SnapshotSource> FreezeText(std::string text) {
  return std::make_unique<FrozenText>(std::move(text));
}

absl::StatusOr<std::string> ThawText(const SnapshotReader& snapshot) {
  return snapshot.Read(0, 0, snapshot.files()[0].bytes);
}

void TextMachine::Apply(ApplyBatch& batch) {
  for (ApplyEntry& entry : batch) {
    absl::StrAppend(commands_, entry.command().view(), ",");
    entry.Reply(absl::StrCat(commands_->size()));
  }
}

absl::Status TextMachine::Restore(const SnapshotReader& snapshot, LogPosition) {
  absl::StatusOr<std::string> text = ThawText(snapshot);
  if (text.ok()) *commands_ = *std::move(text);
  return text.status();
}

}  // namespace cairn
