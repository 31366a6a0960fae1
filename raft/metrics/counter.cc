#include "raft/metrics/counter.h"

#include <algorithm>

namespace cairn {

uint64_t DurationCounts::count() const {
  uint64_t count = 0;
  for (uint64_t bucket : buckets) count += bucket;
  return count;
}

void DurationHistogram::Add(Duration duration) {
  const auto bucket = std::lower_bound(kDurationBuckets.begin(), kDurationBuckets.end(), duration);
  buckets_[static_cast<size_t>(bucket - kDurationBuckets.begin())].Add();
  nanoseconds_.Add(static_cast<uint64_t>(std::max<int64_t>(0, duration.nanoseconds)));
}

DurationCounts DurationHistogram::counts() const {
  DurationCounts counts;
  for (size_t i = 0; i < buckets_.size(); ++i) counts.buckets[i] = buckets_[i].value();
  counts.sum = Nanoseconds(static_cast<int64_t>(nanoseconds_.value()));
  return counts;
}

}  // namespace cairn
