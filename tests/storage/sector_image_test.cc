#include "storage/sector_image.h"

#include <string>

#include "base/random.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

std::string Content(const SectorImage& image) {
  std::string content(image.length() + 10, '?');
  content.resize(image.Read(0, content.size(), content.data()));
  return content;
}

TEST(SectorImageTest, CopiesDoNotShareWrites) {
  SectorImage image;
  image.Write(0, std::string(10'000, 'x'));
  SectorImage copy = image;
  copy.Write(5'000, "y");
  image.Write(9'999, "z");
  std::string expected(10'000, 'x');
  expected[5'000] = 'y';
  EXPECT_EQ(Content(copy), expected);
  expected[5'000] = 'x';
  expected[9'999] = 'z';
  EXPECT_EQ(Content(image), expected);
}

TEST(SectorImageTest, SectorsBehindTheEndAreUnseenUntilItGrows) {
  SectorImage image;
  image.Write(0, "abc");
  image.WriteSector(1, std::string(kSectorBytes, 's'));
  EXPECT_EQ(Content(image), "abc");
  SectorImage cut = image;
  cut.SetLength(cut.length());
  cut.SetLength(600);
  EXPECT_EQ(Content(cut), "abc" + std::string(597, '\0'));
  image.SetLength(600);
  EXPECT_EQ(Content(image), "abc" + std::string(509, '\0') + std::string(88, 's'));
}

TEST(SectorImageTest, BehavesLikeAString) {
  Random random(1);
  SectorImage image;
  std::string model;
  for (int step = 0; step < 3'000; ++step) {
    const size_t offset = static_cast<size_t>(random.Below(20'000));
    if (random.OneIn(10)) {
      image.SetLength(offset);
      model.resize(offset, '\0');
    } else {
      const std::string data(static_cast<size_t>(random.Below(6'000)),
                             static_cast<char>(random.Below(3)));
      image.Write(offset, data);
      if (!data.empty() && model.size() < offset + data.size()) {
        model.resize(offset + data.size(), '\0');
      }
      if (!data.empty()) model.replace(offset, data.size(), data);
    }
    ASSERT_EQ(Content(image), model) << "step " << step;
    const uint64_t sector = random.Below(50);
    std::string expected(kSectorBytes, '\0');
    if (sector * kSectorBytes < model.size()) {
      const std::string there = model.substr(sector * kSectorBytes, kSectorBytes);
      expected.replace(0, there.size(), there);
    }
    const auto read = image.ReadSector(sector);
    ASSERT_EQ(std::string(read.data(), read.size()), expected) << "step " << step;
  }
}

}  // namespace
}  // namespace cairn
