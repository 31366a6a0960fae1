#include "storage/offline/log_view.h"

#include <utility>

#include "storage/rocksdb/rocksdb_inspector.h"

namespace cairn {
namespace {

class BlockLogView final : public LogView {
 public:
  explicit BlockLogView(std::unique_ptr<LogInspector> log) : log_(std::move(log)) {}

  const char* store() const override { return "block"; }
  const std::string& directory() const override { return log_->directory(); }
  const std::optional<LogIdentity>& identity() const override { return log_->identity(); }
  const std::optional<std::string>& writer() const override { return log_->writer(); }

  std::map<GroupId, ViewedGroup> Groups() const override {
    std::map<GroupId, ViewedGroup> groups;
    for (const auto& [group, log] : log_->groups()) {
      ViewedGroup viewed = {.hard_state = log.hard_state,
                            .hard_state_lost = log.hard_state_lost,
                            .base = log.base,
                            .base_hash = log.base_hash,
                            .last = log.last,
                            .last_hash = log.last_hash,
                            .known_commit = log.commit,
                            .torn_from = log.torn_from};
      if (viewed != ViewedGroup()) groups[group] = viewed;  // dropped ones are no more
    }
    return groups;
  }

  void Read(GroupId group, Index from, uint64_t count, const Take& take,
            const Unreadable& unreadable) const override {
    log_->Read(group, from, count, take, unreadable);
  }

  std::vector<VerifiedFile> Verify(Executor* beside) const override {
    return VerifyLog(*log_, beside);
  }

 private:
  const std::unique_ptr<LogInspector> log_;
};

class RocksDbLogView final : public LogView {
 public:
  explicit RocksDbLogView(std::unique_ptr<RocksDbInspector> log) : log_(std::move(log)) {}

  const char* store() const override { return "rocksdb"; }
  const std::string& directory() const override { return log_->directory(); }
  const std::optional<LogIdentity>& identity() const override { return log_->identity(); }
  const std::optional<std::string>& writer() const override { return log_->writer(); }

  std::map<GroupId, ViewedGroup> Groups() const override {
    std::map<GroupId, ViewedGroup> groups;
    for (const auto& [group, log] : log_->groups()) {
      const LogHead& head = log.head();
      ViewedGroup& viewed = groups[group];
      viewed = {.hard_state = head.hard_state,
                .hard_state_lost = head.unsure,
                .base = head.base,
                .base_hash = head.base_hash,
                .last = head.last,
                .last_hash = head.last_hash,
                .known_commit = head.known_commit};
      if (head.torn_from != 0) viewed.torn_from = head.torn_from;
    }
    return groups;
  }

  void Read(GroupId group, Index from, uint64_t count, const Take& take,
            const Unreadable& unreadable) const override {
    log_->Read(group, from, count, take, unreadable);
  }

  std::vector<VerifiedFile> Verify(Executor*) const override { return log_->Verify(); }

 private:
  const std::unique_ptr<RocksDbInspector> log_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<LogView>> OpenLogView(FileSystem& file_system,
                                                     const std::string& directory,
                                                     const std::shared_ptr<KeyRing>& keys) {
  absl::StatusOr<std::unique_ptr<RocksDbInspector>> rocksdb =
      RocksDbInspector::Open(file_system, directory, keys);
  if (rocksdb.ok()) return std::make_unique<RocksDbLogView>(*std::move(rocksdb));
  if (!absl::IsNotFound(rocksdb.status())) return rocksdb.status();
  absl::StatusOr<std::unique_ptr<LogInspector>> block =
      LogInspector::Open(file_system, directory, keys);
  if (!block.ok()) return block.status();
  return std::make_unique<BlockLogView>(*std::move(block));
}

}  // namespace cairn
