#include "storage/block/compressed/frame_codec.h"

#include <string>

#include "base/random.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

std::string Noise(size_t length) {
  Random random(length);
  std::string noise(length, '\0');
  for (char& byte : noise) byte = static_cast<char>(random.Next());
  return noise;
}

TEST(FrameCodecTest, GivesBackWhatItGot) {
  FrameCompressor compressor;
  FrameExpander expander;
  for (size_t length : {1, 2, 100, 4096, 65535, 65536}) {
    for (const std::string& plain : {std::string(length, 'a'), Noise(length)}) {
      const std::string frame = compressor.Compress(plain);
      EXPECT_LE(frame.size(), plain.size());
      std::string back(length, '?');
      ASSERT_TRUE(expander.Expand(frame, back.data(), length));
      EXPECT_EQ(back, plain);
    }
  }
}

TEST(FrameCodecTest, WhatDoesNotGetSmallerIsItself) {
  const std::string noise = Noise(65536);
  EXPECT_EQ(FrameCompressor().Compress(noise), noise);
  EXPECT_LT(FrameCompressor().Compress(std::string(65536, 'x')).size(), 100u);
}

TEST(FrameCodecTest, BytesThatAreNoFrameAreRefused) {
  FrameExpander expander;
  const std::string plain(5000, 'p');
  const std::string frame = FrameCompressor().Compress(plain);
  std::string to(6000, '?');
  EXPECT_FALSE(expander.Expand(frame, to.data(), 4999));
  EXPECT_FALSE(expander.Expand(frame, to.data(), 5001));
  EXPECT_FALSE(expander.Expand(frame.substr(0, frame.size() - 1), to.data(), 5000));
  EXPECT_FALSE(expander.Expand("", to.data(), 5000));
  EXPECT_FALSE(expander.Expand(Noise(300), to.data(), 5000));
  EXPECT_TRUE(expander.Expand(frame, to.data(), 5000)) << "and it goes on";
}

}  // namespace
}  // namespace cairn
