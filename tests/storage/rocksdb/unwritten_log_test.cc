#include "storage/rocksdb/unwritten_log.h"

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "storage/simulated_file_system.h"

namespace cairn {
namespace {

class UnwrittenLogTest : public testing::Test {
 protected:
  std::shared_ptr<File> Create(const std::string& path) {
    return disk_.Open(path, {.mode = FileSystem::OpenMode::kCreate}).value();
  }
  std::string Content(const std::string& path) { return ReadWholeFile(disk_, path).value(); }

  SimulatedFileSystem disk_;
  DiskReserve reserve_{disk_, "/reserve", 0};
  UnwrittenLog log_{reserve_};
};

TEST_F(UnwrittenLogTest, NothingIsWrittenBeforeWhatCameFirst) {
  const std::shared_ptr<File> one = Create("/1.log");
  const std::shared_ptr<File> other = Create("/2.log");
  ASSERT_TRUE(log_.Write(one, 0, "first").ok());
  EXPECT_TRUE(log_.empty());
  disk_.set_capacity_bytes(7);
  ASSERT_TRUE(log_.Write(one, 5, " second").ok());
  ASSERT_TRUE(log_.Write(other, 0, "x").ok()) << "for which there would be room";
  EXPECT_FALSE(log_.empty());
  EXPECT_TRUE(absl::IsResourceExhausted(log_.WriteOut()));
  EXPECT_EQ(Content("/1.log"), "first");
  EXPECT_EQ(Content("/2.log"), "");
  disk_.set_capacity_bytes(12);
  EXPECT_TRUE(absl::IsResourceExhausted(log_.WriteOut()));
  EXPECT_EQ(Content("/1.log"), "first second");
  EXPECT_EQ(Content("/2.log"), "");
  disk_.set_capacity_bytes(100);
  ASSERT_TRUE(log_.Write(other, 1, "y").ok());
  EXPECT_TRUE(log_.empty());
  EXPECT_EQ(Content("/2.log"), "xy");
  EXPECT_TRUE(log_.WriteOut().ok());
}

TEST_F(UnwrittenLogTest, WhatIsOfARemovedFileIsForgotten) {
  const std::shared_ptr<File> one = Create("/1.log");
  const std::shared_ptr<File> other = Create("/2.log");
  disk_.set_capacity_bytes(0);
  ASSERT_TRUE(log_.Write(one, 0, "gone").ok());
  ASSERT_TRUE(log_.Write(other, 0, "kept").ok());
  log_.Forget("/1.log");
  disk_.set_capacity_bytes(4);
  EXPECT_TRUE(log_.WriteOut().ok());
  EXPECT_EQ(Content("/2.log"), "kept");
}

TEST_F(UnwrittenLogTest, AnyOtherErrorIsAnError) {
  const std::shared_ptr<File> one = Create("/1.log");
  disk_.set_fault_hook(NthFault(FileAccess::Operation::kWrite, "/1.log", 1, {.error = EIO}));
  EXPECT_FALSE(log_.Write(one, 0, "x").ok());
  EXPECT_TRUE(log_.empty());
}

TEST_F(UnwrittenLogTest, TheClaimSaysHowMuchOfTheReserveItTakes) {
  constexpr uint64_t kBytes = uint64_t{1} << 20;
  DiskReserve reserve(disk_, "/reserve2", kBytes);
  reserve.Fill();
  disk_.set_capacity_bytes(kBytes);
  UnwrittenLog log(reserve);
  const std::shared_ptr<File> one = Create("/1.log");
  uint64_t end = 0;
  for (const auto& [claim, left] : {std::pair{DiskReserve::Claim::kEntries, kBytes / 4},
                                    {DiskReserve::Claim::kRecords, kBytes / 16}}) {
    log.SetClaim(claim);
    EXPECT_TRUE(log.WriteOut().ok());
    while (log.empty()) {
      ASSERT_TRUE(log.Write(one, end, std::string(20'000, 'x')).ok());
      end += 20'000;
    }
    EXPECT_EQ(reserve.bytes_left(), left);
  }
}

}  // namespace
}  // namespace cairn
