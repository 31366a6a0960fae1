#include "storage/offline/log_view.h"

#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "storage/block/block_log.h"
#include "storage/rocksdb/rocksdb_log.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/offline/random_log.h"

namespace cairn {
namespace {

const LogIdentity kIdentity = {{}, NodeId{3}, Incarnation{77}};

std::unique_ptr<LogDisk> Open(FileSystem& file_system, const std::string& store) {
  if (store == "rocksdb") {
    RocksDbLogOptions options;
    options.directory = "/data/log";
    options.identity = kIdentity;
    return RocksDbLog::Open(file_system, options).value();
  }
  BlockLogOptions options;
  options.directory = "/data/log";
  options.identity = kIdentity;
  options.geometry = {.block_bytes = 64 << 10, .unit_bytes = 4096};
  return BlockLog::Open(file_system, options).value();
}

TEST(LogViewTest, FindsOutWhichStoreItIsAndShowsWhatAStartFinds) {
  for (const std::string store : {"block", "rocksdb"}) {
    SCOPED_TRACE(store);
    SimulatedFileSystem file_system;
    Random random(11);
    const LogTwins twins = FillByChance(*Open(file_system, store), random, 80);
    for (const std::string directory : {"/data", "/data/log"}) {
      const auto view = OpenLogView(file_system, directory);
      ASSERT_TRUE(view.ok()) << view.status();
      EXPECT_EQ((*view)->store(), store);
      EXPECT_EQ((*view)->directory(), "/data/log");
      EXPECT_EQ((*view)->identity(), kIdentity);
      EXPECT_FALSE((*view)->writer().has_value());
      ASSERT_EQ((*view)->Groups().size(), twins.size());
      for (const auto& [id, group] : (*view)->Groups()) {
        const LogTwin& twin = twins.at(id);
        EXPECT_EQ(group.hard_state, twin.hard_state);
        EXPECT_EQ(group.base, twin.PositionAt(twin.base));
        EXPECT_EQ(group.base_hash, twin.HashAt(twin.base));
        EXPECT_EQ(group.last, twin.PositionAt(twin.last()));
        EXPECT_EQ(group.last_hash, twin.HashAt(twin.last()));
        std::string read, wanted;
        for (Index i = twin.base + 1; i <= twin.last(); ++i) wanted += twin.At(i).record;
        (*view)->Read(
            id, 0, UINT64_MAX, [&read](const RecordRun& run) { read += RecordsOf({run}); },
            [](const LogInspector::Unreadable& bad) { ADD_FAILURE() << bad.reason; });
        EXPECT_TRUE(read == wanted);
      }
      for (const VerifiedFile& file : (*view)->Verify()) {
        EXPECT_TRUE(file.faulty.empty());
        EXPECT_TRUE(file.torn.empty());
      }
    }
    const auto disk = Open(file_system, store);
    EXPECT_TRUE(OpenLogView(file_system, "/data").value()->writer().has_value());
  }
}

TEST(LogViewTest, NoLogIsNotFound) {
  SimulatedFileSystem file_system;
  ASSERT_TRUE(file_system.MakeDirectory("/data/log").ok());
  EXPECT_TRUE(absl::IsNotFound(OpenLogView(file_system, "/data").status()));
  EXPECT_TRUE(absl::IsNotFound(OpenLogView(file_system, "/nowhere").status()));
}

}  // namespace
}  // namespace cairn
