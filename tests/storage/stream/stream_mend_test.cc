// What rots in the files of a store that runs is found by its scrub, or where it is read, and put
// right by what another member's store has.

#include <algorithm>
#include <cerrno>
#include <cstdint>
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
constexpr size_t kPiece = 512;

class StreamMendTest : public testing::Test {
 protected:
  // A store that runs, and what it has said of damage.
  struct Running {
    std::unique_ptr<SimulatedFileSystem> files;
    size_t damaged = 0;
    std::unique_ptr<StreamDriver> driver;
    StreamStore& store() const { return driver->store(); }
  };

  StreamMendTest() {
    Random random(1);
    while (twin_.last() < 2 * kEntries) twin_.AddRandom(random, 300);
    StreamDriver driver(file_system_, SmallStreamStore());
    twin_.Apply(driver.store(), 0, kEntries);
    driver.RunBackground();
    EXPECT_EQ(driver.durable(), kEntries);
    names_ = file_system_.List(kStreamDirectory).value();
  }

  static std::string PathOf(const std::string& name) {
    return absl::StrCat(kStreamDirectory, "/", name);
  }
  std::unique_ptr<Running> Start(std::unique_ptr<SimulatedFileSystem> files) {
    auto running = std::make_unique<Running>();
    running->files = std::move(files);
    StreamStoreOptions options = SmallStreamStore();
    options.damaged = [running = running.get()](size_t count, const absl::Status& why) {
      EXPECT_TRUE(why.ok() ? count < running->damaged : absl::IsDataLoss(why)) << why;
      running->damaged = count;
    };
    running->driver = std::make_unique<StreamDriver>(*running->files, std::move(options));
    EXPECT_TRUE(running->driver->status().ok()) << running->driver->status();
    return running;
  }
  // A whole round, `step` bytes at a time; gives what was healed.
  static std::vector<std::string> Scrub(StreamStore& store, uint64_t step) {
    std::vector<std::string> healed;
    uint64_t at = 0;
    for (int i = 0; i < 10'000; ++i) {
      const StreamScrub::Step done = store.Scrub(at, step);
      healed.insert(healed.end(), done.healed.begin(), done.healed.end());
      if (done.ended) return healed;
    }
    ADD_FAILURE() << "a round without an end";
    return healed;
  }
  // Gives `store` what differs from what can be read of it.
  static absl::Status Mend(StreamStore& store, StreamStore& other) {
    const auto theirs = other.Freeze();
    const auto ours = store.Freeze();
    std::vector<uint64_t> lengths;
    for (size_t i = 1; i < theirs->files().size(); ++i) {
      lengths.push_back(theirs->files()[i].bytes);
    }
    return store.Mend(
        lengths,
        [&](uint32_t block, auto take) {
          const uint64_t length = lengths[block - 1];
          for (uint64_t offset = 0; offset < length; offset += kPiece) {
            const auto bytes = static_cast<size_t>(std::min<uint64_t>(kPiece, length - offset));
            const auto piece = theirs->Read(block, offset, bytes);
            if (!piece.ok()) return piece.status();
            const auto own = ours->Read(block, offset, bytes);
            if (own.ok() && *own == *piece) continue;
            absl::Status status = take(offset, *piece);
            if (!status.ok()) return status;
          }
          return absl::OkStatus();
        },
        [] { return StreamTwin::ArchiveAt(kEntries); });
  }

  SimulatedFileSystem file_system_;
  StreamTwin twin_;
  std::vector<std::string> names_;
};

TEST_F(StreamMendTest, AScrubFindsEachByteAndAnotherStorePutsItRight) {
  Random random(3);
  const std::unique_ptr<Running> other = Start(file_system_.WorstCaseImage());
  const std::unique_ptr<Running> one = Start(file_system_.WorstCaseImage());
  uint64_t blocks = 0;
  for (const std::string& name : names_) {
    const std::string content = ReadWholeFile(*one->files, PathOf(name)).value();
    const bool block = absl::EndsWith(name, ".block");
    blocks += block ? 1 : 0;
    for (size_t at = 0; at < content.size(); ++at) {
      one->files->FlipBits(PathOf(name), at, static_cast<uint8_t>(1 << random.Below(8)));
      one->damaged = 0;
      const std::vector<std::string> healed = Scrub(one->store(), 1 + random.Below(3000));
      ASSERT_EQ(one->damaged, block ? 1u : 0u) << name << " at byte " << at;
      ASSERT_EQ(healed.size(), block ? 0u : 1u) << name << " at byte " << at;
      if (block) {
        ASSERT_EQ(Mend(one->store(), other->store()), absl::OkStatus());
        one->driver->RunBackground();
      }
      ASSERT_EQ(ReadWholeFile(*one->files, PathOf(name)).value(), content) << at;
    }
  }
  EXPECT_GE(blocks, 3u);
  EXPECT_EQ(one->damaged, 0u);
  EXPECT_EQ(twin_.Difference(one->store(), kEntries, random, 20), "");
}

// Where the damage was there at the start, marks are missing, and blocks end without them.
TEST_F(StreamMendTest, FilesAreThoseOfTheOthersAgain) {
  Random random(4);
  for (const std::string& name : names_) {
    if (!absl::EndsWith(name, ".block")) continue;
    const size_t size = ReadWholeFile(file_system_, PathOf(name)).value().size();
    for (size_t at = 0; at < size; at += 7) {
      const std::unique_ptr<Running> other = Start(file_system_.WorstCaseImage());
      std::unique_ptr<SimulatedFileSystem> image = file_system_.WorstCaseImage();
      image->FlipBits(PathOf(name), at, 4);
      const std::unique_ptr<Running> one = Start(std::move(image));
      // What goes on meanwhile ends the block that went on.
      for (Running* each : {other.get(), one.get()}) {
        twin_.Apply(each->store(), kEntries, 2 * kEntries);
        each->driver->RunBackground();
      }
      Scrub(one->store(), 4000);
      ASSERT_EQ(one->damaged, 1u) << name << " at byte " << at;
      ASSERT_EQ(Mend(one->store(), other->store()), absl::OkStatus());
      one->driver->RunBackground();
      ASSERT_EQ(twin_.Difference(one->store(), 2 * kEntries, random, 10), "");
      const auto theirs = other->store().Freeze();
      const auto ours = one->store().Freeze();
      ASSERT_EQ(theirs->files().size(), ours->files().size());
      for (size_t i = 0; i < theirs->files().size(); ++i) {
        ASSERT_EQ(theirs->files()[i].bytes, ours->files()[i].bytes) << i;
        ASSERT_EQ(theirs->Read(i, 0, theirs->files()[i].bytes).value(),
                  ours->Read(i, 0, ours->files()[i].bytes).value());
      }
    }
  }
}

// A block that was damaged at the start ends without marks; who mends it has not seen its end.
TEST_F(StreamMendTest, ABlockThatEndedWithoutItsMarksIsNotWhole) {
  std::string name;  // of the block that goes on
  for (const std::string& each : names_) {
    if (absl::EndsWith(each, ".block")) name = each;
  }
  const size_t size = ReadWholeFile(file_system_, PathOf(name)).value().size();
  int ended_short = 0;
  for (size_t at = 0; at < size; at += 7) {
    const std::unique_ptr<Running> other = Start(file_system_.WorstCaseImage());
    std::unique_ptr<SimulatedFileSystem> image = file_system_.WorstCaseImage();
    image->FlipBits(PathOf(name), at, 4);
    const std::unique_ptr<Running> one = Start(std::move(image));
    twin_.Apply(one->store(), kEntries, 2 * kEntries);
    one->driver->RunBackground();
    Scrub(one->store(), 4000);
    ASSERT_EQ(one->damaged, 1u) << at;
    const absl::Status early = Mend(one->store(), other->store());
    ASSERT_TRUE(early.ok() || absl::IsDataLoss(early)) << early;
    ended_short += early.ok() ? 0 : 1;
    twin_.Apply(other->store(), kEntries, 2 * kEntries);
    other->driver->RunBackground();
    if (!early.ok()) {
      ASSERT_EQ(Mend(one->store(), other->store()), absl::OkStatus());
    }
    one->driver->RunBackground();
    const auto theirs = other->store().Freeze();
    const auto ours = one->store().Freeze();
    ASSERT_EQ(theirs->files().size(), ours->files().size());
    for (size_t i = 0; i < theirs->files().size(); ++i) {
      ASSERT_EQ(theirs->files()[i].bytes, ours->files()[i].bytes) << i << " at byte " << at;
      ASSERT_EQ(theirs->Read(i, 0, theirs->files()[i].bytes).value(),
                ours->Read(i, 0, ours->files()[i].bytes).value());
    }
  }
  EXPECT_GT(ended_short, 0);
}

// Where both can be read and differ, nobody knows which is right: nothing is written over.
TEST_F(StreamMendTest, WhatCanBeReadIsLeft) {
  const std::unique_ptr<Running> one = Start(file_system_.WorstCaseImage());
  const std::string path = PathOf(StreamBlocks::NameOf(1, 1));
  const std::string content = ReadWholeFile(*one->files, path).value();
  one->files->FlipBits(PathOf(StreamBlocks::NameOf(1, 2)), 700, 1);
  Scrub(one->store(), 4000);
  const absl::Status status = one->store().Mend(
      {content.size(), content.size(), content.size()},
      [](uint32_t block, auto put) {
        return block == 1 ? put(0, "something else") : absl::OkStatus();
      },
      [] { return std::string(); });
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_TRUE(ReadWholeFile(*one->files, path).value() == content);
}

TEST_F(StreamMendTest, AReadFindsItAsWell) {
  std::unique_ptr<SimulatedFileSystem> image = file_system_.WorstCaseImage();
  image->FlipBits(PathOf(StreamBlocks::NameOf(1, 2)), 700, 1);
  const std::unique_ptr<Running> one = Start(std::move(image));
  EXPECT_EQ(one->damaged, 0u);
  uint64_t failed = 0;
  for (StreamId id = 1; id <= one->store().size(); ++id) {
    const absl::Status read =
        one->store().Read(id, 1, SIZE_MAX, [](const StoredStreamRecord&) { return true; });
    EXPECT_TRUE(read.ok() || absl::IsDataLoss(read)) << read;
    failed += read.ok() ? 0 : 1;
  }
  EXPECT_GT(failed, 0u);
  EXPECT_EQ(one->damaged, 1u);
}

TEST_F(StreamMendTest, WhatIsNotGivenStaysDamaged) {
  const std::unique_ptr<Running> one = Start(file_system_.WorstCaseImage());
  one->files->FlipBits(PathOf(StreamBlocks::NameOf(1, 1)), 700, 1);
  Scrub(one->store(), 4000);
  const absl::Status status = one->store().Mend(
      {}, [](uint32_t, auto) { return absl::OkStatus(); }, [] { return std::string(); });
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
}

// What is whole by its checksums need not be what the others have: a footer with marks that cannot
// be is not taken, and does no harm.
TEST_F(StreamMendTest, AFooterMadeByHandIsRefused) {
  const std::unique_ptr<Running> other = Start(file_system_.WorstCaseImage());
  const std::unique_ptr<Running> one = Start(file_system_.WorstCaseImage());
  std::vector<uint64_t> lengths;
  const auto frozen = other->store().Freeze();
  for (size_t i = 1; i < frozen->files().size(); ++i) lengths.push_back(frozen->files()[i].bytes);
  int made_by_hand = 0;
  for (uint32_t block = 2; block < lengths.size(); ++block) {
    const std::string path = PathOf(StreamBlocks::NameOf(1, block));
    const std::string content = ReadWholeFile(*one->files, path).value();
    const uint64_t tag = StreamTag(kTwinGroup);
    const size_t length =
        StreamFooterLength(content.substr(content.size() - kStreamTrailerBytes)).value();
    const size_t begin = content.size() - length;
    StreamFooter footer =
        DecodeStreamFooter(content.substr(begin), block, content.size(), tag).value();
    if (footer.marks.empty()) continue;
    ++made_by_hand;
    // The first stream begins in the first block.
    for (StreamMark& mark : footer.marks) mark = {1, kStreamBlockHeaderBytes, 1};
    const std::string made = EncodeStreamFooter(footer, tag);
    ASSERT_EQ(made.size(), length);
    one->files->FlipBits(path, content.size() - 1, 1);
    one->damaged = 0;
    Scrub(one->store(), 4000);
    ASSERT_EQ(one->damaged, 1u);
    const absl::Status status = one->store().Mend(
        lengths,
        [&](uint32_t wanted, auto take) {
          EXPECT_EQ(wanted, block);
          return take(begin, made);
        },
        [] { return StreamTwin::ArchiveAt(kEntries); });
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    ASSERT_EQ(Mend(one->store(), other->store()), absl::OkStatus());
    EXPECT_TRUE(ReadWholeFile(*one->files, path).value() == content);
  }
  EXPECT_GE(made_by_hand, 1);
  Random random(6);
  EXPECT_EQ(twin_.Difference(one->store(), kEntries, random, 20), "");
}

// A sync that finds no room leaves what was written in the cache, for good: neither read there nor
// synced again, it would be taken for what the disk has.
TEST_F(StreamMendTest, ASyncThatFindsNoRoomIsFinal) {
  const std::unique_ptr<Running> other = Start(file_system_.WorstCaseImage());
  const std::unique_ptr<Running> one = Start(file_system_.WorstCaseImage());
  const std::string path = PathOf(StreamBlocks::NameOf(1, 1));
  one->files->FlipBits(path, 700, 1);
  Scrub(one->store(), 4000);
  ASSERT_EQ(one->damaged, 1u);
  one->files->set_fault_hook([](const FileAccess& access) {
    FileFault fault;
    if (access.operation == FileAccess::Operation::kSync) fault.error = ENOSPC;
    return fault;
  });
  EXPECT_FALSE(Mend(one->store(), other->store()).ok());
  one->files->set_fault_hook(nullptr);
  EXPECT_FALSE(Mend(one->store(), other->store()).ok());
  one->driver->RunBackground();
  EXPECT_FALSE(one->driver->failure().ok());
  EXPECT_EQ(one->files->uses_after_failure(), 0u);
}

// Both copies of the checkpoint rot: the next one takes their place, and nobody is needed.
TEST_F(StreamMendTest, TheNextCheckpointTakesThePlaceOfTwoBadOnes) {
  const std::unique_ptr<Running> one = Start(file_system_.WorstCaseImage());
  for (const char* name : {"CHECKPOINT", "CHECKPOINT.copy"}) {
    one->files->FlipBits(PathOf(name), 60, 1);
  }
  EXPECT_TRUE(Scrub(one->store(), 4000).empty());
  EXPECT_EQ(one->damaged, 1u);
  ASSERT_TRUE(one->store().Checkpoint([] { return StreamTwin::ArchiveAt(kEntries); }));
  one->driver->RunBackground();
  EXPECT_EQ(one->damaged, 0u);
  EXPECT_TRUE(Scrub(one->store(), 4000).empty());
  EXPECT_EQ(one->damaged, 0u);
  const std::unique_ptr<Running> again = Start(one->files->WorstCaseImage());
  EXPECT_EQ(again->driver->recovered(), kEntries);
}

// What a file has that is open still, or memory, is as good as what others have.
TEST_F(StreamMendTest, AFileThatIsGoneIsMadeAgain) {
  const std::unique_ptr<Running> one = Start(file_system_.WorstCaseImage());
  const std::string path = PathOf(StreamBlocks::NameOf(1, 1));
  const std::string content = ReadWholeFile(*one->files, path).value();
  ASSERT_TRUE(one->files->Remove(path).ok());
  EXPECT_EQ(Scrub(one->store(), 4000).size(), 1u);
  EXPECT_EQ(one->damaged, 0u);
  EXPECT_EQ(ReadWholeFile(*one->files, path).value(), content);
}

// A sector that cannot be read is as rot, and can be written.
TEST_F(StreamMendTest, ASectorThatCannotBeReadIsWritten) {
  const std::unique_ptr<Running> other = Start(file_system_.WorstCaseImage());
  const std::unique_ptr<Running> one = Start(file_system_.WorstCaseImage());
  const std::string path = PathOf(StreamBlocks::NameOf(1, 1));
  one->files->FailReads(path, 512, 512);
  Scrub(one->store(), 4000);
  EXPECT_EQ(one->damaged, 1u);
  ASSERT_EQ(Mend(one->store(), other->store()), absl::OkStatus());
  EXPECT_EQ(ReadWholeFile(*one->files, path).value(), ReadWholeFile(*other->files, path).value());
}

// A restore that was cut short, whose note has rotted: the state before it is whole.
TEST_F(StreamMendTest, ADamagedNoteOfARestoreIsNoHindrance) {
  std::unique_ptr<SimulatedFileSystem> image = file_system_.WorstCaseImage();
  ASSERT_TRUE(WriteFileAtomically(*image, PathOf("ADOPTION"), "no note at all").ok());
  const std::unique_ptr<Running> one = Start(std::move(image));
  Random random(5);
  EXPECT_EQ(twin_.Difference(one->store(), kEntries, random, 20), "");
  EXPECT_FALSE(one->files->Exists(PathOf("ADOPTION")).value());
}

}  // namespace
}  // namespace cairn
