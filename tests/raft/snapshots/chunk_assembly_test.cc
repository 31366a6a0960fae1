#include "raft/snapshots/chunk_assembly.h"

#include <optional>
#include <string>
#include <utility>

#include "base/random.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

constexpr size_t kGrain = kSnapshotGrainBytes;
using Piece = std::optional<std::pair<uint64_t, size_t>>;

std::string Content(size_t bytes) {
  std::string content(bytes, 'x');
  for (size_t i = 0; i < bytes; i += 7) content[i] = static_cast<char>('a' + i / kGrain);
  return content;
}

TEST(ChunkAssemblyTest, EachPieceIsAskedForOnce) {
  ChunkAssembly chunk(3 * kGrain + 5);
  EXPECT_EQ(chunk.Ask(2 * kGrain + 1), Piece({0, 2 * kGrain}));
  EXPECT_EQ(chunk.Ask(1), Piece({2 * kGrain, kGrain})) << "a grain at the least";
  EXPECT_EQ(chunk.Ask(2 * kGrain), Piece({3 * kGrain, 5}));
  EXPECT_EQ(chunk.Ask(kGrain), std::nullopt);
  const std::string content = Content(3 * kGrain + 5);
  EXPECT_TRUE(chunk.Put(kGrain, content.substr(kGrain, kGrain)));
  chunk.Lost(0, 2 * kGrain);
  EXPECT_EQ(chunk.Ask(4 * kGrain), Piece({0, kGrain})) << "what has come is not lost";
  EXPECT_EQ(chunk.Ask(4 * kGrain), std::nullopt);
  EXPECT_TRUE(chunk.Put(0, content));
  EXPECT_TRUE(chunk.complete());
  EXPECT_FALSE(chunk.inherited());
  EXPECT_TRUE(chunk.bytes() == content);
}

TEST(ChunkAssemblyTest, WhatIsNoPieceChangesNothing) {
  ChunkAssembly chunk(2 * kGrain + 5);
  const std::string zeros(2 * kGrain + 5, '\0');
  const std::string bytes = Content(4 * kGrain);
  EXPECT_FALSE(chunk.Put(1, bytes.substr(0, kGrain)));
  EXPECT_FALSE(chunk.Put(0, bytes.substr(0, kGrain - 1)));
  EXPECT_FALSE(chunk.Put(0, bytes.substr(0, 3 * kGrain)));
  EXPECT_FALSE(chunk.Put(2 * kGrain, bytes.substr(0, 4)));
  EXPECT_FALSE(chunk.Put(4 * kGrain, bytes.substr(0, kGrain)));
  EXPECT_FALSE(chunk.Put(0, ""));
  EXPECT_TRUE(chunk.bytes() == zeros);
  EXPECT_TRUE(chunk.Put(kGrain, bytes.substr(0, kGrain)));
  EXPECT_FALSE(chunk.Put(kGrain, bytes.substr(0, kGrain))) << "it has come";
}

TEST(ChunkAssemblyTest, WhatWasKeptIsThere) {
  const std::string content = Content(3 * kGrain + 5);
  std::string kept = content;
  kept.replace(kGrain, kGrain, std::string(kGrain, '\0'));
  ChunkAssembly chunk(kept);
  EXPECT_TRUE(chunk.inherited());
  EXPECT_EQ(chunk.Ask(9 * kGrain), Piece({kGrain, kGrain}));
  EXPECT_TRUE(chunk.Put(kGrain, content.substr(kGrain, kGrain)));
  EXPECT_TRUE(chunk.complete());
  EXPECT_TRUE(chunk.bytes() == content);
  // All of it, and it did not match; nothing of it.
  for (const std::string& useless : {content, std::string(content.size(), '\0')}) {
    ChunkAssembly anew(useless);
    EXPECT_FALSE(anew.inherited());
    EXPECT_FALSE(anew.complete());
    EXPECT_EQ(anew.Ask(9 * kGrain), Piece({0, content.size()}));
  }
}

// Pieces of all lengths, some lost, some twice, in any order.
TEST(ChunkAssemblyTest, ComesTogetherInAnyOrder) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const std::string content = Content(1 + random.Below(9 * kGrain));
    ChunkAssembly chunk(content.size());
    std::vector<std::pair<uint64_t, size_t>> under_way;
    while (!chunk.complete()) {
      if (const Piece piece = chunk.Ask(1 + random.Below(3 * kGrain))) under_way.push_back(*piece);
      ASSERT_FALSE(under_way.empty()) << "something is missing that nobody asks for";
      if (random.OneIn(2)) continue;
      const size_t which = random.Below(under_way.size());
      const auto [offset, bytes] = under_way[which];
      if (!random.OneIn(5)) under_way.erase(under_way.begin() + static_cast<long>(which));
      if (random.OneIn(3)) {
        chunk.Lost(offset, bytes);
      } else {
        chunk.Put(offset, content.substr(offset, bytes));
      }
    }
    EXPECT_TRUE(chunk.Take() == content);
  }
}

}  // namespace
}  // namespace cairn
