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

LogWriterStatus LogWriterMetrics::status() const {
  LogWriterStatus status;
  status.queued_entries = queued_entries_.load(std::memory_order_relaxed);
  status.queued_bytes = queued_bytes();
  status.batches = batches_.value();
  status.entries = entries_.value();
  status.bytes = bytes_.value();
  status.syncs = syncs_.counts();
  status.failed = failed_.load(std::memory_order_relaxed);
  return status;
}

}  // namespace cairn
