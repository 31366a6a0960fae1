#include "storage/block/compressed/compressed_layout.h"

#include <cstdint>
#include <map>

#include "base/random.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

// Layouts by chance, as blocks may have them.
class LayoutMaker {
 public:
  explicit LayoutMaker(uint64_t seed) : random_(seed) {
    unit_bytes_ = random_.OneIn(2) ? 512 : 4096;
    const uint64_t overhead = random_.OneIn(2) ? 20 : 0;
    const uint64_t units = 16 + random_.Below(600);
    geometry_ = {.block_bytes = units * (unit_bytes_ - overhead),
                 .unit_bytes = unit_bytes_ - overhead};
    const uint64_t unit = geometry_.unit_bytes;
    const auto between = [&](uint64_t begin, uint64_t end) {
      return begin + random_.Below((end - begin) / unit + 1) * unit;
    };
    compression_.data_end = between(2 * unit, geometry_.id_end());
    compression_.id_begin = between(compression_.data_end, geometry_.id_end());
    compression_.footer_begin = between(compression_.data_end, compression_.id_begin);
    compression_.footer_bytes = between(0, compression_.id_begin - compression_.footer_begin);
    compression_.frames_bytes = random_.Below(compression_.data_end - 2 * unit + 1);
    compression_.file_bytes = Make().LeastFileBytes();
  }
  CompressedLayout Make() const { return {geometry_, compression_, unit_bytes_}; }
  BlockCompression& compression() { return compression_; }
  Random& random() { return random_; }

 private:
  Random random_;
  uint64_t unit_bytes_ = 0;
  BlockGeometry geometry_;
  BlockCompression compression_;
};

TEST(CompressedLayoutTest, EachOffsetHasOnePlaceAndNoPlaceHasTwo) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    const CompressedLayout layout = LayoutMaker(seed).Make();
    ASSERT_TRUE(layout.IsValid());
    const BlockGeometry& geometry = layout.geometry();
    // What is stored, by where it begins: where it ends.
    std::map<uint64_t, uint64_t> stored;
    for (int copy : {0, 1}) {
      stored[layout.table_at(copy)] =
          layout.table_at(copy) + geometry.RoundUp(layout.table_bytes());
    }
    if (layout.compression().frames_bytes != 0) {
      stored[layout.frames_at()] = layout.frames_at() + layout.compression().frames_bytes;
    }
    uint64_t frames = 0;
    for (uint64_t at = 0; at < geometry.block_bytes;) {
      const CompressedLayout::Part part = layout.PartAt(at);
      ASSERT_EQ(part.begin, at);
      ASSERT_GT(part.end, at);
      ASSERT_EQ(layout.PartAt(part.end - 1).begin, at);
      using Kind = CompressedLayout::Part::Kind;
      if (part.kind == Kind::kFrame) {
        ASSERT_EQ(part.frame, frames++);
        ASSERT_LE(part.end - part.begin, kFrameBytes);
      } else if (part.kind == Kind::kStored) {
        ASSERT_TRUE(stored.emplace(part.stored, part.stored + (part.end - at)).second);
        EXPECT_EQ(layout.StoredAt(at, part.end - at), part.stored);
        EXPECT_EQ(layout.StoredAt(at, part.end - at + 1), std::nullopt);
      } else {
        EXPECT_EQ(layout.StoredAt(at, 1), std::nullopt);
      }
      at = part.end;
    }
    EXPECT_EQ(frames, layout.frames());
    uint64_t end = 0;
    for (const auto& [begin, its_end] : stored) {
      EXPECT_GE(begin, end);
      end = its_end;
    }
    EXPECT_EQ(end, layout.stored_bytes());
  }
}

TEST(CompressedLayoutTest, WhatCannotBeIsRefused) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    LayoutMaker maker(seed);
    const BlockCompression good = maker.compression();
    BlockCompression& bad = maker.compression();
    const uint64_t unit = maker.Make().geometry().unit_bytes;
    bad.data_end = good.data_end + 1;
    EXPECT_FALSE(maker.Make().IsValid());
    bad = good;
    bad.data_end = good.id_begin + unit;
    EXPECT_FALSE(maker.Make().IsValid());
    bad = good;
    bad.data_end = unit;
    EXPECT_FALSE(maker.Make().IsValid());
    bad = good;
    bad.id_begin = maker.Make().geometry().id_end() + unit;
    EXPECT_FALSE(maker.Make().IsValid());
    bad = good;
    bad.footer_bytes = good.id_begin - good.footer_begin + unit;
    EXPECT_FALSE(maker.Make().IsValid());
    bad = good;
    bad.frames_bytes = good.data_end - 2 * unit + 1;
    EXPECT_FALSE(maker.Make().IsValid());
    bad = good;
    bad.file_bytes -= kBlockAlignment;
    EXPECT_FALSE(maker.Make().IsValid());
    bad = good;
    bad.file_bytes += 512;
    EXPECT_FALSE(maker.Make().IsValid());
    // Whatever stands there, it is looked at without harm.
    for (uint64_t* field : {&bad.data_end, &bad.footer_begin, &bad.footer_bytes, &bad.id_begin,
                            &bad.frames_bytes, &bad.file_bytes}) {
      bad = good;
      *field = maker.random().Next();
      maker.Make().IsValid();
    }
  }
}

}  // namespace
}  // namespace cairn
