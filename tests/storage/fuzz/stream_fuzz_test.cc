// The streams' files made by hand, with checksums and tags that fit (fault catalogue 5.2, row 34):
// headers, records and footers of blocks, checkpoints with their image. A store opens them, is read
// and written, makes a checkpoint and is opened again. Each gives an answer or a typed error.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/coding.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/checksum.h"
#include "storage/simulated_file_system.h"
#include "storage/stream/stream_image.h"
#include "storage/stream/stream_record.h"
#include "storage/stream/stream_store.h"
#include "tests/storage/fuzz/attempt.h"
#include "tests/storage/fuzz/mutation.h"
#include "tests/storage/stream/stream_driver.h"
#include "tests/storage/stream/stream_twin.h"

namespace cairn {
namespace {

constexpr Index kEntries = 80;
constexpr uint64_t kMemoryOfAttempt = uint64_t{512} << 20;

// A piece of a file that has a checksum of its own.
struct Piece {
  enum class Kind { kHeader, kRecord, kFooter, kImage, kCheckpoint };
  Kind kind = Kind::kHeader;
  std::string path;
  size_t at = 0;
  size_t size = 0;
};

struct Subject {
  SimulatedFileSystem disk;
  StreamTwin twin;
  std::vector<Piece> pieces;
};

void FindPiecesOfBlock(const std::string& path, const std::string& bytes, Subject& subject) {
  subject.pieces.push_back({Piece::Kind::kHeader, path, 0, kStreamBlockHeaderBytes});
  size_t at = kStreamBlockHeaderBytes;
  const absl::string_view content = bytes;
  while (at + kStreamRecordHeaderBytes <= bytes.size()) {
    const auto length = StreamRecordLength(content.substr(at, kStreamRecordHeaderBytes));
    if (!length || at + *length > bytes.size()) break;
    const auto number = LoadLittleEndian<uint64_t>(bytes.data() + at + 8);
    const Place place = {static_cast<uint32_t>(number >> 32), static_cast<uint32_t>(number)};
    if (!LoadStreamRecord(content.substr(at, *length), place, StreamTag(kTwinGroup)).ok()) break;
    subject.pieces.push_back({Piece::Kind::kRecord, path, at, *length});
    at += *length;
  }
  if (at < bytes.size()) {
    subject.pieces.push_back({Piece::Kind::kFooter, path, at, bytes.size() - at});
  }
}

// The image stands behind magic, version, generation and its length.
constexpr size_t kImageAt = 24;

void FindPiecesOfCheckpoint(const std::string& path, const std::string& bytes, Subject& subject) {
  const auto length = LoadLittleEndian<uint64_t>(bytes.data() + kImageAt - sizeof(uint64_t));
  CAIRN_CHECK_LT(kImageAt + length, bytes.size());
  subject.pieces.push_back({Piece::Kind::kImage, path, kImageAt, length});
  subject.pieces.push_back({Piece::Kind::kCheckpoint, path, 0, bytes.size()});
}

const Subject& TheSubject() {
  static const auto* const kSubject = [] {
    auto* made = new Subject();
    Random random(1);
    while (made->twin.last() < kEntries) made->twin.AddRandom(random, 300);
    {
      StreamDriver driver(made->disk, SmallStreamStore());
      CAIRN_CHECK(driver.status().ok());
      made->twin.Apply(driver.store(), 0, kEntries);
      driver.RunBackground();
      CAIRN_CHECK_EQ(driver.durable(), kEntries);
    }
    const std::vector<std::string> names = made->disk.List(kStreamDirectory).value();
    for (const std::string& name : names) {
      const std::string path = absl::StrCat(kStreamDirectory, "/", name);
      const std::string bytes = ReadWholeFile(made->disk, path).value();
      if (absl::EndsWith(name, ".block")) FindPiecesOfBlock(path, bytes, *made);
      if (absl::StartsWith(name, "CHECKPOINT")) FindPiecesOfCheckpoint(path, bytes, *made);
    }
    return made;
  }();
  return *kSubject;
}

const char* NameOf(Piece::Kind kind) {
  switch (kind) {
    case Piece::Kind::kHeader:
      return "header";
    case Piece::Kind::kRecord:
      return "record";
    case Piece::Kind::kFooter:
      return "footer";
    case Piece::Kind::kImage:
      return "image";
    case Piece::Kind::kCheckpoint:
      return "checkpoint";
  }
  return "";
}

void FitAtEnd(std::string& bytes, size_t begin, size_t size, uint64_t tag) {
  const size_t at = begin + size - sizeof(uint64_t);
  StoreLittleEndian(bytes.data() + at,
                    Checksum(absl::string_view(bytes).substr(begin, at - begin)) ^ tag);
}

// Makes the checksums of the piece, and of what it is in, fit.
void Fit(const Piece& piece, std::string& file) {
  switch (piece.kind) {
    case Piece::Kind::kHeader:
      return FitAtEnd(file, 0, piece.size, 0);
    case Piece::Kind::kRecord:
      return StoreLittleEndian(file.data() + piece.at, Checksum(absl::string_view(file).substr(
                                                           piece.at + 8, piece.size - 8)) ^
                                                           StreamTag(kTwinGroup));
    case Piece::Kind::kFooter:
      return FitAtEnd(file, piece.at, piece.size, StreamTag(kTwinGroup));
    case Piece::Kind::kImage:
      FitAtEnd(file, piece.at, piece.size, 0);
      return FitAtEnd(file, 0, file.size(), 0);
    case Piece::Kind::kCheckpoint:
      return FitAtEnd(file, 0, file.size(), 0);
  }
}

bool IsTyped(const absl::Status& status) {
  return status.ok() || absl::IsDataLoss(status) || absl::IsFailedPrecondition(status);
}

std::string Change(Random& random, SimulatedFileSystem& disk) {
  const std::vector<Piece>& pieces = TheSubject().pieces;
  const size_t first = random.Below(pieces.size());
  // There are more records than anything else.
  const Piece& piece =
      pieces[random.OneIn(3)                              ? first
             : pieces[first].kind == Piece::Kind::kRecord ? random.Below(pieces.size())
                                                          : first];
  const Piece& other = pieces[random.Below(pieces.size())];
  const std::string other_bytes = ReadWholeFile(disk, other.path).value();
  std::string file = ReadWholeFile(disk, piece.path).value();
  std::string bytes = file.substr(piece.at, piece.size);
  const std::string how = Mutate(random, other_bytes.substr(other.at, other.size), bytes);
  file.replace(piece.at, piece.size, bytes);
  Fit(piece, file);
  EXPECT_TRUE(WriteFileAtomically(disk, piece.path, file).ok());
  const bool is_checkpoint =
      piece.kind == Piece::Kind::kCheckpoint || piece.kind == Piece::Kind::kImage;
  if (is_checkpoint && random.Chance(3, 4)) {
    for (const char* name : {"CHECKPOINT", "CHECKPOINT.copy"}) {
      const std::string path = absl::StrCat(kStreamDirectory, "/", name);
      EXPECT_TRUE(WriteFileAtomically(disk, path, file).ok());
    }
  }
  return absl::StrCat(NameOf(piece.kind), " of ", piece.path, " at ", piece.at, ": ", how);
}

void Use(SimulatedFileSystem& disk) {
  StreamDriver driver(disk, SmallStreamStore());
  EXPECT_TRUE(IsTyped(driver.status())) << driver.status();
  if (!driver.status().ok()) return;
  StreamStore& store = driver.store();
  const auto streams = static_cast<StreamId>(store.size());
  for (StreamId id = 1; id <= streams && id <= 20; ++id) {
    const uint64_t last = store.Row(id).last_sequence;
    for (const uint64_t from : {uint64_t{1}, last / 2 + 1, last}) {
      if (from == 0 || from > last) continue;
      const absl::Status read =
          store.Read(id, from, 100'000, [](const StoredStreamRecord&) { return true; });
      EXPECT_TRUE(IsTyped(read)) << read;
    }
  }
  const std::shared_ptr<const FrozenStreams> frozen = store.Freeze();
  for (size_t i = 0; i < frozen->files().size() && i < 20; ++i) {
    const uint64_t bytes = std::min<uint64_t>(frozen->files()[i].bytes, 100'000);
    EXPECT_TRUE(IsTyped(frozen->Read(i, 0, bytes).status()));
  }
  const LogPosition at = {driver.recovered() + 1, 1000};
  StreamAppend append;
  append.stream = store.Create("another", WallTime{5});
  append.at = at;
  append.messages = 1;
  append.payload = "behind it";
  store.Append(append);
  store.AppliedUpTo(at, [] { return std::string("archive"); });
  store.Checkpoint([] { return std::string("archive"); });
  driver.RunBackground();
  EXPECT_TRUE(IsTyped(driver.failure())) << driver.failure();
}

void Try(uint64_t seed) {
  Random random(seed);
  const std::unique_ptr<SimulatedFileSystem> disk = TheSubject().disk.WorstCaseImage();
  std::string what = Change(random, *disk);
  Trying(absl::StrCat("streams seed ", seed, ": ", what));
  Use(*disk);
  Use(*disk);
}

// What is changed to itself stays itself, and there is some of each kind.
TEST(StreamFuzzTest, TheSubjectIsWhole) {
  const std::unique_ptr<SimulatedFileSystem> disk = TheSubject().disk.WorstCaseImage();
  std::vector<int> kinds(5);
  for (const Piece& piece : TheSubject().pieces) {
    ++kinds[static_cast<size_t>(piece.kind)];
    std::string file = ReadWholeFile(*disk, piece.path).value();
    const std::string before = file;
    Fit(piece, file);
    EXPECT_TRUE(file == before) << NameOf(piece.kind) << " of " << piece.path;
  }
  for (const int number : kinds) EXPECT_GT(number, 1);
}

TEST(StreamFuzzTest, ChecksumsThatFit) {
  TheSubject();
  ForEachSeed("streams", 4000, kMemoryOfAttempt, Try);
}

}  // namespace
}  // namespace cairn
