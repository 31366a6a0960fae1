// LogWriterMetrics: what the log's writer, which all groups of a host share, has to do and has
// done.

#ifndef RAFT_METRICS_LOG_WRITER_METRICS_H_
#define RAFT_METRICS_LOG_WRITER_METRICS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/time.h"
#include "raft/metrics/counter.h"
#include "storage/log_store.h"

namespace cairn {

// As numbers.
struct LogWriterStatus {
  uint64_t queued_entries = 0;  // not durable yet
  uint64_t queued_bytes = 0;
  uint64_t batches = 0;  // written and synced
  uint64_t entries = 0;
  uint64_t bytes = 0;
  DurationCounts syncs;  // that succeeded, each for all that waited
  bool failed = false;   // for good
  LogUpkeep upkeep;      // as of the last time the disk was asked
};

// Threads: SyncBegins, SyncEnded and Failed on the writer's sequence, the rest from any.
class LogWriterMetrics {
 public:
  struct Load {
    size_t batches = 0;
    size_t entries = 0;
    size_t bytes = 0;
  };

  void Queued(const Load& load);
  void SyncBegins(Instant now) { sync_began_ = now; }
  // `load` is durable.
  void SyncEnded(Instant now, const Load& load);
  void Failed() { failed_.store(true, std::memory_order_relaxed); }

  // What the disk said when it was last asked, which is with each turn of a group.
  void SetRoom(bool has_room) { has_room_.store(has_room, std::memory_order_relaxed); }

  void SetUpkeep(const LogUpkeep& upkeep);

  bool has_room() const { return has_room_.load(std::memory_order_relaxed); }
  size_t queued_bytes() const { return queued_bytes_.load(std::memory_order_relaxed); }
  LogWriterStatus status() const;

 private:
  std::atomic<size_t> queued_entries_ = 0;
  std::atomic<size_t> queued_bytes_ = 0;
  std::atomic<bool> failed_ = false;
  std::atomic<bool> has_room_ = true;
  struct Upkeep {
    std::atomic<uint64_t> blocks = 0;
    std::atomic<uint64_t> to_rewrite = 0;
    std::atomic<uint64_t> to_rewrap = 0;
  };
  Upkeep upkeep_;
  Counter batches_;
  Counter entries_;
  Counter bytes_;
  DurationHistogram syncs_;
  Instant sync_began_;
};

}  // namespace cairn

#endif  // RAFT_METRICS_LOG_WRITER_METRICS_H_
