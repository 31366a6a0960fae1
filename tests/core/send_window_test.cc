#include "raft/core/send_window.h"

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

TEST(SendWindowTest, AnAcknowledgementReleasesAllUpToIt) {
  SendWindow window;
  window.Add(3, 100);
  window.Add(5, 10);
  window.Add(9, 1);
  window.ReleaseUpTo(2);
  EXPECT_EQ(window.messages(), 3u);
  window.ReleaseUpTo(8);
  EXPECT_EQ(window.messages(), 1u);
  EXPECT_EQ(window.bytes(), 1u);
  window.ReleaseUpTo(9);
  EXPECT_TRUE(window.empty());
  EXPECT_EQ(window.bytes(), 0u);
}

TEST(SendWindowTest, IsFullByMessagesOrBytes) {
  SendWindow window;
  SendLimits limits{.messages = 2, .bytes = 100};
  EXPECT_EQ(window.FreeBytes(limits), 25u);
  window.Add(1, 60);
  EXPECT_EQ(window.FreeBytes(limits), 25u);
  window.Add(2, 1);
  EXPECT_EQ(window.FreeBytes(limits), 0u);
  window.ReleaseUpTo(1);
  window.Add(3, 200);
  EXPECT_EQ(window.FreeBytes({.messages = 9, .bytes = 100}), 0u);
  EXPECT_EQ(SendWindow().FreeBytes({.messages = 1, .bytes = 1}), 1u);
}

TEST(SendWindowTest, IsNeverFilledByOneMessage) {
  const SendLimits limits{.messages = 100, .bytes = 4000};
  SendWindow window;
  Index last = 0;
  while (const size_t bytes = window.FreeBytes(limits)) window.Add(++last, bytes);
  EXPECT_EQ(window.messages(), SendWindow::kPieces);
  EXPECT_EQ(window.bytes(), limits.bytes);
  window.ReleaseUpTo(1);
  EXPECT_EQ(window.FreeBytes(limits), 1000u);
}

TEST(SendWindowTest, SmallAcknowledgementsMakeNoSmallMessages) {
  const SendLimits limits{.messages = 1000, .bytes = 4000};
  SendWindow window;
  for (Index last = 1; last <= 400; ++last) window.Add(last, 10);
  for (Index match = 1; match < 100; ++match) {
    window.ReleaseUpTo(match);
    EXPECT_EQ(window.FreeBytes(limits), 0u) << match;
  }
  window.ReleaseUpTo(100);
  EXPECT_EQ(window.FreeBytes(limits), 1000u);
}

TEST(SendWindowTest, IsTheListOfUnansweredMessages) {
  struct Sent {
    Index last;
    size_t bytes;
  };
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    SendWindow window;
    std::vector<Sent> naive;
    Index last = 0;
    for (int step = 0; step < 50; ++step) {
      if (random.OneIn(2)) {
        last += 1 + random.Below(4);
        size_t bytes = random.Below(100);
        window.Add(last, bytes);
        naive.push_back({last, bytes});
      } else {
        Index match = random.Below(last + 2);
        window.ReleaseUpTo(match);
        std::erase_if(naive, [match](const Sent& sent) { return sent.last <= match; });
      }
      size_t bytes = 0;
      for (const Sent& sent : naive) bytes += sent.bytes;
      ASSERT_EQ(window.messages(), naive.size());
      ASSERT_EQ(window.bytes(), bytes);
      ASSERT_EQ(window.empty(), naive.empty());
    }
  }
}

TEST(SendWindowDeathTest, EntriesGrow) {
  SendWindow window;
  window.Add(3, 1);
  EXPECT_DEATH(window.Add(3, 1), "check failed");
}

}  // namespace
}  // namespace cairn
