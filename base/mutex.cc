#include "base/mutex.h"

#include <chrono>

namespace cairn {
namespace {

// The longest single wait: beyond it, adding to the clock's present could overflow.
constexpr absl::Duration kLongestWait = absl::Hours(24 * 365);

}  // namespace

// std::condition_variable wants a unique_lock: it borrows the mutex the caller holds and gives it
// back held.
void CondVar::Wait(Mutex& mutex) {
  std::unique_lock<std::mutex> borrowed(mutex.mutex_, std::adopt_lock);
  condition_.wait(borrowed);
  borrowed.release();
}

bool CondVar::WaitFor(Mutex& mutex, absl::Duration timeout) {
  if (timeout > kLongestWait) {
    Wait(mutex);
    return true;
  }
  std::unique_lock<std::mutex> borrowed(mutex.mutex_, std::adopt_lock);
  const std::cv_status status = condition_.wait_for(borrowed, absl::ToChronoNanoseconds(timeout));
  borrowed.release();
  return status == std::cv_status::no_timeout;
}

}  // namespace cairn
