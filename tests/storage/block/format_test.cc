// storage/block/FORMAT.md says what the code does: the dump of its example log and the figures of
// its table of costs are made here.
//
// After a change of the format:
//
//   CAIRN_REWRITE=1 bazel run //tests/storage/block:format_test
//
// writes the dumps into the checkout. The words around them are yours to change.

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gtest/gtest.h"
#include "storage/block/sync_batch.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/log_driver.h"
#include "tests/storage/format_page.h"

namespace cairn {
namespace {

constexpr char kPage[] = "storage/block/FORMAT.md";

// The log of the page's example.
void WriteExample(FileSystem& file_system) {
  BlockLogOptions options = TestOptions();
  for (uint8_t i = 0; i < 16; ++i) options.identity.cluster.bytes[i] = i;
  options.geometry = {.block_bytes = 8192, .unit_bytes = 512};
  LogDriver driver(file_system, options);
  ASSERT_TRUE(driver.status().ok()) << driver.status();
  // Batch 1: a vote and the no-op of term 1.
  LogAppend append;
  append.hard_state = HardState{.term = 1, .vote = static_cast<NodeId>(3)};
  append.runs = {MakeRun(kGroupA, ModelLog(), 1, {""}, EntryType::kNoop)};
  ASSERT_TRUE(driver.Apply(kGroupA, append).ok());
  ASSERT_TRUE(driver.Sync().ok());
  // Batch 2: two commands, one with a payload that has to be masked.
  driver.Append(kGroupA, 1, {"hello", std::string(400, '\0')});
  ASSERT_TRUE(driver.Sync().ok());
  // Batch 3: the second command is overwritten in term 2.
  driver.Vote(kGroupA, {.term = 2, .vote = static_cast<NodeId>(1)});
  driver.Truncate(kGroupA, 3, 2, {"again"});
  ASSERT_TRUE(driver.Sync().ok());
  // Batch 4, of another group, goes to block 2.
  driver.Append(kGroupB, 1, {std::string(3000, 'x')});
  ASSERT_TRUE(driver.Sync().ok());
}

TEST(FormatTest, TheExampleIsWhatTheLogWrites) {
  SimulatedFileSystem file_system;
  ASSERT_NO_FATAL_FAILURE(WriteExample(file_system));
  std::vector<std::pair<std::string, std::string>> files;
  for (const char* name :
       {"MANIFEST", "00000000000000000001.block", "00000000000000000002.block"}) {
    absl::StatusOr<std::string> bytes =
        ReadWholeFile(file_system, absl::StrCat(kTestDirectory, "/", name));
    ASSERT_TRUE(bytes.ok()) << bytes.status();
    files.emplace_back(name, *std::move(bytes));
  }
  ExpectDumps(kPage, files);
}

TEST(FormatTest, TheTwoManifestsAreTheSame) {
  SimulatedFileSystem file_system;
  ASSERT_NO_FATAL_FAILURE(WriteExample(file_system));
  EXPECT_EQ(ReadWholeFile(file_system, absl::StrCat(kTestDirectory, "/MANIFEST")).value(),
            ReadWholeFile(file_system, absl::StrCat(kTestDirectory, "/MANIFEST.copy")).value());
}

// What a batch of `count` entries of 256 bytes of one group and one term takes, as a row of the
// page's table.
std::string CostRow(size_t count) {
  ModelLog log;
  SyncBatch batch;
  batch.AddSection(kGroupA).appended = batch.AddRuns(
      {MakeRun(kGroupA, log, 1, std::vector<std::string>(count, std::string(256, 'x')))});
  const uint64_t payload = 256 * count;
  std::string row = absl::StrCat("| ", count, " | ", payload, " | ", batch.data_bytes(), " + ",
                                 batch.id_bytes(), " |");
  for (uint64_t unit : {4096, 512}) {
    const BlockGeometry geometry = {.block_bytes = 1 << 20, .unit_bytes = unit};
    const SyncBatch::Encoded encoded = batch.Encode(geometry);
    const uint64_t written = encoded.data.size() + encoded.id.size();
    absl::StrAppend(&row, " ", encoded.data.size(), " + ", encoded.id.size(), " = ", written);
    absl::StrAppendFormat(&row, " (%.2f) |",
                          static_cast<double>(written) / static_cast<double>(payload));
  }
  return row + "\n";
}

TEST(FormatTest, TheCostsAreWhatTheLogWrites) {
  const std::string page = ReadPage(kPage);
  for (size_t count : {1, 16, 256}) {
    EXPECT_NE(page.find(CostRow(count)), std::string::npos) << "no row " << CostRow(count);
  }
}

}  // namespace
}  // namespace cairn
