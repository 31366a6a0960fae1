// Logs whose checksums are right and whose content is not: what nobody but a person or a bug of
// Cairn writes (fault catalogue 5.2, row 34). Each field of the manifest, the headers, seals,
// footers and id records is given other values, the checksums are made to fit, and everything that
// reads a log reads it: recovery, the store, the inspector, the verifier, the salvage. Each gives
// an answer or a typed error; none may crash, hang or ask for memory there is not.

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/check_handler.h"
#include "base/coding.h"
#include "gtest/gtest.h"
#include "storage/block/block_file.h"
#include "storage/block/block_walk.h"
#include "storage/block/log_inspector.h"
#include "storage/block/log_salvage.h"
#include "storage/block/log_verifier.h"
#include "storage/checksum.h"
#include "storage/crash_choice.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/log_driver.h"

namespace cairn {
namespace {

constexpr size_t kChecksumBytes = sizeof(uint64_t);

std::string Text(const char* what, uint64_t i, size_t length) {
  std::string text = absl::StrCat(what, " ", i, " ");
  text.resize(length, static_cast<char>('a' + i % 26));
  return text;
}

// What is being tried, for the last words of a check that fails.
std::string& Trying() {
  static auto* const kTrying = new std::string();
  return *kTrying;
}

void SayWhatWasTried(const std::string& text) {
  std::fprintf(stderr, "%s\nwhile trying %s\n", text.c_str(), Trying().c_str());
}

// Three blocks in use, of which the first two are sealed: entries of three groups, a truncation, a
// base, a configuration, copies.
class Subject {
 public:
  Subject() {
    BlockLogOptions options = TestOptions();
    options.copy_distance = 1;
    LogDriver driver(disk_, options);
    EXPECT_TRUE(driver.status().ok()) << driver.status();
    disk_.set_fault_hook([this](const FileAccess& access) {
      if (access.operation == FileAccess::Operation::kSync) Keep();
      return FileFault();
    });
    driver.Append(kGroupC, 1, {"rests", "and is copied"});
    driver.AppendConfiguration(kGroupB, 1, "members 1 2 3");
    driver.Append(kGroupA, 1, {"one", "two", "three", "four"});
    Sync(driver);
    driver.Truncate(kGroupA, 3, 2, {"another three"});
    driver.Drop(kGroupA, 1);
    driver.Vote(kGroupB, {.term = 4, .vote = static_cast<NodeId>(1)});
    Sync(driver);
    for (uint64_t i = 0; driver.log().figures().blocks < 3; ++i) {
      driver.Append(kGroupA, 2, {Text("entry", i, 2500)});
      driver.Drop(kGroupA, driver.model().at(kGroupA).last().index - 2);
      Sync(driver);
    }
    driver.Append(kGroupA, 3, {"the last"});
    driver.Append(kGroupB, 4, {"of b"});
    Sync(driver);
    disk_.set_fault_hook(nullptr);
    stages_.push_back(disk_.WorstCaseImage());
  }

  // The whole log, and the log as it was before each sync.
  const SimulatedFileSystem& whole() const { return *stages_.back(); }
  const std::vector<std::unique_ptr<SimulatedFileSystem>>& stages() const { return stages_; }

 private:
  void Keep() {
    CrashChoice choice;
    for (const PendingOperation& each : disk_.Pending()) choice.kept.insert(each.id);
    stages_.push_back(disk_.CrashImage(choice));
  }
  static void Sync(LogDriver& driver) { ASSERT_TRUE(driver.Sync().ok()); }

  SimulatedFileSystem disk_;
  std::vector<std::unique_ptr<SimulatedFileSystem>> stages_;
};

const Subject& TheSubject() {
  static const Subject* const kSubject = new Subject();
  return *kSubject;
}

// A copy to write to.
std::unique_ptr<SimulatedFileSystem> CopyOf(const SimulatedFileSystem& disk) {
  return disk.CrashImage({});
}

std::string ReadAt(SimulatedFileSystem& disk, const std::string& path, uint64_t at, size_t length) {
  const std::string bytes = ReadWholeFile(disk, path).value();
  return bytes.substr(at, length);
}

// A stretch of a file that ends in its checksum, in each place where it stands.
struct Piece {
  std::string name;
  std::string path;
  std::vector<uint64_t> places;
  size_t length = 0;  // of what is in use, checksum included
};

// The checksum over all of the piece but itself.
void Finish(std::string& bytes) {
  const size_t body = bytes.size() - kChecksumBytes;
  StoreLittleEndian(bytes.data() + body, Checksum(absl::string_view(bytes).substr(0, body)));
}

// Everything there is to be read is read.
void ReadAll(SimulatedFileSystem& disk) {
  {
    absl::StatusOr<std::unique_ptr<LogInspector>> log = LogInspector::Open(disk, kTestDirectory);
    if (log.ok()) {
      (*log)->Summaries();
      VerifyLog(**log);
      const SalvagePlan plan = PlanSalvage(**log);
      Salvage(**log, plan, plan.acknowledgement, disk, "/salvaged").IgnoreError();
    }
  }
  absl::StatusOr<std::unique_ptr<BlockLog>> log = BlockLog::Open(disk, TestOptions());
  if (!log.ok()) {
    const absl::StatusCode code = log.status().code();
    EXPECT_TRUE(code == absl::StatusCode::kDataLoss ||
                code == absl::StatusCode::kFailedPrecondition)
        << Trying() << ": " << log.status();
    return;
  }
  for (const GroupId group : (*log)->Groups()) {
    absl::StatusOr<OpenedLog> opened = (*log)->OpenGroup(group);
    if (!opened.ok()) {
      EXPECT_TRUE(absl::IsDataLoss(opened.status())) << Trying() << ": " << opened.status();
      continue;
    }
    LogStore& store = *opened->store;
    const Index base = store.base().index;
    const Index last = store.last().index;
    for (Index index : {base, base + 1, base + 2, last - 1, last, last + 1}) {
      for (const absl::StatusCode code :
           {store.Read(index, last, 10'000).status().code(), store.HashAt(index).status().code()}) {
        EXPECT_TRUE(code == absl::StatusCode::kOk || code == absl::StatusCode::kDataLoss ||
                    code == absl::StatusCode::kOutOfRange)
            << Trying() << ": entry " << index;
      }
    }
  }
}

// Tries other values for each part of `piece`. `also`: what has to be changed for them to count.
uint64_t Craft(const SimulatedFileSystem& log, const Piece& piece,
               const std::function<void(SimulatedFileSystem&, std::string&)>& also) {
  const auto origin = CopyOf(log);
  const std::string good = ReadAt(*origin, piece.path, piece.places[0], piece.length);
  uint64_t tried = 0;
  auto attempt = [&](const std::string& what, size_t at, std::string bytes) {
    if (bytes == good) return;
    Trying() = absl::StrCat(piece.name, " of ", piece.path, ", byte ", at, ": ", what);
    const auto disk = CopyOf(log);
    if (also != nullptr) {
      also(*disk, bytes);
    } else {
      Finish(bytes);
    }
    for (uint64_t place : piece.places) disk->Overwrite(piece.path, place, bytes);
    ReadAll(*disk);
    ++tried;
  };
  const size_t body = piece.length - (also == nullptr ? kChecksumBytes : 0);
  for (size_t at = 0; at < body; ++at) {
    for (uint8_t mask : {uint8_t{1}, uint8_t{0x80}}) {
      std::string bytes = good;
      bytes[at] = static_cast<char>(static_cast<uint8_t>(bytes[at]) ^ mask);
      attempt(absl::StrCat("xor ", mask), at, bytes);
    }
    if (at % 2 != 0) continue;
    if (at + sizeof(uint32_t) <= body) {
      for (uint32_t value : {0u, 1u, 0x10000u, 0x7fffffffu, 0xffffffffu}) {
        std::string bytes = good;
        StoreLittleEndian(bytes.data() + at, value);
        attempt(absl::StrCat("u32 ", value), at, bytes);
      }
    }
    if (at + sizeof(uint64_t) <= body) {
      const auto was = LoadLittleEndian<uint64_t>(good.data() + at);
      for (uint64_t value :
           {uint64_t{0}, was + 1, was - 1, was * 2, uint64_t{1} << 40, (uint64_t{1} << 62) - 1,
            uint64_t{1} << 62, uint64_t{1} << 63, UINT64_MAX - 1, UINT64_MAX}) {
        std::string bytes = good;
        StoreLittleEndian(bytes.data() + at, value);
        attempt(absl::StrCat("u64 ", value), at, bytes);
      }
    }
  }
  return tried;
}

class CraftedLogTest : public testing::Test {
 protected:
  CraftedLogTest() { SetCheckHandler(SayWhatWasTried); }
  ~CraftedLogTest() override { SetCheckHandler(nullptr); }

  // Calls with each block of the log.
  static void ForEachBlock(
      const SimulatedFileSystem& log,
      const std::function<void(const BlockFile&, const FoundSeal&, const BlockWalk&)>& call) {
    const auto disk = CopyOf(log);
    const std::vector<std::string> names = disk->List(kTestDirectory).value();
    for (const std::string& name : names) {
      const std::optional<uint64_t> id = ParseBlockFileName(name);
      if (!id) continue;
      auto file = BlockFile::Open(*disk, JoinPath(kTestDirectory, name), *id, std::nullopt, nullptr,
                                  FileSystem::OpenMode::kRead);
      ASSERT_TRUE(file.ok()) << file.status();
      const FoundSeal seal = ReadSeal(**file);
      absl::StatusOr<BlockWalk> walk = WalkBlock(**file, seal.seal, 0);
      ASSERT_TRUE(walk.ok()) << walk.status();
      call(**file, seal, *walk);
    }
  }
};

TEST_F(CraftedLogTest, TheLogIsWorthIt) {
  int blocks = 0;
  int footers = 0;
  bool copies = false;
  ForEachBlock(TheSubject().whole(),
               [&](const BlockFile&, const FoundSeal& seal, const BlockWalk& walk) {
                 ++blocks;
                 if (seal.seal && seal.seal->footer_begin != 0) ++footers;
                 for (const FoundBatch& batch : walk.batches) {
                   for (const GroupSection& section : batch.id.sections)
                     copies |= !section.copied.empty();
                 }
               });
  EXPECT_EQ(blocks, 3);
  EXPECT_EQ(footers, 2);
  EXPECT_TRUE(copies);
  Trying() = "nothing";
  ReadAll(*CopyOf(TheSubject().whole()));
}

TEST_F(CraftedLogTest, Manifests) {
  for (const std::string name : {"MANIFEST", "MANIFEST.copy"}) {
    const Piece piece = {
        .name = "manifest", .path = absl::StrCat("/log/", name), .places = {0}, .length = 48};
    EXPECT_GT(Craft(TheSubject().whole(), piece, nullptr), 300u);
  }
}

TEST_F(CraftedLogTest, HeadersAndSeals) {
  ForEachBlock(TheSubject().whole(),
               [&](const BlockFile& file, const FoundSeal& seal, const BlockWalk&) {
                 const BlockGeometry& geometry = file.geometry();
                 // The used part of the sector; what is behind it is filler, and then comes the
                 // checksum.
                 auto finish = [](SimulatedFileSystem& disk, const std::string& path, uint64_t at,
                                  std::string& bytes) {
                   std::string sector = ReadAt(disk, path, at, kSectorBytes);
                   sector.replace(0, bytes.size(), bytes);
                   Finish(sector);
                   bytes = std::move(sector);
                 };
                 const Piece header = {.name = "header",
                                       .path = file.path(),
                                       .places = {geometry.header_at(0), geometry.header_at(1)},
                                       .length = 88};
                 EXPECT_GT(Craft(TheSubject().whole(), header,
                                 [&](SimulatedFileSystem& disk, std::string& bytes) {
                                   finish(disk, file.path(), geometry.header_at(0), bytes);
                                 }),
                           300u);
                 if (!seal.seal) return;
                 const Piece sealed = {.name = "seal",
                                       .path = file.path(),
                                       .places = {geometry.seal_at(0), geometry.seal_at(1)},
                                       .length = 88};
                 EXPECT_GT(Craft(TheSubject().whole(), sealed,
                                 [&](SimulatedFileSystem& disk, std::string& bytes) {
                                   finish(disk, file.path(), geometry.seal_at(0), bytes);
                                 }),
                           300u);
               });
}

TEST_F(CraftedLogTest, Footers) {
  ForEachBlock(TheSubject().whole(),
               [&](const BlockFile& file, const FoundSeal& seal, const BlockWalk&) {
                 if (!seal.seal) return;
                 const Piece footer = {.name = "footer",
                                       .path = file.path(),
                                       .places = {seal.seal->footer_begin},
                                       .length = static_cast<size_t>(seal.seal->footer_bytes)};
                 // Its checksum stands in the seal.
                 EXPECT_GT(Craft(TheSubject().whole(), footer,
                                 [&](SimulatedFileSystem& disk, std::string& bytes) {
                                   BlockSeal fitting = *seal.seal;
                                   fitting.footer_checksum = Checksum(bytes);
                                   for (int copy : {0, 1}) {
                                     disk.Overwrite(file.path(), file.geometry().seal_at(copy),
                                                    fitting.Encode());
                                   }
                                 }),
                           1000u);
               });
}

// What a batch says of what kind.
std::string ShapeOf(const IdRecord& id) {
  std::string shape = id.is_checkpoint ? "checkpoint" : "batch";
  for (const GroupSection& section : id.sections) {
    absl::StrAppend(&shape, section.bounds ? " bounds" : " ",
                    section.copied.empty() ? "" : "+copies",
                    section.truncation ? "+truncation" : "", section.appended ? "+entries" : "",
                    section.base ? "+base" : "", section.dropped ? "+dropped" : "");
  }
  return shape;
}

// Of the last batch of the log, at each stage, once for each kind: nothing stands behind it that
// would tell.
TEST_F(CraftedLogTest, IdRecords) {
  std::set<std::string> shapes;
  for (const auto& stage : TheSubject().stages()) {
    std::optional<FoundBatch> last;
    std::string path;
    ForEachBlock(*stage, [&](const BlockFile& file, const FoundSeal&, const BlockWalk& walk) {
      if (walk.batches.empty()) return;
      last = walk.batches.back();
      path = file.path();
    });
    if (!last || !shapes.insert(ShapeOf(last->id)).second) continue;
    const Piece record = {.name = "id record",
                          .path = path,
                          .places = {last->id.data_begin, last->id.id_begin},
                          .length = static_cast<size_t>(last->id_bytes)};
    EXPECT_GT(Craft(*stage, record, nullptr), 1000u) << ShapeOf(last->id);
  }
  EXPECT_GE(shapes.size(), 5u);
}

}  // namespace
}  // namespace cairn
