// Power cuts at every boundary between two calls to the disk, with every choice of what survives:
// the store opens as of a position it had, not before what it said is durable, and holds exactly
// what the log says up to there; and a second cut inside that start changes nothing.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/crypto/key_ring.h"
#include "storage/simulated_file_system.h"
#include "storage/stream/stream_store.h"
#include "tests/storage/block/test_keys.h"
#include "tests/storage/stream/stream_driver.h"
#include "tests/storage/stream/stream_twin.h"

namespace cairn {
namespace {

constexpr uint64_t kInsideRecoveryEvery = 20;

bool Changes(FileAccess::Operation operation) {
  switch (operation) {
    case FileAccess::Operation::kOpen:
    case FileAccess::Operation::kRead:
    case FileAccess::Operation::kReadDirect:
    case FileAccess::Operation::kList:
    case FileAccess::Operation::kLock:
      return false;
    default:
      return true;
  }
}

class Enumerator {
 public:
  Enumerator(uint64_t seed, size_t entries, std::shared_ptr<const KeyRing> keys)
      : keys_(std::move(keys)), random_(seed) {
    for (size_t i = 0; i < entries; ++i) twin_.AddRandom(random_, 900);
  }

  const StreamTwin& twin() const { return twin_; }
  SimulatedFileSystem& file_system() { return file_system_; }
  StreamDriver& driver() { return *driver_; }

  // Cuts the power at each boundary of what `script` does to a store that `setup` prepared.
  void Run(const std::function<void()>& setup, const std::function<void()>& script) {
    driver_ = std::make_unique<StreamDriver>(file_system_, SmallStreamStore(), keys_);
    ASSERT_TRUE(driver_->status().ok()) << driver_->status();
    setup();
    file_system_.set_fault_hook([this](const FileAccess& access) {
      if (Changes(access.operation)) AtBoundary();
      return FileFault();
    });
    script();
    AtBoundary();
    file_system_.set_fault_hook(nullptr);
  }

  // Also looks at what a start left.
  void set_inspection(std::function<void(SimulatedFileSystem&, Index found)> inspect) {
    inspect_ = std::move(inspect);
  }
  // Not before this position may a start from now on find the store.
  void set_floor(Index floor) { floor_ = floor; }
  // Up to here the script has applied.
  void Apply(Index to) {
    const Index from = applied_;
    applied_ = to;
    twin_.Apply(driver_->store(), from, to);
  }
  void set_applied(Index applied) { applied_ = applied; }

  uint64_t states() const { return states_; }
  uint64_t inside_recovery() const { return inside_recovery_; }
  // Starts that found a position.
  const std::map<Index, uint64_t>& found() const { return found_; }

 private:
  void AtBoundary() {
    if (testing::Test::HasFailure()) return;
    const std::vector<PendingOperation> pending = file_system_.Pending();
    // Encrypting takes its time, and the choices are the same.
    CrashEnumeration all = {.exhaustive = 9, .samples = 40};
    if (keys_ != nullptr) all = {.exhaustive = 5, .samples = 4};
    for (const CrashChoice& choice : EnumerateCrashes(pending, all, random_)) {
      ++states_;
      const std::unique_ptr<SimulatedFileSystem> image = file_system_.CrashImage(choice);
      const std::unique_ptr<SimulatedFileSystem> untouched =
          states_ % kInsideRecoveryEvery == 0 ? image->CrashImage({}) : nullptr;
      const Index found = Judge(*image);
      if (testing::Test::HasFailure()) return;
      ++found_[found];
      if (untouched != nullptr) CutInsideRecovery(*untouched, found);
    }
  }

  Index Judge(SimulatedFileSystem& image) {
    StreamDriver driver(image, SmallStreamStore(), keys_);
    EXPECT_TRUE(driver.status().ok()) << driver.status();
    if (!driver.status().ok()) return 0;
    const Index found = driver.recovered();
    EXPECT_GE(found, std::max(floor_, driver_->durable()));
    EXPECT_LE(found, applied_);
    if (found > 0) {
      EXPECT_EQ(driver.archive(), StreamTwin::ArchiveAt(found));
    }
    EXPECT_EQ(twin_.Difference(driver.store(), found, random_, 1), "");
    if (inspect_ != nullptr) inspect_(image, found);
    // The log goes on from there.
    const Index last = std::min(twin_.last(), found + 30);
    twin_.Apply(driver.store(), found, last);
    driver.RunBackground();
    EXPECT_EQ(twin_.Difference(driver.store(), last, random_, 1), "");
    return found;
  }

  void CutInsideRecovery(const SimulatedFileSystem& before, Index expected) {
    const std::unique_ptr<SimulatedFileSystem> image = before.CrashImage({});
    image->set_fault_hook([&](const FileAccess& access) {
      if (!Changes(access.operation) || testing::Test::HasFailure()) return FileFault();
      for (CrashPolicy policy :
           {CrashPolicy::kDropAll, CrashPolicy::kKeepAll, CrashPolicy::kRandomSubset}) {
        ++inside_recovery_;
        EXPECT_EQ(Judge(*image->CrashImage(ChooseCrash(policy, image->Pending(), random_))),
                  expected);
      }
      return FileFault();
    });
    StreamDriver driver(*image, SmallStreamStore(), keys_);
    image->set_fault_hook(nullptr);
  }

  const std::shared_ptr<const KeyRing> keys_;
  Random random_;
  SimulatedFileSystem file_system_;
  StreamTwin twin_;
  std::unique_ptr<StreamDriver> driver_;
  Index applied_ = 0;
  Index floor_ = 0;
  uint64_t states_ = 0;
  uint64_t inside_recovery_ = 0;
  std::map<Index, uint64_t> found_;
  std::function<void(SimulatedFileSystem&, Index)> inspect_;
};

void Report(const char* name, const Enumerator& enumerator) {
  std::printf("%s: %llu states, %llu inside recovery, %zu positions\n", name,
              static_cast<unsigned long long>(enumerator.states()),
              static_cast<unsigned long long>(enumerator.inside_recovery()),
              enumerator.found().size());
}

// With what is kept plain, and encrypted.
class StreamCrashTest : public testing::TestWithParam<bool> {
 protected:
  const std::shared_ptr<const KeyRing> keys_ = GetParam() ? TestRing(Cipher::kAes256Gcm) : nullptr;
};

INSTANTIATE_TEST_SUITE_P(Kept, StreamCrashTest, testing::Bool(), [](const auto& tested) {
  return std::string(tested.param ? "Encrypted" : "Plain");
});

TEST_P(StreamCrashTest, FirstStart) {
  SimulatedFileSystem file_system;
  Random random(1);
  uint64_t states = 0;
  file_system.set_fault_hook([&](const FileAccess& access) {
    if (!Changes(access.operation)) return FileFault();
    for (const CrashChoice& choice :
         EnumerateCrashes(file_system.Pending(), CrashEnumeration(), random)) {
      ++states;
      const std::unique_ptr<SimulatedFileSystem> image = file_system.CrashImage(choice);
      StreamDriver driver(*image, SmallStreamStore(), keys_);
      EXPECT_TRUE(driver.status().ok()) << driver.status();
      EXPECT_EQ(driver.recovered(), 0u);
    }
    return FileFault();
  });
  StreamDriver driver(file_system, SmallStreamStore(), keys_);
  file_system.set_fault_hook(nullptr);
  ASSERT_TRUE(driver.status().ok());
  EXPECT_GT(states, 30u);
}

TEST_P(StreamCrashTest, AppendAndCheckpoint) {
  Enumerator enumerator(2, 200, keys_);
  enumerator.Run([] {},
                 [&enumerator] {
                   for (Index index = 3; index <= 60; index += 3) {
                     enumerator.Apply(index);
                     enumerator.driver().RunOneInBackground();
                   }
                   enumerator.driver().RunBackground();
                 });
  Report("append and checkpoint", enumerator);
  EXPECT_GT(enumerator.states(), 1500u);
  EXPECT_GT(enumerator.inside_recovery(), 500u);
  EXPECT_GE(enumerator.found().size(), 5u);
}

TEST_P(StreamCrashTest, Restore) {
  Enumerator enumerator(3, 200, keys_);
  std::vector<std::string> paths;
  enumerator.Run(
      [&] {
        enumerator.Apply(50);
        enumerator.driver().RunBackground();
        enumerator.set_floor(50);
        SimulatedFileSystem other_files;
        StreamDriver other(other_files, SmallStreamStore());
        enumerator.twin().Apply(other.store(), 0, 90);
        auto saved = SaveFrozen(*other.store().Freeze(), enumerator.file_system());
        ASSERT_TRUE(saved.ok()) << saved.status();
        paths = *std::move(saved);
        // Until the snapshot is the state it stays whole, so that it can be restored again.
        enumerator.set_inspection([&paths](SimulatedFileSystem& image, Index found) {
          if (found != 50) return;
          for (const std::string& path : paths) EXPECT_TRUE(image.Exists(path).value()) << path;
        });
      },
      [&] {
        enumerator.set_applied(90);
        absl::Status restored = RestoreFrozen(enumerator.driver().store(), enumerator.file_system(),
                                              paths, StreamTwin::PositionOf(90));
        ASSERT_TRUE(restored.ok()) << restored;
        enumerator.set_floor(90);
        for (Index index = 95; index <= 120; index += 5) {
          enumerator.Apply(index);
          enumerator.driver().RunBackground();
        }
      });
  Report("restore", enumerator);
  EXPECT_GT(enumerator.found().at(50), 20u);
  EXPECT_GT(enumerator.found().at(90), 100u);
  EXPECT_GT(enumerator.inside_recovery(), 200u);
}

}  // namespace
}  // namespace cairn
