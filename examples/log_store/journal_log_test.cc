// The journal joins the contract suite, and is damaged.

#include "examples/log_store/journal_log.h"

#include <memory>
#include <string>
#include <utility>

#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/log_store_contract.h"

namespace cairn {
namespace {

constexpr char kDirectory[] = "/journal";
constexpr char kPath[] = "/journal/journal";

class JournalFixture final : public LogStoreFixture {
 public:
  absl::StatusOr<std::unique_ptr<LogDisk>> Open() override {
    if (absl::Status made = disk_.MakeDirectory(kDirectory); !made.ok()) return made;
    return JournalLog::Open(disk_, kDirectory, "node 1");
  }
  void PowerCut(Random& random) override {
    disk_.Crash(random.OneIn(2) ? CrashPolicy::kRandomSubset : CrashPolicy::kTornCall, random);
  }

 private:
  SimulatedFileSystem disk_;
};

INSTANTIATE_TEST_SUITE_P(Journal, LogStoreContract,
                         testing::Values(LogStoreKind{
                             "Journal", [] { return std::make_unique<JournalFixture>(); }}),
                         LogStoreKindName());

class JournalLogTest : public testing::Test {
 protected:
  JournalLogTest() { EXPECT_TRUE(disk_.MakeDirectory(kDirectory).ok()); }

  absl::Status Append(LogDisk& log, LogStore& store, RecordRun run) {
    LogAppend append;
    append.runs = {std::move(run)};
    if (absl::Status status = store.Append(append); !status.ok()) return status;
    absl::Status synced = absl::UnknownError("not called");
    log.Sync([&synced](absl::Status status) { synced = std::move(status); });
    return synced;
  }

  // Some entries, each synced.
  void Fill(int entries) {
    auto log = JournalLog::Open(disk_, kDirectory, "node 1");
    ASSERT_TRUE(log.ok()) << log.status();
    auto opened = (*log)->OpenGroup(GroupId::kDefault);
    ASSERT_TRUE(opened.ok());
    for (int i = 0; i < entries; ++i) {
      ASSERT_TRUE(Append(**log, *opened->store, twin_.Add(1, std::string(700, 'a'))).ok());
    }
  }

  SimulatedFileSystem disk_;
  LogTwin twin_{GroupId::kDefault};
};

// The suite cuts the power between syncs; here it goes at each call of one.
TEST_F(JournalLogTest, APowerCutInsideASyncLeavesTheEntryOrNot) {
  Fill(2);
  int cut = 0;
  int kept = 0;
  Random random(1);
  auto look = [&](SimulatedFileSystem& image) {
    auto log = JournalLog::Open(image, kDirectory, "node 1");
    ASSERT_TRUE(log.ok()) << log.status();
    auto opened = (*log)->OpenGroup(GroupId::kDefault);
    ASSERT_TRUE(opened.ok());
    const Index last = opened->store->last().index;
    ASSERT_TRUE(last == 2 || last == 3) << last;
    ++(last == 2 ? cut : kept);
    // And it goes on.
    EXPECT_EQ(*opened->store->HashAt(last), twin_.HashAt(last));
    RecordRunBuilder builder(GroupId::kDefault, twin_.PositionAt(last), twin_.HashAt(last));
    builder.Add(PreparedEntry::Make(EntryType::kCommand, "more"), 2, {});
    EXPECT_TRUE(Append(**log, *opened->store, std::move(builder).Build()).ok());
  };
  auto log = JournalLog::Open(disk_, kDirectory, "node 1");
  ASSERT_TRUE(log.ok()) << log.status();
  auto opened = (*log)->OpenGroup(GroupId::kDefault);
  RecordRun third = twin_.Add(1, std::string(2000, 'b'));
  disk_.set_fault_hook([&](const FileAccess&) {
    for (int i = 0; i < 50; ++i) {
      look(*disk_.CrashImage(ChooseCrash(CrashPolicy::kRandomSubset, disk_.Pending(), random)));
    }
    return FileFault();
  });
  EXPECT_TRUE(Append(**log, *opened->store, third).ok());
  disk_.set_fault_hook(nullptr);
  EXPECT_GT(cut, 50);
  EXPECT_GT(kept, 10);
}

TEST_F(JournalLogTest, NoFlippedByteGoesUnnoticed) {
  Fill(3);
  const size_t size = ReadWholeFile(disk_, kPath)->size();
  int refused = 0;
  for (size_t at = 0; at < size; ++at) {
    const auto image = disk_.CrashImage({});
    image->FlipBits(kPath, at, static_cast<uint8_t>(1 << at % 8));
    auto log = JournalLog::Open(*image, kDirectory, "node 1");
    if (!log.ok()) {
      EXPECT_TRUE(absl::IsDataLoss(log.status())) << log.status();
      ++refused;
      continue;
    }
    auto opened = (*log)->OpenGroup(GroupId::kDefault);
    ASSERT_EQ(opened->store->last(), twin_.PositionAt(3)) << at;
    ASSERT_EQ(opened->recovered.last_hash, twin_.HashAt(3)) << at;
  }
  EXPECT_GT(refused, 4 * 512);
}

TEST_F(JournalLogTest, AFailedSyncIsFinal) {
  Fill(1);
  auto log = JournalLog::Open(disk_, kDirectory, "node 1");
  ASSERT_TRUE(log.ok()) << log.status();
  auto opened = (*log)->OpenGroup(GroupId::kDefault);
  disk_.set_fault_hook(NthFault(FileAccess::Operation::kSync, "journal", 1, {.error = 5}));
  const absl::Status failed = Append(**log, *opened->store, twin_.Add(1, "second"));
  EXPECT_FALSE(failed.ok());
  EXPECT_EQ(Append(**log, *opened->store, twin_.Add(1, "third")), failed);
  EXPECT_EQ(disk_.uses_after_failure(), 0u);
}

TEST_F(JournalLogTest, AnotherOwnerIsRefused) {
  Fill(1);
  const absl::Status other = JournalLog::Open(disk_, kDirectory, "node 2").status();
  EXPECT_TRUE(absl::IsFailedPrecondition(other)) << other;
  EXPECT_EQ(other.message(), "/journal/journal: is the log of node 1, not of node 2");
}

}  // namespace
}  // namespace cairn
