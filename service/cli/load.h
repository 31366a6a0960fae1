// Load: a closed loop of calls and what came of them.

#ifndef SERVICE_CLI_LOAD_H_
#define SERVICE_CLI_LOAD_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "service/cli/output.h"

namespace cairn {

// Keeps a number of calls under way: each end of one starts the next, on the thread that ended it.
// Calls that end before the warm-up is over are not counted.
//
// Threads: Run on one; calls end on any.
class Load {
 public:
  using Done = absl::AnyInvocable<void(const absl::Status&)>;
  // Starts one call, which calls `done` once at its end. Must not block.
  using StartCall = std::function<void(Done done)>;

  struct Options {
    size_t inflight = 1;
    absl::Duration seconds = absl::Seconds(5);
    absl::Duration warm_up = absl::Seconds(1);
  };

  explicit Load(const Options& options) : options_(options) {}

  // Runs until the time is over and all calls have ended.
  void Run(const StartCall& start_call);

  // ops, ops_per_second, p50_us, p99_us, p999_us, client_cpu_seconds, errors, unknown, and
  // longest_pause_us, for which no call ended well.
  Row ToRow() const;
  // The first error, if any.
  absl::Status error() const;

 private:
  void StartOne(const StartCall& start_call);
  void EndOne(const StartCall& start_call, absl::Time started, const absl::Status& status);

  const Options options_;
  absl::Time measure_from_;
  absl::Time measure_until_;
  double cpu_seconds_ = 0;
  mutable Mutex mutex_;
  CondVar all_ended_;
  size_t under_way_ CAIRN_GUARDED_BY(mutex_) = 0;
  std::vector<int64_t> latencies_ CAIRN_GUARDED_BY(mutex_);  // nanoseconds, of good calls
  absl::Time last_good_ CAIRN_GUARDED_BY(mutex_);
  absl::Duration longest_pause_ CAIRN_GUARDED_BY(mutex_);
  uint64_t errors_ CAIRN_GUARDED_BY(mutex_) = 0;
  uint64_t unknown_ CAIRN_GUARDED_BY(mutex_) = 0;
  absl::Status first_error_ CAIRN_GUARDED_BY(mutex_);
};

}  // namespace cairn

#endif  // SERVICE_CLI_LOAD_H_
