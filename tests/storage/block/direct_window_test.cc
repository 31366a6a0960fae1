#include "storage/block/direct_window.h"

#include <memory>
#include <string>

#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/log_driver.h"
#include "tests/storage/block/test_keys.h"

namespace cairn {
namespace {

class DirectWindowTest : public testing::TestWithParam<bool> {
 protected:
  DirectWindowTest() {
    BlockLogOptions options = TestOptions();
    options.geometry.block_bytes = 256 << 10;
    if (GetParam()) options.keys = TestRing(Cipher::kChaCha20Poly1305);
    LogDriver driver(file_system_, options);
    for (int i = 0; i < 40; ++i) {
      driver.Append(kGroupA, 1, {std::string(3000, static_cast<char>('a' + i % 23))});
      EXPECT_TRUE(driver.Sync().ok());
    }
    file_ = BlockFile::Open(file_system_, JoinPath(kTestDirectory, BlockFileName(1)), 1,
                            options.identity, options.keys.get(), FileSystem::OpenMode::kRead)
                .value();
  }

  SimulatedFileSystem file_system_;
  std::unique_ptr<BlockFile> file_;
};

TEST_P(DirectWindowTest, ShowsWhatStandsThere) {
  const std::unique_ptr<BlockBytes> whole = file_->Image();
  BlockBytes& image = *whole;
  DirectWindow window(*file_);
  ASSERT_EQ(window.size(), image.size());
  Random random(3);
  for (int i = 0; i < 2000; ++i) {
    const uint64_t offset = random.Below(image.size() + 100);
    const uint64_t length = random.OneIn(20) ? random.Below(image.size()) : random.Below(6000);
    EXPECT_EQ(window.View(offset, length).view(), image.View(offset, length).view())
        << offset << " " << length;
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, DirectWindowTest, testing::Bool(),
                         [](const auto& kind) { return kind.param ? "Encrypted" : "Plain"; });

}  // namespace
}  // namespace cairn
