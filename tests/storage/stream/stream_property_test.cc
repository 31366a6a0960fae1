// A store against a twin in memory: random commands, reads, work in the background done soon, late
// or never, ends of the process, power cuts and restores of snapshots.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/simulated_file_system.h"
#include "storage/stream/stream_store.h"
#include "tests/storage/stream/stream_driver.h"
#include "tests/storage/stream/stream_twin.h"

namespace cairn {
namespace {

constexpr CrashPolicy kPolicies[] = {CrashPolicy::kDropAll, CrashPolicy::kKeepAll,
                                     CrashPolicy::kKeepPrefix, CrashPolicy::kRandomSubset,
                                     CrashPolicy::kTornCall};

struct Figures {
  uint64_t crashes = 0;
  uint64_t restarts = 0;
  uint64_t restores = 0;
  uint64_t checkpoints = 0;
};

class Course {
 public:
  Course(uint64_t seed, StreamStoreOptions options, size_t longest)
      : random_(seed), options_(options), longest_(longest) {}

  void Go(size_t steps, Figures& figures) {
    Open();
    for (size_t i = 0; i < steps && !testing::Test::HasFatalFailure(); ++i) {
      Step(figures);
      ASSERT_TRUE(driver_->failure().ok()) << driver_->failure();
    }
    ASSERT_EQ(twin_.Difference(driver_->store(), applied_, random_, 10), "");
  }

 private:
  void Step(Figures& figures) {
    const uint64_t kind = random_.Below(100);
    if (kind < 60) {
      Apply();
    } else if (kind < 80) {
      const Index before = driver_->durable();
      if (random_.OneIn(2)) {
        driver_->RunOneInBackground();
      } else {
        driver_->RunBackground();
      }
      ASSERT_LE(driver_->durable(), applied_);
      if (driver_->durable() != before) ++figures.checkpoints;
    } else if (kind < 90) {
      ASSERT_EQ(twin_.Difference(driver_->store(), applied_, random_, 3), "");
    } else if (kind < 93) {
      ++figures.crashes;
      End([this] { file_system_.Crash(kPolicies[random_.Below(5)], random_); });
    } else if (kind < 95) {
      ++figures.restarts;
      End([this] { file_system_.RestartProcess(); });
    } else {
      ++figures.restores;
      Restore();
    }
  }

  void Open() {
    driver_ = std::make_unique<StreamDriver>(file_system_, options_);
    ASSERT_TRUE(driver_->status().ok()) << driver_->status();
  }

  void Apply() {
    const Index next = applied_ + 1 + random_.Below(20);
    while (twin_.last() < next) twin_.AddRandom(random_, longest_);
    twin_.Apply(driver_->store(), applied_, next);
    applied_ = next;
  }

  template <typename Action>
  void End(Action action) {
    const Index durable = driver_->durable();
    driver_.reset();
    action();
    Open();
    if (testing::Test::HasFatalFailure()) return;
    ASSERT_GE(driver_->recovered(), durable);
    ASSERT_LE(driver_->recovered(), applied_);
    applied_ = driver_->recovered();
    ASSERT_EQ(driver_->archive(), applied_ == 0 ? "" : StreamTwin::ArchiveAt(applied_));
    ASSERT_EQ(twin_.Difference(driver_->store(), applied_, random_, 3), "");
  }

  // Another member, which is ahead, gives its state.
  void Restore() {
    SimulatedFileSystem other_files;
    StreamDriver other(other_files, options_);
    const Index position = applied_ + 1 + random_.Below(60);
    while (twin_.last() < position) twin_.AddRandom(random_, longest_);
    twin_.Apply(other.store(), 0, position);
    if (random_.OneIn(2)) other.RunBackground();
    auto paths = SaveFrozen(*other.store().Freeze(), file_system_);
    ASSERT_TRUE(paths.ok()) << paths.status();
    auto frozen = random_.OneIn(2) ? driver_->store().Freeze() : nullptr;
    const absl::Status restored =
        RestoreFrozen(driver_->store(), file_system_, *paths, StreamTwin::PositionOf(position));
    ASSERT_TRUE(restored.ok()) << restored;
    applied_ = position;
    for (size_t i = 0; frozen != nullptr && i < frozen->files().size(); ++i) {
      ASSERT_TRUE(frozen->Read(i, 0, frozen->files()[i].bytes).ok());
    }
    ASSERT_EQ(twin_.Difference(driver_->store(), applied_, random_, 3), "");
    if (random_.OneIn(3)) {
      End([this] { file_system_.Crash(CrashPolicy::kDropAll, random_); });
      ASSERT_EQ(applied_, position);
    }
  }

  Random random_;
  const StreamStoreOptions options_;
  const size_t longest_;
  SimulatedFileSystem file_system_;
  StreamTwin twin_;
  std::unique_ptr<StreamDriver> driver_;
  Index applied_ = 0;
};

TEST(StreamPropertyTest, AnyCourseOfEventsGivesTheStateOfTheLog) {
  Figures figures;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    StreamStoreOptions options = SmallStreamStore();
    options.tail_bytes = seed % 3 * 1500;
    options.cached_pages = 1 + seed % 5;
    options.max_marks = seed % 2 == 0 ? 8 : 1000;
    Course(seed, options, 900).Go(200, figures);
    if (HasFailure()) return;
  }
  EXPECT_GT(figures.crashes, 200u);
  EXPECT_GT(figures.restarts, 100u);
  EXPECT_GT(figures.restores, 300u);
  EXPECT_GT(figures.checkpoints, 500u);
}

// Records larger than a page, a chunk of memory and the block before which they come.
TEST(StreamPropertyTest, TheSameWithLargeRecords) {
  Figures figures;
  for (uint64_t seed = 101; seed <= 108; ++seed) {
    SCOPED_TRACE(seed);
    StreamStoreOptions options = SmallStreamStore();
    options.block_bytes = 300'000;
    options.checkpoint_bytes = 400'000;
    options.flush_bytes = 50'000;
    options.max_unwritten_bytes = 250'000;
    options.max_marks = 1000;
    options.tail_bytes = seed % 2 * 200'000;
    Course(seed, options, 400'000).Go(60, figures);
    if (HasFailure()) return;
  }
  EXPECT_GT(figures.checkpoints, 30u);
}

}  // namespace
}  // namespace cairn
