// Sealed blocks are made smaller while the log is used, and nothing else about it changes.

#include "storage/block/compressed/block_compressor.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/coding.h"
#include "base/random.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/block/log_inspector.h"
#include "storage/block/log_verifier.h"
#include "storage/checksum.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/compressed/compressed_log.h"

namespace cairn {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr uint64_t kBlockBytes = 256 << 10;  // some frames each

class BlockCompressorTest : public testing::TestWithParam<CompressedKind> {
 protected:
  static BlockLogOptions Options() { return CompressedOptions(GetParam(), kBlockBytes); }

  // A whole round of the scrub: everything it has to say.
  static std::vector<std::string> Scrub(LogDriver& driver) {
    std::vector<std::string> said;
    ScrubPosition position;
    for (;;) {
      const ScrubStep step = driver.log().scrub()->Step(position, 64 << 10);
      for (const ScrubFinding& each : step.damaged) said.emplace_back(each.why.message());
      said.insert(said.end(), step.healed.begin(), step.healed.end());
      said.insert(said.end(), step.avoided.begin(), step.avoided.end());
      if (step.round_ended) return said;
    }
  }

  SimulatedFileSystem file_system_;
};

INSTANTIATE_TEST_SUITE_P(Kinds, BlockCompressorTest, testing::ValuesIn(kCompressedKinds),
                         CompressedKindName);

TEST_P(BlockCompressorTest, WhatIsCompressedIsReadBack) {
  Model model;
  {
    LogDriver driver(file_system_, Options());
    FillBlocks(driver, 6);
    EXPECT_EQ(CompressAll(driver), "");
    EXPECT_GE(driver.log().figures().compressed_blocks, 4u);
    ExpectAllThere(driver, driver.model());
    EXPECT_THAT(Scrub(driver), IsEmpty());
    model = driver.model();
  }
  EXPECT_THAT(CompressedBlocks(file_system_), SizeIs(testing::Ge(4u)));
  for (const auto& [block, bytes] : CompressedBlocks(file_system_)) {
    EXPECT_LT(bytes, kBlockBytes * 2 / 3) << block;
  }
  EXPECT_THAT(NamesWith(file_system_, ".tmp"), IsEmpty());
  LogDriver driver(file_system_, Options());
  ExpectRecovered(driver, model);
  EXPECT_THAT(driver.log().notes(), IsEmpty());
}

// Without the option, and by those who look at it from outside.
TEST_P(BlockCompressorTest, EveryoneReadsIt) {
  Model model;
  BlockLogOptions options = Options();
  {
    LogDriver driver(file_system_, options);
    FillBlocks(driver, 5);
    EXPECT_EQ(CompressAll(driver), "");
    model = driver.model();
  }
  const auto log = LogInspector::Open(file_system_, kTestDirectory, options.keys);
  ASSERT_TRUE(log.ok()) << log.status();
  uint64_t compressed = 0;
  for (const BlockSummary& block : (*log)->Summaries()) {
    EXPECT_THAT(block.notes, IsEmpty());
    if (block.uncompressed_bytes == 0) continue;
    ++compressed;
    EXPECT_EQ(block.uncompressed_bytes, kBlockBytes);
    EXPECT_LT(block.bytes, kBlockBytes);
    EXPECT_EQ(block.state, BlockSummary::State::kSealed);
    EXPECT_EQ(block.key != 0, GetParam().encrypted);
  }
  EXPECT_GE(compressed, 3u);
  for (const VerifiedFile& file : VerifyLog(**log)) {
    EXPECT_THAT(file.faulty, IsEmpty()) << file.path;
    EXPECT_THAT(file.notes, IsEmpty()) << file.path;
  }
  options.compression = LogCompression::kNone;
  LogDriver driver(file_system_, options);
  ExpectRecovered(driver, model);
  EXPECT_FALSE(driver.log().scrub()->compresses());
  driver.set_model(model);
  FillBlocks(driver, 7);
  EXPECT_EQ(driver.log().scrub()->Compress(1 << 20).bytes, 0u);
}

TEST_P(BlockCompressorTest, OnlyWhatWasSealedSomeTimeAgo) {
  BlockLogOptions options = Options();
  options.compression_distance = 3;
  LogDriver driver(file_system_, options);
  FillBlocks(driver, 6);
  EXPECT_EQ(CompressAll(driver), "");
  std::vector<uint64_t> blocks;
  for (const auto& [block, bytes] : CompressedBlocks(file_system_)) blocks.push_back(block);
  EXPECT_EQ(blocks, (std::vector<uint64_t>{1, 2, 3}));
}

TEST_P(BlockCompressorTest, WhatDoesNotGetSmallerStaysAsItIs) {
  LogDriver driver(file_system_, Options());
  Random random(5);
  for (size_t i = 0; driver.log().figures().blocks < 4; ++i) {
    std::string noise;
    while (noise.size() < 20'000) noise += static_cast<char>(random.Next());
    driver.Append(kGroupA, 1, {noise});
    ASSERT_TRUE(driver.Sync().ok());
  }
  EXPECT_EQ(CompressAll(driver), "");
  EXPECT_THAT(CompressedBlocks(file_system_), IsEmpty());
  EXPECT_THAT(NamesWith(file_system_, ".tmp"), IsEmpty());
  // And is not tried again and again.
  EXPECT_EQ(driver.log().scrub()->Compress(1 << 20).bytes, 0u);
}

// It goes on a piece at a time, and what is being made has no meaning.
TEST_P(BlockCompressorTest, WhatWasBegunIsThrownAwayAtTheNextStart) {
  Model model;
  {
    LogDriver driver(file_system_, Options());
    FillBlocks(driver, 4);
    for (int i = 0; i < 3; ++i) EXPECT_GT(driver.log().scrub()->Compress(1).bytes, 0u);
    EXPECT_THAT(NamesWith(file_system_, ".tmp"), SizeIs(1));
    model = driver.model();
  }
  const auto log = LogInspector::Open(file_system_, kTestDirectory, Options().keys);
  ASSERT_TRUE(log.ok()) << log.status();
  EXPECT_THAT((*log)->notes(), IsEmpty());
  file_system_.RestartProcess();
  LogDriver driver(file_system_, Options());
  ExpectRecovered(driver, model);
  EXPECT_THAT(driver.log().notes(), IsEmpty());
  EXPECT_THAT(NamesWith(file_system_, ".tmp"), IsEmpty());
}

// At whatever point of its making a block is released, its file does not come back.
TEST_P(BlockCompressorTest, AReleasedBlockIsNotResurrected) {
  int released = 0;
  for (int steps = 1; released < 2; ++steps) {
    SCOPED_TRACE(steps);
    ASSERT_LT(steps, 500);
    SimulatedFileSystem file_system;
    LogDriver driver(file_system, Options());
    FillBlocks(driver, 4, 3000);
    for (int i = 0; i < steps; ++i) driver.log().scrub()->Compress(1);
    if (!CompressedBlocks(file_system).empty()) ++released;  // and with its new file
    driver.Drop(kGroupA, driver.store(kGroupA).last().index);
    driver.Drop(kGroupB, driver.store(kGroupB).last().index);
    ASSERT_TRUE(driver.Sync().ok());
    FillBlocks(driver, 5, 3000);
    const std::vector<std::string> blocks = NamesWith(file_system, ".block");
    ASSERT_GT(*ParseBlockFileName(blocks.front()), 1u) << "it was not released";
    EXPECT_EQ(CompressAll(driver), "");
    EXPECT_FALSE(file_system.Exists(BlockPath(1)).value());
    ExpectAllThere(driver, driver.model());
  }
}

// A compressed file is no spare, and there are spares even so.
TEST_P(BlockCompressorTest, SparesHaveTheUsualLength) {
  BlockLogOptions options = Options();
  options.reserve_bytes = 2 * kBlockBytes;
  LogDriver driver(file_system_, options);
  for (int round = 0; round < 4; ++round) {
    FillBlocks(driver, 5, 3000);
    EXPECT_EQ(CompressAll(driver), "");
    ASSERT_FALSE(CompressedBlocks(file_system_).empty());
    driver.Drop(kGroupA, driver.store(kGroupA).last().index);
    driver.Drop(kGroupB, driver.store(kGroupB).last().index);
    ASSERT_TRUE(driver.Sync().ok());
    FillBlocks(driver, driver.log().figures().blocks + 1, 3000);
  }
  const std::vector<std::string> spares = NamesWith(file_system_, ".spare");
  EXPECT_GE(spares.size(), 2u);
  for (const std::string& name : spares) {
    EXPECT_EQ(ReadWholeFile(file_system_, JoinPath(kTestDirectory, name)).value().size(),
              kBlockBytes);
  }
  EXPECT_TRUE(driver.log().has_room());
}

TEST_P(BlockCompressorTest, AFullDiskIsNoError) {
  BlockLogOptions options = Options();
  options.reserve_bytes = 2 * kBlockBytes;
  Model model;
  {
    LogDriver driver(file_system_, options);
    FillBlocks(driver, 5);
    const size_t spares = NamesWith(file_system_, ".spare").size();
    uint64_t used = 0;
    const std::vector<std::string> names = file_system_.List(kTestDirectory).value();
    for (const std::string& name : names) {
      used += ReadWholeFile(file_system_, JoinPath(kTestDirectory, name)).value().size();
    }
    for (uint64_t room : {0, 512, 30'000, 60'000}) {
      file_system_.set_capacity_bytes(used + room);
      EXPECT_EQ(CompressAll(driver), "") << room;
      EXPECT_THAT(NamesWith(file_system_, ".tmp"), IsEmpty());
    }
    EXPECT_THAT(CompressedBlocks(file_system_), IsEmpty());
    EXPECT_EQ(NamesWith(file_system_, ".spare").size(), spares);
    EXPECT_TRUE(driver.log().has_room());
    file_system_.set_capacity_bytes(UINT64_MAX);
    // Tried again when the log has got on.
    FillBlocks(driver, 6);
    EXPECT_EQ(CompressAll(driver), "");
    EXPECT_GE(CompressedBlocks(file_system_).size(), 3u);
    model = driver.model();
  }
  LogDriver driver(file_system_, options);
  ExpectRecovered(driver, model);
}

// A disk that fails is told of once, and the log goes on without.
TEST_P(BlockCompressorTest, AFailureEndsItAndNothingElse) {
  uint64_t accesses = 0;
  uint64_t fail_at = 0;
  for (fail_at = 1;; ++fail_at) {
    SCOPED_TRACE(fail_at);
    SimulatedFileSystem file_system;
    Model model;
    {
      LogDriver driver(file_system, Options());
      FillBlocks(driver, 4, 3000);
      accesses = 0;
      file_system.set_fault_hook([&](const FileAccess& access) {
        using Operation = FileAccess::Operation;
        const bool counts =
            access.operation == Operation::kWrite || access.operation == Operation::kSync ||
            access.operation == Operation::kRename || access.operation == Operation::kSyncDirectory;
        if (counts && ++accesses == fail_at) return FileFault{.error = 5};
        return FileFault();
      });
      const std::string told = CompressAll(driver);
      file_system.set_fault_hook(nullptr);
      EXPECT_EQ(told.empty(), accesses < fail_at) << told;
      EXPECT_EQ(std::count(told.begin(), told.end(), '\n'), 0) << told;
      ExpectAllThere(driver, driver.model());
      driver.Append(kGroupA, 1, {"and on"});
      ASSERT_TRUE(driver.Sync().ok());
      EXPECT_EQ(file_system.uses_after_failure(), 0u);
      model = driver.model();
    }
    LogDriver driver(file_system, Options());
    ExpectRecovered(driver, model);
    if (accesses < fail_at || HasFailure()) break;
  }
  EXPECT_GT(fail_at, 20u);
}

TEST_P(BlockCompressorTest, ANewerFormatIsRefused) {
  {
    LogDriver driver(file_system_, Options());
    FillBlocks(driver, 4);
    EXPECT_EQ(CompressAll(driver), "");
  }
  const BlockHeader header = HeaderOf(file_system_, 1);
  ASSERT_TRUE(header.is_compressed());
  for (int copy : {0, 1}) {
    std::string sector = header.Encode();
    ASSERT_EQ(sector[4], 3);
    sector[4] = 4;
    const uint64_t checksum = Checksum(absl::string_view(sector).substr(0, 504));
    StoreLittleEndian(sector.data() + 504, checksum);
    file_system_.Overwrite(BlockPath(1), header.FileGeometry().header_at(copy), sector);
  }
  LogDriver driver(file_system_, Options());
  EXPECT_TRUE(absl::IsFailedPrecondition(driver.status())) << driver.status();
  EXPECT_THAT(driver.status().message(), HasSubstr("block format 4"));
  EXPECT_THAT(driver.status().message(), HasSubstr(BlockPath(1)));
}

// The keys of encrypted ones.

class EncryptedCompressorTest : public BlockCompressorTest {};

INSTANTIATE_TEST_SUITE_P(Kinds, EncryptedCompressorTest,
                         testing::Values(CompressedKind{512, true}, CompressedKind{4096, true}),
                         CompressedKindName);

TEST_P(EncryptedCompressorTest, NothingOfItCanBeReadOnTheDisk) {
  LogDriver driver(file_system_, Options());
  FillBlocks(driver, 5);
  EXPECT_EQ(CompressAll(driver), "");
  for (const auto& [block, bytes] : CompressedBlocks(file_system_)) {
    const std::string content = ReadWholeFile(file_system_, BlockPath(block)).value();
    EXPECT_FALSE(absl::StrContains(content, "of many")) << block;
    EXPECT_FALSE(absl::StrContains(content, "\x28\xb5\x2f\xfd")) << block;  // a frame of zstd
  }
}

TEST_P(EncryptedCompressorTest, ItIsWrappedByTheNewestKeyAlsoWhenThatCameMeanwhile) {
  BlockLogOptions options = Options();
  const std::shared_ptr<KeyRing> keys = TestRing(Cipher::kAes256Gcm);
  options.keys = keys;
  Model model;
  {
    LogDriver driver(file_system_, options);
    FillBlocks(driver, 5);
    // One is compressed before the keys change, one while, and one behind.
    while (CompressedBlocks(file_system_).empty()) driver.log().scrub()->Compress(1);
    for (int i = 0; i < 4; ++i) driver.log().scrub()->Compress(1);
    ASSERT_EQ(CompressedBlocks(file_system_).size(), 1u);
    ASSERT_TRUE(keys->Replace({TestKey(2), TestKey(1)}).ok());
    driver.Append(kGroupA, 1, {"in the next block"});
    ASSERT_TRUE(driver.Sync().ok());
    EXPECT_EQ(CompressAll(driver), "");
    EXPECT_GE(CompressedBlocks(file_system_).size(), 3u);
    for (const auto& [block, bytes] : CompressedBlocks(file_system_)) {
      EXPECT_EQ(HeaderOf(file_system_, block).key, TestKey(2).id) << block;
    }
    model = driver.model();
  }
  options.keys = TestRing(Cipher::kAes256Gcm, {2});
  LogDriver driver(file_system_, options);
  ExpectRecovered(driver, model);
}

TEST_P(EncryptedCompressorTest, ToAnotherCipherAndToNone) {
  Model model;
  const std::shared_ptr<KeyRing> rings[] = {TestRing(Cipher::kAes256Gcm),
                                            TestRing(Cipher::kChaCha20Poly1305),
                                            TestRing(Cipher::kNone), nullptr};
  for (const std::shared_ptr<KeyRing>& keys : rings) {
    BlockLogOptions options = Options();
    options.keys = keys;
    LogDriver driver(file_system_, options);
    ExpectRecovered(driver, model);
    driver.set_model(model);
    FillBlocks(driver, driver.log().figures().blocks + 2, 3000);
    for (size_t i = 0; i < 60; ++i) {
      driver.Append(kGroupB, 1, {CompressibleText(i, 3000)});
      ASSERT_TRUE(driver.Sync().ok());
      driver.log().scrub()->Compress(32 << 10);
    }
    EXPECT_EQ(CompressAll(driver), "");
    const Cipher wanted = keys == nullptr ? Cipher::kNone : keys->cipher();
    EXPECT_FALSE(CompressedBlocks(file_system_).empty());
    for (const auto& [block, bytes] : CompressedBlocks(file_system_)) {
      EXPECT_EQ(HeaderOf(file_system_, block).encryption.cipher, wanted) << block;
    }
    ExpectAllThere(driver, driver.model());
    model = driver.model();
  }
}

}  // namespace
}  // namespace cairn
