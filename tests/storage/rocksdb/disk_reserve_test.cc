#include "storage/rocksdb/disk_reserve.h"

#include <string>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "storage/simulated_file_system.h"

namespace cairn {
namespace {

using Claim = DiskReserve::Claim;

constexpr uint64_t kBytes = uint64_t{1} << 20;
constexpr uint64_t kOthers = uint64_t{100} << 10;

class DiskReserveTest : public testing::Test {
 protected:
  DiskReserveTest() {
    file_ = disk_.Open("/file", {.mode = FileSystem::OpenMode::kCreate}).value();
    EXPECT_TRUE(file_->Write(0, std::string(kOthers, 'x')).ok());
    reserve_.Fill();
    disk_.set_capacity_bytes(kBytes + kOthers);
  }
  // At the end of the file.
  absl::Status Write(Claim claim, uint64_t bytes, DiskReserve& reserve) {
    const uint64_t end = file_->Size().value();
    return reserve.WithRoom(claim, bytes,
                            [&] { return file_->Write(end, std::string(bytes, 'y')); });
  }
  absl::Status Write(Claim claim, uint64_t bytes) { return Write(claim, bytes, reserve_); }

  SimulatedFileSystem disk_;
  DiskReserve reserve_{disk_, "/reserve", kBytes};
  std::unique_ptr<File> file_;
};

TEST_F(DiskReserveTest, WhereThereIsRoomItStays) {
  disk_.set_capacity_bytes(UINT64_MAX);
  ASSERT_TRUE(Write(Claim::kRecords, 3 * kBytes).ok());
  EXPECT_TRUE(reserve_.is_whole());
  EXPECT_EQ(reserve_.bytes_left(), kBytes);
}

TEST_F(DiskReserveTest, OtherErrorsTakeNothing) {
  const auto fails = [] { return absl::InternalError("broken"); };
  EXPECT_TRUE(absl::IsInternal(reserve_.WithRoom(Claim::kDatabase, 1, fails)));
  EXPECT_TRUE(reserve_.is_whole());
}

TEST_F(DiskReserveTest, EachClaimLeavesSomeToTheNext) {
  ASSERT_TRUE(Write(Claim::kEntries, 100).ok());
  EXPECT_FALSE(reserve_.is_whole());
  EXPECT_LT(reserve_.bytes_left(), kBytes);
  EXPECT_GT(reserve_.bytes_left(), kBytes * 9 / 10) << "no more than is needed";
  for (const auto& [claim, left] : {std::pair{Claim::kEntries, kBytes / 4},
                                    {Claim::kRecords, kBytes / 16},
                                    {Claim::kDatabase, uint64_t{0}}}) {
    absl::Status status;
    while (status.ok()) status = Write(claim, 5000);
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
    EXPECT_EQ(reserve_.bytes_left(), left);
  }
  EXPECT_GT(file_->Size().value(), kBytes + kOthers - 5000);
}

TEST_F(DiskReserveTest, AWriteLargerThanTheLeastIsGivenWhatItNeeds) {
  ASSERT_TRUE(Write(Claim::kDatabase, kBytes * 9 / 10).ok());
  EXPECT_FALSE(reserve_.is_whole());
}

TEST_F(DiskReserveTest, ItIsWholeAgainWhenAllOfItFits) {
  ASSERT_TRUE(Write(Claim::kRecords, kBytes / 2).ok());
  const uint64_t left = reserve_.bytes_left();
  reserve_.Fill();
  EXPECT_FALSE(reserve_.is_whole());
  EXPECT_EQ(reserve_.bytes_left(), left);
  disk_.set_capacity_bytes(3 * kBytes);
  reserve_.Fill();
  EXPECT_TRUE(reserve_.is_whole());
  EXPECT_EQ(reserve_.bytes_left(), kBytes);
  disk_.set_capacity_bytes(0);
  EXPECT_TRUE(Write(Claim::kRecords, 0).ok());
}

TEST_F(DiskReserveTest, AStartFindsWhatIsLeft) {
  ASSERT_TRUE(Write(Claim::kRecords, kBytes / 2).ok());
  DiskReserve later(disk_, "/reserve", kBytes);
  ASSERT_TRUE(later.Open().ok());
  EXPECT_EQ(later.bytes_left(), reserve_.bytes_left());
  EXPECT_TRUE(Write(Claim::kDatabase, 100'000, later).ok());
  // And one that is to keep less, or nothing.
  DiskReserve smaller(disk_, "/reserve", kBytes / 8);
  ASSERT_TRUE(smaller.Open().ok());
  EXPECT_EQ(smaller.bytes_left(), kBytes / 8);
  DiskReserve none(disk_, "/reserve", 0);
  ASSERT_TRUE(none.Open().ok());
  EXPECT_FALSE(disk_.Exists("/reserve").value());
  none.Fill();
  EXPECT_TRUE(none.is_whole());
}

}  // namespace
}  // namespace cairn
