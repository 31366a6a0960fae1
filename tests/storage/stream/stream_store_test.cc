#include "storage/stream/stream_store.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/coding.h"
#include "base/random.h"
#include "base/system_clock.h"
#include "base/thread_executor.h"
#include "gtest/gtest.h"
#include "storage/checksum.h"
#include "storage/posix_file_system.h"
#include "storage/simulated_file_system.h"
#include "storage/stream/stream_checkpoint.h"
#include "tests/storage/stream/stream_driver.h"
#include "tests/storage/stream/stream_twin.h"
#include "tests/storage/test_directory.h"

namespace cairn {
namespace {

std::map<std::string, std::string> BlocksOf(SimulatedFileSystem& file_system) {
  std::map<std::string, std::string> blocks;
  const std::vector<std::string> names = file_system.List(kStreamDirectory).value();
  for (const std::string& name : names) {
    if (!absl::EndsWith(name, ".block")) continue;
    blocks[name] = ReadWholeFile(file_system, absl::StrCat(kStreamDirectory, "/", name)).value();
  }
  return blocks;
}

StreamTwin RandomTwin(uint64_t seed, size_t entries, size_t longest) {
  Random random(seed);
  StreamTwin twin;
  for (size_t i = 0; i < entries; ++i) twin.AddRandom(random, longest);
  return twin;
}

TEST(StreamStoreTest, ReadsWhatWasAppendedFromMemoryAndFromFiles) {
  SimulatedFileSystem file_system;
  StreamDriver driver(file_system, SmallStreamStore());
  ASSERT_TRUE(driver.status().ok()) << driver.status();
  const StreamTwin twin = RandomTwin(1, 600, 900);
  Random random(2);
  for (Index index = 1; index <= twin.last(); ++index) {
    twin.Apply(driver.store(), index - 1, index);
    if (index % 40 == 0) {
      ASSERT_EQ(twin.Difference(driver.store(), index, random, 5), "") << index;
    }
    if (index % 7 == 0) driver.RunBackground();
  }
  driver.RunBackground();
  EXPECT_TRUE(driver.failure().ok()) << driver.failure();
  EXPECT_EQ(twin.Difference(driver.store(), twin.last(), random, 50), "");
  EXPECT_GT(driver.durable(), twin.last() - 60);
}

// Without checkpoints everything comes from the log again.
TEST(StreamStoreTest, OpensAsOfTheLastCheckpoint) {
  SimulatedFileSystem file_system;
  const StreamTwin twin = RandomTwin(3, 400, 900);
  Random random(4);
  Index durable = 0;
  {
    StreamDriver driver(file_system, SmallStreamStore());
    for (Index index = 1; index <= twin.last(); ++index) {
      twin.Apply(driver.store(), index - 1, index);
      driver.RunBackground();
    }
    durable = driver.durable();
  }
  EXPECT_GT(durable, 300u);
  EXPECT_LT(durable, twin.last());
  file_system.RestartProcess();
  StreamDriver driver(file_system, SmallStreamStore());
  ASSERT_TRUE(driver.status().ok()) << driver.status();
  EXPECT_EQ(driver.recovered(), durable);
  EXPECT_EQ(driver.archive(), StreamTwin::ArchiveAt(durable));
  EXPECT_EQ(twin.Difference(driver.store(), durable, random, 20), "");
  twin.Apply(driver.store(), durable, twin.last());
  EXPECT_EQ(twin.Difference(driver.store(), twin.last(), random, 20), "");
}

TEST(StreamStoreTest, MembersWriteTheSameBytes) {
  const StreamTwin twin = RandomTwin(5, 900, 900);
  std::vector<std::map<std::string, std::string>> blocks;
  std::vector<std::string> images;
  for (uint64_t member = 0; member < 3; ++member) {
    SimulatedFileSystem file_system;
    Random random(100 + member);
    StreamStoreOptions options = SmallStreamStore();
    options.checkpoint_bytes = 700 * (member + 1);
    options.flush_bytes = 1 + 900 * member;
    auto driver = std::make_unique<StreamDriver>(file_system, options);
    Index applied = 0;
    while (applied < twin.last()) {
      const Index next = std::min(twin.last(), applied + 1 + random.Below(30));
      twin.Apply(driver->store(), applied, next);
      applied = next;
      if (random.OneIn(3)) driver->RunBackground();
      if (member == 2 && random.OneIn(10)) {  // this one restarts now and then
        driver.reset();
        file_system.RestartProcess();
        driver = std::make_unique<StreamDriver>(file_system, options);
        applied = driver->recovered();
      }
    }
    auto frozen = driver->store().Freeze();
    images.push_back(frozen->Read(0, 0, frozen->files()[0].bytes).value());
    // Writes what is left.
    options.checkpoint_entries = 1;
    driver->RunBackground();
    std::map<std::string, std::string> frozen_blocks;
    for (size_t i = 1; i < frozen->files().size(); ++i) {
      frozen_blocks[frozen->files()[i].name] = frozen->Read(i, 0, frozen->files()[i].bytes).value();
    }
    blocks.push_back(std::move(frozen_blocks));
  }
  EXPECT_GT(blocks[0].size(), 20u);
  EXPECT_TRUE(blocks[0] == blocks[1]);
  EXPECT_TRUE(blocks[0] == blocks[2]);
  EXPECT_TRUE(images[0] == images[1]);
  EXPECT_TRUE(images[0] == images[2]);
}

TEST(StreamStoreTest, AFrozenStateStaysAsItWas) {
  SimulatedFileSystem file_system;
  StreamDriver driver(file_system, SmallStreamStore());
  const StreamTwin twin = RandomTwin(6, 300, 900);
  twin.Apply(driver.store(), 0, 150);
  auto frozen = driver.store().Freeze();
  auto twin_frozen = driver.store().Freeze();
  std::vector<std::string> before;
  for (size_t i = 0; i < frozen->files().size(); ++i) {
    before.push_back(frozen->Read(i, 0, frozen->files()[i].bytes).value());
  }
  twin.Apply(driver.store(), 150, 300);
  driver.RunBackground();
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(twin_frozen->files()[i].bytes, before[i].size());
    EXPECT_TRUE(twin_frozen->Read(i, 0, before[i].size()).value() == before[i]) << i;
  }
  EXPECT_EQ(frozen->Read(1, frozen->files()[1].bytes, 1).status().code(),
            absl::StatusCode::kOutOfRange);
  // A later one has the same beginning.
  auto later = driver.store().Freeze();
  EXPECT_GT(later->files().size(), frozen->files().size());
  for (size_t i = 1; i < before.size(); ++i) {
    EXPECT_TRUE(later->Read(i, 0, before[i].size()).value() == before[i]) << i;
  }
}

TEST(StreamStoreTest, RestoresWhatAnotherOneFroze) {
  SimulatedFileSystem source_files;
  SimulatedFileSystem file_system;
  StreamDriver source(source_files, SmallStreamStore());
  const StreamTwin twin = RandomTwin(7, 400, 900);
  Random random(8);
  twin.Apply(source.store(), 0, 300);
  StreamDriver driver(file_system, SmallStreamStore());
  twin.Apply(driver.store(), 0, 100);
  driver.RunBackground();
  auto old = driver.store().Freeze();

  auto paths = SaveFrozen(*source.store().Freeze(), file_system);
  ASSERT_TRUE(paths.ok()) << paths.status();
  const LogPosition wrong{299, 6};
  EXPECT_EQ(RestoreFrozen(driver.store(), file_system, *paths, wrong).code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(twin.Difference(driver.store(), 100, random, 5), "");
  absl::Status restored = RestoreFrozen(driver.store(), file_system, *paths, {300, 7});
  ASSERT_TRUE(restored.ok()) << restored;
  EXPECT_EQ(twin.Difference(driver.store(), 300, random, 20), "");
  // What was frozen before is still whole, and its files go with it.
  for (size_t i = 0; i < old->files().size(); ++i) {
    EXPECT_TRUE(old->Read(i, 0, old->files()[i].bytes).ok());
  }
  old.reset();
  for (const auto& [name, bytes] : BlocksOf(file_system)) {
    EXPECT_TRUE(absl::StartsWith(name, "00000002-")) << name;
  }
  twin.Apply(driver.store(), 300, 400);
  driver.RunBackground();
  EXPECT_TRUE(driver.failure().ok()) << driver.failure();
  EXPECT_EQ(twin.Difference(driver.store(), 400, random, 20), "");

  auto after = file_system.WorstCaseImage();
  StreamDriver next(*after, SmallStreamStore());
  ASSERT_TRUE(next.status().ok()) << next.status();
  EXPECT_GE(next.recovered(), 300u);
  EXPECT_EQ(twin.Difference(next.store(), next.recovered(), random, 20), "");
}

// The answer of a read must not come from a place that a Restore took away.
TEST(StreamStoreTest, AReadGoesOnAcrossARestore) {
  SimulatedFileSystem source_files;
  SimulatedFileSystem file_system;
  StreamDriver source(source_files, SmallStreamStore());
  const StreamTwin twin = RandomTwin(9, 500, 900);
  twin.Apply(source.store(), 0, 500);
  StreamDriver driver(file_system, SmallStreamStore());
  twin.Apply(driver.store(), 0, 200);
  auto paths = SaveFrozen(*source.store().Freeze(), file_system);
  ASSERT_TRUE(paths.ok()) << paths.status();
  uint64_t next = 1;
  bool restored = false;
  absl::Status status = driver.store().Read(1, 1, SIZE_MAX, [&](const StoredStreamRecord& stored) {
    EXPECT_EQ(stored.record.first_sequence, next);
    next += stored.record.messages;
    if (!restored && next > 20) {
      restored = true;
      EXPECT_TRUE(RestoreFrozen(driver.store(), file_system, *paths, {500, 11}).ok());
    }
    return true;
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_TRUE(restored);
  EXPECT_EQ(next, source.store().Row(1).last_sequence + 1);
}

// The checkpoint that is under way when a snapshot is restored must not bring the old state back.
TEST(StreamStoreTest, ACheckpointThatARestoreOvertakesIsDropped) {
  SimulatedFileSystem source_files;
  SimulatedFileSystem file_system;
  StreamDriver source(source_files, SmallStreamStore());
  const StreamTwin twin = RandomTwin(10, 300, 900);
  Random random(11);
  twin.Apply(source.store(), 0, 300);
  auto paths = SaveFrozen(*source.store().Freeze(), file_system);
  ASSERT_TRUE(paths.ok()) << paths.status();
  {
    StreamDriver driver(file_system, SmallStreamStore());
    twin.Apply(driver.store(), 0, 100);  // a checkpoint is due, and waits
    EXPECT_EQ(driver.durable(), 0u);
    ASSERT_TRUE(RestoreFrozen(driver.store(), file_system, *paths, {300, 7}).ok());
    driver.RunBackground();
  }
  file_system.RestartProcess();
  StreamDriver next(file_system, SmallStreamStore());
  ASSERT_TRUE(next.status().ok()) << next.status();
  EXPECT_EQ(next.recovered(), 300u);
  EXPECT_EQ(twin.Difference(next.store(), 300, random, 20), "");
}

// As above, but it has synced its blocks already.
TEST(StreamStoreTest, ACheckpointThatARestoreInterruptsIsDropped) {
  SimulatedFileSystem source_files;
  SimulatedFileSystem file_system;
  StreamDriver source(source_files, SmallStreamStore());
  const StreamTwin twin = RandomTwin(10, 300, 900);
  Random random(11);
  twin.Apply(source.store(), 0, 300);
  auto paths = SaveFrozen(*source.store().Freeze(), file_system);
  ASSERT_TRUE(paths.ok()) << paths.status();
  {
    StreamDriver driver(file_system, SmallStreamStore());
    twin.Apply(driver.store(), 0, 100);
    bool restored = false;
    file_system.set_fault_hook([&](const FileAccess& access) {
      if (access.operation == FileAccess::Operation::kSync && !std::exchange(restored, true)) {
        EXPECT_TRUE(RestoreFrozen(driver.store(), file_system, *paths, {300, 7}).ok());
      }
      return FileFault();
    });
    driver.RunBackground();
    file_system.set_fault_hook(nullptr);
    EXPECT_TRUE(restored);
    EXPECT_TRUE(driver.failure().ok()) << driver.failure();
    EXPECT_EQ(twin.Difference(driver.store(), 300, random, 20), "");
  }
  file_system.RestartProcess();
  StreamDriver next(file_system, SmallStreamStore());
  ASSERT_TRUE(next.status().ok()) << next.status();
  EXPECT_EQ(next.recovered(), 300u);
  EXPECT_EQ(twin.Difference(next.store(), 300, random, 20), "");
}

// Readers, work in the background and snapshots beside the appender, on real threads.
TEST(StreamStoreTest, ReadersOnOtherThreadsSeeWholePrefixes) {
  PosixFileSystem file_system;
  TestDirectory directory;
  const StreamTwin twin = RandomTwin(16, 4000, 900);
  SystemClock clock;
  ThreadExecutor background(clock, "background");
  StreamStoreOptions options = SmallStreamStore();
  options.file_system = &file_system;
  options.directory = directory.path();
  options.group = kTwinGroup;
  options.background = &background;
  auto opened = StreamStore::Open(options);
  ASSERT_TRUE(opened.ok()) << opened.status();
  StreamStore& store = **opened;
  twin.Apply(store, 0, 100);
  std::atomic<bool> done = false;
  std::vector<std::thread> readers;
  for (uint64_t reader = 0; reader < 3; ++reader) {
    readers.emplace_back([&, reader] {
      Random random(reader);
      uint64_t records = 0;
      while (!done || records == 0) {
        const auto stream = static_cast<StreamId>(1 + random.Below(store.size()));
        const uint64_t last = store.Row(stream).last_sequence;
        if (last == 0) continue;
        const uint64_t from = 1 + random.Below(last);
        uint64_t next = from;
        absl::Status status = store.Read(stream, from, 5000, [&](const StoredStreamRecord& read) {
          EXPECT_LE(read.record.first_sequence, next);
          EXPECT_GT(read.record.first_sequence + read.record.messages, next);
          next = read.record.first_sequence + read.record.messages;
          ++records;
          return true;
        });
        EXPECT_TRUE(status.ok()) << status;
        EXPECT_GT(next, from);
      }
    });
  }
  for (Index index = 100; index < twin.last(); index += 10) {
    twin.Apply(store, index, index + 10);
    if (index % 500 == 0) {
      auto frozen = store.Freeze();
      for (size_t i = 0; i < frozen->files().size(); i += 7) {
        EXPECT_TRUE(frozen->Read(i, 0, frozen->files()[i].bytes).ok());
      }
    }
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
  Random random(17);
  EXPECT_EQ(twin.Difference(store, twin.last(), random, 20), "");
}

TEST(StreamStoreTest, AFailedWriteOrSyncIsFinal) {
  for (auto operation : {FileAccess::Operation::kWrite, FileAccess::Operation::kSync,
                         FileAccess::Operation::kRename, FileAccess::Operation::kSyncDirectory}) {
    for (uint64_t nth : {1, 2, 5}) {
      SimulatedFileSystem file_system;
      StreamDriver driver(file_system, SmallStreamStore());
      const StreamTwin twin = RandomTwin(12, 300, 900);
      FileFault fault;
      fault.error = 5;  // EIO
      file_system.set_fault_hook(NthFault(operation, kStreamDirectory, nth, fault));
      Index durable = 0;
      for (Index index = 1; index <= twin.last(); ++index) {
        twin.Apply(driver.store(), index - 1, index);
        driver.RunBackground();
        if (driver.failure().ok()) {
          durable = driver.durable();
        } else {
          ASSERT_EQ(driver.durable(), durable);
        }
      }
      EXPECT_FALSE(driver.failure().ok());
      EXPECT_EQ(file_system.uses_after_failure(), 0u);
      file_system.set_fault_hook(nullptr);
      auto image = file_system.WorstCaseImage();
      StreamDriver next(*image, SmallStreamStore());
      ASSERT_TRUE(next.status().ok()) << next.status();
      EXPECT_GE(next.recovered(), durable);
      Random random(13);
      EXPECT_EQ(twin.Difference(next.store(), next.recovered(), random, 5), "");
    }
  }
}

TEST(StreamStoreTest, TheAppenderWritesItselfWhenTooMuchWaits) {
  SimulatedFileSystem file_system;
  StreamStoreOptions options = SmallStreamStore();
  options.checkpoint_bytes = UINT64_MAX;
  options.checkpoint_entries = UINT64_MAX;
  StreamDriver driver(file_system, options);
  const StreamTwin twin = RandomTwin(14, 500, 900);
  for (Index index = 1; index <= twin.last(); ++index) {
    twin.Apply(driver.store(), index - 1, index);
  }
  uint64_t bytes = 0;
  for (const auto& [name, content] : BlocksOf(file_system)) bytes += content.size();
  auto frozen = driver.store().Freeze();
  uint64_t all = 0;
  for (size_t i = 1; i < frozen->files().size(); ++i) all += frozen->files()[i].bytes;
  EXPECT_LT(all - bytes, 3000u);
}

// Both copies of the checkpoint, one at a time, and then both.
TEST(StreamStoreTest, OneDamagedCheckpointIsHealedAndTwoAreRefused) {
  const StreamTwin twin = RandomTwin(15, 200, 900);
  for (const char* name : {"/CHECKPOINT", "/CHECKPOINT.copy"}) {
    SimulatedFileSystem file_system;
    Index durable = 0;
    {
      StreamDriver driver(file_system, SmallStreamStore());
      twin.Apply(driver.store(), 0, 200);
      driver.RunBackground();
      durable = driver.durable();
    }
    ASSERT_EQ(durable, 200u);
    const std::string path = absl::StrCat(kStreamDirectory, name);
    file_system.FlipBits(path, 60, 1);
    file_system.RestartProcess();
    {
      StreamDriver driver(file_system, SmallStreamStore());
      ASSERT_TRUE(driver.status().ok()) << driver.status();
      EXPECT_EQ(driver.recovered(), durable);
    }
    EXPECT_EQ(
        ReadWholeFile(file_system, absl::StrCat(kStreamDirectory, "/CHECKPOINT")).value(),
        ReadWholeFile(file_system, absl::StrCat(kStreamDirectory, "/CHECKPOINT.copy")).value());
    file_system.FlipBits(absl::StrCat(kStreamDirectory, "/CHECKPOINT"), 60, 1);
    file_system.FlipBits(absl::StrCat(kStreamDirectory, "/CHECKPOINT.copy"), 61, 1);
    const auto blocks = BlocksOf(file_system);
    file_system.RestartProcess();
    StreamDriver driver(file_system, SmallStreamStore());
    EXPECT_EQ(driver.status().code(), absl::StatusCode::kDataLoss) << driver.status();
    ASSERT_TRUE(file_system.Remove(absl::StrCat(kStreamDirectory, "/CHECKPOINT")).ok());
    ASSERT_TRUE(file_system.Remove(absl::StrCat(kStreamDirectory, "/CHECKPOINT.copy")).ok());
    StreamDriver without(file_system, SmallStreamStore());
    EXPECT_EQ(without.status().code(), absl::StatusCode::kDataLoss) << without.status();
    EXPECT_TRUE(BlocksOf(file_system) == blocks);
  }
}

// With somebody to tell it to, the store begins with nothing then, and keeps what there was.
TEST(StreamStoreTest, WhatIsLostIsSetAsideAndToldAndBegunAgain) {
  const StreamTwin twin = RandomTwin(16, 200, 900);
  for (const bool gone : {false, true}) {
    SimulatedFileSystem file_system;
    {
      StreamDriver driver(file_system, SmallStreamStore());
      twin.Apply(driver.store(), 0, 200);
      driver.RunBackground();
    }
    const std::vector<std::string> names = file_system.List(kStreamDirectory).value();
    for (const char* name : {"/CHECKPOINT", "/CHECKPOINT.copy"}) {
      const std::string path = absl::StrCat(kStreamDirectory, name);
      if (gone) {
        ASSERT_TRUE(file_system.Remove(path).ok());
      } else {
        file_system.FlipBits(path, 60, 1);
      }
    }
    file_system.RestartProcess();
    int told = 0;
    StreamStoreOptions options = SmallStreamStore();
    options.lost = [&told](const absl::Status& why) {
      ++told;
      EXPECT_TRUE(absl::IsDataLoss(why)) << why;
      EXPECT_TRUE(absl::StrContains(why.message(), "/streams/*.lost")) << why;
    };
    {
      StreamDriver driver(file_system, options);
      ASSERT_TRUE(driver.status().ok()) << driver.status();
      EXPECT_EQ(told, 1);
      EXPECT_EQ(driver.recovered(), 0u);
      EXPECT_EQ(driver.store().size(), 0u);
      std::vector<std::string> kept = file_system.List(kStreamDirectory).value();
      std::erase_if(kept, [](const auto& name) { return !absl::EndsWith(name, ".lost"); });
      EXPECT_EQ(kept.size(), names.size() - (gone ? 2 : 0));
      twin.Apply(driver.store(), 0, 200);
      driver.RunBackground();
      Random random(2);
      EXPECT_EQ(twin.Difference(driver.store(), 200, random, 20), "");
    }
    StreamDriver driver(file_system, options);
    ASSERT_TRUE(driver.status().ok()) << driver.status();
    EXPECT_EQ(told, 1);
    EXPECT_EQ(driver.recovered(), 200u);
  }
}

// Made by hand, with checksums that fit. To go on there would leave a gap that the other members do
// not have, be it terabytes, or cut off what is good.
TEST(StreamStoreTest, ACheckpointThatContradictsItselfIsNotBelieved) {
  SimulatedFileSystem file_system;
  const StreamTwin twin = RandomTwin(18, 200, 900);
  {
    StreamDriver driver(file_system, SmallStreamStore());
    twin.Apply(driver.store(), 0, 200);
    driver.RunBackground();
  }
  using Lengths = std::vector<uint64_t>;
  const std::vector<std::function<void(Lengths&)>> lies = {
      [](Lengths& lengths) { ++lengths.back(); },
      [](Lengths& lengths) { lengths.back() += 4096; },
      [](Lengths& lengths) { lengths.back() = uint64_t{1} << 31; },
      [](Lengths& lengths) { lengths.back() += uint64_t{1} << 40; },
      [](Lengths& lengths) { lengths.back() = UINT64_MAX; },
      [](Lengths& lengths) { --lengths.back(); },
      [](Lengths& lengths) { lengths.back() = 0; },
      [](Lengths& lengths) { lengths.pop_back(); },
      [](Lengths& lengths) { lengths.push_back(100); },
      [](Lengths& lengths) { lengths.clear(); },
  };
  for (size_t i = 0; i < lies.size(); ++i) {
    SCOPED_TRACE(i);
    const std::unique_ptr<SimulatedFileSystem> image = file_system.WorstCaseImage();
    StreamCheckpointFiles files(image.get(), kStreamDirectory, kTwinGroup);
    StreamCheckpoint checkpoint = files.Load().value().value();
    const std::string last = absl::StrCat(
        kStreamDirectory, "/",
        StreamBlocks::NameOf(1, static_cast<uint32_t>(checkpoint.image.lengths.size())));
    const std::string content = ReadWholeFile(*image, last).value();
    lies[i](checkpoint.image.lengths);
    ASSERT_TRUE(files.Save(checkpoint).ok());
    {
      StreamDriver driver(*image, SmallStreamStore());
      EXPECT_TRUE(absl::IsDataLoss(driver.status())) << driver.status();
      EXPECT_TRUE(ReadWholeFile(*image, last).value() == content) << "nothing is cut off";
    }
    image->RestartProcess();
    int told = 0;
    StreamStoreOptions options = SmallStreamStore();
    options.lost = [&told](const absl::Status&) { ++told; };
    StreamDriver driver(*image, options);
    ASSERT_TRUE(driver.status().ok()) << driver.status();
    EXPECT_EQ(told, 1);
    EXPECT_EQ(driver.recovered(), 0u);
  }
}

// Files of a later version are no damage, and nothing happens to them.
TEST(StreamStoreTest, ACheckpointOfAnotherVersionIsLeft) {
  SimulatedFileSystem file_system;
  const StreamTwin twin = RandomTwin(17, 50, 300);
  {
    StreamDriver driver(file_system, SmallStreamStore());
    twin.Apply(driver.store(), 0, 50);
    driver.RunBackground();
  }
  const std::vector<std::string> names = file_system.List(kStreamDirectory).value();
  for (const char* name : {"/CHECKPOINT", "/CHECKPOINT.copy"}) {
    const std::string path = absl::StrCat(kStreamDirectory, name);
    std::string bytes = ReadWholeFile(file_system, path).value();
    bytes[4] = 2;
    bytes.resize(bytes.size() - sizeof(uint64_t));
    AppendLittleEndian(&bytes, Checksum(bytes));
    ASSERT_TRUE(WriteFileAtomically(file_system, path, bytes).ok());
  }
  StreamStoreOptions options = SmallStreamStore();
  options.lost = [](const absl::Status& why) { ADD_FAILURE() << why; };
  StreamDriver driver(file_system, options);
  EXPECT_TRUE(absl::IsFailedPrecondition(driver.status())) << driver.status();
  EXPECT_EQ(file_system.List(kStreamDirectory).value(), names);
}

// Nor is one that cannot be read now.
TEST(StreamStoreTest, ACheckpointThatCannotBeOpenedNowIsLeft) {
  SimulatedFileSystem file_system;
  { StreamDriver driver(file_system, SmallStreamStore()); }
  const std::vector<std::string> names = file_system.List(kStreamDirectory).value();
  StreamStoreOptions options = SmallStreamStore();
  options.lost = [](const absl::Status& why) { ADD_FAILURE() << why; };
  file_system.set_fault_hook([](const FileAccess& access) {
    FileFault fault;
    const bool opens = access.operation == FileAccess::Operation::kOpen;
    if (opens && absl::StrContains(access.path, "CHECKPOINT")) fault.error = EMFILE;
    return fault;
  });
  StreamDriver driver(file_system, options);
  EXPECT_TRUE(absl::IsUnavailable(driver.status())) << driver.status();
  EXPECT_EQ(file_system.List(kStreamDirectory).value(), names);
}

// A snapshot on its way to be the state is all there is then.
TEST(StreamStoreTest, ARestoreThatWasCutShortEndsAlsoWithoutACheckpoint) {
  SimulatedFileSystem file_system;
  const StreamTwin twin = RandomTwin(18, 200, 900);
  std::vector<std::string> paths;
  {
    SimulatedFileSystem other;
    StreamDriver driver(other, SmallStreamStore());
    twin.Apply(driver.store(), 0, 200);
    const auto saved = SaveFrozen(*driver.store().Freeze(), file_system);
    ASSERT_TRUE(saved.ok()) << saved.status();
    paths = *saved;
  }
  {
    StreamDriver driver(file_system, SmallStreamStore());
    twin.Apply(driver.store(), 0, 100);
    driver.RunBackground();
    // The process ends when the note is written.
    file_system.set_fault_hook([](const FileAccess& access) {
      FileFault fault;
      const bool adopts = access.operation == FileAccess::Operation::kRename &&
                          absl::StartsWith(access.path, kSnapshotDirectory);
      if (adopts) fault.error = EIO;
      return fault;
    });
    EXPECT_FALSE(
        RestoreFrozen(driver.store(), file_system, paths, StreamTwin::PositionOf(200)).ok());
    file_system.set_fault_hook(nullptr);
  }
  file_system.FlipBits(absl::StrCat(kStreamDirectory, "/CHECKPOINT"), 60, 1);
  file_system.FlipBits(absl::StrCat(kStreamDirectory, "/CHECKPOINT.copy"), 60, 1);
  file_system.RestartProcess();
  StreamDriver driver(file_system, SmallStreamStore());
  ASSERT_TRUE(driver.status().ok()) << driver.status();
  EXPECT_EQ(driver.recovered(), 200u);
  Random random(2);
  EXPECT_EQ(twin.Difference(driver.store(), 200, random, 20), "");
}

}  // namespace
}  // namespace cairn
