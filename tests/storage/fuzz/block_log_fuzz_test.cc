// Logs made by hand, with checksums, tags and hashes that fit (fault catalogue 5.2, row 34): drawn,
// where crafted_log_test tries each field by itself. Plain, encrypted and compressed blocks are
// changed in all their pieces and as files, and everything that reads a log reads it, writes to it,
// and reads it again. Each gives an answer or a typed error.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/coding.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/block/block_file.h"
#include "storage/block/compressed/frame_codec.h"
#include "storage/block/log_inspector.h"
#include "storage/block/log_salvage.h"
#include "storage/block/log_verifier.h"
#include "storage/checksum.h"
#include "storage/log_scrub.h"
#include "storage/record.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/log_driver.h"
#include "tests/storage/block/test_keys.h"
#include "tests/storage/fuzz/attempt.h"
#include "tests/storage/fuzz/crafted_blocks.h"
#include "tests/storage/fuzz/mutation.h"

namespace cairn {
namespace {

// A log of any kind there is, with all that can be said of a group in it.
struct Subject {
  std::string name;
  BlockLogOptions options;
  SimulatedFileSystem disk;
  Model model;
};

std::string Text(uint64_t i, size_t length) {
  std::string text;
  while (text.size() < length) absl::StrAppend(&text, "entry ", i, " of many; ");
  return text;
}

std::unique_ptr<Subject> Make(Cipher cipher, bool compressed, uint64_t unit_bytes) {
  auto subject = std::make_unique<Subject>();
  subject->name = absl::StrCat("cipher ", static_cast<int>(cipher),
                               compressed ? " compressed " : " ", unit_bytes);
  BlockLogOptions& options = subject->options;
  options = TestOptions();
  options.copy_distance = 1;
  options.geometry = {.block_bytes = unit_bytes == 512 ? uint64_t{16} << 10 : uint64_t{128} << 10,
                      .unit_bytes = unit_bytes};
  if (cipher != Cipher::kNone) options.keys = TestRing(cipher);
  if (compressed) options.compression = LogCompression::kZstd;
  options.compression_distance = 1;
  LogDriver driver(subject->disk, options);
  EXPECT_TRUE(driver.status().ok()) << driver.status();
  driver.Append(kGroupC, 1, {"rests", "and is copied"});
  driver.AppendConfiguration(kGroupB, 1, "members 1 2 3");
  driver.Append(kGroupA, 1, {"one", "two", std::string(700, '\0'), "four"});
  EXPECT_TRUE(driver.Sync().ok());
  driver.Truncate(kGroupA, 3, 2, {"another three"});
  driver.Drop(kGroupA, 1);
  driver.Vote(kGroupB, {.term = 4, .vote = static_cast<NodeId>(1)});
  EXPECT_TRUE(driver.Sync().ok());
  const size_t entry_bytes = options.geometry.block_bytes / 7;
  for (uint64_t i = 0; driver.log().figures().blocks < 4; ++i) {
    driver.Append(kGroupA, 2, {Text(i, entry_bytes)});
    if (!compressed) driver.Drop(kGroupA, driver.model().at(kGroupA).last().index - 6);
    EXPECT_TRUE(driver.Sync().ok());
  }
  while (compressed && driver.log().scrub()->Compress(1 << 20).bytes > 0) {
  }
  driver.Append(kGroupA, 3, {"the last"});
  driver.Reset(kGroupB, {.index = 10, .term = 4});
  driver.Append(kGroupB, 4, {"of b"});
  EXPECT_TRUE(driver.Sync().ok());
  subject->model = driver.model();
  return subject;
}

using SubjectList = std::vector<std::unique_ptr<Subject>>;

SubjectList* MakeAll(const std::vector<Cipher>& ciphers) {
  auto* made = new SubjectList();
  for (uint64_t unit_bytes : {512, 4096}) {
    for (bool compressed : {false, true}) {
      for (Cipher cipher : ciphers) made->push_back(Make(cipher, compressed, unit_bytes));
    }
  }
  return made;
}

const SubjectList& Subjects() {
  static const auto* const kSubjects = MakeAll({Cipher::kNone, Cipher::kAes256Gcm});
  return *kSubjects;
}

// Apart, so that the seeds of the corpus go on to draw what they drew.
const SubjectList& ChaChaSubjects() {
  static const auto* const kSubjects = MakeAll({Cipher::kChaCha20Poly1305});
  return *kSubjects;
}

std::unique_ptr<SimulatedFileSystem> CopyOf(const SimulatedFileSystem& disk) {
  return disk.WorstCaseImage();
}

bool IsTyped(const absl::Status& status) {
  return status.ok() || absl::IsDataLoss(status) || absl::IsFailedPrecondition(status);
}

// A frame of `plain`, as long as `size`: what it lacks is filled with one of zstd's that says
// nothing. Nothing if it is longer.
std::optional<std::string> Recode(absl::string_view plain, size_t size) {
  FrameCompressor compressor;
  std::string frame = compressor.Compress(plain);
  constexpr size_t kSkippableHeader = 8;
  if (frame.size() == size) return frame;
  if (frame.size() + kSkippableHeader > size) return std::nullopt;
  AppendLittleEndian(&frame, uint32_t{0x184d2a50});
  AppendLittleEndian(&frame, static_cast<uint32_t>(size - frame.size() - sizeof(uint32_t)));
  frame.resize(size, '\0');
  return frame;
}

// Changes what stands in a compressed frame, and compresses it again: a record, with checksums that
// fit, or anything. Says what it did.
std::string ChangeFrame(Random& random, const Subject& subject, SimulatedFileSystem& disk) {
  CraftedBlocks blocks(disk, kTestDirectory, subject.options.keys);
  std::vector<CraftedPiece> frames = blocks.pieces();
  std::erase_if(frames,
                [](const CraftedPiece& piece) { return piece.kind != CraftedPiece::Kind::kFrame; });
  const CraftedPiece frame = frames[random.Below(frames.size())];
  std::string plain(frame.plain, '\0');
  FrameExpander expander;
  EXPECT_TRUE(expander.Expand(blocks.Get(frame), plain.data(), plain.size()));
  constexpr absl::string_view kMagic = "\xb7\xe5\xa1\xc3";
  const size_t record = absl::string_view(plain).find(kMagic, random.Below(plain.size()));
  const auto length = record == std::string::npos
                          ? absl::StatusOr<size_t>(absl::NotFoundError(""))
                          : RecordLength(absl::string_view(plain).substr(record));
  const bool whole = length.ok() && record + *length <= plain.size() && random.Chance(3, 4);
  const size_t begin = whole ? record : 0;
  std::string bytes = plain.substr(begin, whole ? *length : plain.size());
  std::string how = Mutate(random, plain, bytes);
  if (whole) {
    StoreLittleEndian(bytes.data() + 64, Checksum(absl::string_view(bytes).substr(112)));
    StoreLittleEndian(bytes.data() + 104, Hash128(absl::string_view(bytes).substr(0, 104)).low);
  }
  plain.replace(begin, bytes.size(), bytes);
  const std::optional<std::string> recoded = Recode(plain, frame.size);
  if (!recoded) return "nothing: it is longer now";
  blocks.Change(frame, *recoded, false);
  blocks.Write(disk);
  return absl::StrCat("frame ", frame.number, " of file ", frame.block, whole ? ", record at " : "",
                      whole ? absl::StrCat(begin) : "", ": ", how);
}

// Changes pieces of blocks. Says what it did.
std::string ChangePieces(Random& random, const Subject& subject, SimulatedFileSystem& disk) {
  CraftedBlocks blocks(disk, kTestDirectory, subject.options.keys);
  std::string said;
  const uint64_t times = random.Chance(2, 3) ? 1 : 2;
  for (uint64_t i = 0; i < times; ++i) {
    const std::vector<CraftedPiece>& pieces = blocks.pieces();
    CraftedPiece piece = pieces[random.Below(pieces.size())];
    // There are more records than anything else.
    for (int draw = 0; draw < 2 && piece.kind == CraftedPiece::Kind::kRecord; ++draw) {
      piece = pieces[random.Below(pieces.size())];
    }
    const std::string good = blocks.Get(piece);
    std::string bytes = good;
    const std::string how = Mutate(random, blocks.Get(pieces[random.Below(pieces.size())]), bytes);
    const bool chain = random.OneIn(2);
    const bool twins = random.Chance(3, 4);
    absl::StrAppend(&said, i == 0 ? "" : "; ", NameOf(piece.kind), " of file ", piece.block, " at ",
                    piece.at, chain ? " chained" : "", twins ? " twice" : "", ": ", how);
    const std::vector<CraftedPiece> all = pieces;
    for (const CraftedPiece& other : all) {
      const bool same = other.at == piece.at && other.block == piece.block;
      if (other.kind != piece.kind || (!same && (!twins || blocks.Get(other) != good))) continue;
      blocks.Change(other, bytes, chain);
    }
  }
  blocks.Write(disk);
  return said;
}

std::string DrawFile(Random& random, SimulatedFileSystem& disk) {
  std::vector<std::string> names = disk.List(kTestDirectory).value();
  std::erase_if(names, [](const std::string& name) { return name == "LOCK"; });
  return JoinPath(kTestDirectory, names[random.Below(names.size())]);
}

// Files that are cut, longer, exchanged, there twice, another log's; manifests and marks.
std::string ChangeFiles(Random& random, SimulatedFileSystem& disk) {
  const std::string path = DrawFile(random, disk);
  const std::string other = DrawFile(random, disk);
  std::string bytes = ReadWholeFile(disk, path).value();
  const std::string other_bytes = ReadWholeFile(disk, other).value();
  switch (random.Below(6)) {
    case 0:
      EXPECT_TRUE(disk.Remove(path).ok());
      return absl::StrCat(path, " is gone");
    case 1:
      EXPECT_TRUE(WriteFileAtomically(disk, path, other_bytes).ok());
      EXPECT_TRUE(WriteFileAtomically(disk, other, bytes).ok());
      return absl::StrCat(path, " and ", other, " are exchanged");
    case 2: {
      const uint64_t number = random.OneIn(2) ? random.Below(12) : random.Next();
      const std::string name = random.OneIn(4) ? SpareFileName(number) : BlockFileName(number);
      EXPECT_TRUE(WriteFileAtomically(disk, JoinPath(kTestDirectory, name), bytes).ok());
      return absl::StrCat(path, " is ", name, " too");
    }
    case 3: {
      const std::string name = JoinPath(kTestDirectory, "FAILED_SYNC");
      std::string mark;
      AppendLittleEndian(&mark, uint32_t{0x5fa11e0d});
      AppendLittleEndian(&mark, Checksum(disk.BootId().value()));
      AppendLittleEndian(&mark, random.OneIn(2) ? random.Below(20) : random.Next());
      AppendLittleEndian(&mark, Checksum(mark));
      EXPECT_TRUE(WriteFileAtomically(disk, name, mark).ok());
      return "a mark of a failed sync";
    }
    case 4: {
      std::string manifest = ReadWholeFile(disk, path).value().substr(0, 48);
      if (manifest.size() < 48) return "nothing";
      manifest.resize(manifest.size() - sizeof(uint64_t));
      const std::string how = Mutate(random, other_bytes, manifest);
      AppendLittleEndian(&manifest, Checksum(manifest));
      EXPECT_TRUE(WriteFileAtomically(disk, "/log/MANIFEST", manifest).ok());
      if (random.OneIn(2)) {
        EXPECT_TRUE(WriteFileAtomically(disk, "/log/MANIFEST.copy", manifest).ok());
      }
      return absl::StrCat("manifest: ", how);
    }
    default: {
      const std::string how = MutateLength(random, other_bytes, bytes);
      EXPECT_TRUE(WriteFileAtomically(disk, path, bytes).ok());
      return absl::StrCat(path, ": ", how);
    }
  }
}

void InspectAll(const Subject& subject, SimulatedFileSystem& disk) {
  auto log = LogInspector::Open(disk, kTestDirectory, subject.options.keys);
  EXPECT_TRUE(IsTyped(log.status())) << log.status();
  if (!log.ok()) return;
  (*log)->Summaries();
  VerifyLog(**log);
  const SalvagePlan plan = PlanSalvage(**log);
  const absl::Status salvaged = Salvage(**log, plan, plan.acknowledgement, disk, "/salvaged");
  EXPECT_TRUE(IsTyped(salvaged)) << salvaged;
}

void ReadGroup(LogStore& store) {
  const Index base = store.base().index;
  const Index last = store.last().index;
  for (Index index : {base, base + 1, base + 2, last - 1, last, last + 1}) {
    for (const absl::Status& status :
         {store.Read(index, last, 10'000).status(), store.HashAt(index).status()}) {
      EXPECT_TRUE(IsTyped(status) || absl::IsOutOfRange(status)) << status;
    }
  }
}

// Reads everything, and writes to each group that can be opened.
void UseLog(const Subject& subject, SimulatedFileSystem& disk) {
  auto log = BlockLog::Open(disk, subject.options);
  EXPECT_TRUE(IsTyped(log.status())) << log.status();
  if (!log.ok()) return;
  for (const GroupId group : (*log)->Groups()) {
    absl::StatusOr<OpenedLog> opened = (*log)->OpenGroup(group);
    if (!opened.ok()) {
      EXPECT_TRUE(absl::IsDataLoss(opened.status())) << opened.status();
      continue;
    }
    ReadGroup(*opened->store);
    if (opened->recovered.torn_from || !opened->recovered.faulty.empty()) continue;
    const LogPosition last = opened->store->last();
    const auto hash = opened->store->HashAt(last.index);
    if (!hash.ok() || last.index >= kMaxIndex || last.term >= kMaxTerm) continue;
    RecordRunBuilder builder(group, last, *hash);
    builder.Add(PreparedEntry::Make(EntryType::kCommand, "behind it"), last.term + 1, WallTime{1});
    LogAppend append;
    append.runs = {std::move(builder).Build()};
    const absl::Status status = opened->store->Append(append);
    EXPECT_TRUE(IsTyped(status) || absl::IsInvalidArgument(status)) << status;
  }
  ScrubPosition position;
  for (int step = 0; step < 100; ++step) {
    if ((*log)->scrub()->Step(position, 1 << 20).round_ended) break;
  }
  (*log)->scrub()->Compress(1 << 20);
  (*log)->Sync([](absl::Status status) { EXPECT_TRUE(IsTyped(status)) << status; });
}

enum class What { kPieces, kFiles, kFrames };

std::string Change(What what, Random& random, const Subject& subject, SimulatedFileSystem& disk) {
  switch (what) {
    case What::kPieces:
      return ChangePieces(random, subject, disk);
    case What::kFiles: {
      std::string said = ChangeFiles(random, disk);
      if (random.OneIn(3)) absl::StrAppend(&said, "; ", ChangeFiles(random, disk));
      return said;
    }
    case What::kFrames:
      return ChangeFrame(random, subject, disk);
  }
  return "";
}

void Try(const std::string& name, uint64_t seed, const SubjectList& subjects, What kind) {
  Random random(seed);
  const Subject& subject = *subjects[random.Below(subjects.size())];
  const auto disk = CopyOf(subject.disk);
  const std::string what = Change(kind, random, subject, *disk);
  Trying(absl::StrCat(name, " seed ", seed, ": ", subject.name, ": ", what));
  InspectAll(subject, *disk);
  UseLog(subject, *disk);
  // And what that has made of it.
  UseLog(subject, *disk);
}

constexpr uint64_t kMemoryOfAttempt = uint64_t{512} << 20;

TEST(BlockLogFuzzTest, TheSubjectsAreWhole) {
  std::vector<const Subject*> subjects;
  for (const auto& subject : Subjects()) subjects.push_back(subject.get());
  for (const auto& subject : ChaChaSubjects()) subjects.push_back(subject.get());
  for (const Subject* subject : subjects) {
    const auto disk = CopyOf(subject->disk);
    CraftedBlocks blocks(*disk, kTestDirectory, subject->options.keys);
    // What is changed to itself stays itself.
    for (const CraftedPiece& piece : std::vector<CraftedPiece>(blocks.pieces())) {
      blocks.Change(piece, blocks.Get(piece), true);
    }
    blocks.Write(*disk);
    LogDriver driver(*disk, subject->options);
    ASSERT_TRUE(driver.status().ok()) << subject->name << driver.status();
    for (const auto& [group, log] : subject->model) {
      EXPECT_EQ(Difference(driver.store(group), log), "") << subject->name;
      EXPECT_EQ(Difference(driver.recovered(group), log), "") << subject->name;
    }
  }
}

TEST(BlockLogFuzzTest, PiecesWithChecksumsThatFit) {
  Subjects();
  ForEachSeed("block-pieces", 1000, kMemoryOfAttempt,
              [](uint64_t seed) { Try("block-pieces", seed, Subjects(), What::kPieces); });
}

TEST(BlockLogFuzzTest, Files) {
  Subjects();
  ForEachSeed("block-files", 400, kMemoryOfAttempt,
              [](uint64_t seed) { Try("block-files", seed, Subjects(), What::kFiles); });
}

// What is compressed, changed and compressed again.
TEST(BlockLogFuzzTest, FramesThatAreCompressedAgain) {
  static const auto* const kCompressed = [] {
    auto* made = new SubjectList();
    for (const Cipher cipher : {Cipher::kNone, Cipher::kAes256Gcm, Cipher::kChaCha20Poly1305}) {
      for (uint64_t unit_bytes : {512, 4096}) made->push_back(Make(cipher, true, unit_bytes));
    }
    return made;
  }();
  ForEachSeed("frames", 500, kMemoryOfAttempt,
              [](uint64_t seed) { Try("frames", seed, *kCompressed, What::kFrames); });
}

TEST(BlockLogFuzzTest, PiecesOfChaCha20) {
  ChaChaSubjects();
  ForEachSeed("chacha-pieces", 500, kMemoryOfAttempt,
              [](uint64_t seed) { Try("chacha-pieces", seed, ChaChaSubjects(), What::kPieces); });
}

}  // namespace
}  // namespace cairn
