#include "base/shared_work.h"

#include <memory>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/system_clock.h"
#include "base/thread_executor.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

// Keeps its tasks until it ends, as one does whose thread is the caller's.
class IdleExecutor final : public Executor {
 public:
  void Post(Task task) override { tasks_.push_back(std::move(task)); }
  void PostAt(Instant, Task task) override { Post(std::move(task)); }
  void RunAll() {
    for (Task& task : tasks_) task();
  }

 private:
  std::vector<Task> tasks_;
};

TEST(ShareWorkTest, TheCallerDoesItAllInOrder) {
  std::vector<size_t> done;
  ShareWork(3, {}, [&](size_t part) { done.push_back(part); });
  EXPECT_EQ(done, (std::vector<size_t>{0, 1, 2}));
  ShareWork(0, {}, [&](size_t part) { done.push_back(part); });
  EXPECT_EQ(done.size(), 3u);
}

TEST(ShareWorkTest, NobodyWaitsForAHelperThatHasNotBegun) {
  std::vector<std::unique_ptr<Executor>> helpers;
  auto idle = std::make_unique<IdleExecutor>();
  IdleExecutor& late = *idle;
  helpers.push_back(std::move(idle));
  helpers.push_back(nullptr);
  std::vector<size_t> done;
  ShareWork(3, helpers, [&](size_t part) { done.push_back(part); });
  EXPECT_EQ(done, (std::vector<size_t>{0, 1, 2}));
  late.RunAll();
  EXPECT_EQ(done.size(), 3u);
}

// Each part waits until all of them have begun: they run beside each other, or never end.
TEST(ShareWorkTest, HelpersWorkBesideTheCaller) {
  constexpr size_t kParts = 4;
  SystemClock clock;
  std::vector<std::unique_ptr<Executor>> helpers;
  for (size_t i = 1; i < kParts; ++i) {
    helpers.push_back(std::make_unique<ThreadExecutor>(clock, "helper"));
  }
  Mutex mutex;
  CondVar changed;
  std::set<size_t> begun;
  std::set<std::thread::id> threads;
  ShareWork(kParts, helpers, [&](size_t part) {
    MutexLock lock(mutex);
    begun.insert(part);
    threads.insert(std::this_thread::get_id());
    changed.NotifyAll();
    while (begun.size() < kParts) changed.Wait(mutex);
  });
  EXPECT_EQ(begun.size(), kParts);
  EXPECT_EQ(threads.size(), kParts);
}

TEST(ShareWorkTest, EachPartIsDoneOnce) {
  SystemClock clock;
  std::vector<std::unique_ptr<Executor>> helpers;
  for (size_t i = 0; i < 3; ++i) {
    helpers.push_back(std::make_unique<ThreadExecutor>(clock, "helper"));
  }
  std::vector<int> done(1000, 0);
  ShareWork(done.size(), helpers, [&](size_t part) { ++done[part]; });
  EXPECT_EQ(done, std::vector<int>(1000, 1));
}

}  // namespace
}  // namespace cairn
