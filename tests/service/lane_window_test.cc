#include "service/lane_window.h"

#include <algorithm>
#include <cstdint>
#include <deque>

#include "base/delay_window.h"
#include "base/random.h"
#include "base/time.h"
#include "gtest/gtest.h"
#include "service/frame_queue.h"

namespace cairn {
namespace {

constexpr double kMbit = 1e6 / 8;
const Instant kBegin = Instant() + Seconds(100);

// A link with a peer behind it that gives receipts, and a sender with its window in front.
class Link {
 public:
  Link(double bytes_per_second, Duration round_trip)
      : bytes_per_second_(bytes_per_second), round_trip_(round_trip) {
    Send(1);
  }

  // So much is to be sent now.
  void Offer(size_t bytes) {
    waiting_ += bytes;
    Flush();
  }
  // What waits goes, and `end` comes.
  void RunUntil(Instant end) {
    while (!receipts_.empty() && receipts_.front().arrives <= end) {
      const Receipt next = receipts_.front();
      receipts_.pop_front();
      now_ = next.arrives;
      ++answered_;
      window_.Received(next.receipt, now_);
      Flush();
    }
    now_ = end;
  }
  void Run(Duration time) { RunUntil(now_ + time); }

  // How long what is sent now waits behind what is under way.
  Duration Queue() const { return std::max(free_, now_) - now_; }
  Duration Takes(size_t bytes) const {
    return Nanoseconds(static_cast<int64_t>(static_cast<double>(bytes) / bytes_per_second_ * 1e9));
  }
  void set_round_trip(Duration round_trip) { round_trip_ = round_trip; }
  size_t waiting() const { return waiting_; }
  bool waits_for_receipt() const { return !receipts_.empty(); }
  int answered() const { return answered_; }
  size_t largest_frame() const { return largest_frame_; }

 private:
  struct Receipt {
    uint64_t receipt = 0;
    Instant arrives;
  };

  void Flush() {
    while (waiting_ > 0) {
      const size_t bytes = std::min(waiting_, window_.Room());
      if (bytes == 0) return;
      waiting_ -= bytes;
      Send(bytes);
    }
  }
  void Send(size_t bytes) {
    largest_frame_ = std::max(largest_frame_, bytes);
    free_ = std::max(free_, now_) + Takes(bytes);
    const uint64_t receipt = window_.Sent(bytes, waiting_ > 0, now_);
    const int round_trips = bytes > LaneWindow::kAtOnceBytes ? 2 : 1;
    if (receipt != 0) receipts_.push_back({receipt, free_ + round_trip_ * round_trips});
  }

  double bytes_per_second_;
  Duration round_trip_;
  Instant now_ = kBegin, free_;
  LaneWindow window_{kBegin};
  size_t waiting_ = 0;
  std::deque<Receipt> receipts_;
  int answered_ = 0;
  size_t largest_frame_ = 0;
};

// Whatever the link: most of it is used, and nobody waits for longer than twice what is aimed at
// and what the least window takes.
TEST(LaneWindowTest, TheLinkIsFullAndItsQueueShort) {
  for (const double mbit : {1.0, 8.0, 30.0}) {
    for (const int64_t round_trip_ms : {0, 1, 20, 80}) {
      SCOPED_TRACE(testing::Message() << mbit << " Mbit/s, " << round_trip_ms << " ms");
      Link link(mbit * kMbit, Milliseconds(round_trip_ms));
      link.Run(Seconds(1));
      constexpr size_t kMuch = size_t{1} << 40;
      link.Offer(kMuch);
      for (int i = 0; i < 600; ++i) {
        ASSERT_LE(link.Queue(), DelayWindow::kTarget * 2 + link.Takes(DelayWindow::kLeast)) << i;
        link.Run(Milliseconds(100));
      }
      EXPECT_GE(static_cast<double>(kMuch - link.waiting()), 0.7 * mbit * kMbit * 60);
    }
  }
}

// Little load on a fast link lets a burst go at once, and asks for few receipts; on a slow one it
// does not make the window larger than the link is.
TEST(LaneWindowTest, LittleLoadLearnsTheRate) {
  for (const double mbit : {1.0, 10'000.0}) {
    SCOPED_TRACE(mbit);
    Link link(mbit * kMbit, Nanoseconds(100'000));
    for (int i = 0; i < 1000; ++i) {
      link.Offer(1000);
      link.Run(Milliseconds(20));
      ASSERT_EQ(link.waiting(), 0U);
    }
    const int receipts = link.answered();
    link.Offer(size_t{256} << 10);
    if (mbit > 1) {
      EXPECT_EQ(link.waiting(), 0U);
      EXPECT_LT(receipts, 100);
    } else {
      EXPECT_LE(link.Queue(), DelayWindow::kTarget * 2);
    }
  }
}

// Whatever is offered when, over whatever link: it goes, with frames of the sizes that are said.
TEST(LaneWindowTest, NothingWaitsForAReceiptThatNobodyAskedFor) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    Link link(static_cast<double>(1 + random.Below(1000)) * kMbit,
              Milliseconds(static_cast<int64_t>(random.Below(200))));
    for (int i = 0; i < 300; ++i) {
      link.Offer(1 + random.Below(uint64_t{1} << random.Below(20)));
      link.Run(Milliseconds(static_cast<int64_t>(random.Below(uint64_t{1} << random.Below(16)))));
      ASSERT_TRUE(link.waiting() == 0 || link.waits_for_receipt());
    }
    link.Run(Seconds(3000));
    ASSERT_EQ(link.waiting(), 0U);
  }
}

// Of a message that has begun to arrive HTTP/2 wants the rest at once, and of what comes behind it
// 64 KiB: over a long way frames have to be large.
TEST(LaneWindowTest, ALongWayGetsTheLargestFrames) {
  Link link(1000 * kMbit, Milliseconds(50));
  link.Run(Seconds(1));
  link.Offer(size_t{1} << 40);
  link.Run(Seconds(2));
  EXPECT_EQ(link.largest_frame(), kMaxFrameBytes);
}

// Another way, or a machine that is busy: what the lane sends has no part in it.
TEST(LaneWindowTest, ADelayThatIsNotItsOwnIsBorne) {
  Link link(1000 * kMbit, Milliseconds(0));
  constexpr size_t kMuch = size_t{1} << 40;
  link.Run(Seconds(1));
  link.Offer(kMuch);
  link.Run(Seconds(10));
  link.set_round_trip(Milliseconds(250));
  link.Run(Seconds(5));
  const size_t before = link.waiting();
  link.Run(Seconds(10));
  EXPECT_GE(before - link.waiting(), size_t{20} << 20);
}

TEST(LaneWindowTest, APeerThatGivesNoReceiptsIsSentFramesAsTheyCome) {
  LaneWindow window(kBegin);
  EXPECT_NE(window.Sent(1, false, kBegin), 0U);
  // Small ones at first: the first receipt may be on its way.
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(window.Room(), LaneWindow::kLeastFrameBytes);
    ASSERT_EQ(window.Sent(window.Room(), false, kBegin), 0U);
  }
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(window.Room(), LaneWindow::kMaxUnansweredBytes);
    ASSERT_EQ(window.Sent(window.Room(), false, kBegin), 0U);
  }
  // One that is late is not.
  window.Received(1, kBegin + Seconds(5));
  ASSERT_NE(window.Room(), 0U);
  EXPECT_NE(window.Sent(window.Room(), false, kBegin + Seconds(5)), 0U);
  EXPECT_EQ(window.Room(), 0U);
}

TEST(LaneWindowTest, ReceiptsNobodyAskedForAreNothing) {
  LaneWindow window(kBegin);
  window.Received(window.Sent(1, false, kBegin), kBegin);
  uint64_t first = 0, last = 0;
  while (window.Room() > 0) {
    const uint64_t receipt = window.Sent(window.Room(), false, kBegin);
    if (first == 0) first = receipt;
    last = std::max(last, receipt);
  }
  ASSERT_GT(first, 2U);
  for (const uint64_t receipt :
       {uint64_t{0}, uint64_t{1}, uint64_t{2}, first - 1, last + 1, ~uint64_t{0}}) {
    window.Received(receipt, kBegin + Milliseconds(1));
    EXPECT_EQ(window.Room(), 0U) << receipt;
  }
  window.Received(last, kBegin + Milliseconds(1));
  EXPECT_NE(window.Room(), 0U);
}

}  // namespace
}  // namespace cairn
