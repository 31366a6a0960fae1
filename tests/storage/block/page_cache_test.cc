// What of a log stays in the page cache of the real file system.

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "storage/posix_file_system.h"
#include "tests/storage/block/log_driver.h"
#include "tests/storage/block/test_keys.h"
#include "tests/storage/test_directory.h"

namespace cairn {
namespace {

constexpr uint64_t kUnit = 4096;
constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kDataBegin = 2 * kUnit;

// Whether the kernel can be asked, and the files have pages to drop. Asked of it, not of the code
// under test.
bool HasPageCache(const std::string& directory) {
  struct statfs information;
  if (statfs(directory.c_str(), &information) != 0 || information.f_type == TMPFS_MAGIC) {
    return false;
  }
  const std::string path = directory + "/probe";
  std::ofstream(path) << "probe";
  const int descriptor = open(path.c_str(), O_RDONLY);
  char byte;
  const iovec piece{&byte, 1};
  const bool refused = preadv2(descriptor, &piece, 1, 0, RWF_NOWAIT) < 0 && errno == EOPNOTSUPP;
  close(descriptor);
  return !refused;
}

class PageCacheTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (!HasPageCache(directory_.path())) GTEST_SKIP() << "no page cache, or it does not tell";
  }

  PageCacheTest() {
    options_ = TestOptions();
    options_.directory = directory_.path() + "/log";
    options_.geometry = {.block_bytes = 32 * kMiB, .unit_bytes = kUnit};
    if (GetParam()) options_.keys = TestRing(Cipher::kChaCha20Poly1305);
    driver_ = std::make_unique<LogDriver>(file_system_, options_);
    EXPECT_TRUE(driver_->status().ok()) << driver_->status();
    file_ = file_system_
                .Open(options_.directory + "/" + BlockFileName(1),
                      {.mode = FileSystem::OpenMode::kRead})
                .value();
  }

  // Of a size of its own in the log, with more or less around it.
  void Write(size_t entries, size_t payload_bytes) {
    driver_->Append(kGroupA, 1, std::vector<std::string>(entries, std::string(payload_bytes, 'x')));
    ASSERT_TRUE(driver_->Sync().ok());
  }

  // In order, as a member that is behind is fed; all of it must be right.
  void ReadAll() {
    LogStore& store = driver_->store(kGroupA);
    Index next = 1;
    while (next <= store.last().index) {
      auto runs = store.Read(next, store.last().index, 256 << 10);
      ASSERT_TRUE(runs.ok()) << runs.status();
      next = runs->back().last().index + 1;
    }
  }

  // The share of [begin, end) of the data that is in the page cache. File::IsCached is not asked:
  // where a page is not there the kernel begins to read it and its neighbours, and who asks a
  // moment later is told that it is.
  double CachedShare(uint64_t begin, uint64_t end) {
    const std::string path = options_.directory + "/" + BlockFileName(1);
    const int descriptor = open(path.c_str(), O_RDONLY);
    const size_t length = end - begin;
    void* const mapped = mmap(nullptr, length, PROT_READ, MAP_SHARED, descriptor,
                              static_cast<off_t>(kDataBegin + begin));
    close(descriptor);
    EXPECT_NE(mapped, MAP_FAILED);
    std::vector<unsigned char> pages(length / kUnit);
    EXPECT_EQ(mincore(mapped, length, pages.data()), 0);
    munmap(mapped, length);
    const auto cached = std::count_if(pages.begin(), pages.end(),
                                      [](unsigned char page) { return (page & 1) != 0; });
    return static_cast<double>(cached) / static_cast<double>(pages.size());
  }

  TestDirectory directory_;
  PosixFileSystem file_system_;
  BlockLogOptions options_;
  std::unique_ptr<LogDriver> driver_;
  std::unique_ptr<File> file_;
};

TEST_P(PageCacheTest, ALargeBatchIsDroppedAndASmallOneStays) {
  Write(1, 3000);
  ASSERT_TRUE(file_->IsCached(kDataBegin));
  Write(200, 5000);
  EXPECT_TRUE(file_->IsCached(kDataBegin));
  EXPECT_LT(CachedShare(2 * kUnit, 200 * kUnit), 0.1);
  Write(1, 3000);
  EXPECT_EQ(Difference(driver_->store(kGroupA), driver_->model().at(kGroupA)), "");
}

TEST_P(PageCacheTest, WhatIsReadBackIsNotKept) {
  Write(1, 3000);
  ASSERT_TRUE(file_->IsCached(kDataBegin));
  for (int i = 0; i < 20; ++i) Write(100, 6000);
  ReadAll();
  // The first few pages may have been there when it began, and the last ReadBehind::kCachedBytes
  // wait for more.
  EXPECT_LT(CachedShare(kMiB, 7 * kMiB), 0.1);
  EXPECT_EQ(Difference(driver_->store(kGroupA), driver_->model().at(kGroupA)), "");
}

TEST_P(PageCacheTest, WhatIsCachedAlreadyStays) {
  for (int i = 0; i < 300; ++i) Write(1, 30'000);
  ASSERT_TRUE(file_->IsCached(kDataBegin));
  ReadAll();
  EXPECT_GT(CachedShare(0, 8 * kMiB), 0.9);
}

INSTANTIATE_TEST_SUITE_P(Kinds, PageCacheTest, testing::Bool(),
                         [](const auto& kind) { return kind.param ? "Encrypted" : "Plain"; });

}  // namespace
}  // namespace cairn
