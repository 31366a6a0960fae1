#include "storage/memory_log_store.h"

#include <deque>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "tests/storage/log_store_contract.h"
#include "tests/storage/log_twin.h"

namespace cairn {
namespace {

class MemoryFixture final : public LogStoreFixture {
 public:
  absl::StatusOr<std::unique_ptr<LogDisk>> Open() override {
    return std::make_unique<MemoryLogDisk>(medium_);
  }
  void PowerCut(Random& random) override {
    medium_->Crash(static_cast<size_t>(random.Below(medium_->PendingParts() + 1)));
  }

 private:
  std::shared_ptr<MemoryLogMedium> medium_ = std::make_shared<MemoryLogMedium>();
};

INSTANTIATE_TEST_SUITE_P(Memory, LogStoreContract,
                         testing::Values(LogStoreKind{
                             "Memory", [] { return std::make_unique<MemoryFixture>(); }}),
                         LogStoreKindName());

// Runs the ends of syncs when told to.
class MemoryLogStoreTest : public testing::Test {
 protected:
  MemoryLogStoreTest()
      : medium_(std::make_shared<MemoryLogMedium>(MemoryLogMedium::Options{
            .schedule = [this](Task task) { tasks_.push_back(std::move(task)); }})) {
    Open();
  }

  void Open() {
    disk_ = std::make_unique<MemoryLogDisk>(medium_);
    store_ = disk_->OpenGroup(GroupId::kDefault)->store;
  }

  absl::Status Append(RecordRun run) {
    LogAppend append;
    append.runs = {std::move(run)};
    return store_->Append(append);
  }

  void RunOne() {
    Task task = std::move(tasks_.front());
    tasks_.pop_front();
    task();
  }

  std::deque<Task> tasks_;
  std::shared_ptr<MemoryLogMedium> medium_;
  std::unique_ptr<MemoryLogDisk> disk_;
  LogStore* store_ = nullptr;
  LogTwin twin_{GroupId::kDefault};
};

Index LastOf(MemoryLogMedium& medium) {
  // Does not own it.
  MemoryLogDisk disk(std::shared_ptr<MemoryLogMedium>(std::shared_ptr<void>(), &medium));
  return disk.OpenGroup(GroupId::kDefault)->store->last().index;
}

TEST_F(MemoryLogStoreTest, SyncCoversWhatWasAppendedBeforeItBegan) {
  EXPECT_TRUE(Append(twin_.Add(1, "1")).ok());
  std::optional<absl::Status> done;
  disk_->Sync([&done](absl::Status status) { done = status; });
  EXPECT_TRUE(Append(twin_.Add(1, "2")).ok());
  EXPECT_FALSE(done.has_value());
  EXPECT_EQ(LastOf(*medium_->CrashImage()), 0u);
  EXPECT_EQ(LastOf(*medium_->CrashImage(1)), 1u);
  RunOne();
  ASSERT_TRUE(done.has_value());
  EXPECT_TRUE(done->ok()) << *done;
  EXPECT_EQ(LastOf(*medium_->CrashImage()), 1u);
  EXPECT_EQ(medium_->PendingParts(), 1u);
}

TEST_F(MemoryLogStoreTest, APowerCutEndsTheSyncUnderWay) {
  EXPECT_TRUE(Append(twin_.Add(1, "1")).ok());
  auto owned = std::make_shared<int>(0);
  disk_->Sync([owned](absl::Status) { FAIL() << "a sync ended after the power cut"; });
  medium_->Crash();
  EXPECT_EQ(owned.use_count(), 1);
  EXPECT_TRUE(absl::IsUnavailable(Append(twin_.Add(1, "2"))));
  RunOne();
  Open();
  EXPECT_EQ(store_->last().index, 0u);
}

TEST_F(MemoryLogStoreTest, ARestartLosesNothing) {
  EXPECT_TRUE(Append(twin_.Add(1, "1")).ok());
  medium_->RestartProcess();
  EXPECT_TRUE(absl::IsUnavailable(Append(twin_.Add(1, "2"))));
  EXPECT_EQ(medium_->PendingParts(), 1u);
  Open();
  EXPECT_EQ(store_->last().index, 1u);
  EXPECT_EQ(medium_->PendingParts(), 0u);
}

TEST_F(MemoryLogStoreTest, ADiskThatWasOpenBeforeIsOfNoUse) {
  MemoryLogDisk next(medium_);
  EXPECT_TRUE(absl::IsUnavailable(Append(twin_.Add(1, "1"))));
  std::optional<absl::Status> done;
  disk_->Sync([&done](absl::Status status) { done = status; });
  ASSERT_TRUE(done.has_value());
  EXPECT_TRUE(absl::IsUnavailable(*done));
}

TEST_F(MemoryLogStoreTest, FailedWritesAreFinal) {
  EXPECT_TRUE(Append(twin_.Add(1, "1")).ok());
  std::optional<absl::Status> done;
  disk_->Sync([&done](absl::Status status) { done = status; });
  const absl::Status failure = absl::InternalError("write /log: Input/output error");
  medium_->FailWrites(failure);
  RunOne();
  EXPECT_EQ(done, failure);
  EXPECT_EQ(Append(twin_.Add(1, "2")), failure);
  EXPECT_EQ(store_->DropPrefix(1), failure);
  EXPECT_EQ(LastOf(*medium_->CrashImage()), 0u);
  medium_->Crash(1);
  Open();
  EXPECT_EQ(store_->last().index, 1u);
}

TEST_F(MemoryLogStoreTest, PartsAreLostFromTheBack) {
  LogAppend append;
  append.hard_state = HardState{1, NodeId{2}};
  append.runs = {twin_.AddRun(1, {"1", "2"}), twin_.Add(1, "3")};
  append.commit = 2;
  ASSERT_TRUE(store_->Append(append).ok());
  ASSERT_EQ(medium_->PendingParts(), 5u);
  for (size_t kept = 0; kept <= 5; ++kept) {
    auto image = std::shared_ptr<MemoryLogMedium>(medium_->CrashImage(kept));
    MemoryLogDisk disk(image);
    const RecoveredLog found = disk.OpenGroup(GroupId::kDefault)->recovered;
    EXPECT_EQ(found.hard_state, kept > 0 ? *append.hard_state : HardState());
    EXPECT_EQ(found.report.entries, kept == 0 ? 0 : std::min<size_t>(kept - 1, 3));
  }
}

}  // namespace
}  // namespace cairn
