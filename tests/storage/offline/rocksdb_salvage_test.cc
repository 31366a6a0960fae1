#include "storage/offline/rocksdb_salvage.h"

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "rocksdb/db.h"
#include "storage/block/block_key.h"
#include "storage/block/block_log.h"
#include "storage/block/log_inspector.h"
#include "storage/rocksdb/database.h"
#include "storage/rocksdb/log_keys.h"
#include "storage/rocksdb/rocksdb_log.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/test_keys.h"
#include "tests/storage/offline/random_log.h"

namespace cairn {
namespace {

const LogIdentity kIdentity = {{}, NodeId{3}, Incarnation{77}};
constexpr char kSalvaged[] = "/salvaged";

class RocksDbSalvageTest : public testing::Test {
 protected:
  RocksDbSalvageTest() {
    Random random(5);
    twins_ = FillByChance(*Open(), random, 120);
    EXPECT_GT(twins_.size(), 1u);
  }

  std::unique_ptr<RocksDbLog> Open() {
    RocksDbLogOptions options;
    options.directory = "/log";
    options.identity = kIdentity;
    return RocksDbLog::Open(file_system_, options).value();
  }

  // A group of which there are at least four entries.
  LogTwin& LongOne() {
    for (auto& [group, twin] : twins_) {
      if (twin.last() >= twin.base + 4) return twin;
    }
    ADD_FAILURE() << "all are short";
    return twins_.begin()->second;
  }

  // It goes from the database, behind the back of the log.
  void Lose(const std::string& key) {
    const absl::StatusOr<Database> database = OpenDatabase(file_system_, {.directory = "/log/db"});
    ASSERT_TRUE(database.ok()) << database.status();
    ASSERT_TRUE(database->db->Delete(rocksdb::WriteOptions(), key).ok());
    ASSERT_TRUE(database->db->FlushWAL(true).ok());
  }
  void Lose(GroupId group, Index index) { Lose(EntryKey(group, index)); }
  void LoseLedger() {
    const std::vector<std::string> names = file_system_.List("/log").value();
    for (const std::string& name : names) {
      if (!absl::StartsWith(name, "acks.")) continue;
      ASSERT_TRUE(file_system_.Remove("/log/" + name).ok());
    }
  }
  std::set<GroupId> All() const {
    std::set<GroupId> groups;
    for (const auto& [group, twin] : twins_) groups.insert(group);
    return groups;
  }

  std::unique_ptr<RocksDbInspector> Inspect() {
    auto log = RocksDbInspector::Open(file_system_, "/log");
    EXPECT_TRUE(log.ok()) << log.status();
    return *std::move(log);
  }

  SalvagePlan Salvaged() {
    const std::unique_ptr<RocksDbInspector> log = Inspect();
    SalvagePlan plan = PlanSalvage(*log);
    const absl::Status done = Salvage(*log, plan, plan.acknowledgement, file_system_, kSalvaged);
    EXPECT_TRUE(done.ok()) << done;
    return plan;
  }

  // The salvaged log, in blocks, holds what the twins do, and says of these groups that they forget
  // something.
  void ExpectSalvaged(const std::set<GroupId>& forgetting = {},
                      std::shared_ptr<const KeyRing> keys = nullptr) {
    BlockLogOptions options;
    options.keys = std::move(keys);
    options.directory = kSalvaged;
    options.identity = kIdentity;
    const auto log = BlockLog::Open(file_system_, options);
    ASSERT_TRUE(log.ok()) << log.status();
    ASSERT_EQ((*log)->Groups().size(), twins_.size());
    for (const auto& [group, twin] : twins_) {
      OpenedLog opened = (*log)->OpenGroup(group).value();
      EXPECT_EQ(opened.recovered.hard_state_lost, forgetting.contains(group));
      opened.recovered.hard_state_lost = false;
      ExpectHolds(opened, twin);
    }
  }

  SimulatedFileSystem file_system_;
  LogTwins twins_;
};

TEST_F(RocksDbSalvageTest, AWholeLogLosesNothing) {
  EXPECT_EQ(Salvaged().acknowledgement, "nothing-lost");
  ExpectSalvaged();
}

TEST_F(RocksDbSalvageTest, WithKeysTheNewLogIsEncrypted) {
  const std::shared_ptr<KeyRing> keys = TestRing(Cipher::kAes256Gcm);
  const std::unique_ptr<RocksDbInspector> log = Inspect();
  const SalvagePlan plan = PlanSalvage(*log);
  const absl::Status done =
      Salvage(*log, plan, plan.acknowledgement, file_system_, kSalvaged, keys);
  ASSERT_TRUE(done.ok()) << done;
  EXPECT_TRUE(IsMissingKey(LogInspector::Open(file_system_, kSalvaged).status()));
  const auto salvaged = LogInspector::Open(file_system_, kSalvaged, keys);
  ASSERT_TRUE(salvaged.ok()) << salvaged.status();
  for (const auto& [id, block] : (*salvaged)->blocks()) {
    EXPECT_EQ(block.file->header().key, TestKey(1).id) << id;
  }
  ExpectSalvaged({}, keys);
}

TEST_F(RocksDbSalvageTest, EntriesFromTheFirstBadOneAreLost) {
  LogTwin& twin = LongOne();
  const Index bad = twin.base + 3;
  const Index last = twin.last();
  Lose(twin.group(), bad);
  const SalvagePlan plan = Salvaged();
  EXPECT_EQ(plan.acknowledgement,
            absl::StrCat("lose-", ToInteger(twin.group()), ":", bad, "..", last));
  twin.TruncateFrom(bad);
  ExpectSalvaged({twin.group()});
}

TEST_F(RocksDbSalvageTest, WithoutALedgerVotesMayBeLost) {
  LoseLedger();
  const SalvagePlan plan = Salvaged();
  for (const GroupId group : All()) {
    EXPECT_TRUE(absl::StrContains(plan.acknowledgement, absl::StrCat(ToInteger(group), ":vote")));
  }
  ExpectSalvaged(All());
}

// A group that is lost as a whole has voted, and acknowledged.
TEST_F(RocksDbSalvageTest, AGroupThatCannotBePutTogetherForgetsAll) {
  LoseLedger();
  const GroupId group = LongOne().group();
  Lose(TermsKey(group));
  const SalvagePlan plan = Salvaged();
  EXPECT_TRUE(absl::StrContains(plan.acknowledgement, absl::StrCat(ToInteger(group), ":vote")));
  EXPECT_TRUE(absl::StrContains(plan.acknowledgement, absl::StrCat("group-", ToInteger(group))));
  twins_.erase(group);
  twins_.emplace(group, LogTwin(group));
  ExpectSalvaged(All());
}

TEST_F(RocksDbSalvageTest, NothingIsWrittenWithoutTheRightWordOrWhileItIsWritten) {
  LogTwin& twin = LongOne();
  Lose(twin.group(), twin.base + 3);
  {
    const std::unique_ptr<RocksDbInspector> log = Inspect();
    const SalvagePlan plan = PlanSalvage(*log);
    for (const std::string word : {"", "nothing-lost"}) {
      const absl::Status refused = Salvage(*log, plan, word, file_system_, kSalvaged);
      EXPECT_TRUE(absl::IsInvalidArgument(refused)) << refused;
    }
    const absl::Status taken = Salvage(*log, plan, plan.acknowledgement, file_system_, "/log");
    EXPECT_TRUE(absl::IsAlreadyExists(taken)) << taken;
  }
  const std::unique_ptr<RocksDbLog> writer = Open();
  const std::unique_ptr<RocksDbInspector> log = Inspect();
  const SalvagePlan plan = PlanSalvage(*log);
  const absl::Status open = Salvage(*log, plan, plan.acknowledgement, file_system_, kSalvaged);
  EXPECT_TRUE(absl::IsFailedPrecondition(open)) << open;
  EXPECT_FALSE(file_system_.Exists(kSalvaged).value());
}

}  // namespace
}  // namespace cairn
