// Every byte of a store is flipped, one at a time, and the store opened again: what it then says is
// what was appended, or it is DATA_LOSS that names the file (fault catalogue D8).

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/simulated_file_system.h"
#include "storage/stream/stream_store.h"
#include "tests/storage/stream/stream_driver.h"
#include "tests/storage/stream/stream_twin.h"

namespace cairn {
namespace {

constexpr Index kEntries = 60;

class StreamFlipTest : public testing::Test {
 protected:
  StreamFlipTest() {
    Random random(1);
    while (twin_.last() < kEntries) twin_.AddRandom(random, 500);
    StreamDriver driver(file_system_, SmallStreamStore());
    twin_.Apply(driver.store(), 0, kEntries);
    driver.RunBackground();
    EXPECT_EQ(driver.durable(), kEntries);
    names_ = file_system_.List(kStreamDirectory).value();
  }

  static std::string PathOf(const std::string& name) {
    return absl::StrCat(kStreamDirectory, "/", name);
  }

  // Whether every message of a damaged store can be read; EXPECTs that none is wrong.
  bool LooksIntact(SimulatedFileSystem& image) {
    Random random(2);
    StreamDriver driver(image, SmallStreamStore());
    if (!driver.status().ok()) {
      EXPECT_EQ(driver.status().code(), absl::StatusCode::kDataLoss) << driver.status();
      EXPECT_TRUE(absl::StrContains(driver.status().message(), kStreamDirectory));
      return false;
    }
    EXPECT_EQ(driver.recovered(), kEntries);
    EXPECT_EQ(twin_.Difference(driver.store(), kEntries, random, 4, /*may_be_damaged=*/true), "");
    bool intact = true;
    for (StreamId id = 1; id <= driver.store().size(); ++id) {
      absl::Status read =
          driver.store().Read(id, 1, SIZE_MAX, [](const StoredStreamRecord&) { return true; });
      if (read.ok()) continue;
      EXPECT_TRUE(absl::IsDataLoss(read)) << read;
      EXPECT_TRUE(absl::StrContains(read.message(), "block")) << read;
      EXPECT_TRUE(absl::StrContains(read.message(), "at byte")) << read;
      intact = false;
    }
    // A damaged block is not given to others.
    auto frozen = driver.store().Freeze();
    for (size_t i = 1; i < frozen->files().size() && !intact; ++i) {
      absl::StatusOr<std::string> bytes = frozen->Read(i, 0, frozen->files()[i].bytes);
      if (!bytes.ok()) return intact;
    }
    EXPECT_TRUE(intact) << "all blocks were given away";
    return intact;
  }

  SimulatedFileSystem file_system_;
  StreamTwin twin_;
  std::vector<std::string> names_;
};

TEST_F(StreamFlipTest, NoFlippedByteGivesAWrongAnswer) {
  uint64_t flips = 0;
  uint64_t noticed = 0;
  Random random(3);
  for (const std::string& name : names_) {
    const std::string content = ReadWholeFile(file_system_, PathOf(name)).value();
    uint64_t noticed_here = 0;
    for (size_t at = 0; at < content.size(); ++at) {
      const std::unique_ptr<SimulatedFileSystem> image = file_system_.WorstCaseImage();
      const auto mask = static_cast<uint8_t>(1 << random.Below(8));
      image->FlipBits(PathOf(name), at, mask);
      ++flips;
      if (!LooksIntact(*image)) ++noticed_here;
      if (HasFailure()) {
        ADD_FAILURE() << name << " at byte " << at;
        return;
      }
      // Nothing of what is damaged goes away: healed are checkpoints only.
      if (absl::EndsWith(name, ".block")) {
        const std::string after = ReadWholeFile(*image, PathOf(name)).value();
        ASSERT_EQ(after.size(), content.size());
        ASSERT_EQ(static_cast<uint8_t>(after[at] ^ content[at]), mask);
      }
    }
    noticed += noticed_here;
    // One of two checkpoints is enough; in blocks only footers can be done without.
    if (absl::StartsWith(name, "CHECKPOINT")) {
      EXPECT_EQ(noticed_here, 0u) << name;
    } else {
      EXPECT_GT(noticed_here, content.size() * 9 / 10) << name;
    }
  }
  std::printf("%llu flips, %llu noticed\n", static_cast<unsigned long long>(flips),
              static_cast<unsigned long long>(noticed));
  EXPECT_GT(flips, 5000u);
}

TEST_F(StreamFlipTest, MissingAndShortFilesAreNoticed) {
  for (const std::string& name : names_) {
    if (!absl::EndsWith(name, ".block")) continue;
    const std::unique_ptr<SimulatedFileSystem> without = file_system_.WorstCaseImage();
    ASSERT_TRUE(without->Remove(PathOf(name)).ok());
    EXPECT_FALSE(LooksIntact(*without)) << name;
    const std::unique_ptr<SimulatedFileSystem> cut = file_system_.WorstCaseImage();
    {
      auto file = cut->Open(PathOf(name), {.mode = FileSystem::OpenMode::kReadWrite});
      ASSERT_TRUE(file.ok());
      ASSERT_TRUE((*file)->Resize((*file)->Size().value() / 2).ok());
    }
    EXPECT_FALSE(LooksIntact(*cut)) << name;
  }
}

// Writes that went to the wrong place: a whole block, and one without its header.
TEST_F(StreamFlipTest, MisplacedBlocksAreNoticed) {
  const std::string second = PathOf(StreamBlocks::NameOf(1, 2));
  const std::string content =
      ReadWholeFile(file_system_, PathOf(StreamBlocks::NameOf(1, 1))).value();
  const size_t length = ReadWholeFile(file_system_, second).value().size();
  for (size_t from : {size_t{0}, kStreamBlockHeaderBytes}) {
    const std::unique_ptr<SimulatedFileSystem> image = file_system_.WorstCaseImage();
    image->Overwrite(second, from, content.substr(0, length).substr(from));
    EXPECT_FALSE(LooksIntact(*image));
  }
}

// A sector that a disk cannot read costs the messages in it and no others.
TEST_F(StreamFlipTest, OtherMessagesAreReadAroundAnUnreadableSector) {
  SimulatedFileSystem image;
  StreamStoreOptions options = SmallStreamStore();
  options.block_bytes = 100'000;
  options.max_marks = 1000;
  StreamTwin twin;
  Random random(4);
  while (twin.last() < 1000) twin.AddRandom(random, 900);
  {
    StreamDriver driver(image, options);
    twin.Apply(driver.store(), 0, 1000);
    driver.RunBackground();
    EXPECT_EQ(driver.durable(), 1000u);
  }
  image.RestartProcess();
  image.FailReads(PathOf(StreamBlocks::NameOf(1, 1)), 51'200, 512);
  StreamDriver driver(image, options);
  ASSERT_TRUE(driver.status().ok()) << driver.status();
  uint64_t read = 0;
  uint64_t lost = 0;
  for (StreamId id = 1; id <= driver.store().size(); ++id) {
    const uint64_t last = driver.store().Row(id).last_sequence;
    for (uint64_t sequence = 1; sequence <= last; ++sequence) {
      absl::Status status =
          driver.store().Read(id, sequence, SIZE_MAX, [&](const StoredStreamRecord& stored) {
            EXPECT_LE(stored.record.first_sequence, sequence);
            ++read;
            return false;
          });
      if (!status.ok()) ++lost;
    }
  }
  EXPECT_GT(lost, 0u);
  EXPECT_GT(read, 3 * lost);
}

}  // namespace
}  // namespace cairn
