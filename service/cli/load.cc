#include "service/cli/load.h"

#include <sys/resource.h>

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "client/errors.h"

namespace cairn {
namespace {

double CpuSeconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace

void Load::Run(const StartCall& start_call) {
  absl::Time start = absl::Now();
  measure_from_ = start + options_.warm_up;
  measure_until_ = measure_from_ + options_.seconds;
  {
    MutexLock lock(mutex_);
    under_way_ = options_.inflight;
    last_good_ = measure_from_;
  }
  for (size_t i = 0; i < options_.inflight; ++i) StartOne(start_call);
  double cpu_before = CpuSeconds();
  MutexLock lock(mutex_);
  bool warm = false;
  while (under_way_ > 0) {
    absl::Time now = absl::Now();
    if (!warm && now >= measure_from_) {
      warm = true;
      cpu_before = CpuSeconds();
    }
    if (now < measure_until_) {
      all_ended_.WaitFor(mutex_, (warm ? measure_until_ : measure_from_) - now);
      if (absl::Now() >= measure_until_) cpu_seconds_ = CpuSeconds() - cpu_before;
    } else {
      all_ended_.Wait(mutex_);
    }
  }
}

void Load::StartOne(const StartCall& start_call) {
  absl::Time started = absl::Now();
  start_call([this, &start_call, started](const absl::Status& status) {
    EndOne(start_call, started, status);
  });
}

void Load::EndOne(const StartCall& start_call, absl::Time started, const absl::Status& status) {
  absl::Time now = absl::Now();
  bool again = false;
  {
    MutexLock lock(mutex_);
    if (!status.ok()) {
      ++(OutcomeUnknown(status) ? unknown_ : errors_);
      if (first_error_.ok()) first_error_ = status;
    } else if (now >= measure_from_ && now < measure_until_) {
      latencies_.push_back(absl::ToInt64Nanoseconds(now - started));
      longest_pause_ = std::max(longest_pause_, now - last_good_);
      last_good_ = std::max(last_good_, now);
    }
    // A failing server is not to be hammered.
    again = now < measure_until_ && errors_ + unknown_ < 1000;
    if (!again && --under_way_ == 0) all_ended_.NotifyAll();
  }
  if (again) StartOne(start_call);
}

Row Load::ToRow() const {
  MutexLock lock(mutex_);
  std::vector<int64_t> sorted = latencies_;
  std::sort(sorted.begin(), sorted.end());
  auto percentile = [&](size_t per_mille) {
    if (sorted.empty()) return 0.0;
    size_t place = std::min(sorted.size() - 1, sorted.size() * per_mille / 1000);
    return static_cast<double>(sorted[place]) / 1e3;
  };
  uint64_t ops = sorted.size();
  const absl::Duration pause = std::max(longest_pause_, measure_until_ - last_good_);
  return Row()
      .Add("ops", ops)
      .Add("ops_per_second", static_cast<double>(ops) / absl::ToDoubleSeconds(options_.seconds))
      .Add("p50_us", percentile(500))
      .Add("p99_us", percentile(990))
      .Add("p999_us", percentile(999))
      .Add("client_cpu_seconds", cpu_seconds_)
      .Add("errors", errors_)
      .Add("unknown", unknown_)
      .Add("longest_pause_us", absl::ToDoubleMicroseconds(pause));
}

absl::Status Load::error() const {
  MutexLock lock(mutex_);
  return first_error_;
}

}  // namespace cairn
