// DelayWindow: how many bytes may be under way on a link, so that nothing waits long behind them.

#ifndef BASE_DELAY_WINDOW_H_
#define BASE_DELAY_WINDOW_H_

#include <cstddef>

#include "base/time.h"

namespace cairn {

// What is under way waits in the buffers of the link, and so does what shares it: votes,
// heartbeats. So no more is under way than the link carries in its own delay and kTarget, which is
// learned from how long answers take: a queue of kTarget is what bulk may cost the others (the aim
// of LEDBAT, RFC 6817; the step is that of FAST TCP, to the window that would have had the delay
// wanted).
//
// The delay of the link is the least that was seen in the last one to two kMemory. So that a queue
// that always stands is not taken for it, a window in use begins small once in kMemory.
//
// Of an answer that is late because somebody at the ends of the link was busy nothing is learned of
// its queue: to send less would not bring the next one sooner, and to send more would wait there.
// So less is sent only by what the link took, and more only by all of the delay.
class DelayWindow {
 public:
  static constexpr Duration kTarget = Milliseconds(100);
  static constexpr Duration kMemory = Seconds(30);
  static constexpr size_t kLeast = size_t{8} << 10;
  static constexpr size_t kFirst = size_t{16} << 10;
  static constexpr size_t kMost = size_t{4} << 20;

  explicit DelayWindow(Instant now = Instant()) : since_(now) {}

  size_t bytes() const { return static_cast<size_t>(window_); }
  struct Answer {
    size_t bytes = 0;  // are answered for
    // On their way when the last of them was sent, it included. Where that is less than the window,
    // it grows no further than the rate that was seen lets it (RFC 7661).
    size_t under_way = 0;
    int round_trips = 1;  // that the bytes take without anything before them
    Duration delay;       // since they were sent
    Duration held = {};   // so long of it somebody was busy; what exceeds it does not count
  };
  void Arrived(const Answer& answer, Instant now);

 private:
  static constexpr Duration kDistantDelay = Seconds(1000);

  struct Least {
    Duration before = kDistantDelay;  // the least delay of the last kMemory
    Duration lately = kDistantDelay;  // and of this one
  };

  // How many times the window there is would have had the delay wanted.
  static double FactorOf(const Answer& answer, Duration delay, Least& least);

  double window_ = double{kFirst};
  Instant since_;
  Least link_;
  Least all_;  // with what was held
};

}  // namespace cairn

#endif  // BASE_DELAY_WINDOW_H_
