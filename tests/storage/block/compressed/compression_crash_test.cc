// The power is cut at every access of a compression to the disk, in every way that matters.

#include <cstdio>

#include "gtest/gtest.h"
#include "tests/storage/block/compressed/compressed_log.h"
#include "tests/storage/block/crash_enumerator.h"

namespace cairn {
namespace {

class CompressionCrashTest : public testing::TestWithParam<CompressedKind> {};

INSTANTIATE_TEST_SUITE_P(Kinds, CompressionCrashTest, testing::ValuesIn(kCompressedKinds),
                         CompressedKindName);

TEST_P(CompressionCrashTest, TheOldFileOrTheNewOne) {
  BlockLogOptions options =
      CompressedOptions(GetParam(), GetParam().unit_bytes == 512 ? 16 << 10 : 128 << 10);
  options.max_spares = 0;
  CrashEnumerator enumerator(40, options);
  enumerator.Run(
      [](LogDriver& driver) {
        driver.Vote(kGroupA, {.term = 1, .vote = static_cast<NodeId>(2)});
        driver.AppendConfiguration(kGroupB, 1, "members 1 2 3");
        FillBlocks(driver, 3, GetParam().unit_bytes == 512 ? 900 : 9000);
      },
      [](LogDriver& driver) {
        EXPECT_EQ(CompressAll(driver), "");
        EXPECT_GE(driver.log().figures().compressed_blocks, 1u);
        driver.Append(kGroupA, 2, {"behind it"});
        ASSERT_TRUE(driver.Sync().ok());
        // And it is released.
        driver.Drop(kGroupA, driver.model().at(kGroupA).last().index);
        driver.Drop(kGroupB, driver.model().at(kGroupB).last().index);
        ASSERT_TRUE(driver.Sync().ok());
      });
  const CrashEnumerator::Counts& counts = enumerator.counts();
  std::printf("%llu boundaries, %llu states, %llu inside recovery\n",
              static_cast<unsigned long long>(counts.boundaries),
              static_cast<unsigned long long>(counts.states),
              static_cast<unsigned long long>(counts.inside_recovery));
  EXPECT_GT(counts.states, 300u);
}

}  // namespace
}  // namespace cairn
