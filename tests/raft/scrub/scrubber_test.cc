#include "raft/scrub/scrubber.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "storage/simulated_file_system.h"
#include "tests/raft/manual_executor.h"

namespace cairn {
namespace {

constexpr char kPath[] = "/data/SCRUB";
constexpr uint64_t kMiB = 1 << 20;
const GroupId kGroup{1};

// A log of so many bytes, in blocks of one MiB.
class FakeScrub final : public LogScrub {
 public:
  explicit FakeScrub(uint64_t blocks) : blocks_(blocks) {}

  ScrubStep Step(ScrubPosition& position, uint64_t max_bytes) override {
    ScrubStep step;
    if (position.block == 0) position.block = 1;
    if (blocks_ > 0) {
      step.bytes = max_bytes;
      position.offset += max_bytes;
      if (position.offset >= kMiB) position = {.block = position.block + 1};
    }
    if (position.block > blocks_) {
      position = {};
      step.round_ended = true;
    }
    step.damaged = std::move(damaged_);
    damaged_.clear();
    step.healed = std::move(healed_);
    healed_.clear();
    read_ += step.bytes;
    ++steps_;
    return step;
  }
  void Find(Index index) {
    damaged_.push_back({kGroup, {index, 1}, absl::DataLossError("it has rotted")});
  }
  void Heal() { healed_.push_back("a copy"); }
  uint64_t read() const { return read_; }
  uint64_t steps() const { return steps_; }

 private:
  const uint64_t blocks_;
  uint64_t read_ = 0;
  uint64_t steps_ = 0;
  std::vector<ScrubFinding> damaged_;
  std::vector<std::string> healed_;
};

class ScrubberTest : public testing::Test {
 protected:
  ScrubberTest() { EXPECT_TRUE(file_system_.MakeDirectory("/data").ok()); }

  void Start(LogScrub& scrub, ScrubOptions options) {
    scrubber_.reset();
    Scrubber::Parts parts;
    parts.clock = &world_;
    parts.executor = std::make_unique<ManualExecutor>(&world_);
    parts.scrub = &scrub;
    parts.file_system = &file_system_;
    parts.path = kPath;
    parts.log = &NullLogSink();
    parts.options = options;
    parts.found = [this](const std::vector<ScrubFinding>& findings) {
      for (const ScrubFinding& finding : findings) found_.push_back(finding.at.index);
    };
    if (states_ != nullptr) {
      parts.states = [this](ScrubPosition& position, uint64_t max_bytes) {
        return states_->Step(position, max_bytes);
      };
    }
    scrubber_ = std::make_unique<Scrubber>(std::move(parts));
  }
  ScrubProgress Progress() const { return scrubber_->status().progress; }

  SimulatedFileSystem file_system_;
  ManualWorld world_;
  std::vector<Index> found_;
  FakeScrub* states_ = nullptr;  // what state machines keep
  std::unique_ptr<Scrubber> scrubber_;
};

TEST_F(ScrubberTest, TheRateIsKept) {
  for (uint64_t rate : {uint64_t{10'000}, kMiB, 100 * kMiB}) {
    FakeScrub scrub(1000);
    ASSERT_TRUE(WriteFileAtomically(file_system_, kPath, "").ok());
    Start(scrub, {.bytes_per_second = rate});
    for (int tenths = 1; tenths <= 30; ++tenths) {
      world_.RunFor(Milliseconds(100));
      // One step more, which the next one waits for.
      EXPECT_LE(scrub.read(), rate * static_cast<uint64_t>(tenths) / 10 + (256 << 10)) << rate;
    }
    EXPECT_GE(scrub.read(), rate * 3 * 9 / 10) << rate;
    EXPECT_TRUE(Progress().in_round);
    EXPECT_EQ(Progress().bytes, scrub.read());
  }
}

// Log and state machines are one round, at one rate, and a start goes on in the middle of either.
TEST_F(ScrubberTest, WhatStateMachinesKeepIsReadBehindTheLog) {
  FakeScrub log(2);
  FakeScrub states(3);
  states_ = &states;
  Start(log, {.bytes_per_second = kMiB, .period = Seconds(1000)});
  world_.RunFor(Milliseconds(1500));
  EXPECT_GT(log.read(), 0u);
  EXPECT_EQ(states.read(), 0u);
  world_.RunFor(Seconds(2));
  EXPECT_EQ(log.read(), 2 * kMiB);
  EXPECT_TRUE(Progress().in_round);
  EXPECT_TRUE(Progress().in_states);
  EXPECT_GT(states.read(), kMiB);
  EXPECT_LE(log.read() + states.read(), 4 * kMiB);
  EXPECT_EQ(Progress().bytes, log.read() + states.read());

  ASSERT_TRUE(SaveScrubProgress(file_system_, kPath, Progress()).ok());
  FakeScrub log_again(2);
  Start(log_again, {.bytes_per_second = kMiB, .period = Seconds(1000)});
  world_.RunFor(Seconds(5));
  EXPECT_EQ(log_again.read(), 0u);
  EXPECT_EQ(states.read(), 3 * kMiB);
  EXPECT_EQ(Progress().rounds, 1u);
  EXPECT_FALSE(Progress().in_round);
  EXPECT_FALSE(Progress().in_states);
}

// A log that has so much to compress, and no scrub to speak of.
class FakeCompression final : public LogScrub {
 public:
  ScrubStep Step(ScrubPosition& position, uint64_t) override {
    position = {};
    ++rounds_;
    ScrubStep step;
    step.round_ended = true;
    return step;
  }
  bool compresses() const override { return true; }
  CompressStep Compress(uint64_t max_bytes) override {
    CompressStep step;
    step.bytes = std::min(max_bytes, left_);
    left_ -= step.bytes;
    done_ += step.bytes;
    ++calls_;
    return step;
  }
  void Add(uint64_t bytes) { left_ += bytes; }
  uint64_t done() const { return done_; }
  uint64_t calls() const { return calls_; }
  uint64_t rounds() const { return rounds_; }

 private:
  uint64_t left_ = 0;
  uint64_t done_ = 0;
  uint64_t calls_ = 0;
  uint64_t rounds_ = 0;
};

TEST_F(ScrubberTest, CompressionKeepsTheRateAndWaitsForNoRound) {
  FakeCompression log;
  log.Add(3 * kMiB);
  Start(log, {.bytes_per_second = kMiB, .period = Seconds(1000)});
  world_.RunFor(Seconds(2));
  EXPECT_GE(log.done(), 2 * kMiB - (256 << 10));
  EXPECT_LE(log.done(), 2 * kMiB + (256 << 10));
  world_.RunFor(Seconds(20));
  EXPECT_EQ(log.done(), 3 * kMiB);
  // Then it is asked now and then.
  const uint64_t calls = log.calls();
  world_.RunFor(Seconds(100));
  EXPECT_GE(log.calls(), calls + 10);
  EXPECT_LE(log.calls(), calls + 21);
  log.Add(1000);
  world_.RunFor(Seconds(6));
  EXPECT_EQ(log.done(), 3 * kMiB + 1000);
  EXPECT_EQ(log.rounds(), 1u);
  world_.RunFor(Seconds(900));
  EXPECT_EQ(log.rounds(), 2u);
}

// The scrub and the compression get on together.
TEST_F(ScrubberTest, ARoundAndCompressionShareTheRate) {
  class Both final : public LogScrub {
   public:
    ScrubStep Step(ScrubPosition& position, uint64_t max_bytes) override {
      position.block = 1;
      read_ += max_bytes;
      ScrubStep step;
      step.bytes = max_bytes;
      return step;
    }
    bool compresses() const override { return true; }
    CompressStep Compress(uint64_t max_bytes) override {
      compressed_ += max_bytes;
      CompressStep step;
      step.bytes = max_bytes;
      return step;
    }
    uint64_t read_ = 0;
    uint64_t compressed_ = 0;
  };
  Both log;
  Start(log, {.bytes_per_second = kMiB});
  world_.RunFor(Seconds(10));
  EXPECT_GE(log.read_, 4 * kMiB);
  EXPECT_GE(log.compressed_, 4 * kMiB);
  EXPECT_LE(log.read_ + log.compressed_, 10 * kMiB + (512 << 10));
}

// A disk that was slow is not made up for.
TEST_F(ScrubberTest, NothingIsMadeUpFor) {
  class Slow final : public LogScrub {
   public:
    explicit Slow(ManualWorld& world) : world_(world) {}
    ScrubStep Step(ScrubPosition& position, uint64_t max_bytes) override {
      position.block = 1;
      begun_.push_back(world_.Now());
      ScrubStep step;
      step.bytes = begun_.size() == 1 ? 100 * kMiB : max_bytes;
      return step;
    }
    std::vector<Instant> begun_;
    ManualWorld& world_;
  };
  Slow scrub(world_);
  Start(scrub, {.bytes_per_second = kMiB});
  world_.RunFor(Seconds(99));
  EXPECT_EQ(scrub.begun_.size(), 1u);
  world_.RunFor(Seconds(2));
  EXPECT_GE(scrub.begun_.size(), 2u);
  EXPECT_LE(scrub.begun_.size(), 10u);
}

TEST_F(ScrubberTest, RoundsBeginByThePeriod) {
  FakeScrub scrub(2);
  const Instant begin = world_.Now();
  const WallTime wall = world_.WallNow();
  Start(scrub, {.bytes_per_second = kMiB, .period = Seconds(100)});
  world_.RunFor(Seconds(10));
  EXPECT_EQ(Progress().rounds, 1u);
  EXPECT_FALSE(Progress().in_round);
  EXPECT_EQ(Progress().round_bytes, 2 * kMiB);
  EXPECT_EQ(Progress().round_began, wall);
  EXPECT_GT(Progress().last_round_ended, wall);
  world_.RunUntil(begin + Milliseconds(99'999));
  EXPECT_EQ(scrub.read(), 2 * kMiB);
  world_.RunUntil(begin + Seconds(101));
  EXPECT_TRUE(Progress().in_round);
  world_.RunUntil(begin + Seconds(1000) - Milliseconds(1));
  EXPECT_EQ(Progress().rounds, 10u);
  EXPECT_EQ(Progress().bytes, 20 * kMiB);
}

// It waits between rounds even if the period is none.
TEST_F(ScrubberTest, AnEmptyLogIsNotLookedAtAllTheTime) {
  FakeScrub scrub(0);
  Start(scrub, {.bytes_per_second = kMiB, .period = Seconds(1)});
  world_.RunFor(Seconds(100));
  EXPECT_LE(scrub.steps(), 101u);
  EXPECT_GE(scrub.steps(), 99u);
}

TEST_F(ScrubberTest, AStartGoesOn) {
  FakeScrub scrub(100);
  Start(scrub, {.bytes_per_second = kMiB, .period = Seconds(1000)});
  world_.RunFor(Seconds(50));
  const ScrubProgress before = Progress();
  Start(scrub, {.bytes_per_second = kMiB, .period = Seconds(1000)});
  world_.RunReady();
  // As far as it was written down, each half minute.
  EXPECT_GE(Progress().position.block + 25, before.position.block);
  EXPECT_GT(Progress().position.block, 20u);
  EXPECT_EQ(Progress().round_began, before.round_began);
  world_.RunFor(Seconds(80));
  EXPECT_EQ(Progress().rounds, 1u);
  EXPECT_EQ(Progress().round_bytes, 100 * kMiB);
}

// The next round begins when it would have, or at once if that is past.
TEST_F(ScrubberTest, AStartBetweenRoundsWaitsForTheNext) {
  FakeScrub scrub(1);
  const Instant begin = world_.Now();
  const ScrubOptions options = {.bytes_per_second = kMiB, .period = Seconds(100)};
  Start(scrub, options);
  world_.RunUntil(begin + Seconds(40));
  Start(scrub, options);
  world_.RunUntil(begin + Milliseconds(99'900));
  EXPECT_EQ(scrub.read(), kMiB);
  world_.RunUntil(begin + Seconds(110));
  EXPECT_EQ(scrub.read(), 2 * kMiB);
  scrubber_.reset();
  world_.RunUntil(begin + Seconds(500));
  Start(scrub, options);
  world_.RunFor(Seconds(5));
  EXPECT_EQ(Progress().rounds, 3u);
  // A clock that was set back does not put it off.
  scrubber_.reset();
  world_.SetWallOffset(Duration());
  Start(scrub, options);
  world_.RunFor(Seconds(5));
  EXPECT_EQ(Progress().rounds, 4u);
}

TEST_F(ScrubberTest, ALostOrDamagedFileBeginsAnew) {
  FakeScrub scrub(1);
  const ScrubOptions options = {.bytes_per_second = kMiB, .period = Seconds(1000)};
  Start(scrub, options);
  world_.RunFor(Seconds(5));
  const std::string saved = ReadWholeFile(file_system_, kPath).value();
  for (size_t at = 0; at < saved.size(); ++at) {
    scrubber_.reset();
    std::string damaged = saved;
    damaged[at] ^= 0x40;
    ASSERT_TRUE(WriteFileAtomically(file_system_, kPath, damaged).ok());
    EXPECT_FALSE(LoadScrubProgress(file_system_, kPath).has_value()) << at;
  }
  ASSERT_TRUE(WriteFileAtomically(file_system_, kPath, saved).ok());
  EXPECT_EQ(LoadScrubProgress(file_system_, kPath)->rounds, 1u);
  ASSERT_TRUE(file_system_.Remove(kPath).ok());
  Start(scrub, options);
  world_.RunFor(Seconds(5));
  EXPECT_EQ(Progress().rounds, 1u);
}

TEST_F(ScrubberTest, WhatCannotBeSavedIsNoHarm) {
  file_system_.set_fault_hook([](const FileAccess& access) {
    return access.operation == FileAccess::Operation::kSync ? FileFault{.error = EIO} : FileFault();
  });
  FakeScrub scrub(1);
  Start(scrub, {.bytes_per_second = kMiB, .period = Seconds(10)});
  world_.RunFor(Seconds(25));
  EXPECT_EQ(Progress().rounds, 3u);
  EXPECT_EQ(file_system_.uses_after_failure(), 0u);
}

TEST_F(ScrubberTest, FindingsAreToldAndCountedOnce) {
  FakeScrub scrub(1);
  Start(scrub, {.bytes_per_second = kMiB, .period = Seconds(10)});
  scrub.Find(7);
  scrub.Find(8);
  scrub.Heal();
  world_.RunFor(Milliseconds(50));
  EXPECT_EQ(found_, (std::vector<Index>{7, 8}));
  EXPECT_EQ(Progress().damaged, 2u);
  EXPECT_EQ(Progress().healed, 1u);
  scrubber_->Repaired(kGroup, 1, 7);
  scrubber_->Repaired(GroupId{2}, 8, 8);
  EXPECT_EQ(Progress().repaired, 1u) << "of those that were found here";
  // The next round meets one again.
  scrub.Find(8);
  world_.RunFor(Seconds(10));
  EXPECT_EQ(found_.back(), 8u);
  EXPECT_EQ(Progress().damaged, 2u);
  // The two after that do not: it was dropped.
  world_.RunFor(Seconds(20));
  scrubber_->Repaired(kGroup, 8, 8);
  EXPECT_EQ(Progress().repaired, 1u);
  // Counts are kept.
  world_.RunFor(Seconds(10));
  Start(scrub, {.bytes_per_second = kMiB, .period = Seconds(10)});
  world_.RunReady();
  EXPECT_EQ(Progress().damaged, 2u);
  EXPECT_EQ(Progress().repaired, 1u);
}

// Where one is bad, others are: it reads on faster until it has found nothing for a while.
TEST_F(ScrubberTest, AFindMakesItHurryForSomeBytes) {
  FakeScrub scrub(10'000);
  Start(scrub, {.bytes_per_second = kMiB});
  world_.RunFor(Seconds(2));
  const uint64_t before = scrub.read();
  EXPECT_LE(before, 2 * kMiB + (256 << 10));
  scrub.Find(7);
  world_.RunFor(Seconds(4));
  const uint64_t hurried = scrub.read() - before;
  EXPECT_GE(hurried, 4 * Scrubber::kHurryFactor * kMiB * 8 / 10);
  EXPECT_LE(hurried, 4 * Scrubber::kHurryFactor * kMiB + (1 << 20));
  // Each find counts anew.
  scrub.Find(8);
  world_.RunFor(Seconds(20));
  const uint64_t after = scrub.read() - before - hurried;
  EXPECT_GE(after, Scrubber::kHurryBytes);
  EXPECT_LE(after, Scrubber::kHurryBytes + 14 * kMiB);
  // What is known already does not.
  const uint64_t then = scrub.read();
  scrub.Find(7);
  world_.RunFor(Seconds(4));
  EXPECT_LE(scrub.read(), then + 4 * kMiB + (1 << 20));
}

// What stands before the find may have rotted since it was read: another round follows at once, and
// another one as long as something is found.
TEST_F(ScrubberTest, AFindMakesTheNextRoundFollowAtOnce) {
  FakeScrub scrub(4);
  Start(scrub, {.bytes_per_second = kMiB, .period = Seconds(1000)});
  world_.RunFor(Seconds(1));
  scrub.Find(7);
  world_.RunFor(Seconds(10));
  EXPECT_EQ(Progress().rounds, 2u);
  const uint64_t read = scrub.read();
  EXPECT_GE(read, 8 * kMiB);
  world_.RunFor(Seconds(500));
  EXPECT_EQ(Progress().rounds, 2u);
  EXPECT_EQ(scrub.read(), read);
}

TEST_F(ScrubberTest, NothingIsCompressedInAHurry) {
  class Both final : public LogScrub {
   public:
    ScrubStep Step(ScrubPosition& position, uint64_t max_bytes) override {
      position.block = 1;
      ScrubStep step;
      step.bytes = max_bytes;
      if (++steps_ == 20) step.damaged.push_back({kGroup, {7, 1}, absl::DataLossError("rot")});
      return step;
    }
    bool compresses() const override { return true; }
    CompressStep Compress(uint64_t max_bytes) override {
      CompressStep step;
      step.bytes = max_bytes;
      compressed_at_.push_back(steps_);
      return step;
    }
    int steps_ = 0;
    std::vector<int> compressed_at_;
  };
  Both log;
  Start(log, {.bytes_per_second = kMiB});
  world_.RunFor(Seconds(60));
  for (const int step : log.compressed_at_) EXPECT_TRUE(step < 20 || step > 200) << step;
  EXPECT_GT(log.compressed_at_.back(), 250);
}

// Who was not there when something was found hears of it later.
TEST_F(ScrubberTest, AGroupThatOpensIsToldAgain) {
  FakeScrub scrub(1);
  Start(scrub, {.bytes_per_second = kMiB, .period = Seconds(10)});
  scrub.Find(7);
  scrub.Find(9);
  world_.RunFor(Seconds(2));
  found_.clear();
  scrubber_->Repaired(kGroup, 9, 9);
  scrubber_->Opened(GroupId{2});
  world_.RunReady();
  EXPECT_TRUE(found_.empty());
  scrubber_->Opened(kGroup);
  world_.RunReady();
  EXPECT_EQ(found_, (std::vector<Index>{7}));
}

}  // namespace
}  // namespace cairn
