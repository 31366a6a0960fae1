#include "storage/rocksdb/side_task.h"

#include "base/mutex.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

TEST(SideTaskTest, RunsBesideTheCallerAndGivesItsResult) {
  Mutex mutex;
  CondVar changed;
  bool caller_went_on = false;
  SideTask side("side");
  side.Start([&] {
    MutexLock lock(mutex);
    while (!caller_went_on) changed.Wait(mutex);
    return absl::DataLossError("its result");
  });
  {
    MutexLock lock(mutex);
    caller_went_on = true;
    changed.NotifyAll();
  }
  EXPECT_EQ(side.Wait(), absl::DataLossError("its result"));
}

TEST(SideTaskTest, OneAfterTheOther) {
  SideTask side("side");
  int sum = 0;  // guarded by Start and Wait
  for (int i = 1; i <= 1000; ++i) {
    side.Start([&sum, i] {
      sum += i;
      return absl::OkStatus();
    });
    ASSERT_TRUE(side.Wait().ok());
    ASSERT_EQ(sum, i * (i + 1) / 2);
  }
}

}  // namespace
}  // namespace cairn
