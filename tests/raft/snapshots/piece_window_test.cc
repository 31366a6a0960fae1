#include "raft/snapshots/piece_window.h"

#include <algorithm>
#include <deque>
#include <limits>
#include <optional>

#include "base/delay_window.h"
#include "gtest/gtest.h"
#include "raft/envelope.h"
#include "raft/snapshots/chunk_assembly.h"

namespace cairn {
namespace {

// A link, or a disk behind a fast one, that carries what is asked for, in its order.
class Link {
 public:
  Link(double bytes_per_second, Duration round_trip)
      : bytes_per_second_(bytes_per_second), round_trip_(round_trip) {}

  // Keeps the window full for so long. Gives the bytes carried.
  double Run(PieceWindow& window, Duration time) {
    const Instant end = now_ + time;
    double carried = 0;
    while (true) {
      while (window.HasRoom(under_way_)) {
        const size_t bytes = window.piece();
        free_ = std::max(free_, now_) + Takes(bytes);
        asks_.push_back({bytes, now_, free_ + round_trip_});
        under_way_ += bytes;
      }
      const Ask ask = asks_.front();
      if (ask.arrives > end) break;
      asks_.pop_front();
      now_ = ask.arrives;
      under_way_ -= ask.bytes;
      carried += static_cast<double>(ask.bytes);
      const Duration delay = now_ - ask.when;
      window.Arrived(ask.bytes, delay, is_disk ? delay - round_trip_ : Duration(), now_);
    }
    now_ = end;
    return carried;
  }
  // How long what is sent now waits behind what is under way.
  Duration Queue() const { return std::max(free_, now_) - now_; }
  Duration Takes(size_t bytes) const {
    return Nanoseconds(static_cast<int64_t>(static_cast<double>(bytes) / bytes_per_second_ * 1e9));
  }
  void set_bytes_per_second(double rate) { bytes_per_second_ = rate; }
  Instant now() const { return now_; }

  bool is_disk = false;  // all that takes time is told to be held

 private:
  struct Ask {
    size_t bytes = 0;
    Instant when, arrives;
  };

  double bytes_per_second_;
  Duration round_trip_;
  Instant now_ = Instant() + Seconds(100), free_;
  size_t under_way_ = 0;
  std::deque<Ask> asks_;
};

constexpr double kMbit = 1e6 / 8;

TEST(PieceWindowTest, APieceIsAPartOfTheWindow) {
  PieceWindow window;
  EXPECT_EQ(window.bytes(), DelayWindow::kFirst);
  EXPECT_EQ(window.piece(), kSnapshotGrainBytes);
  for (int i = 0; i < 2; ++i) window.Arrived(DelayWindow::kMost, Milliseconds(1), {}, Instant());
  EXPECT_EQ(window.bytes(), DelayWindow::kMost);
  EXPECT_EQ(window.piece(), kSnapshotPieceBytes);
  for (int i = 0; i < 100 && window.bytes() > DelayWindow::kLeast; ++i) {
    window.Arrived(kSnapshotPieceBytes, Seconds(9), {}, Instant());
  }
  EXPECT_EQ(window.bytes(), DelayWindow::kLeast);
  EXPECT_EQ(window.piece(), kSnapshotGrainBytes);
}

// Whatever the link: it is used, and nobody waits for longer than twice what is aimed at and what
// the least window takes, which are 65 ms of 1 Mbit/s.
TEST(PieceWindowTest, TheLinkIsFullAndItsQueueShort) {
  for (const double mbit : {1.0, 2.0, 8.0, 30.0}) {
    for (const int64_t round_trip_ms : {0, 1, 20, 80}) {
      SCOPED_TRACE(testing::Message() << mbit << " Mbit/s, " << round_trip_ms << " ms");
      Link link(mbit * kMbit, Milliseconds(round_trip_ms));
      PieceWindow window(link.now());
      link.Run(window, Seconds(2));
      for (int i = 0; i < 600; ++i) {
        link.Run(window, Milliseconds(200));
        ASSERT_LE(link.Queue(), DelayWindow::kTarget * 2 + link.Takes(DelayWindow::kLeast)) << i;
      }
      EXPECT_GE(link.Run(window, Seconds(60)), 0.9 * mbit * kMbit * 60);
    }
  }
}

TEST(PieceWindowTest, AFastLinkIsFullAfterSomeRoundTrips) {
  Link link(1000 * kMbit, Milliseconds(1));
  PieceWindow window(link.now());
  link.Run(window, Milliseconds(80));
  EXPECT_EQ(window.bytes(), DelayWindow::kMost);
  EXPECT_GE(link.Run(window, Seconds(1)), 0.95 * 1000 * kMbit);
}

TEST(PieceWindowTest, ALinkThatSlowsDownIsFollowed) {
  Link link(100 * kMbit, Milliseconds(2));
  PieceWindow window(link.now());
  link.Run(window, Seconds(10));
  link.set_bytes_per_second(kMbit);
  link.Run(window, Seconds(15));  // what was under way is a megabyte
  EXPECT_LE(link.Queue(), DelayWindow::kTarget * 2 + link.Takes(DelayWindow::kLeast));
  link.set_bytes_per_second(100 * kMbit);
  link.Run(window, Seconds(2));
  EXPECT_GE(link.Run(window, Seconds(1)), 0.9 * 100 * kMbit);
}

// Another way, and every answer takes longer than all before.
TEST(PieceWindowTest, ALongerWayIsLearned) {
  PieceWindow window;
  Link near(100 * kMbit, Milliseconds(1));
  near.Run(window, Seconds(10));
  Link far(100 * kMbit, Milliseconds(300));
  far.Run(window, DelayWindow::kMemory * 3);
  EXPECT_EQ(window.bytes(), DelayWindow::kMost);
}

// Somebody at an end of the link is busy now and then: asking for less would not help.
TEST(PieceWindowTest, WhoIsBusyNowAndThenIsNoQueue) {
  Link link(100 * kMbit, Milliseconds(1));
  PieceWindow window(link.now());
  link.Run(window, Seconds(5));
  const size_t before = window.bytes();
  EXPECT_GT(before, size_t{500'000});
  for (int i = 0; i < 20; ++i) {
    window.Arrived(window.piece(), Milliseconds(311), Milliseconds(300), link.now());
    EXPECT_EQ(window.bytes(), before) << "nor is more asked for";
  }
  for (int i = 0; i < 300 && window.bytes() > DelayWindow::kLeast; ++i) {
    window.Arrived(window.piece(), Milliseconds(700), Milliseconds(300), link.now());
  }
  EXPECT_EQ(window.bytes(), DelayWindow::kLeast) << "but that the link was slow, too, counts";
}

// Whoever always takes his time is waited for, and the link used all the same.
TEST(PieceWindowTest, WhoIsAlwaysBusyIsLearned) {
  PieceWindow window;
  for (int i = 0; i < 1000; ++i) {
    window.Arrived(window.piece(), Milliseconds(350), Milliseconds(300), Instant());
  }
  EXPECT_EQ(window.bytes(), DelayWindow::kMost);
}

// What is asked for waits there as well: it may be many members' disk, or memory of the receiver.
TEST(PieceWindowTest, ASlowDiskIsNotAskedForMoreThanItGives) {
  for (const double mbit : {1.0, 8.0, 30.0}) {
    SCOPED_TRACE(mbit);
    Link disk(mbit * kMbit, Milliseconds(1));
    disk.is_disk = true;
    PieceWindow window(disk.now());
    disk.Run(window, Seconds(2));
    for (int i = 0; i < 600; ++i) {
      disk.Run(window, Milliseconds(200));
      ASSERT_LE(disk.Queue(), DelayWindow::kTarget * 2 + disk.Takes(DelayWindow::kLeast)) << i;
    }
    EXPECT_GE(disk.Run(window, Seconds(60)), 0.9 * mbit * kMbit * 60);
  }
}

// The other node may say anything.
TEST(PieceWindowTest, NoMoreIsHeldThanWasMeasured) {
  for (const int64_t told : {int64_t{400'000'000}, std::numeric_limits<int64_t>::max()}) {
    PieceWindow honest, liar;
    for (int i = 0; i < 100; ++i) {
      const Duration delay = Milliseconds(1 + i % 7 * 50);
      honest.Arrived(honest.piece(), delay, delay, Instant());
      liar.Arrived(liar.piece(), delay, Nanoseconds(told), Instant());
      ASSERT_EQ(honest.bytes(), liar.bytes());
    }
  }
  PieceWindow honest, liar;
  for (int i = 0; i < 100; ++i) {
    honest.Arrived(honest.piece(), Milliseconds(i), {}, Instant());
    liar.Arrived(liar.piece(), Milliseconds(i), Seconds(-9), Instant());
    ASSERT_EQ(honest.bytes(), liar.bytes());
  }
}

}  // namespace
}  // namespace cairn
