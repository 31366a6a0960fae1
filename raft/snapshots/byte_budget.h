// ByteBudget: how fast something may be sent, whoever sends it.

#ifndef RAFT_SNAPSHOTS_BYTE_BUDGET_H_
#define RAFT_SNAPSHOTS_BYTE_BUDGET_H_

#include <cstddef>
#include <cstdint>

#include "base/mutex.h"
#include "base/time.h"

namespace cairn {

// Threads: any.
class ByteBudget {
 public:
  // 0: no limit.
  explicit ByteBudget(uint64_t bytes_per_second) : bytes_per_second_(bytes_per_second) {}

  // When `bytes` more may be sent: `now`, or later. They are taken.
  Instant Take(Instant now, size_t bytes);

 private:
  const uint64_t bytes_per_second_;
  Mutex mutex_;
  Instant free_ CAIRN_GUARDED_BY(mutex_);  // when all that was taken will have been sent
};

}  // namespace cairn

#endif  // RAFT_SNAPSHOTS_BYTE_BUDGET_H_
