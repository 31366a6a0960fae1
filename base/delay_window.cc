#include "base/delay_window.h"

#include <algorithm>
#include <utility>

namespace cairn {

double DelayWindow::FactorOf(const Answer& answer, Duration delay, Least& least) {
  const auto nanoseconds = [](Duration each) { return static_cast<double>(each.nanoseconds); };
  delay = std::max(delay, Nanoseconds(1));
  // Behind so little there is no queue of ours: the way is longer now, or those at its ends are
  // busier. To send less would not help.
  if (answer.under_way <= kLeast && delay > std::min(least.before, least.lately) + kTarget) {
    least.before = least.lately = delay;
  }
  least.lately = std::min(least.lately, delay);
  const Duration shortest = std::min(least.before, least.lately) * answer.round_trips;
  return nanoseconds(shortest + kTarget) / nanoseconds(delay);
}

void DelayWindow::Arrived(const Answer& answer, Instant now) {
  const auto under_way = static_cast<double>(answer.under_way);
  if (now - since_ >= kMemory) {
    if (under_way * 2 >= window_) window_ = double{kLeast};
    for (Least* least : {&link_, &all_}) {
      least->before = std::exchange(least->lately, kDistantDelay);
    }
    since_ = now;
  }
  const Duration held = std::min(std::max(answer.held, Duration()), answer.delay);
  const double link = FactorOf(answer, answer.delay - held, link_);
  const double all = FactorOf(answer, answer.delay, all_);
  const double factor = std::min(link, std::max(all, 1.0));
  const double seen = std::max(window_, under_way * factor);
  // At most twice as much a round trip.
  const double step = static_cast<double>(answer.bytes) * (std::min(2.0, factor) - 1);
  window_ = std::clamp(std::min(window_ + step, seen), double{kLeast}, double{kMost});
}

}  // namespace cairn
