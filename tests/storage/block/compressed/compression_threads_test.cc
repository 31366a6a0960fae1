// Compression beside everything else that goes on in a log, on threads of its own.

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>

#include "gtest/gtest.h"
#include "storage/block/block_log.h"
#include "storage/posix_file_system.h"
#include "tests/storage/block/compressed/compressed_log.h"
#include "tests/storage/test_directory.h"

namespace cairn {
namespace {

TEST(CompressionThreadsTest, NobodyIsInTheWay) {
  TestDirectory directory;
  PosixFileSystem file_system;
  const std::shared_ptr<KeyRing> keys = TestRing(Cipher::kAes256Gcm);
  BlockLogOptions options = CompressedOptions({4096, true}, 256 << 10);
  options.directory = directory.path() + "/log";
  options.keys = keys;
  auto opened = BlockLog::Open(file_system, options);
  ASSERT_TRUE(opened.ok()) << opened.status();
  BlockLog& log = **opened;
  LogStore& store = *log.OpenGroup(kGroupA).value().store;
  std::atomic<bool> done = false;
  size_t compressed = 0;

  std::thread scrub([&] {
    ScrubPosition position;
    while (!done) {
      const CompressStep step = log.scrub()->Compress(32 << 10);
      EXPECT_TRUE(step.problems.empty());
      const ScrubStep read = log.scrub()->Step(position, 16 << 10);
      EXPECT_TRUE(read.damaged.empty() && read.healed.empty() && read.avoided.empty());
    }
  });
  std::thread reader([&] {
    while (!done) {
      const Index first = store.base().index + 1;
      const Index last = store.last().index;
      if (first > last) continue;
      const auto runs = store.Read(first, last, 20'000);
      // What was dropped meanwhile is out of range.
      EXPECT_TRUE(runs.ok() || absl::IsOutOfRange(runs.status())) << runs.status();
    }
  });

  ModelLog end;
  for (int i = 0; i < 1500 && !testing::Test::HasFailure(); ++i) {
    LogAppend append;
    append.runs = {MakeRun(kGroupA, end, 1, {CompressibleText(i, 3000)})};
    ASSERT_TRUE(store.Append(append).ok());
    end.base = append.runs.back().last();
    end.base_hash = append.runs.back().last_hash();
    if (i % 100 == 99) {
      EXPECT_TRUE(store.DropPrefix(end.base.index - (i > 400 ? 300 : 0)).ok());
    }
    if (i == 700) {
      EXPECT_TRUE(keys->Replace({TestKey(2), TestKey(1)}).ok());
    }
    absl::Status synced = absl::UnknownError("");
    log.Sync([&](absl::Status status) { synced = status; });
    ASSERT_TRUE(synced.ok()) << synced;
    compressed = std::max(compressed, log.figures().compressed_blocks);
  }
  done = true;
  scrub.join();
  reader.join();
  EXPECT_GT(compressed, 0u);
}

}  // namespace
}  // namespace cairn
