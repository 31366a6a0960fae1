// ObservedLogDisk: a LogDisk whose use the harness sees.

#ifndef TESTS_SIM_OBSERVED_LOG_DISK_H_
#define TESTS_SIM_OBSERVED_LOG_DISK_H_

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "storage/log_store.h"
#include "tests/sim/log_model.h"

namespace cairn::sim {

// What of a recovered log is surely there: everything before the first torn entry. Faulty ones
// count as far as they are known to the store by their hash, or to `known`: the node claims them.
// DATA_LOSS if the store cannot give the hash of an entry it says it holds; on a disk that is
// `rotten` only if `known` has not got it either.
absl::StatusOr<LogImage> ImageOf(const OpenedLog& opened, const LogImage* known = nullptr,
                                 bool rotten = false);

// What the harness is told, in the order it happens.
class LogObserver {
 public:
  virtual ~LogObserver() = default;
  virtual void OnOpened(GroupId group, const OpenedLog& opened) = 0;
  virtual void OnAppended(GroupId group, LogChange change) = 0;
  // The group's first `appended` changes are durable now, says the disk.
  virtual void OnSynced(GroupId group, uint64_t appended) = 0;
};

// Passes every call on. One thread. `disk` and `observer` outlive it.
class ObservedLogDisk final : public LogDisk {
 public:
  ObservedLogDisk(LogDisk& disk, LogObserver& observer);
  ~ObservedLogDisk() override;

  absl::StatusOr<OpenedLog> OpenGroup(GroupId group) override;
  void CloseGroup(GroupId group) override;
  // The graveyard tells when that is done, and the referee hears it from there.
  absl::Status DropGroup(GroupId group) override { return disk_.DropGroup(group); }
  std::vector<GroupId> Groups() const override { return disk_.Groups(); }
  void Sync(absl::AnyInvocable<void(absl::Status)> done) override;
  LogScrub* scrub() override { return disk_.scrub(); }
  bool has_room() const override { return disk_.has_room(); }
  void SeekRoom() override { disk_.SeekRoom(); }
  const char* name() const override { return disk_.name(); }

 private:
  class Store;
  LogDisk& disk_;
  LogObserver& observer_;
  std::map<GroupId, std::shared_ptr<Store>> stores_;
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_OBSERVED_LOG_DISK_H_
