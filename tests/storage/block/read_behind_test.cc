#include "storage/block/read_behind.h"

#include "gtest/gtest.h"
#include "tests/storage/hinted_file.h"

namespace cairn {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kKept = ReadBehind::kCachedBytes;
using Ranges = HintedFile::Ranges;

TEST(ReadBehindTest, WhatWasCachedWhenSomebodyBeganStays) {
  HintedFile file;
  file.cached = true;
  ReadBehind behind;
  EXPECT_FALSE(behind.Begin(file, 4096));
  file.cached = false;  // memory got short
  EXPECT_FALSE(behind.Begin(file, 8192));
}

TEST(ReadBehindTest, WhatTheDiskHadToGiveDoesNotCountAsCached) {
  HintedFile file;
  ReadBehind behind;
  EXPECT_TRUE(behind.Begin(file, 4096));
  file.cached = true;  // by the reader itself
  EXPECT_TRUE(behind.Begin(file, 8192));
}

TEST(ReadBehindTest, AWriterThatDroppedItsPagesSaysSo) {
  HintedFile file;
  file.cached = true;
  ReadBehind behind;
  EXPECT_FALSE(behind.Begin(file, 4096));
  behind.DropAll();
  EXPECT_TRUE(behind.Begin(file, 4096));
}

TEST(ReadBehindTest, ThePagesBehindTheReaderAreDroppedInLargePieces) {
  HintedFile file;
  ReadBehind behind;
  const uint64_t piece = 96 << 10;
  uint64_t at = 8192;
  while (at < 8192 + 2 * kKept + kMiB) {
    behind.Viewed(file, at, at + piece);
    at += piece;
  }
  ASSERT_EQ(file.dropped.size(), 2u);
  EXPECT_EQ(file.dropped[0].first, 8192u);
  EXPECT_GE(file.dropped[0].second, kKept);
  EXPECT_LT(file.dropped[0].second, kKept + piece);
  EXPECT_EQ(file.dropped[1].first, 8192 + file.dropped[0].second);
}

TEST(ReadBehindTest, WhatNobodyLookedAtIsNotDropped) {
  HintedFile file;
  ReadBehind behind;
  behind.Viewed(file, 0, kKept - 1);
  behind.Viewed(file, 3 * kKept, 3 * kKept + 1);  // another reader, further on
  behind.Viewed(file, 0, kMiB);                   // and another one, from the beginning
  EXPECT_EQ(file.dropped, Ranges());
}

TEST(ReadBehindTest, WhoComesBackALittleIsTheSameReader) {
  HintedFile file;
  ReadBehind behind;
  behind.Viewed(file, kMiB, kMiB + 4096);  // the head of a batch
  for (uint64_t part = 0; part < 4; ++part) {
    behind.Viewed(file, kMiB, kMiB + 4096);
    behind.Viewed(file, kMiB + part * kMiB, kMiB + (part + 1) * kMiB);
  }
  EXPECT_EQ(file.dropped, (Ranges{{kMiB, kKept}}));
}

}  // namespace
}  // namespace cairn
