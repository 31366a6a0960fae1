// Files of a log that are missing, cut short, older, or another's (fault catalogue D4, D10, D15):
// none of it makes a log that was acknowledged a shorter one, or a new one, without a word. What a
// block held is lost with it, and the others have it (tests/storage/block/lost/lost_block_test.cc):
// the log is opened without.

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "storage/block/block_file.h"
#include "storage/block/block_walk.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/log_driver.h"
#include "tests/storage/block/test_keys.h"

namespace cairn {
namespace {

constexpr char kManifest[] = "/log/MANIFEST";
constexpr char kManifestCopy[] = "/log/MANIFEST.copy";
constexpr NodeId kSelf = static_cast<NodeId>(3);

std::string PathOf(uint64_t block) { return JoinPath(kTestDirectory, BlockFileName(block)); }

std::string Text(const char* what, uint64_t i, size_t length) {
  std::string text = absl::StrCat(what, " ", i, " ");
  text.resize(length, static_cast<char>('a' + i % 26));
  return text;
}

// A log of three blocks in use, all of it synced. Group B has a vote of its own batch in the second
// block; group A has entries in all of them.
class Subject {
 public:
  explicit Subject(BlockLogOptions options = TestOptions()) {
    LogDriver driver(disk_, std::move(options));
    EXPECT_TRUE(driver.status().ok()) << driver.status();
    driver.Vote(kGroupA, {.term = 1, .vote = kSelf});
    driver.Append(kGroupB, 1, {"one", "two", "three"});
    Sync(driver);
    while (driver.log().figures().blocks < 2) Append(driver, 1);
    Append(driver, 2);
    driver.Vote(kGroupB, {.term = 5, .vote = kSelf});
    Sync(driver);
    vote_batch_ = driver.log().figures().batches;
    Append(driver, 2);
    while (driver.log().figures().blocks < 3) Append(driver, 2);
    Append(driver, 3);
    Append(driver, 3);
    model_ = driver.synced();
  }

  // The disk after the machine was started again.
  std::unique_ptr<SimulatedFileSystem> Image() const { return disk_.WorstCaseImage(); }
  const Model& model() const { return model_; }
  uint64_t vote_batch() const { return vote_batch_; }
  // What stood in each block after each batch, without what came twice.
  const std::map<uint64_t, std::vector<std::string>>& versions() const { return versions_; }

 private:
  void Append(LogDriver& driver, Term term) {
    driver.Append(kGroupA, term, {Text("entry", driver.log().figures().batches, 700)});
    Sync(driver);
  }
  void Sync(LogDriver& driver) {
    ASSERT_TRUE(driver.Sync().ok());
    for (uint64_t block = 1; disk_.Exists(PathOf(block)).value(); ++block) {
      std::string bytes = ReadWholeFile(disk_, PathOf(block)).value();
      std::vector<std::string>& versions = versions_[block];
      if (versions.empty() || versions.back() != bytes) versions.push_back(std::move(bytes));
    }
  }

  SimulatedFileSystem disk_;
  Model model_;
  uint64_t vote_batch_ = 0;
  std::map<uint64_t, std::vector<std::string>> versions_;
};

const Subject& TheSubject() {
  static const Subject* const kSubject = new Subject();
  return *kSubject;
}

enum class Finding { kIntact, kNamed, kWrong };

bool Names(const absl::Status& status, const std::vector<std::string>& paths) {
  return absl::IsDataLoss(status) &&
         std::any_of(paths.begin(), paths.end(), [&](const std::string& path) {
           return absl::StrContains(status.message(), path);
         });
}

// One group: everything is as in the model, or what is not is said.
Finding JudgeGroup(const OpenedLog& opened, const ModelLog& expected,
                   const std::vector<std::string>& damaged) {
  const RecoveredLog& found = opened.recovered;
  bool intact = true;
  const RecordRun* last = nullptr;
  for (const RecordRun& entry : expected.entries) {
    const Index index = entry.last().index;
    // One that says so may have an older log, never another one.
    if (found.hard_state_lost && index > opened.store->last().index) break;
    last = &entry;
    const auto read = opened.store->Read(index, index, 1);
    if (read.ok() && (*read)[0].bytes() == entry.bytes()) continue;
    // Of a sealed block it is told when the entry is read, otherwise when the log is opened.
    const bool in_no_block = Names(read.status(), {absl::StrCat(kTestDirectory, ": entry ")});
    if (!in_no_block && !Names(read.status(), damaged)) return Finding::kWrong;
    intact = false;
  }
  if (found.hard_state_lost) {
    intact = false;
  } else if (found.hard_state != expected.hard_state) {
    return Finding::kWrong;
  }
  if (found.base != expected.base || found.base_hash != expected.base_hash) return Finding::kWrong;
  const LogPosition end = last == nullptr ? expected.base : last->last();
  const EntryHash end_hash = last == nullptr ? expected.base_hash : last->last_hash();
  if (opened.store->last() != end || found.last_hash != end_hash) return Finding::kWrong;
  if (found.torn_from || found.report.torn_first != 0) return Finding::kWrong;
  return intact ? Finding::kIntact : Finding::kNamed;
}

// Opens the log. What is missing or wrong in `damaged` must be named, by one of these paths.
Finding Judge(SimulatedFileSystem& file_system, const std::vector<std::string>& damaged,
              const Model& model, const BlockLogOptions& options = TestOptions()) {
  absl::StatusOr<std::unique_ptr<BlockLog>> log = BlockLog::Open(file_system, options);
  if (!log.ok()) return Names(log.status(), damaged) ? Finding::kNamed : Finding::kWrong;
  Finding finding = Finding::kIntact;
  for (const auto& [group, expected] : model) {
    absl::StatusOr<OpenedLog> opened = (*log)->OpenGroup(group);
    if (!opened.ok()) return Finding::kWrong;
    const Finding of_group = JudgeGroup(*opened, expected, damaged);
    if (of_group == Finding::kWrong) return of_group;
    if (of_group == Finding::kNamed) finding = of_group;
  }
  return finding;
}

Finding Judge(SimulatedFileSystem& file_system, const std::vector<std::string>& damaged) {
  return Judge(file_system, damaged, TheSubject().model());
}

void Resize(SimulatedFileSystem& file_system, const std::string& path, uint64_t length) {
  auto file = file_system.Open(path, {.mode = FileSystem::OpenMode::kReadWrite});
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_TRUE((*file)->Resize(length).ok());
  ASSERT_TRUE(file_system.SyncNow(**file).ok());
}

void Replace(SimulatedFileSystem& file_system, const std::string& path, const std::string& bytes) {
  ASSERT_TRUE(WriteFileAtomically(file_system, path, bytes).ok());
}

std::vector<std::string> AllFiles() {
  std::vector<std::string> files = {kManifest, kManifestCopy};
  for (const auto& [block, versions] : TheSubject().versions()) files.push_back(PathOf(block));
  return files;
}

TEST(LostFileTest, TheLogIsWorthIt) {
  EXPECT_EQ(AllFiles().size(), 5u);
  const auto disk = TheSubject().Image();
  EXPECT_EQ(Judge(*disk, {}), Finding::kIntact);
}

TEST(LostFileTest, AMissingFileIsNamed) {
  for (const std::string& path : AllFiles()) {
    const auto disk = TheSubject().Image();
    ASSERT_TRUE(disk->Remove(path).ok());
    const bool has_copy = absl::StrContains(path, "MANIFEST");
    EXPECT_EQ(Judge(*disk, {path}), has_copy ? Finding::kIntact : Finding::kNamed) << path;
    disk->RestartProcess();
    // A start that was refused wrote nothing that makes the next one think otherwise.
    EXPECT_EQ(Judge(*disk, {path}), has_copy ? Finding::kIntact : Finding::kNamed) << path;
  }
}

TEST(LostFileTest, NothingIsMadeANewLog) {
  // Some of the files in every combination: only none at all is a new log.
  const std::vector<std::string> files = AllFiles();
  for (size_t kept = 1; kept < (size_t{1} << files.size()); ++kept) {
    const auto disk = TheSubject().Image();
    std::vector<std::string> removed;
    for (size_t i = 0; i < files.size(); ++i) {
      if ((kept >> i & 1) != 0) continue;
      ASSERT_TRUE(disk->Remove(files[i]).ok());
      removed.push_back(files[i]);
    }
    removed.push_back(kTestDirectory);
    EXPECT_NE(Judge(*disk, removed), Finding::kWrong) << kept;
  }
}

TEST(LostFileTest, AFileThatIsCutIsNamed) {
  for (const std::string& path : AllFiles()) {
    const uint64_t size = ReadWholeFile(*TheSubject().Image(), path).value().size();
    const bool has_copy = absl::StrContains(path, "MANIFEST");
    const uint64_t step = has_copy ? 1 : kSectorBytes;
    for (uint64_t length = 0; length < size; length += step) {
      for (uint64_t end : {length, length + (has_copy ? 0 : 1)}) {
        const auto disk = TheSubject().Image();
        Resize(*disk, path, end);
        EXPECT_EQ(Judge(*disk, {path}), has_copy ? Finding::kIntact : Finding::kNamed)
            << path << " cut to " << end;
      }
    }
  }
}

TEST(LostFileTest, WhatStandsBehindABlockIsIgnored) {
  for (uint64_t block : {1, 2, 3}) {
    for (const std::string& more : {std::string(4096, '\0'), std::string(512, 'x')}) {
      const auto disk = TheSubject().Image();
      Replace(*disk, PathOf(block), ReadWholeFile(*disk, PathOf(block)).value() + more);
      EXPECT_EQ(Judge(*disk, {PathOf(block)}), Finding::kIntact) << block;
    }
  }
}

TEST(LostFileTest, FilesUnderEachOthersNamesAreNamed) {
  for (const auto& [one, other] : {std::pair(1, 2), std::pair(2, 3), std::pair(1, 3)}) {
    const auto disk = TheSubject().Image();
    const std::string of_one = PathOf(static_cast<uint64_t>(one));
    const std::string of_other = PathOf(static_cast<uint64_t>(other));
    ASSERT_TRUE(disk->Rename(of_one, "/log/aside").ok());
    ASSERT_TRUE(disk->Rename(of_other, of_one).ok());
    ASSERT_TRUE(disk->Rename("/log/aside", of_other).ok());
    EXPECT_EQ(Judge(*disk, {of_one, of_other}), Finding::kNamed) << of_one << " " << of_other;
  }
}

// A write of a header that went to another file, or to the place of the other copy there: the copy
// that is right serves, whatever the one says that went astray, and is written over it.
TEST(LostFileTest, AHeaderOfAnotherBlockIsABadCopy) {
  BlockLogOptions encrypted = TestOptions();
  encrypted.keys = TestRing(Cipher::kAes256Gcm);
  for (const BlockLogOptions& options : {TestOptions(), encrypted}) {
    const Subject subject(options);
    const uint64_t places[] = {0, options.geometry.header_at(1)};
    const auto header_of = [&](uint64_t block) {
      return ReadWholeFile(*subject.Image(), PathOf(block)).value().substr(0, kSectorBytes);
    };
    for (const auto& [block, other] : {std::pair(1, 3), std::pair(2, 1), std::pair(3, 1)}) {
      for (const int astray : {0, 1, 2, 3}) {
        const uint64_t id = static_cast<uint64_t>(block);
        BlockHeader header = BlockHeader::Decode(header_of(static_cast<uint64_t>(other))).value();
        // Later, longer, of a log that somebody else has on this disk.
        if (astray >= 1 && header.is_encrypted()) header.encryption.revision = 0xfffffff0;
        if (astray == 2) header.geometry.block_bytes *= 2;
        if (astray == 3) header.identity.node = static_cast<NodeId>(99);
        for (const uint64_t place : places) {
          SCOPED_TRACE(absl::StrCat(other, " to ", id, " at ", place, ", ", astray));
          const auto disk = subject.Image();
          disk->Overwrite(PathOf(id), place, header.Encode());
          EXPECT_EQ(Judge(*disk, {PathOf(id)}, subject.model(), options), Finding::kIntact);
          const std::string healed = ReadWholeFile(*disk, PathOf(id)).value();
          const std::string front = healed.substr(places[0], kSectorBytes);
          EXPECT_EQ(front, healed.substr(places[1], kSectorBytes));
          const absl::StatusOr<BlockHeader> now = BlockHeader::Decode(front);
          ASSERT_TRUE(now.ok()) << now.status();
          EXPECT_EQ(now->block, id);
          EXPECT_LT(now->encryption.revision, 0xfffffff0) << "nor does it count for anything else";
        }
      }
    }
  }
}

// A block of the same number of another node, of another cluster, and of an earlier life of this
// node's directory.
TEST(LostFileTest, BlocksOfOthersAreRefusedNamingBoth) {
  for (int which : {0, 1, 2}) {
    BlockLogOptions options = TestOptions();
    if (which == 0) options.identity.node = static_cast<NodeId>(99);
    if (which == 1) options.identity.cluster.bytes[3] ^= 1;
    if (which == 2) options.identity.incarnation = static_cast<Incarnation>(999);
    const Subject other(options);
    for (uint64_t block : {1, 2, 3}) {
      const auto disk = TheSubject().Image();
      Replace(*disk, PathOf(block), ReadWholeFile(*other.Image(), PathOf(block)).value());
      const absl::Status status = BlockLog::Open(*disk, TestOptions()).status();
      EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
      EXPECT_TRUE(absl::StrContains(status.message(), PathOf(block))) << status;
      EXPECT_TRUE(absl::StrContains(status.message(), ToString(options.identity))) << status;
      EXPECT_TRUE(absl::StrContains(status.message(), ToString(TestOptions().identity))) << status;
    }
  }
}

// What a backup of single files does. (Of the last block nobody but the leader could tell: it may
// be that nothing more was written.)
TEST(LostFileTest, OlderVersionsOfABlockAreNoticed) {
  int tried = 0;
  for (uint64_t block : {1, 2}) {
    const std::vector<std::string>& versions = TheSubject().versions().at(block);
    for (size_t i = 0; i + 1 < versions.size(); ++i, ++tried) {
      const auto disk = TheSubject().Image();
      Replace(*disk, PathOf(block), versions[i]);
      // Before it was sealed it had all its batches.
      const bool has_all = i + 2 == versions.size();
      EXPECT_EQ(Judge(*disk, {PathOf(block), kTestDirectory}),
                has_all ? Finding::kIntact : Finding::kNamed)
          << "version " << i << " of " << versions.size() << " of block " << block;
    }
  }
  EXPECT_GT(tried, 10);
}

// Where the id records of a batch stand: in front of its records, and from the end of the block.
std::vector<uint64_t> PlacesOf(SimulatedFileSystem& file_system, uint64_t block, uint64_t batch) {
  auto file = BlockFile::Open(file_system, PathOf(block), block, std::nullopt, nullptr,
                              FileSystem::OpenMode::kRead);
  EXPECT_TRUE(file.ok()) << file.status();
  absl::StatusOr<BlockWalk> walk = WalkBlock(**file, ReadSeal(**file).seal, 0);
  EXPECT_TRUE(walk.ok()) << walk.status();
  for (const FoundBatch& found : walk->batches) {
    if (found.id.batch == batch) return {found.id.data_begin, found.id.id_begin};
  }
  return {};
}

// A vote stands in two places. With one of them it is known; with none the node may not vote again.
// Entries behind the batch that is lost are read all the same.
TEST(LostFileTest, AVoteIsKnownOrKnownToBeLost) {
  // The batch of the vote and what came behind it stand in the last block.
  SimulatedFileSystem written;
  Model model;
  uint64_t batch = 0;
  {
    LogDriver driver(written);
    driver.Append(kGroupA, 1, {"a"});
    driver.Append(kGroupB, 1, {"b"});
    ASSERT_TRUE(driver.Sync().ok());
    driver.Vote(kGroupB, {.term = 5, .vote = kSelf});
    ASSERT_TRUE(driver.Sync().ok());
    batch = driver.log().figures().batches;
    driver.Append(kGroupA, 2, {"behind it"});
    ASSERT_TRUE(driver.Sync().ok());
    model = driver.synced();
  }
  const std::vector<uint64_t> places = PlacesOf(*written.WorstCaseImage(), 1, batch);
  ASSERT_EQ(places.size(), 2u);
  for (int damaged : {1, 2, 3}) {
    const auto disk = written.WorstCaseImage();
    for (int copy : {0, 1}) {
      if (damaged & (1 << copy)) {
        disk->FlipBits(PathOf(1), places[static_cast<size_t>(copy)] + 100, 4);
      }
    }
    for (int start : {1, 2}) {
      SCOPED_TRACE(absl::StrCat("copies ", damaged, ", start ", start));
      LogDriver driver(*disk);
      ASSERT_TRUE(driver.status().ok()) << driver.status();
      for (GroupId group : {kGroupA, kGroupB}) {
        const RecoveredLog& found = driver.recovered(group);
        EXPECT_TRUE(group == kGroupA || found.hard_state_lost == (damaged == 3));
        if (!found.hard_state_lost) {
          EXPECT_EQ(found.hard_state, model.at(group).hard_state);
        }
        EXPECT_EQ(Difference(driver.store(group), model.at(group)), "");
      }
      disk->RestartProcess();
    }
  }
}

TEST(LostFileTest, BothCopiesOfWhatStandsTwiceAreNeeded) {
  // Manifest: both bad, both gone, and one of each.
  for (const bool first_is_gone : {false, true}) {
    for (const bool second_is_gone : {false, true}) {
      const auto disk = TheSubject().Image();
      for (const auto& [path, gone] :
           {std::pair(kManifest, first_is_gone), std::pair(kManifestCopy, second_is_gone)}) {
        if (gone) {
          ASSERT_TRUE(disk->Remove(path).ok());
        } else {
          disk->FlipBits(path, 20, 1);
        }
      }
      EXPECT_EQ(Judge(*disk, {kManifest, PathOf(1)}), Finding::kNamed);
    }
  }
  // The header of each block.
  for (uint64_t block : {1, 2, 3}) {
    const auto disk = TheSubject().Image();
    const uint64_t size = ReadWholeFile(*disk, PathOf(block)).value().size();
    disk->ZeroSector(PathOf(block), 0);
    disk->ZeroSector(PathOf(block), size - TestOptions().geometry.unit_bytes);
    EXPECT_EQ(Judge(*disk, {PathOf(block)}), Finding::kNamed) << block;
  }
  // Both seals of a block that the log went on behind.
  for (uint64_t block : {1, 2}) {
    const auto disk = TheSubject().Image();
    const BlockGeometry geometry = TestOptions().geometry;
    disk->ZeroSector(PathOf(block), geometry.seal_at(0));
    disk->ZeroSector(PathOf(block), geometry.seal_at(1));
    EXPECT_NE(Judge(*disk, {PathOf(block)}), Finding::kWrong) << block;
  }
}

// Latent sector errors: a page that the disk does not give any more, in a log as a page cache
// writes it (fault catalogue D11).
TEST(LostFileTest, UnreadablePagesAreNamed) {
  BlockLogOptions options = TestOptions();
  options.geometry = {.block_bytes = 64 << 10, .unit_bytes = 4096};
  const Subject subject(options);
  int named = 0;
  for (const auto& [block, versions] : subject.versions()) {
    const std::string path = PathOf(block);
    for (uint64_t page = 0; page < versions.back().size(); page += 4096) {
      const auto disk = subject.Image();
      disk->FailReads(path, page, 4096);
      const Finding first = Judge(*disk, {path}, subject.model(), options);
      EXPECT_NE(first, Finding::kWrong) << path << " at " << page;
      if (first == Finding::kNamed) ++named;
      disk->RestartProcess();
      // What could be written anew is good now; the rest is named again.
      EXPECT_EQ(Judge(*disk, {path}, subject.model(), options), first) << path << " at " << page;
    }
  }
  EXPECT_GT(named, 5);
}

// Writes that went to the wrong place of the same block (fault catalogue D14): what stood there is
// gone, and something valid stands in it.
TEST(LostFileTest, MisplacedUnitsAreNamed) {
  const uint64_t unit = TestOptions().geometry.unit_bytes;
  int named = 0;
  for (const auto& [block, versions] : TheSubject().versions()) {
    const std::string& bytes = versions.back();
    std::vector<uint64_t> used;
    for (uint64_t at = 0; at < bytes.size(); at += unit) {
      if (bytes.substr(at, unit) != std::string(unit, '\0')) used.push_back(at);
    }
    for (const uint64_t from : used) {
      for (uint64_t to = 0; to < bytes.size(); to += unit) {
        if (to == from) continue;
        const auto disk = TheSubject().Image();
        disk->Overwrite(PathOf(block), to, bytes.substr(from, unit));
        const Finding finding = Judge(*disk, {PathOf(block)});
        EXPECT_NE(finding, Finding::kWrong) << PathOf(block) << " from " << from << " to " << to;
        if (finding == Finding::kNamed) ++named;
      }
    }
  }
  EXPECT_GT(named, 500);
}

TEST(LostFileTest, StrangeFilesAreLeftAlone) {
  const auto disk = TheSubject().Image();
  const std::vector<std::string> names = {"00000000000000000002.block.bak",
                                          "00000000000000000002.block.old",
                                          "2.block",
                                          "0000000000000000000x.block",
                                          "99999999999999999999.block",
                                          "000000000000000000002.block",
                                          "00000000000000000002.BLOCK",
                                          "notes.txt"};
  const std::string content = ReadWholeFile(*disk, PathOf(2)).value();
  for (const std::string& name : names) Replace(*disk, JoinPath(kTestDirectory, name), content);
  Model model = TheSubject().model();
  {
    LogDriver driver(*disk);
    ASSERT_TRUE(driver.status().ok()) << driver.status();
    driver.set_model(model);
    EXPECT_EQ(driver.log().notes().size(), names.size());
    // The log goes on through more blocks and drops the old ones.
    for (int i = 0; i < 40; ++i) {
      driver.Append(kGroupA, 4, {Text("more", static_cast<uint64_t>(i), 700)});
      driver.Drop(kGroupA, driver.model().at(kGroupA).last().index - 2);
      ASSERT_TRUE(driver.Sync().ok());
    }
    model = driver.synced();
  }
  disk->RestartProcess();
  EXPECT_EQ(Judge(*disk, {}, model), Finding::kIntact);
  for (const std::string& name : names) {
    EXPECT_TRUE(ReadWholeFile(*disk, JoinPath(kTestDirectory, name)).value() == content) << name;
  }
}

}  // namespace
}  // namespace cairn
