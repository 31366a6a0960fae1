// As flip_cluster_test, of nodes that keep their log in RocksDB: any byte, sector or whole file of
// the log of one of three nodes. After a start nothing that was acknowledged is lost, everybody
// serves, and no hand was needed.

#include <stdlib.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/file_system.h"
#include "tests/raft/repair/flip_cluster.h"
#include "tests/storage/rocksdb/ledger_claims.h"

namespace cairn {
namespace {

std::string KindOf(const std::string& path) {
  for (const char* kind : {"CURRENT", "MANIFEST", "OPTIONS", "IDENTITY", "acks.", ".log", ".sst"}) {
    if (absl::StrContains(path, kind)) return kind;
  }
  return "";  // not of the log, or not read
}

// Every byte takes six minutes and more: with CAIRN_EVERY_BYTE set.
uint64_t Step() { return getenv("CAIRN_EVERY_BYTE") != nullptr ? 1 : 7; }

// Every byte that is looked at where that is cheap, every so many bytes elsewhere.
uint64_t StepOf(const std::string& kind) {
  if (kind == ".sst") return 131;
  if (kind == ".log") return 29;
  if (kind == "OPTIONS") return 211;
  return kind == "MANIFEST" || kind == "acks." ? Step() : 1;
}

// Of a ledger: the first record and the last one, and some bytes of those between and of the zeros
// behind each, which nobody reads.
bool WorthIt(const std::string& ledger, uint64_t offset) {
  constexpr uint64_t kRecord = 4096;
  const bool is_end = offset < kRecord || offset + kRecord >= ledger.size();
  return offset % 61 == 0 || (is_end && ledger[offset] != 0);
}

class RocksDbFlipClusterTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(cluster_.wrong(), ""); }

  // The files of the second node's log.
  std::map<std::string, std::string> Files() const {
    std::map<std::string, std::string> files = cluster_.FilesOf(2);
    std::erase_if(files, [](const auto& file) { return KindOf(file.first).empty(); });
    return files;
  }
  std::string AfterDamage(const std::function<void(SimulatedFileSystem&)>& damage) {
    return cluster_.AfterDamage(
        [&damage](std::vector<DiskCluster::Disk>& disks) { damage(*disks[1]); });
  }

  FlipCluster cluster_{3, {.log_store = "rocksdb"}};
};

TEST_F(RocksDbFlipClusterTest, AnyByteOfOneOfThree) {
  std::map<std::string, int> tried;
  for (const auto& [path, bytes] : Files()) {
    const std::string kind = KindOf(path);
    for (uint64_t offset = 0; offset < bytes.size(); offset += StepOf(kind)) {
      if (kind == "acks." && !WorthIt(bytes, offset)) continue;
      const std::vector<Flip> flips = {{2, path, offset}};
      ASSERT_EQ(cluster_.After(flips), "") << Describe(flips);
      ++tried[kind];
    }
  }
  EXPECT_EQ(tried.size(), 7u) << "a kind of file that is not there";
  for (const auto& [kind, count] : tried) {
    EXPECT_GE(count, kind == "CURRENT" ? 16 : 20) << kind;
  }
}

TEST_F(RocksDbFlipClusterTest, AnySectorOfOneOfThree) {
  for (const auto& [path, bytes] : Files()) {
    for (uint64_t offset = 0; offset < bytes.size(); offset += kSectorBytes) {
      if (bytes.substr(offset, kSectorBytes).find_first_not_of('\0') == std::string::npos) continue;
      ASSERT_EQ(AfterDamage([&](SimulatedFileSystem& disk) { disk.ZeroSector(path, offset); }), "")
          << path << " sector at " << offset;
      ASSERT_EQ(AfterDamage(
                    [&](SimulatedFileSystem& disk) { disk.FailReads(path, offset, kSectorBytes); }),
                "")
          << path << " cannot be read at " << offset;
    }
  }
}

TEST_F(RocksDbFlipClusterTest, AnyFileOfOneOfThree) {
  for (const auto& [path, bytes] : Files()) {
    ASSERT_EQ(AfterDamage([&](SimulatedFileSystem& disk) {
                ASSERT_TRUE(disk.Remove(path).ok());
                ASSERT_TRUE(disk.SyncDirectory(DirectoryOf(path)).ok());
              }),
              "")
        << path << " is missing";
    for (const uint64_t part : {0, 1, 2, 3}) {
      ASSERT_EQ(AfterDamage([&](SimulatedFileSystem& disk) {
                  auto file = disk.Open(path, {.mode = FileSystem::OpenMode::kReadWrite});
                  ASSERT_TRUE(file.ok());
                  ASSERT_TRUE((*file)->Resize(bytes.size() * part / 4).ok());
                  ASSERT_TRUE(disk.SyncNow(**file).ok());
                }),
                "")
          << path << " is cut to " << part << " quarters";
    }
  }
}

// All of a database, all of a ledger.
TEST_F(RocksDbFlipClusterTest, HalfOfALogOfOneOfThree) {
  for (const bool ledger : {false, true}) {
    ASSERT_EQ(AfterDamage([&](SimulatedFileSystem& disk) {
                for (const auto& [path, bytes] : Files()) {
                  if ((KindOf(path) == "acks.") != ledger) continue;
                  ASSERT_TRUE(disk.Remove(path).ok());
                  ASSERT_TRUE(disk.SyncDirectory(DirectoryOf(path)).ok());
                }
              }),
              "")
        << (ledger ? "no ledger" : "no database");
  }
}

// A ledger that claims entries which nobody wrote, more than there is memory for: they are ranges
// all the way, nobody has them, and they are given up.
TEST_F(RocksDbFlipClusterTest, ALedgerThatClaimsWithoutEnd) {
  for (const uint64_t node : {1, 2, 3}) {
    for (const uint64_t count : {uint64_t{1}, uint64_t{1} << 40}) {
      ASSERT_EQ(cluster_.AfterDamage([&](std::vector<DiskCluster::Disk>& disks) {
        ClaimEntries(*disks[node - 1], "/data/log", DiskCluster::kGroup, count);
      }),
                "")
          << "node " << node << " claims " << count;
    }
  }
  EXPECT_GE(cluster_.repairs(), 1) << "somebody knew of what it could not read";
}

// What a node keeps beside its log: nothing depends on it.
TEST(RocksDbFlipClusterBesideTest, AnyByteOfTheScrubsProgressAndOfTheLossReport) {
  FlipCluster cluster(3, {.log_store = "rocksdb",
                          .scrub = {.bytes_per_second = uint64_t{1} << 20},
                          .loss_report = true});
  ASSERT_EQ(cluster.wrong(), "");
  std::map<std::string, int> tried;
  for (const auto& [path, bytes] : cluster.FilesOf(2)) {
    const std::string name = path.substr(path.rfind('/') + 1);
    if (name != "SCRUB" && name != "lost-data.jsonl") continue;
    for (uint64_t offset = 0; offset < bytes.size(); ++offset) {
      const std::vector<Flip> flips = {{2, path, offset}};
      ASSERT_EQ(cluster.After(flips), "") << Describe(flips);
      ++tried[name];
    }
  }
  EXPECT_GE(tried["SCRUB"], 100);
  EXPECT_GE(tried["lost-data.jsonl"], 100);
}

// The same entries bad on two of them: the third one has them. Which bytes are bad is drawn.
TEST_F(RocksDbFlipClusterTest, TwoOfThreeKeepTheirClaims) {
  Random random(1);
  for (int round = 0; round < 150; ++round) {
    std::vector<Flip> flips;
    for (const uint64_t node : {2, 3}) {
      std::map<std::string, std::string> files = cluster_.FilesOf(node);
      std::erase_if(files, [](const auto& file) { return KindOf(file.first).empty(); });
      flips.push_back(DrawFlip(node, files, random));
    }
    ASSERT_EQ(cluster_.After(flips), "") << Describe(flips);
  }
}

}  // namespace
}  // namespace cairn
