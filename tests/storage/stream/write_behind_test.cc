#include "storage/stream/write_behind.h"

#include <memory>

#include "gtest/gtest.h"
#include "tests/storage/hinted_file.h"

namespace cairn {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
using Ranges = HintedFile::Ranges;

TEST(WriteBehindTest, TheDiskBeginsWithWhatIsWrittenAndNothingOfItIsDropped) {
  auto file = std::make_shared<HintedFile>();
  WriteBehind behind;
  for (uint64_t at = 0; at < 40; ++at) behind.Written(file, at * kMiB, kMiB, /*bulk=*/false);
  behind.Pause();
  EXPECT_EQ(file->begun.size(), 40u);
  EXPECT_EQ(file->begun.back(), std::pair(39 * kMiB, kMiB));
  EXPECT_EQ(file->dropped, Ranges());
}

TEST(WriteBehindTest, OfBulkTheYoungestStaysCached) {
  auto file = std::make_shared<HintedFile>();
  WriteBehind behind;
  for (uint64_t at = 0; at < 8; ++at) behind.Written(file, at * kMiB, kMiB, /*bulk=*/true);
  EXPECT_EQ(file->dropped, Ranges());
  for (uint64_t at = 8; at < 20; ++at) behind.Written(file, at * kMiB, kMiB, /*bulk=*/true);
  ASSERT_EQ(file->dropped.size(), 12u);
  for (uint64_t at = 0; at < 12; ++at) EXPECT_EQ(file->dropped[at], std::pair(at * kMiB, kMiB));
}

TEST(WriteBehindTest, PiecesThatFollowEachOtherAreDroppedTogether) {
  auto first = std::make_shared<HintedFile>();
  auto second = std::make_shared<HintedFile>();
  WriteBehind behind;
  const uint64_t piece = 64 << 10;
  for (uint64_t at = 0; at < 24; ++at) behind.Written(first, at * piece, piece, /*bulk=*/true);
  for (uint64_t at = 0; at < 128; ++at) behind.Written(second, at * piece, piece, /*bulk=*/true);
  EXPECT_EQ(first->dropped, (Ranges{{0, kMiB}, {kMiB, kMiB / 2}}));
  EXPECT_EQ(second->dropped, Ranges());
}

TEST(WriteBehindTest, TheDiskBeginsWithAQuarterMebibyteAtOnce) {
  auto file = std::make_shared<HintedFile>();
  auto next = std::make_shared<HintedFile>();
  WriteBehind behind;
  const uint64_t piece = 100 << 10;
  for (uint64_t at = 0; at < 4; ++at) behind.Written(file, at * piece, piece, /*bulk=*/false);
  EXPECT_EQ(file->begun, (Ranges{{0, 3 * piece}}));
  // It ends where the next one stands elsewhere, or in another file.
  behind.Written(file, 9 * piece, 1, /*bulk=*/false);
  EXPECT_EQ(file->begun.back(), std::pair(3 * piece, piece));
  behind.Written(next, 9 * piece + 1, 1, /*bulk=*/false);
  EXPECT_EQ(file->begun.back(), std::pair(9 * piece, uint64_t{1}));
  EXPECT_EQ(next->begun, Ranges());
}

TEST(WriteBehindTest, WhereNothingFollowsTheDiskBeginsWithTheRest) {
  auto file = std::make_shared<HintedFile>();
  WriteBehind behind;
  behind.Pause();
  behind.Written(file, 0, 10, /*bulk=*/false);
  EXPECT_EQ(file->begun, Ranges());
  behind.Pause();
  behind.Pause();
  EXPECT_EQ(file->begun, (Ranges{{0, 10}}));
  behind.Written(file, 10, 5, /*bulk=*/false);
  behind.Pause();
  EXPECT_EQ(file->begun, (Ranges{{0, 10}, {10, 5}}));
}

// What is not bulk may be read soon.
TEST(WriteBehindTest, WhatIsNotBulkStaysBetweenWhatIs) {
  auto file = std::make_shared<HintedFile>();
  WriteBehind behind;
  behind.Written(file, 0, kMiB, /*bulk=*/true);
  behind.Written(file, kMiB, kMiB, /*bulk=*/false);
  for (uint64_t at = 2; at < 12; ++at) behind.Written(file, at * kMiB, kMiB, /*bulk=*/true);
  EXPECT_EQ(file->dropped, (Ranges{{0, kMiB}, {2 * kMiB, kMiB}, {3 * kMiB, kMiB}}));
}

TEST(WriteBehindTest, AFileIsNotHeldForLong) {
  auto file = std::make_shared<HintedFile>();
  auto next = std::make_shared<HintedFile>();
  WriteBehind behind;
  behind.Written(file, 0, kMiB, /*bulk=*/true);
  behind.Pause();
  EXPECT_EQ(file.use_count(), 2);
  behind.Written(next, 0, WriteBehind::kCachedBytes, /*bulk=*/true);
  EXPECT_EQ(file.use_count(), 1);
}

}  // namespace
}  // namespace cairn
