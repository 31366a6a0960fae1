#include "raft/lifecycle/post_gate.h"

#include <atomic>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace cairn {
namespace {

TEST(PostGateTest, LetsThroughUntilItIsClosed) {
  PostGate gate;
  int posts = 0;
  gate.Through([&] { ++posts; });
  gate.Close();
  gate.Through([&] { ++posts; });
  gate.Close();
  EXPECT_EQ(posts, 1);
}

TEST(PostGateTest, IsPassedFromWithin) {
  PostGate gate;
  int posts = 0;
  gate.Through([&] { gate.Through([&] { ++posts; }); });
  EXPECT_EQ(posts, 1);
  gate.Close();
}

// What is posted to is there for whoever got through, whenever it ends.
TEST(PostGateTest, NobodyIsInsideWhenCloseReturns) {
  for (int round = 0; round < 200; ++round) {
    PostGate gate;
    std::atomic<bool> there = true;
    std::atomic<int> gone = 0;
    std::atomic<int> begun = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&] {
        bool through = true;
        while (through) {
          through = false;
          gate.Through([&] {
            through = true;
            ++begun;
            std::this_thread::yield();
            if (!there) ++gone;
          });
        }
      });
    }
    while (begun == 0) std::this_thread::yield();
    gate.Close();
    there = false;
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(gone, 0);
  }
}

}  // namespace
}  // namespace cairn
