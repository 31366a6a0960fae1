#include "tests/sim/observed_log_disk.h"

#include <cstdint>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace cairn::sim {
namespace {

// Three entries of term 1, of which it cannot give the hash of the second.
class RottenStore final : public LogStore {
 public:
  static EntryHash HashOf(Index index) { return {index, 100 + index}; }
  absl::Status Append(const LogAppend&) override { return absl::OkStatus(); }
  absl::StatusOr<std::vector<RecordRun>> Read(Index, Index, size_t) const override {
    return absl::DataLossError("rotten");
  }
  absl::StatusOr<EntryHash> HashAt(Index index) const override {
    if (index == 2) return absl::DataLossError("rotten");
    return HashOf(index);
  }
  LogPosition base() const override { return {}; }
  LogPosition last() const override { return {3, 1}; }
  absl::Status DropPrefix(Index) override { return absl::OkStatus(); }
  absl::Status Reset(LogPosition, EntryHash) override { return absl::OkStatus(); }
};

class ImageOfTest : public testing::Test {
 protected:
  ImageOfTest() {
    opened_.store = &store_;
    opened_.recovered.runs = {{.term = 1, .last_index = 3}};
  }
  static LogImage Known(Term term) {
    std::vector<EntryId> entries;
    for (Index index = 1; index <= 3; ++index) {
      entries.push_back({term, RottenStore::HashOf(index)});
    }
    return LogImage({}, 0, std::move(entries));
  }

  RottenStore store_;
  OpenedLog opened_;
};

TEST_F(ImageOfTest, WhatRottedInASealedBlockIsClaimedAsItWasKnown) {
  const LogImage known = Known(1);
  absl::StatusOr<LogImage> image = ImageOf(opened_, &known, /*rotten=*/true);
  ASSERT_TRUE(image.ok()) << image.status();
  ASSERT_EQ(image->last(), 3u);
  EXPECT_EQ(*image->Find(2), *known.Find(2));
}

TEST_F(ImageOfTest, OnADiskThatIsWholeItIsAnError) {
  const LogImage known = Known(1);
  EXPECT_EQ(ImageOf(opened_, &known, /*rotten=*/false).status().code(),
            absl::StatusCode::kDataLoss);
}

TEST_F(ImageOfTest, NobodyIsBelievedWhoKnewAnotherEntry) {
  const LogImage other = Known(2);
  const LogImage nothing;
  for (const LogImage* known : {&other, &nothing}) {
    EXPECT_EQ(ImageOf(opened_, known, /*rotten=*/true).status().code(),
              absl::StatusCode::kDataLoss);
  }
}

// A disk whose syncs end when the test says so.
class LateDisk final : public LogDisk {
 public:
  absl::StatusOr<OpenedLog> OpenGroup(GroupId) override {
    return OpenedLog{.store = &store_, .recovered = {}};
  }
  void CloseGroup(GroupId) override {}
  absl::Status DropGroup(GroupId) override { return absl::OkStatus(); }
  std::vector<GroupId> Groups() const override { return {}; }
  void Sync(absl::AnyInvocable<void(absl::Status)> done) override { done_ = std::move(done); }
  const char* name() const override { return "late"; }
  void EndSync() { done_(absl::OkStatus()); }

 private:
  RottenStore store_;
  absl::AnyInvocable<void(absl::Status)> done_;
};

class CountingObserver final : public LogObserver {
 public:
  void OnOpened(GroupId, const OpenedLog&) override {}
  void OnAppended(GroupId, LogChange) override {}
  void OnSynced(GroupId, uint64_t appended) override { synced.push_back(appended); }
  std::vector<uint64_t> synced;
};

TEST(ObservedLogDiskTest, ASyncIsOfTheStoresThatWereOpenWhenItBegan) {
  LateDisk late;
  CountingObserver observer;
  ObservedLogDisk disk(late, observer);
  const GroupId group{1};
  LogStore* store = disk.OpenGroup(group)->store;
  ASSERT_TRUE(store->DropPrefix(1).ok());
  disk.Sync([](const absl::Status&) {});
  late.EndSync();
  EXPECT_EQ(observer.synced, std::vector<uint64_t>{1});
  disk.Sync([](const absl::Status&) {});
  disk.CloseGroup(group);
  ASSERT_TRUE(disk.OpenGroup(group).ok());
  late.EndSync();
  EXPECT_EQ(observer.synced.size(), 1u);
}

}  // namespace
}  // namespace cairn::sim
