#include "base/delay_window.h"

#include <algorithm>
#include <utility>

namespace cairn {

void DelayWindow::Arrived(const Answer& answer, Instant now) {
  const auto nanoseconds = [](Duration each) { return static_cast<double>(each.nanoseconds); };
  const Duration delay = std::max(answer.delay, Nanoseconds(1));
  const auto under_way = static_cast<double>(answer.under_way);
  if (now - since_ >= kMemory) {
    if (under_way * 2 >= window_) window_ = double{kLeast};
    before_ = std::exchange(lately_, kDistantDelay);
    since_ = now;
  }
  // Behind so little there is no queue of ours: the way is longer now, or those at its ends are
  // busier. To send less would not help.
  if (answer.under_way <= kLeast && delay > std::min(before_, lately_) + kTarget) {
    before_ = lately_ = delay;
  }
  lately_ = std::min(lately_, delay);
  const Duration least = std::min(before_, lately_) * answer.round_trips;
  const double factor = nanoseconds(least + kTarget) / nanoseconds(delay);
  const double seen = std::max(window_, under_way * factor);
  // At most twice as much a round trip.
  const double step = static_cast<double>(answer.bytes) * (std::min(2.0, factor) - 1);
  window_ = std::clamp(std::min(window_ + step, seen), double{kLeast}, double{kMost});
}

}  // namespace cairn
