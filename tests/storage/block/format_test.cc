// storage/block/FORMAT.md says what the code does: the dump of its example log and the figures of
// its table of costs are made here.
//
// After a change of the format:
//
//   CAIRN_REWRITE=1 bazel run //tests/storage/block:format_test
//
// writes the dumps into the checkout. The words around them are yours to change.

#include <cstdlib>
#include <fstream>
#include <sstream>
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

namespace cairn {
namespace {

constexpr char kPage[] = "storage/block/FORMAT.md";

std::string ReadPage() {
  std::ifstream file(kPage);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// As `hexdump -C` prints it.
std::string HexDump(const std::string& bytes) {
  constexpr size_t kLine = 16;
  std::string dump;
  bool elided = false;
  for (size_t at = 0; at < bytes.size(); at += kLine) {
    const std::string line = bytes.substr(at, kLine);
    if (at > 0 && line.size() == kLine && line == bytes.substr(at - kLine, kLine)) {
      if (!elided) dump += "*\n";
      elided = true;
      continue;
    }
    elided = false;
    absl::StrAppendFormat(&dump, "%08x", at);
    std::string text;
    for (size_t i = 0; i < kLine; ++i) {
      if (i % 8 == 0) dump += ' ';
      if (i >= line.size()) {
        dump += "   ";
        continue;
      }
      const auto byte = static_cast<unsigned char>(line[i]);
      absl::StrAppendFormat(&dump, " %02x", byte);
      text += byte >= 0x20 && byte < 0x7f ? line[i] : '.';
    }
    absl::StrAppend(&dump, "  |", text, "|\n");
  }
  absl::StrAppendFormat(&dump, "%08x\n", bytes.size());
  return dump;
}

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
  std::string page = ReadPage();
  const std::string before = page;
  size_t at = 0;
  for (const char* name :
       {"MANIFEST", "00000000000000000001.block", "00000000000000000002.block"}) {
    absl::StatusOr<std::string> bytes =
        ReadWholeFile(file_system, absl::StrCat(kTestDirectory, "/", name));
    ASSERT_TRUE(bytes.ok()) << bytes.status();
    const std::string heading = absl::StrCat("`", name, "`, as `hexdump -C` prints it:\n\n```\n");
    at = page.find(heading, at);
    ASSERT_NE(at, std::string::npos) << "no dump of " << name;
    at += heading.size();
    const size_t end = page.find("```", at);
    ASSERT_NE(end, std::string::npos);
    const std::string dump = HexDump(*bytes);
    page.replace(at, end - at, dump);
    at += dump.size();
  }
  const char* root = std::getenv("BUILD_WORKSPACE_DIRECTORY");
  if (std::getenv("CAIRN_REWRITE") != nullptr && root != nullptr) {
    std::ofstream(absl::StrCat(root, "/", kPage)) << page;
    return;
  }
  EXPECT_TRUE(page == before) << "FORMAT.md does not show the log that is written, which is:\n"
                              << page.substr(page.find("as `hexdump -C` prints it"));
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
  const std::string page = ReadPage();
  for (size_t count : {1, 16, 256}) {
    EXPECT_NE(page.find(CostRow(count)), std::string::npos) << "no row " << CostRow(count);
  }
}

}  // namespace
}  // namespace cairn
