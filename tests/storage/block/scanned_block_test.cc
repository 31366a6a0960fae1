// Blocks are read side by side while a log is opened: what is found is the same whoever reads.

#include "storage/block/scanned_block.h"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/mutex.h"
#include "base/random.h"
#include "base/system_clock.h"
#include "base/thread_executor.h"
#include "gtest/gtest.h"
#include "storage/block/block_header.h"
#include "storage/block/log_directory.h"
#include "storage/block/log_scan.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/log_driver.h"

namespace cairn {
namespace {

constexpr uint64_t kHelpers = 3;

ReadHelpers Helpers(uint64_t count) {
  static const SystemClock clock;
  ReadHelpers helpers;
  while (helpers.size() < count) {
    helpers.push_back(std::make_unique<ThreadExecutor>(clock, "reader"));
  }
  return helpers;
}

absl::StatusOr<LogScan> Scan(FileSystem& files, uint64_t helpers) {
  const absl::StatusOr<LogFiles> found = ListLogFiles(files, kTestDirectory);
  if (!found.ok()) return found.status();
  const BlockLogOptions options = TestOptions();
  const ReadHelpers readers = Helpers(helpers);
  return ScanLog(
      {.file_system = files, .directory = options.directory, .identity = options.identity},
      found->blocks, readers);
}

void AddGroup(const WrittenLog& log, std::string* text) {
  const LogBounds bounds = log.bounds();
  absl::StrAppend(text, log.hard_state.term, "/", ToInteger(log.hard_state.vote), " ",
                  log.hard_state_lost, " ", bounds.base.index, "..", bounds.last.index, "@",
                  bounds.last.term, " ", bounds.last_hash.low, " torn ",
                  bounds.torn_from.value_or(0), " commit ", log.commit, "\n");
  for (const Span& span : log.spans.spans()) EncodeSpan(text, span);
  for (const FaultyEntries& range : log.faulty.Ranges()) {
    absl::StrAppend(text, "faulty ", range.first.index, "..", range.last, "@", range.first.term,
                    " ", range.file, " ", range.offset, " ", range.reason, "\n");
  }
}

// All that it says.
std::string Text(const absl::StatusOr<LogScan>& scan) {
  if (!scan.ok()) return scan.status().ToString();
  std::string text = absl::StrCat(scan->head, " ", scan->next, " ", scan->last_batch, " ",
                                  scan->last_id_hash.low, " ", scan->data_end, " ", scan->id_begin,
                                  " ", scan->lost_batches, scan->end_lost, scan->repairs.seal_head,
                                  scan->repairs.head_has_bad_entries, scan->repairs.head_is_faulty,
                                  scan->repairs.write_checkpoint, " ", scan->repairs.free_begin,
                                  "..", scan->repairs.free_end, " ", scan->torn_bytes, "\n");
  for (const auto& copy : scan->repairs.id_records) {
    absl::StrAppend(&text, "copy ", copy.block, " ", copy.offset, " ", copy.bytes);
  }
  for (const auto& [group, torn] : scan->torn) {
    absl::StrAppend(&text, "torn ", ToInteger(group), " ", torn.first, "..", torn.last, "\n");
  }
  for (const auto& [group, lost] : scan->given_up) {
    absl::StrAppend(&text, "given up ", ToInteger(group), " ", lost.first, "..", lost.last, " ",
                    lost.reason, "\n");
  }
  for (const auto& [id, why] : scan->lost_blocks) absl::StrAppend(&text, "lost ", id, why, "\n");
  for (const std::string& path : scan->missing) absl::StrAppend(&text, "missing ", path, "\n");
  for (const auto& [group, log] : scan->groups) AddGroup(log, &text);
  for (const std::string& note : scan->notes) absl::StrAppend(&text, note, "\n");
  return text;
}

// A log of some blocks and groups.
std::unique_ptr<SimulatedFileSystem> Written() {
  SimulatedFileSystem files;
  LogDriver driver(files);
  for (int i = 0; i < 40; ++i) {
    driver.Append(kGroupA, 1 + i / 10, {std::string(1500, 'x'), absl::StrCat("entry ", i)});
    if (i % 3 == 0) driver.Vote(kGroupB, {.term = Term(1 + i), .vote = NodeId{3}});
    if (i % 4 == 0) driver.Append(kGroupC, 7, {absl::StrCat("entry ", i)});
    if (i % 13 == 12) driver.Truncate(kGroupA, driver.model().at(kGroupA).last().index, 9, {});
    EXPECT_TRUE(driver.Sync().ok());
  }
  return files.WorstCaseImage();
}

TEST(ScannedBlockTest, WhoeverReadsFindsTheSame) {
  const std::unique_ptr<SimulatedFileSystem> written = Written();
  const std::vector<uint64_t> blocks = ListLogFiles(*written, kTestDirectory)->blocks;
  ASSERT_GE(blocks.size(), 5u);
  Random random(11);
  std::map<std::string, int> kinds;
  for (int round = 0; round < 300; ++round) {
    SCOPED_TRACE(round);
    const std::unique_ptr<SimulatedFileSystem> damaged = written->WorstCaseImage();
    const uint64_t places = random.Below(40);
    for (uint64_t i = 0; i < places; ++i) {
      const std::string path =
          JoinPath(kTestDirectory, BlockFileName(blocks[random.Below(blocks.size())]));
      const uint64_t at = random.Below(TestOptions().geometry.block_bytes);
      if (random.OneIn(2)) {
        damaged->FlipBits(path, at, 0x10);
      } else {
        damaged->ZeroSector(path, at / 512 * 512);
      }
    }
    const std::string alone = Text(Scan(*damaged, 0));
    ASSERT_EQ(Text(Scan(*damaged, kHelpers)), alone);
    for (const char* kind : {"given up", "faulty", "no footer"}) {
      kinds[kind] += alone.find(kind) != std::string::npos ? 1 : 0;
    }
    kinds["whole"] += Scan(*damaged, 0)->whole() ? 1 : 0;
  }
  for (const char* kind : {"given up", "faulty", "no footer", "whole"}) {
    EXPECT_GE(kinds[kind], 4) << kind;
  }
}

// Each reader of a block waits for one of another block.
TEST(ScannedBlockTest, TheyReadAtTheSameTime) {
  const std::unique_ptr<SimulatedFileSystem> written = Written();
  Mutex mutex;
  CondVar met;
  std::map<std::string, int> reading;
  bool both = false;
  written->set_fault_hook([&](const FileAccess& access) {
    if (!absl::EndsWith(access.path, ".block")) return FileFault();
    MutexLock lock(mutex);
    ++reading[access.path];
    both = both || reading.size() >= 2;
    if (both) met.NotifyAll();
    while (!both) met.Wait(mutex);
    return FileFault();
  });
  EXPECT_TRUE(Scan(*written, kHelpers).ok());
  EXPECT_TRUE(both);
}

TEST(ScannedBlockTest, TheErrorIsThatOfTheFirstBlock) {
  const std::unique_ptr<SimulatedFileSystem> written = Written();
  const std::vector<uint64_t> blocks = ListLogFiles(*written, kTestDirectory)->blocks;
  for (const size_t bad : {3, 1}) {
    const std::string path = JoinPath(kTestDirectory, BlockFileName(blocks[bad]));
    BlockHeader header =
        BlockHeader::Decode(ReadWholeFile(*written, path).value().substr(0, 512)).value();
    header.identity.node = NodeId{99};
    written->Overwrite(path, 0, header.Encode());
    written->Overwrite(path, TestOptions().geometry.block_bytes - 512, header.Encode());
    for (const uint64_t helpers : {uint64_t{0}, kHelpers}) {
      const absl::Status status = Scan(*written, helpers).status();
      EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
      EXPECT_NE(status.message().find(path), std::string::npos) << status;
    }
  }
}

}  // namespace
}  // namespace cairn
