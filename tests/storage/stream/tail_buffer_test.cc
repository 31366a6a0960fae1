#include "storage/stream/tail_buffer.h"

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

void Append(TailBuffer& tail, Place place, const std::string& bytes) {
  std::memcpy(tail.Reserve(place, bytes.size()), bytes.data(), bytes.size());
  tail.Commit();
}

TEST(TailBufferTest, HasNothingBeforeTheFirstAppend) {
  TailBuffer tail(1000);
  EXPECT_FALSE(tail.begin().has_value());
  EXPECT_FALSE(tail.From({1, 0}).has_value());
  EXPECT_TRUE(tail.Unwritten().empty());
  tail.Reserve({1, 32}, 10);
  EXPECT_FALSE(tail.From({1, 32}).has_value());
  tail.Commit();
  EXPECT_EQ(*tail.begin(), (Place{1, 32}));
  EXPECT_EQ(tail.From({1, 40})->size(), 2u);
  EXPECT_FALSE(tail.From({1, 31}).has_value());
  EXPECT_FALSE(tail.From({1, 42}).has_value());
}

// Files written from the pieces hold what was appended, and what memory drops is in them.
TEST(TailBufferTest, WhatIsWrittenAndWhatIsKeptIsWhatWasAppended) {
  for (size_t keep : {size_t{0}, 2 * TailBuffer::kChunkBytes, size_t{1} << 20}) {
    Random random(keep + 1);
    TailBuffer tail(keep);
    std::map<uint32_t, std::string> appended;
    std::map<uint32_t, std::string> written;
    std::vector<TailBuffer::Piece> pieces;
    uint32_t block = 1;
    for (int i = 0; i < 2000; ++i) {
      if (random.OneIn(50)) ++block;
      const size_t length = 1 + random.Below(random.OneIn(20) ? 200'000 : 3000);
      const auto offset = static_cast<uint32_t>(appended[block].size());
      const std::string bytes(length, static_cast<char>('a' + i % 26));
      Append(tail, {block, offset}, bytes);
      appended[block] += bytes;
      if (random.OneIn(5)) {  // what was appended between the two calls stays unwritten
        tail.Written(pieces);
        pieces = tail.Unwritten();
        for (const TailBuffer::Piece& piece : pieces) {
          ASSERT_EQ(written[piece.place.block].size(), piece.place.offset);
          written[piece.place.block] += std::string(piece.bytes.view());
        }
      }
      const Place begin = *tail.begin();
      ASSERT_LE(begin.offset, written[begin.block].size());
      const Place wanted = {block, static_cast<uint32_t>(random.Below(appended[block].size()))};
      if (wanted >= begin) {
        std::string found(tail.From(wanted)->view());
        ASSERT_EQ(found, appended[block].substr(wanted.offset, found.size()));
      }
    }
    tail.Written(pieces);
    uint64_t missing = 0;
    for (const auto& [number, bytes] : appended) {
      ASSERT_EQ(written[number], bytes.substr(0, written[number].size()));
      missing += bytes.size() - written[number].size();
    }
    EXPECT_EQ(tail.unwritten_bytes(), missing);
    tail.Written(tail.Unwritten());
    EXPECT_EQ(tail.unwritten_bytes(), 0u);
    EXPECT_LE(tail.memory_bytes(), keep + 200'000);
  }
}

}  // namespace
}  // namespace cairn
