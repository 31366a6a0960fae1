// CompressingLog: a block log in which something is compressed all the time.

#ifndef TESTS_STORAGE_BLOCK_COMPRESSED_COMPRESSING_LOG_H_
#define TESTS_STORAGE_BLOCK_COMPRESSED_COMPRESSING_LOG_H_

#include <memory>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/random.h"
#include "storage/block/block_log.h"

namespace cairn {

// A piece of it before each sync, some more of it after an opening.
class CompressingLog final : public LogDisk {
 public:
  CompressingLog(std::unique_ptr<BlockLog> log, uint64_t seed)
      : log_(std::move(log)), random_(seed) {}

  absl::StatusOr<OpenedLog> OpenGroup(GroupId group) override {
    Compress(1 << 20);
    return log_->OpenGroup(group);
  }
  void CloseGroup(GroupId group) override { log_->CloseGroup(group); }
  absl::Status DropGroup(GroupId group) override { return log_->DropGroup(group); }
  std::vector<GroupId> Groups() const override { return log_->Groups(); }
  void Sync(absl::AnyInvocable<void(absl::Status)> done) override {
    Compress(random_.OneIn(3) ? 256 << 10 : 4 << 10);
    log_->Sync(std::move(done));
  }
  bool has_room() const override { return log_->has_room(); }
  void SeekRoom() override { log_->SeekRoom(); }
  LogScrub* scrub() override { return log_->scrub(); }
  const char* name() const override { return log_->name(); }

 private:
  void Compress(uint64_t most) {
    const CompressStep step = log_->scrub()->Compress(1 + random_.Below(most));
    CAIRN_CHECK(step.problems.empty()) << step.problems.front();
  }

  const std::unique_ptr<BlockLog> log_;
  Random random_;
};

}  // namespace cairn

#endif  // TESTS_STORAGE_BLOCK_COMPRESSED_COMPRESSING_LOG_H_
