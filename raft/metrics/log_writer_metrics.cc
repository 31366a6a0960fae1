#include "raft/metrics/log_writer_metrics.h"

namespace cairn {

void LogWriterMetrics::Queued(const Load& load) {
  queued_entries_.fetch_add(load.entries, std::memory_order_relaxed);
  queued_bytes_.fetch_add(load.bytes, std::memory_order_relaxed);
}

void LogWriterMetrics::SyncEnded(Instant now, const Load& load) {
  syncs_.Add(now - sync_began_);
  queued_entries_.fetch_sub(load.entries, std::memory_order_relaxed);
  queued_bytes_.fetch_sub(load.bytes, std::memory_order_relaxed);
  batches_.Add(load.batches);
  entries_.Add(load.entries);
  bytes_.Add(load.bytes);
}

void LogWriterMetrics::SetUpkeep(const LogUpkeep& upkeep) {
  upkeep_.blocks.store(upkeep.blocks, std::memory_order_relaxed);
  upkeep_.to_rewrite.store(upkeep.to_rewrite, std::memory_order_relaxed);
  upkeep_.to_rewrap.store(upkeep.to_rewrap, std::memory_order_relaxed);
}

LogWriterStatus LogWriterMetrics::status() const {
  LogWriterStatus status;
  status.queued_entries = queued_entries_.load(std::memory_order_relaxed);
  status.queued_bytes = queued_bytes();
  status.batches = batches_.value();
  status.entries = entries_.value();
  status.bytes = bytes_.value();
  status.syncs = syncs_.counts();
  status.failed = failed_.load(std::memory_order_relaxed);
  status.upkeep = {.blocks = upkeep_.blocks.load(std::memory_order_relaxed),
                   .to_rewrite = upkeep_.to_rewrite.load(std::memory_order_relaxed),
                   .to_rewrap = upkeep_.to_rewrap.load(std::memory_order_relaxed)};
  return status;
}

}  // namespace cairn
