// storage/stream/FORMAT.md says what the code does: the dumps of its example are made here.
//
// After a change of the format:
//
//   CAIRN_REWRITE=1 bazel run //tests/storage/stream:stream_format_test
//
// writes the dumps into the checkout. The words around them are yours to change.

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "storage/simulated_file_system.h"
#include "storage/stream/stream_store.h"
#include "tests/storage/format_page.h"
#include "tests/storage/stream/stream_driver.h"

namespace cairn {
namespace {

// The store of the page's example: two streams, and a third record that goes to block 2.
void WriteExample(SimulatedFileSystem& file_system) {
  StreamStoreOptions options;
  options.block_bytes = 256;
  options.checkpoint_entries = 5;
  StreamDriver driver(file_system, options);
  ASSERT_TRUE(driver.status().ok()) << driver.status();
  StreamStore& store = driver.store();
  const StreamId orders = store.Create("orders", WallTime{1000});
  const StreamId bills = store.Create("bills", WallTime{2000});
  store.Append({orders, {3, 1}, WallTime{3000}, 1, 5, "hello"});
  store.Append({bills, {4, 1}, WallTime{4000}, 2, 11, "two of them"});
  store.Append({orders, {5, 2}, WallTime{5000}, 1, 100, std::string(100, 'x')});
  store.AppliedUpTo({5, 2}, [] { return std::string("the archive"); });
  driver.RunBackground();
  ASSERT_EQ(driver.durable(), 5u);
}

TEST(StreamFormatTest, TheExampleIsWhatTheStoreWrites) {
  SimulatedFileSystem file_system;
  ASSERT_NO_FATAL_FAILURE(WriteExample(file_system));
  std::vector<std::pair<std::string, std::string>> files;
  for (const char* name : {"00000001-00000001.block", "00000001-00000002.block", "CHECKPOINT"}) {
    absl::StatusOr<std::string> bytes =
        ReadWholeFile(file_system, absl::StrCat(kStreamDirectory, "/", name));
    ASSERT_TRUE(bytes.ok()) << bytes.status();
    files.emplace_back(name, *std::move(bytes));
  }
  ExpectDumps("storage/stream/FORMAT.md", files);
  EXPECT_EQ(files.back().second,
            ReadWholeFile(file_system, absl::StrCat(kStreamDirectory, "/CHECKPOINT.copy")).value());
}

}  // namespace
}  // namespace cairn
