#include "storage/checksum.h"

#include <string>

#include "gtest/gtest.h"

namespace cairn {
namespace {

// The values of XXH3 with seed 0. What stands on disks depends on them.
TEST(ChecksumTest, IsXxh3) {
  EXPECT_EQ(Checksum(""), 0x2d06800538d394c2u);
  EXPECT_EQ(Checksum("a"), 0xe6c632b61e964e1fu);
  EXPECT_EQ(ToString(Hash128("")), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(ToString(Hash128("a")), "a96faf705af16834e6c632b61e964e1f");
}

TEST(ChecksumTest, EveryBitCounts) {
  std::string bytes(104, 'x');
  const uint64_t checksum = Checksum(bytes);
  const EntryHash hash = Hash128(bytes);
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string other = bytes;
    other[bit / 8] = static_cast<char>(other[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_NE(Checksum(other), checksum);
    EXPECT_NE(Hash128(other).low, hash.low);
    EXPECT_NE(Hash128(other).high, hash.high);
  }
}

}  // namespace
}  // namespace cairn
