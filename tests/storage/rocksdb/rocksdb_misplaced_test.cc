// Pieces of RocksDB's files that are valid and stand at another place (fault catalogue D14): its
// own checksums do not notice. No wrong entry is given, what is missing is named, and others'
// entries heal it.

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/file_system.h"
#include "storage/log_store.h"
#include "storage/record.h"
#include "storage/rocksdb/database.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/log_twin.h"
#include "tests/storage/rocksdb/rocksdb_subject.h"

namespace cairn {
namespace {

using testing::Gt;
using testing::SizeIs;

// So few that only the last byte of their keys differs, and all of one size: so are the blocks.
constexpr Index kEntries = 180;
constexpr size_t kPayloadBytes = 1000;

std::string Payload(Index index) {
  std::string payload = absl::StrCat("entry number ", absl::Dec(index, absl::kZeroPad3), " ");
  payload.resize(kPayloadBytes, static_cast<char>('a' + index % 16));
  return payload;
}

class RocksDbMisplacedTest : public testing::Test {
 protected:
  void SetUp() override {
    Append(1, kEntries);
    ASSERT_EQ(subject_.Open(), absl::OkStatus());  // which writes a table
    Close();
  }
  void Append(Term term, Index count) {
    ASSERT_EQ(subject_.Open(), absl::OkStatus());
    std::vector<std::string> payloads;
    for (Index i = 1; i <= count; ++i) payloads.push_back(Payload(subject_.given.last() + i));
    LogAppend append;
    append.hard_state = subject_.given.hard_state = HardState{term, NodeId{1}};
    append.runs = {subject_.given.AddRun(term, payloads)};
    ASSERT_EQ(subject_.store->Append(append), absl::OkStatus());
    ASSERT_EQ(SyncOf(*subject_.disk), absl::OkStatus());
    subject_.acknowledged = subject_.given;
  }
  void Close() {
    subject_.store = nullptr;
    subject_.disk = nullptr;
  }
  std::vector<std::string> Tables() {
    std::vector<std::string> tables;
    const std::vector<std::string> names = files_.List("/log/db").value();
    for (const std::string& name : names) {
      if (absl::EndsWith(name, ".sst")) tables.push_back(absl::StrCat("/log/db/", name));
    }
    return tables;
  }
  // Where the blocks of the table begin that begin with an entry. In front of a payload is its
  // head, with the whole key at a block's beginning and every sixteenth entry; before a block's
  // beginning also the end of the block before.
  static std::vector<size_t> BlocksOf(const std::string& table) {
    std::map<size_t, std::vector<size_t>> payloads_by_gap;
    size_t end = 0;
    for (Index index = 1; index <= kEntries; ++index) {
      const size_t at = table.find(Payload(index));
      if (at == std::string::npos) return {};
      if (end != 0) payloads_by_gap[at - end].push_back(at);
      end = at + kPayloadBytes;
    }
    // Within a block, at every sixteenth, at a block's beginning.
    if (payloads_by_gap.size() != 3) return {};
    auto gap = payloads_by_gap.begin();
    const size_t head = (++gap)->first;
    std::vector<size_t> blocks;
    for (const size_t payload : (++gap)->second) blocks.push_back(payload - head);
    return blocks;
  }
  // What is left can be read and is right, what is not is named, and heals. Gives how many ranges
  // were named.
  void ExpectHealed(const std::unique_ptr<SimulatedFileSystem>& image, size_t* named) {
    RocksDbSubject subject(*image);
    subject.options = subject_.options;
    subject.given = subject.acknowledged = subject_.given;
    ASSERT_EQ(subject.Open(), absl::OkStatus());
    EXPECT_FALSE(subject.recovered.torn_from.has_value());
    *named = subject.recovered.faulty.size();
    subject.ExpectNothingWrong();
    for (const FaultyEntries& range : subject.recovered.faulty) {
      std::vector<RecordRun> runs;
      for (Index index = range.first.index; index <= range.last; ++index) {
        const Bytes record = Bytes::Copy(subject_.given.At(index).record);
        runs.push_back(RecordRun::Parse(kGroup, record).value());
      }
      ASSERT_EQ(subject.store->Repair(runs), absl::OkStatus()) << range.first.index;
    }
    ASSERT_EQ(SyncOf(*subject.disk), absl::OkStatus());
    for (int start = 0; start < 2; ++start) {
      const auto all = subject.store->Read(1, subject.given.last(), kNoLimit);
      ASSERT_TRUE(all.ok()) << all.status();
      std::string expected;
      for (const TwinEntry& entry : subject.given.entries) expected += entry.record;
      EXPECT_TRUE(RecordsOf(*all) == expected);
      ASSERT_EQ(subject.Open(), absl::OkStatus());
      EXPECT_TRUE(subject.recovered.faulty.empty());
    }
  }

  void ExpectNamedAndHealed(const std::unique_ptr<SimulatedFileSystem>& image) {
    size_t named = 0;
    ASSERT_NO_FATAL_FAILURE(ExpectHealed(image, &named));
    EXPECT_GT(named, 0u);
  }

  // A table of each of several changes, of which some overwrite what others hold.
  void WriteTables() {
    subject_.options.merges_tables = false;
    struct Part {
      Index from;
      Index count;
    };
    Term term = 1;
    for (const Part part : {Part{100, 80}, Part{180, 80}, Part{200, 60}, Part{260, 60}}) {
      subject_.given.TruncateFrom(part.from);
      ASSERT_NO_FATAL_FAILURE(Append(++term, part.count));
    }
    ASSERT_EQ(subject_.Open(), absl::OkStatus());
    Close();
    ASSERT_THAT(Tables(), SizeIs(5));
  }

  SimulatedFileSystem files_;
  RocksDbSubject subject_{files_};
};

TEST_F(RocksDbMisplacedTest, BlocksOfATableThatAreExchanged) {
  ASSERT_THAT(Tables(), SizeIs(1));
  const std::string path = Tables()[0];
  const std::string table = ReadWholeFile(files_, path).value();
  const std::vector<size_t> blocks = BlocksOf(table);
  ASSERT_THAT(blocks, SizeIs(Gt(3u)));
  const size_t size = blocks[1] - blocks[0];
  int tried = 0;
  for (size_t one = 0; one + 2 < blocks.size(); ++one) {
    for (const size_t other : std::set<size_t>{one + 1, blocks.size() - 2}) {
      SCOPED_TRACE(absl::StrCat("blocks ", one, " and ", other));
      ASSERT_EQ(blocks[one + 1] - blocks[one], size);
      ASSERT_EQ(blocks[other + 1] - blocks[other], size);
      std::string exchanged = table;
      exchanged.replace(blocks[one], size, table.substr(blocks[other], size));
      exchanged.replace(blocks[other], size, table.substr(blocks[one], size));
      const std::unique_ptr<SimulatedFileSystem> image = files_.WorstCaseImage();
      ASSERT_EQ(WriteFileAtomically(*image, path, exchanged), absl::OkStatus());
      {
        const absl::StatusOr<Database> database = OpenDatabaseToRead(*image, "/log/db");
        ASSERT_TRUE(database.ok() && database->db->VerifyChecksum().ok()) << "it is no rot";
      }
      ExpectNamedAndHealed(image);
      ++tried;
    }
  }
  EXPECT_GE(tried, 4);
}

// One block in the place of another one, whose entries are nowhere then.
TEST_F(RocksDbMisplacedTest, ABlockThatStandsTwice) {
  const std::string path = Tables()[0];
  const std::string table = ReadWholeFile(files_, path).value();
  const std::vector<size_t> blocks = BlocksOf(table);
  ASSERT_THAT(blocks, SizeIs(Gt(3u)));
  const size_t size = blocks[1] - blocks[0];
  for (size_t from = 0; from + 1 < blocks.size(); ++from) {
    for (const size_t to : std::set<size_t>{from + 1, from - 1}) {
      if (to >= blocks.size() - 1) continue;  // there is none
      SCOPED_TRACE(absl::StrCat("block ", from, " also at ", to));
      std::string twice = table;
      twice.replace(blocks[to], size, table.substr(blocks[from], size));
      const std::unique_ptr<SimulatedFileSystem> image = files_.WorstCaseImage();
      ASSERT_EQ(WriteFileAtomically(*image, path, twice), absl::OkStatus());
      ExpectNamedAndHealed(image);
    }
  }
}

// RocksDB notices that, and makes a database of what they hold, whatever they are called.
TEST_F(RocksDbMisplacedTest, TablesUnderEachOthersNames) {
  ASSERT_NO_FATAL_FAILURE(WriteTables());
  const std::vector<std::string> tables = Tables();
  for (size_t one = 0; one < tables.size(); ++one) {
    for (size_t other = one + 1; other < tables.size(); ++other) {
      SCOPED_TRACE(absl::StrCat(tables[one], " and ", tables[other]));
      const std::unique_ptr<SimulatedFileSystem> image = files_.WorstCaseImage();
      ASSERT_EQ(image->Rename(tables[one], "/log/kept"), absl::OkStatus());
      ASSERT_EQ(image->Rename(tables[other], tables[one]), absl::OkStatus());
      ASSERT_EQ(image->Rename("/log/kept", tables[other]), absl::OkStatus());
      size_t named = 0;
      ASSERT_NO_FATAL_FAILURE(ExpectHealed(image, &named));
      EXPECT_EQ(named, 0u);
    }
  }
}

// What stood in the table whose place another one takes is nowhere then.
TEST_F(RocksDbMisplacedTest, ATableUnderTheNameOfAnotherOne) {
  ASSERT_NO_FATAL_FAILURE(WriteTables());
  const std::vector<std::string> tables = Tables();
  for (const std::string& from : tables) {
    for (const std::string& to : tables) {
      if (from == to) continue;
      for (const bool is_left : {false, true}) {
        SCOPED_TRACE(absl::StrCat(from, " as ", to, is_left ? ", and as itself" : ""));
        const std::unique_ptr<SimulatedFileSystem> image = files_.WorstCaseImage();
        const std::string table = ReadWholeFile(*image, from).value();
        ASSERT_EQ(WriteFileAtomically(*image, to, table), absl::OkStatus());
        if (!is_left) {
          ASSERT_EQ(image->Remove(from), absl::OkStatus());
        }
        ASSERT_NO_FATAL_FAILURE(ExpectNamedAndHealed(image));
      }
    }
  }
}

// Reads change nothing, and are many.
bool Changes(const FileAccess& access) {
  using enum FileAccess::Operation;
  return access.operation != kOpen && access.operation != kRead &&
         access.operation != kReadDirect && access.operation != kList;
}

// What the repair moves away it takes back, and moves away again.
TEST_F(RocksDbMisplacedTest, APowerCutWhileACopyIsMovedAway) {
  ASSERT_NO_FATAL_FAILURE(WriteTables());
  const std::vector<std::string> tables = Tables();
  const std::string table = ReadWholeFile(files_, tables[1]).value();
  ASSERT_EQ(WriteFileAtomically(files_, tables[3], table), absl::OkStatus());
  int cuts = 0;
  for (bool ended = false; !ended; ++cuts) {
    SCOPED_TRACE(absl::StrCat("call ", cuts));
    const std::unique_ptr<SimulatedFileSystem> image = files_.WorstCaseImage();
    std::atomic<int> calls = 0;
    image->set_fault_hook([&calls, cuts](const FileAccess& access) {
      FileFault fault;
      if (Changes(access) && ++calls > cuts) fault.error = EIO;
      return fault;
    });
    RocksDbSubject subject(*image);
    subject.options = subject_.options;
    subject.given = subject.acknowledged = subject_.given;
    ended = subject.Open().ok() && calls <= cuts;
    subject.store = nullptr;
    subject.disk = nullptr;
    Random random(static_cast<uint64_t>(cuts));
    image->Crash(cuts % 2 == 0 ? CrashPolicy::kDropAll : CrashPolicy::kRandomSubset, random);
    image->set_fault_hook(nullptr);
    ASSERT_EQ(subject.Open(), absl::OkStatus());
    EXPECT_FALSE(subject.recovered.torn_from.has_value());
    EXPECT_FALSE(subject.recovered.faulty.empty());
    subject.ExpectNothingWrong();
    if (HasFailure()) return;
  }
  EXPECT_GT(cuts, 30);
}

}  // namespace
}  // namespace cairn
