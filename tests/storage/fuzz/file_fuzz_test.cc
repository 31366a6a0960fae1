// Small files of a node made by hand, with checksums that fit (fault catalogue 5.2, row 34): each
// decoder gives an answer or a typed error, and allocates little.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/coding.h"
#include "base/random.h"
#include "base/system_clock.h"
#include "gtest/gtest.h"
#include "raft/identity.h"
#include "raft/lifecycle/tombstone.h"
#include "raft/scrub/scrub_progress.h"
#include "storage/checksum.h"
#include "storage/crypto/key_ring.h"
#include "storage/loss_report.h"
#include "storage/simulated_file_system.h"
#include "storage/snapshot_manifest.h"
#include "storage/stream/stream_image.h"
#include "tests/storage/fuzz/attempt.h"
#include "tests/storage/fuzz/mutation.h"

namespace cairn {
namespace {

constexpr GroupId kGroup = GroupId::kDefault;
constexpr char kPath[] = "/data/it";

// A kind of file.
struct Kind {
  std::string name;
  std::string good;
  size_t checksum_bytes = 0;  // at the end
  // OK if it is good, or what is wrong.
  std::function<absl::Status(const std::string&)> decode;
};

std::unique_ptr<SimulatedFileSystem> DiskWith(const std::string& path, const std::string& bytes) {
  auto disk = std::make_unique<SimulatedFileSystem>();
  EXPECT_TRUE(disk->MakeDirectory(DirectoryOf(path)).ok());
  EXPECT_TRUE(WriteFileAtomically(*disk, path, bytes).ok());
  return disk;
}

Kind Identity() {
  NodeIdentity identity;
  identity.node = NodeId{2};
  identity.incarnation = Incarnation{77};
  for (uint64_t node : {1, 2, 3}) {
    identity.initial_members.voters.push_back(
        {.node = NodeId{node}, .address = absl::StrCat("host", node, ":7100")});
  }
  identity.log_store = "block";
  SimulatedFileSystem disk;
  EXPECT_TRUE(SaveIdentity(disk, "/data", identity).ok());
  return {"identity", ReadWholeFile(disk, "/data/identity").value(), sizeof(uint64_t),
          [](const std::string& bytes) {
            return LoadIdentity(*DiskWith("/data/identity", bytes), "/data").status();
          }};
}

Kind OfTombstone() {
  SimulatedFileSystem disk;
  EXPECT_TRUE(SaveTombstone(disk, "/data", {.group = kGroup, .deletions = 3}).ok());
  static const std::string* const kTombstone =
      new std::string(absl::StrCat("/data/groups/", ToInteger(kGroup), "/tombstone"));
  return {"tombstone", ReadWholeFile(disk, *kTombstone).value(), sizeof(uint64_t),
          [](const std::string& bytes) {
            return LoadTombstone(*DiskWith(*kTombstone, bytes), "/data", kGroup).status();
          }};
}

Kind OfScrubProgress() {
  SimulatedFileSystem disk;
  EXPECT_TRUE(disk.MakeDirectory("/data").ok());
  ScrubProgress progress;
  progress.rounds = 4;
  EXPECT_TRUE(SaveScrubProgress(disk, kPath, progress).ok());
  return {"scrub progress", ReadWholeFile(disk, kPath).value(), sizeof(uint64_t),
          [](const std::string& bytes) {
            LoadScrubProgress(*DiskWith(kPath, bytes), kPath);
            return absl::OkStatus();
          }};
}

Kind OfLossReport() {
  const SystemClock clock;
  SimulatedFileSystem disk;
  EXPECT_TRUE(disk.MakeDirectory("/data").ok());
  LossReport report(disk, kPath, clock, nullptr);
  report.Add({.kind = LossEvent::Kind::kDamaged,
              .group = kGroup,
              .first = 4,
              .last = 9,
              .text = "cannot be read"});
  report.Add({.kind = LossEvent::Kind::kRepaired, .group = kGroup, .first = 5, .last = 6});
  report.Add({.kind = LossEvent::Kind::kNote, .text = "a \"note\""});
  return {"loss report", ReadWholeFile(disk, kPath).value(), 0, [](const std::string& bytes) {
            const SystemClock now;
            const auto other = DiskWith(kPath, bytes);
            LossReport read(*other, kPath, now, nullptr);
            read.Close(kGroup, 7);
            read.Add({.kind = LossEvent::Kind::kNote, .text = "another"});
            return absl::OkStatus();
          }};
}

Kind OfKeys() {
  return {"keys", absl::StrCat("# keys\n", std::string(64, 'a'), "\n\n", std::string(64, '7')), 0,
          [](const std::string& bytes) {
            const absl::Status status = ParseMasterKeys(bytes, "keys").status();
            return absl::IsInvalidArgument(status) ? absl::DataLossError("") : status;
          }};
}

// What it gives back for what it takes is the same again.
Kind OfSnapshotManifest() {
  SnapshotManifest manifest;
  manifest.group = kGroup;
  manifest.position = {.index = 10, .term = 3};
  manifest.configuration_at = {.index = 2, .term = 1};
  manifest.configuration = "members";
  manifest.files = {{"state", kChunkBytes + 5, {ContentIdOf("a"), ContentIdOf("b")}},
                    {"archive", 7, {ContentIdOf("c")}}};
  return {"snapshot manifest", EncodeManifest(manifest), sizeof(ContentId::bytes),
          [](const std::string& bytes) {
            const auto decoded = DecodeManifest(bytes);
            if (decoded.ok()) {
              EXPECT_EQ(EncodeManifest(*decoded), bytes);
            }
            return decoded.status();
          }};
}

Kind OfStreamImage() {
  StreamImage image;
  image.group = kGroup;
  image.applied = {.index = 5, .term = 2};
  image.lengths = {4096, 100};
  for (const char* name : {"orders", "bills"}) {
    StreamRow row;
    row.definition = std::make_shared<const std::string>(name);
    image.table.Add(row);
  }
  return {"stream image", EncodeStreamImage(image), sizeof(uint64_t), [](const std::string& bytes) {
            const auto decoded = DecodeStreamImage(bytes, kGroup);
            if (decoded.ok()) {
              EXPECT_EQ(EncodeStreamImage(*decoded), bytes);
            }
            return decoded.status();
          }};
}

const std::vector<Kind>& Kinds() {
  static const auto* const kKinds =
      new std::vector<Kind>{Identity(), OfTombstone(),        OfScrubProgress(), OfLossReport(),
                            OfKeys(),   OfSnapshotManifest(), OfStreamImage()};
  return *kKinds;
}

void Finish(const Kind& kind, std::string& bytes) {
  if (kind.checksum_bytes == sizeof(uint64_t)) AppendLittleEndian(&bytes, Checksum(bytes));
  if (kind.checksum_bytes != sizeof(ContentId::bytes)) return;
  const ContentId id = ContentIdOf(bytes);
  bytes.append(id.bytes.begin(), id.bytes.end());
}

void Try(uint64_t seed) {
  Random random(seed);
  const Kind& kind = Kinds()[random.Below(Kinds().size())];
  std::string bytes = kind.good.substr(0, kind.good.size() - kind.checksum_bytes);
  const std::string other = Kinds()[random.Below(Kinds().size())].good;
  const std::string how =
      random.OneIn(2) ? Mutate(random, other, bytes) : MutateLength(random, other, bytes);
  Finish(kind, bytes);
  Trying(absl::StrCat("files seed ", seed, ": ", kind.name, ": ", how));
  const absl::Status status = kind.decode(bytes);
  EXPECT_TRUE(status.ok() || absl::IsDataLoss(status) || absl::IsFailedPrecondition(status))
      << status;
}

TEST(FileFuzzTest, WhatIsGoodIsTaken) {
  for (const Kind& kind : Kinds()) {
    std::string bytes = kind.good.substr(0, kind.good.size() - kind.checksum_bytes);
    Finish(kind, bytes);
    EXPECT_EQ(bytes, kind.good) << kind.name;
    EXPECT_TRUE(kind.decode(bytes).ok()) << kind.name << kind.decode(bytes);
  }
}

TEST(FileFuzzTest, ChecksumsThatFit) {
  Kinds();
  ForEachSeed("files", 20'000, uint64_t{64} << 20, Try);
}

}  // namespace
}  // namespace cairn
