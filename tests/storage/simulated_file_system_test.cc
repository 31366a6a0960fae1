#include "storage/simulated_file_system.h"

#include <errno.h>

#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "base/random.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

using Kind = PendingOperation::Kind;
using OpenMode = FileSystem::OpenMode;
using Operation = FileAccess::Operation;
using Reached = FileFault::Reached;

std::string Sectors(size_t count, char fill) { return std::string(count * kSectorBytes, fill); }

std::unique_ptr<File> Open(FileSystem& disk, const std::string& path,
                           OpenMode mode = OpenMode::kOpenOrCreate) {
  auto file = disk.Open(path, {.mode = mode});
  EXPECT_TRUE(file.ok()) << file.status();
  return std::move(file).value();
}

// The content, or "absent".
std::string Content(FileSystem& disk, const std::string& path) {
  const auto content = ReadWholeFile(disk, path);
  if (absl::IsNotFound(content.status())) return "absent";
  EXPECT_TRUE(content.ok()) << content.status();
  return content.value_or("error");
}

std::string OnDisk(const File& file, size_t length) {
  alignas(4096) static char buffer[8192];
  const auto read = file.ReadDirect(0, sizeof buffer, buffer);
  EXPECT_TRUE(read.ok()) << read.status();
  return std::string(buffer, std::min(length, read.value_or(0)));
}

// A file whose content and name are durable.
std::unique_ptr<File> DurableFile(FileSystem& disk, const std::string& path,
                                  const std::string& content) {
  auto file = Open(disk, path);
  EXPECT_TRUE(file->Write(0, content).ok());
  EXPECT_TRUE(disk.SyncNow(*file).ok());
  EXPECT_TRUE(disk.SyncDirectory(DirectoryOf(path)).ok());
  return file;
}

std::set<OperationId> IdsOf(const SimulatedFileSystem& disk, Kind kind) {
  std::set<OperationId> ids;
  for (const PendingOperation& operation : disk.Pending()) {
    if (operation.kind == kind) ids.insert(operation.id);
  }
  return ids;
}

// Runs the ends of syncs when told to.
struct Queue {
  std::deque<Task> tasks;
  SimulatedFileSystem::Options options() {
    return {.schedule = [this](Task task) { tasks.push_back(std::move(task)); }};
  }
  void RunOne() {
    Task task = std::move(tasks.front());
    tasks.pop_front();
    task();
  }
};

TEST(SimulatedFileSystemTest, APowerCutLosesWhatWasNotSynced) {
  SimulatedFileSystem disk;
  auto file = DurableFile(disk, "/file", "old");
  ASSERT_TRUE(file->Write(0, "new").ok());
  EXPECT_EQ(Content(disk, "/file"), "new");
  EXPECT_EQ(Content(*disk.WorstCaseImage(), "/file"), "old");
  disk.Crash({});
  EXPECT_EQ(Content(disk, "/file"), "old");
}

TEST(SimulatedFileSystemTest, ASyncedFileNeedsItsEntrySynced) {
  SimulatedFileSystem disk;
  auto file = Open(disk, "/file");
  ASSERT_TRUE(file->Write(0, "content").ok());
  ASSERT_TRUE(disk.SyncNow(*file).ok());
  EXPECT_EQ(Content(*disk.WorstCaseImage(), "/file"), "absent");
  ASSERT_TRUE(disk.SyncDirectory("/").ok());
  EXPECT_EQ(Content(*disk.WorstCaseImage(), "/file"), "content");
}

TEST(SimulatedFileSystemTest, AnEntryMaySurviveWithoutTheContent) {
  SimulatedFileSystem disk;
  ASSERT_TRUE(Open(disk, "/file")->Write(0, "content").ok());
  EXPECT_EQ(Content(*disk.CrashImage({IdsOf(disk, Kind::kCreate)}), "/file"), "");
  std::set<OperationId> kept = IdsOf(disk, Kind::kCreate);
  kept.merge(IdsOf(disk, Kind::kLength));
  EXPECT_EQ(Content(*disk.CrashImage({kept}), "/file"), std::string(7, '\0'));
  kept = IdsOf(disk, Kind::kCreate);
  kept.merge(IdsOf(disk, Kind::kSector));
  EXPECT_EQ(Content(*disk.CrashImage({kept}), "/file"), "");
}

TEST(SimulatedFileSystemTest, MakeDirectoryIsDurable) {
  SimulatedFileSystem disk;
  ASSERT_TRUE(disk.MakeDirectory("/a/b").ok());
  EXPECT_TRUE(disk.Pending().empty());
  EXPECT_TRUE(disk.WorstCaseImage()->Exists("/a/b").value());
}

TEST(SimulatedFileSystemTest, AnySubsetOfSectorsSurvives) {
  SimulatedFileSystem disk;
  auto file = DurableFile(disk, "/file", Sectors(3, 'a'));
  ASSERT_TRUE(file->Write(0, Sectors(3, 'b')).ok());
  const auto pending = disk.Pending();
  ASSERT_EQ(pending.size(), 3u);
  EXPECT_EQ(pending[1].path, "/file");
  EXPECT_EQ(pending[1].offset, kSectorBytes);
  EXPECT_EQ(pending[0].call, pending[2].call);
  const CrashChoice outer = {{pending[0].id, pending[2].id}};
  EXPECT_EQ(Content(*disk.CrashImage(outer), "/file"),
            Sectors(1, 'b') + Sectors(1, 'a') + Sectors(1, 'b'));
}

TEST(SimulatedFileSystemTest, ASectorSurvivesAsItWasAtAnyOfItsWrites) {
  SimulatedFileSystem disk;
  auto file = DurableFile(disk, "/file", Sectors(1, 'a'));
  ASSERT_TRUE(file->Write(0, "1").ok());
  ASSERT_TRUE(file->Write(1, "2").ok());
  const auto pending = disk.Pending();
  ASSERT_EQ(pending.size(), 2u);
  const auto start = [&](std::set<OperationId> kept) {
    return Content(*disk.CrashImage({std::move(kept)}), "/file").substr(0, 3);
  };
  EXPECT_EQ(start({}), "aaa");
  EXPECT_EQ(start({pending[0].id}), "1aa");
  EXPECT_EQ(start({pending[1].id}), "12a");  // the page cache held both bytes by then
}

TEST(SimulatedFileSystemTest, WritingWhatIsThereChangesNothing) {
  SimulatedFileSystem disk;
  auto file = DurableFile(disk, "/file", Sectors(2, 'a'));
  ASSERT_TRUE(file->Write(0, Sectors(1, 'a')).ok());
  EXPECT_TRUE(disk.Pending().empty());
  // After a cut that may be lost it is no longer nothing.
  ASSERT_TRUE(file->Resize(0).ok());
  ASSERT_TRUE(file->Write(0, Sectors(2, 'a')).ok());
  EXPECT_EQ(IdsOf(disk, Kind::kSector).size(), 2u);
  ASSERT_TRUE(disk.SyncNow(*file).ok());
  EXPECT_EQ(Content(*disk.WorstCaseImage(), "/file"), Sectors(2, 'a'));
}

TEST(SimulatedFileSystemTest, PreallocationOfAFreshFileIsOnlyItsLength) {
  SimulatedFileSystem disk;
  auto file = Open(disk, "/file");
  ASSERT_TRUE(disk.Preallocate(*file, uint64_t{8} << 20).ok());
  EXPECT_EQ(IdsOf(disk, Kind::kSector).size(), 0u);
  EXPECT_GE(IdsOf(disk, Kind::kLength).size(), 1u);
}

TEST(SimulatedFileSystemTest, PreallocationOfAUsedFileMayBeLost) {
  SimulatedFileSystem disk;
  auto file = DurableFile(disk, "/file", Sectors(2, 'a'));
  ASSERT_TRUE(disk.Preallocate(*file, 2 * kSectorBytes).ok());
  const auto pending = disk.Pending();
  ASSERT_EQ(pending.size(), 2u);
  EXPECT_EQ(Content(*disk.CrashImage({{pending[1].id}}), "/file"),
            Sectors(1, 'a') + Sectors(1, '\0'));
}

TEST(SimulatedFileSystemTest, LengthsSurviveInOrder) {
  SimulatedFileSystem disk;
  auto file = DurableFile(disk, "/file", "abcdef");
  ASSERT_TRUE(file->Resize(2).ok());
  ASSERT_TRUE(file->Resize(4).ok());
  const auto pending = disk.Pending();
  ASSERT_EQ(pending.size(), 2u);
  const auto content = [&](std::set<OperationId> kept) {
    return Content(*disk.CrashImage({std::move(kept)}), "/file");
  };
  EXPECT_EQ(content({}), "abcdef");
  EXPECT_EQ(content({pending[0].id}), "ab");
  EXPECT_EQ(content({pending[0].id, pending[1].id}), std::string("ab\0\0", 4));
  EXPECT_EQ(content({pending[1].id}), "abcdef");
}

TEST(SimulatedFileSystemTest, ARenameThatWasNotSyncedMayBeUndone) {
  SimulatedFileSystem disk;
  DurableFile(disk, "/old", "old");
  DurableFile(disk, "/new", "new");
  ASSERT_TRUE(disk.Rename("/new", "/old").ok());
  auto worst = disk.WorstCaseImage();
  EXPECT_EQ(Content(*worst, "/old"), "old");
  EXPECT_EQ(Content(*worst, "/new"), "new");
  const auto renamed = disk.CrashImage({IdsOf(disk, Kind::kRename)});
  EXPECT_EQ(Content(*renamed, "/old"), "new");
  EXPECT_EQ(Content(*renamed, "/new"), "absent");
  ASSERT_TRUE(disk.SyncDirectory("/").ok());
  worst = disk.WorstCaseImage();
  EXPECT_EQ(Content(*worst, "/old"), "new");
  EXPECT_EQ(Content(*worst, "/new"), "absent");
}

// The classic: the rename survives and the content it was to publish does not.
TEST(SimulatedFileSystemTest, ARenameMaySurviveTheContent) {
  SimulatedFileSystem disk;
  DurableFile(disk, "/file", "old");
  ASSERT_TRUE(Open(disk, "/file.tmp")->Write(0, "new").ok());
  ASSERT_TRUE(disk.Rename("/file.tmp", "/file").ok());
  std::set<OperationId> kept = IdsOf(disk, Kind::kCreate);
  kept.merge(IdsOf(disk, Kind::kRename));
  EXPECT_EQ(Content(*disk.CrashImage({kept}), "/file"), "");
}

TEST(SimulatedFileSystemTest, EntriesOfOneFileSurviveInOrder) {
  SimulatedFileSystem disk;
  Open(disk, "/a");
  ASSERT_TRUE(disk.Rename("/a", "/b").ok());
  const auto image = disk.CrashImage({IdsOf(disk, Kind::kRename)});
  EXPECT_EQ(image->List("/").value(), std::vector<std::string>());
}

TEST(SimulatedFileSystemTest, EntriesOfSeveralFilesSurviveInAnyOrder) {
  SimulatedFileSystem disk;
  Open(disk, "/a");
  Open(disk, "/b");
  const auto pending = disk.Pending();
  ASSERT_EQ(pending.size(), 2u);
  const auto image = disk.CrashImage({{pending[1].id}});
  EXPECT_EQ(image->List("/").value(), std::vector<std::string>({"b"}));
}

TEST(SimulatedFileSystemTest, ARemovedFileMayComeBack) {
  SimulatedFileSystem disk;
  DurableFile(disk, "/file", "content");
  ASSERT_TRUE(disk.Remove("/file").ok());
  EXPECT_EQ(Content(*disk.WorstCaseImage(), "/file"), "content");
  EXPECT_EQ(Content(*disk.CrashImage({IdsOf(disk, Kind::kRemove)}), "/file"), "absent");
}

TEST(SimulatedFileSystemTest, AFileRemovedAndMadeAgainIsTheOldOrTheNewOrNone) {
  SimulatedFileSystem disk;
  DurableFile(disk, "/file", "old");
  ASSERT_TRUE(disk.Remove("/file").ok());
  auto file = Open(disk, "/file", OpenMode::kCreate);
  ASSERT_TRUE(file->Write(0, "new").ok());
  ASSERT_TRUE(disk.SyncNow(*file).ok());
  EXPECT_EQ(Content(*disk.WorstCaseImage(), "/file"), "old");
  EXPECT_EQ(Content(*disk.CrashImage({IdsOf(disk, Kind::kRemove)}), "/file"), "absent");
  EXPECT_EQ(Content(*disk.CrashImage({IdsOf(disk, Kind::kCreate)}), "/file"), "new");
}

TEST(SimulatedFileSystemTest, SyncCoversWhatWasWrittenBeforeItBegan) {
  Queue queue;
  SimulatedFileSystem disk(queue.options());
  auto file = DurableFile(disk, "/file", "0000");
  ASSERT_TRUE(file->Write(0, "1").ok());
  std::optional<absl::Status> done;
  disk.Sync(*file, [&done](absl::Status status) { done = status; });
  ASSERT_TRUE(file->Write(1, "2").ok());
  EXPECT_FALSE(done.has_value());
  EXPECT_EQ(Content(*disk.WorstCaseImage(), "/file"), "0000");
  queue.RunOne();
  ASSERT_TRUE(done.has_value());
  EXPECT_TRUE(done->ok()) << *done;
  EXPECT_EQ(Content(*disk.WorstCaseImage(), "/file"), "1000");
  ASSERT_TRUE(disk.SyncNow(*file).ok());
  EXPECT_EQ(Content(*disk.WorstCaseImage(), "/file"), "1200");
}

TEST(SimulatedFileSystemTest, SyncsMayEndOutOfOrder) {
  Queue queue;
  SimulatedFileSystem disk(queue.options());
  auto file = DurableFile(disk, "/file", "0000");
  ASSERT_TRUE(file->Write(0, "1").ok());
  disk.Sync(*file, [](absl::Status) {});
  ASSERT_TRUE(file->Write(0, "2").ok());
  disk.Sync(*file, [](absl::Status) {});
  std::swap(queue.tasks[0], queue.tasks[1]);
  queue.RunOne();
  EXPECT_EQ(Content(*disk.WorstCaseImage(), "/file"), "2000");
  queue.RunOne();
  EXPECT_EQ(Content(*disk.WorstCaseImage(), "/file"), "2000");
}

TEST(SimulatedFileSystemTest, APowerCutEndsSyncsUnderWay) {
  Queue queue;
  SimulatedFileSystem disk(queue.options());
  auto file = DurableFile(disk, "/file", "old");
  ASSERT_TRUE(file->Write(0, "new").ok());
  auto owned = std::make_shared<int>(0);
  disk.Sync(*file, [owned](absl::Status) { FAIL() << "a sync ended after the power cut"; });
  disk.Crash({});
  EXPECT_EQ(owned.use_count(), 1);
  queue.RunOne();
  EXPECT_EQ(Content(disk, "/file"), "old");
}

TEST(SimulatedFileSystemTest, ScheduledEndsMayOutliveTheDisk) {
  Queue queue;
  {
    SimulatedFileSystem disk(queue.options());
    auto file = Open(disk, "/file");
    disk.Sync(*file, [](absl::Status) { FAIL() << "a sync ended after the disk"; });
  }
  queue.RunOne();
}

TEST(SimulatedFileSystemTest, APowerCutEndsOpenFilesAndLocks) {
  SimulatedFileSystem disk;
  auto file = DurableFile(disk, "/file", "content");
  auto lock = disk.Lock("/lock");
  ASSERT_TRUE(lock.ok());
  const std::string boot = disk.BootId().value();
  disk.Crash({});
  char byte;
  EXPECT_TRUE(absl::IsUnavailable(file->Read(0, 1, &byte).status()));
  EXPECT_TRUE(absl::IsUnavailable(file->Write(0, "x")));
  EXPECT_TRUE(absl::IsUnavailable(file->Resize(0)));
  EXPECT_TRUE(absl::IsUnavailable(file->Size().status()));
  EXPECT_TRUE(absl::IsUnavailable(disk.SyncNow(*file)));
  EXPECT_EQ(Content(disk, "/file"), "content");
  EXPECT_NE(disk.BootId().value(), boot);
  auto next = disk.Lock("/lock");
  ASSERT_TRUE(next.ok()) << next.status();
  lock->reset();  // that of the old process
  EXPECT_TRUE(absl::IsAlreadyExists(disk.Lock("/lock").status()));
}

TEST(SimulatedFileSystemTest, ARestartedProcessSeesWhatItWrote) {
  SimulatedFileSystem disk;
  auto file = DurableFile(disk, "/file", "old");
  ASSERT_TRUE(file->Write(0, "new").ok());
  auto lock = disk.Lock("/lock");
  const std::string boot = disk.BootId().value();
  disk.RestartProcess();
  EXPECT_TRUE(absl::IsUnavailable(file->Write(0, "x")));
  EXPECT_TRUE(disk.Lock("/lock").ok());
  EXPECT_EQ(disk.BootId().value(), boot);
  EXPECT_EQ(Content(disk, "/file"), "new");
  EXPECT_EQ(Content(*disk.WorstCaseImage(), "/file"), "old");
}

TEST(SimulatedFileSystemTest, ImagesAndOriginsGoTheirOwnWays) {
  SimulatedFileSystem disk;
  auto file = DurableFile(disk, "/file", "0000");
  auto image = disk.WorstCaseImage();
  EXPECT_NE(image->BootId().value(), disk.BootId().value());
  EXPECT_TRUE(image->Pending().empty());
  auto copy = Open(*image, "/file");
  ASSERT_TRUE(copy->Write(0, "1").ok());
  ASSERT_TRUE(image->SyncNow(*copy).ok());
  ASSERT_TRUE(file->Write(3, "2").ok());
  ASSERT_TRUE(disk.SyncNow(*file).ok());
  EXPECT_EQ(Content(*image->WorstCaseImage(), "/file"), "1000");
  EXPECT_EQ(Content(*disk.WorstCaseImage(), "/file"), "0002");
}

// What WriteFileAtomically promises, in every state a power cut can leave at any moment of it.
TEST(SimulatedFileSystemTest, AtomicWritesSurviveEveryPowerCut) {
  SimulatedFileSystem disk;
  const std::string old_content = Sectors(2, 'o') + "old";
  const std::string new_content = Sectors(3, 'n') + "new";
  ASSERT_TRUE(WriteFileAtomically(disk, "/file", old_content).ok());
  // The rest of an attempt that was cut.
  ASSERT_TRUE(Open(disk, "/file.tmp")->Write(0, Sectors(4, 't')).ok());
  std::set<std::string> seen;
  size_t states = 0;
  const auto check_all = [&] {
    Random random(1);
    for (const CrashChoice& choice : EnumerateCrashes(disk.Pending(), {}, random)) {
      auto image = disk.CrashImage(choice);
      const std::string content = Content(*image, "/file");
      ASSERT_TRUE(content == old_content || content == new_content);
      seen.insert(content);
      ++states;
      // And the next attempt finds nothing in its way.
      ASSERT_TRUE(WriteFileAtomically(*image, "/file", "third").ok());
      ASSERT_EQ(Content(*image->WorstCaseImage(), "/file"), "third");
    }
  };
  disk.set_fault_hook([&](const FileAccess&) {
    check_all();
    return FileFault();
  });
  ASSERT_TRUE(WriteFileAtomically(disk, "/file", new_content).ok());
  disk.set_fault_hook(nullptr);
  EXPECT_EQ(seen.size(), 2u);
  EXPECT_GT(states, 100u);
  EXPECT_EQ(Content(*disk.WorstCaseImage(), "/file"), new_content);
}

TEST(SimulatedFileSystemTest, AFailedSyncLosesThePages) {
  SimulatedFileSystem disk;
  auto file = DurableFile(disk, "/file", "old");
  ASSERT_TRUE(file->Write(0, "new").ok());
  disk.set_fault_hook(NthFault(Operation::kSync, "file", 1, {.error = EIO}));
  EXPECT_TRUE(absl::IsInternal(disk.SyncNow(*file)));
  EXPECT_EQ(disk.uses_after_failure(), 0u);
  // The second one says OK, as Linux does; the first one's pages are clean and lost.
  EXPECT_TRUE(disk.SyncNow(*file).ok());
  EXPECT_EQ(disk.uses_after_failure(), 1u);
  disk.RestartProcess();
  auto reopened = Open(disk, "/file");
  EXPECT_EQ(Content(disk, "/file"), "new");
  EXPECT_EQ(OnDisk(*reopened, 3), "old");
  Random random(1);
  disk.Crash(CrashPolicy::kKeepAll, random);
  EXPECT_EQ(Content(disk, "/file"), "old");
}

TEST(SimulatedFileSystemTest, AFailedSyncMayReachSomeSectors) {
  SimulatedFileSystem disk;
  auto file = DurableFile(disk, "/file", Sectors(64, 'a'));
  ASSERT_TRUE(file->Write(0, Sectors(64, 'b')).ok());
  disk.set_fault_hook(NthFault(Operation::kSync, "", 1, {.error = EIO, .reached = Reached::kSome}));
  EXPECT_FALSE(disk.SyncNow(*file).ok());
  const std::string content = Content(*disk.WorstCaseImage(), "/file");
  EXPECT_TRUE(absl::StrContains(content, Sectors(1, 'a')));
  EXPECT_TRUE(absl::StrContains(content, Sectors(1, 'b')));
  EXPECT_TRUE(disk.Pending().empty());
}

TEST(SimulatedFileSystemTest, AFailedSyncLosesNoLength) {
  SimulatedFileSystem disk;
  auto file = DurableFile(disk, "/file", "");
  ASSERT_TRUE(file->Write(0, "lost").ok());
  disk.set_fault_hook(NthFault(Operation::kSync, "file", 1, {.error = EIO}));
  EXPECT_FALSE(disk.SyncNow(*file).ok());
  EXPECT_EQ(Content(*disk.WorstCaseImage(), "/file"), "");
  EXPECT_EQ(disk.Pending().size(), 1u);
  disk.RestartProcess();
  file = Open(disk, "/file");
  ASSERT_TRUE(file->Write(1, "new").ok());
  ASSERT_TRUE(disk.SyncNow(*file).ok());
  EXPECT_EQ(Content(*disk.WorstCaseImage(), "/file"), "lnew");
}

TEST(SimulatedFileSystemTest, DirectReadsSeeWhatIsOnItsWay) {
  SimulatedFileSystem disk;
  auto file = DurableFile(disk, "/file", "old");
  ASSERT_TRUE(file->Write(0, "new!").ok());
  EXPECT_EQ(OnDisk(*file, 10), "new!");
  EXPECT_EQ(Content(*disk.WorstCaseImage(), "/file"), "old");
}

TEST(SimulatedFileSystemTest, AFailedWriteMayLeaveItsBeginning) {
  std::set<size_t> lengths;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    SimulatedFileSystem disk({.seed = seed});
    auto file = Open(disk, "/file");
    disk.set_fault_hook(
        NthFault(Operation::kWrite, "", 1, {.error = EIO, .reached = Reached::kSome}));
    EXPECT_FALSE(file->Write(10, Sectors(20, 'x')).ok());
    const size_t length = Content(disk, "/file").size();
    EXPECT_EQ(length % kSectorBytes, 0u);
    lengths.insert(length);
    EXPECT_TRUE(file->Write(0, "x").ok());
    EXPECT_EQ(disk.uses_after_failure(), 1u);
  }
  EXPECT_GT(lengths.size(), 5u);
}

TEST(SimulatedFileSystemTest, AWriteForWhichThereWasNoRoomMayBeRepeated) {
  SimulatedFileSystem disk;
  auto file = Open(disk, "/file");
  disk.set_capacity_bytes(100);
  EXPECT_TRUE(absl::IsResourceExhausted(file->Write(0, Sectors(1, 'x'))));
  disk.set_capacity_bytes(kSectorBytes);
  EXPECT_TRUE(file->Write(0, Sectors(1, 'x')).ok());
  EXPECT_EQ(disk.uses_after_failure(), 0u);
}

TEST(SimulatedFileSystemTest, ALostWriteIsSeenUntilThePowerFails) {
  SimulatedFileSystem disk;
  auto file = DurableFile(disk, "/file", "old");
  disk.set_fault_hook(NthFault(Operation::kWrite, "file", 1, {.lost = true}));
  ASSERT_TRUE(file->Write(0, "new").ok());
  ASSERT_TRUE(disk.SyncNow(*file).ok());
  EXPECT_EQ(Content(disk, "/file"), "new");
  EXPECT_EQ(OnDisk(*file, 10), "old");
  disk.Crash({});
  EXPECT_EQ(Content(disk, "/file"), "old");
}

TEST(SimulatedFileSystemTest, ALyingDiskForgetsWhatItSynced) {
  SimulatedFileSystem disk;
  auto file = DurableFile(disk, "/file", "old");
  ASSERT_TRUE(file->Write(0, "new").ok());
  disk.set_fault_hook(NthFault(Operation::kSync, "file", 1, {.lost = true}));
  ASSERT_TRUE(disk.SyncNow(*file).ok());
  EXPECT_EQ(Content(*disk.WorstCaseImage(), "/file"), "old");
  EXPECT_EQ(disk.Pending().size(), 1u);
}

TEST(SimulatedFileSystemTest, FaultsReachEveryOperation) {
  SimulatedFileSystem disk;
  auto file = DurableFile(disk, "/file", "content");
  const auto fail = [&](Operation operation) {
    disk.set_fault_hook(NthFault(operation, "", 1, {.error = EIO}));
  };
  alignas(4096) static char buffer[4096];
  fail(Operation::kOpen);
  EXPECT_TRUE(absl::IsInternal(disk.Open("/file", {}).status()));
  fail(Operation::kRead);
  EXPECT_TRUE(absl::IsInternal(file->Read(0, 1, buffer).status()));
  fail(Operation::kReadDirect);
  EXPECT_TRUE(absl::IsInternal(file->ReadDirect(0, 4096, buffer).status()));
  fail(Operation::kSyncDirectory);
  EXPECT_TRUE(absl::IsInternal(disk.SyncDirectory("/")));
  fail(Operation::kRename);
  EXPECT_TRUE(absl::IsInternal(disk.Rename("/file", "/other")));
  fail(Operation::kRemove);
  EXPECT_TRUE(absl::IsInternal(disk.Remove("/file")));
  fail(Operation::kMakeDirectory);
  EXPECT_TRUE(absl::IsInternal(disk.MakeDirectory("/directory")));
  fail(Operation::kList);
  EXPECT_TRUE(absl::IsInternal(disk.List("/").status()));
  fail(Operation::kLock);
  EXPECT_TRUE(absl::IsInternal(disk.Lock("/lock").status()));
  EXPECT_EQ(disk.List("/").value(), std::vector<std::string>({"file"}));
  fail(Operation::kResize);
  EXPECT_TRUE(absl::IsInternal(file->Resize(0)));
  fail(Operation::kPreallocate);
  EXPECT_TRUE(absl::IsInternal(disk.Preallocate(*file, 10)));
  fail(Operation::kReserveZeroes);
  EXPECT_TRUE(absl::IsInternal(disk.ReserveZeroes(*file, 10)));
  EXPECT_EQ(Content(disk, "/file"), "content");
}

TEST(SimulatedFileSystemTest, AFullDiskTakesNoMoreUntilThereIsSpace) {
  SimulatedFileSystem disk({.capacity_bytes = 1'000});
  auto file = Open(disk, "/file");
  ASSERT_TRUE(file->Write(0, std::string(600, 'x')).ok());
  auto other = Open(disk, "/other");
  EXPECT_TRUE(absl::IsResourceExhausted(other->Write(0, std::string(401, 'x'))));
  EXPECT_EQ(other->Size().value(), 0u);
  EXPECT_TRUE(file->Write(0, std::string(600, 'y')).ok());
  disk.set_capacity_bytes(2'000);
  EXPECT_TRUE(Open(disk, "/third")->Write(0, std::string(401, 'x')).ok());
}

TEST(SimulatedFileSystemTest, DamageReachesEveryCopy) {
  SimulatedFileSystem disk;
  auto file = DurableFile(disk, "/file", Sectors(3, 'a'));
  ASSERT_TRUE(file->Write(kSectorBytes, Sectors(1, 'b')).ok());
  disk.FlipBits("/file", kSectorBytes + 5, 0x01);
  EXPECT_EQ(Content(disk, "/file")[kSectorBytes + 5], 'b' ^ 1);
  EXPECT_EQ(Content(*disk.WorstCaseImage(), "/file")[kSectorBytes + 5], 'a' ^ 1);
  ASSERT_TRUE(disk.SyncNow(*file).ok());
  EXPECT_EQ(Content(*disk.WorstCaseImage(), "/file")[kSectorBytes + 5], 'b' ^ 1);
  disk.ZeroSector("/file", 2 * kSectorBytes + 77);
  EXPECT_EQ(Content(*disk.WorstCaseImage(), "/file").substr(2 * kSectorBytes), Sectors(1, '\0'));
  disk.Overwrite("/file", 3 * kSectorBytes - 2, "xyz");
  EXPECT_EQ(Content(disk, "/file").substr(3 * kSectorBytes - 3), std::string("\0xy", 3));
}

TEST(SimulatedFileSystemTest, UnreadableSectorsFailUntilTheyAreWritten) {
  SimulatedFileSystem disk;
  auto file = DurableFile(disk, "/file", Sectors(3, 'a'));
  disk.FailReads("/file", kSectorBytes, 1);
  char bytes[2 * kSectorBytes];
  EXPECT_TRUE(file->Read(0, kSectorBytes, bytes).ok());
  EXPECT_TRUE(absl::IsInternal(file->Read(0, kSectorBytes + 1, bytes).status()));
  EXPECT_TRUE(file->Read(2 * kSectorBytes, kSectorBytes, bytes).ok());
  EXPECT_FALSE(ReadWholeFile(*disk.WorstCaseImage(), "/file").ok());
  disk.Crash({});
  file = Open(disk, "/file");
  EXPECT_FALSE(ReadWholeFile(disk, "/file").ok());
  ASSERT_TRUE(file->Write(kSectorBytes, Sectors(1, 'b')).ok());
  EXPECT_EQ(Content(disk, "/file"), Sectors(1, 'a') + Sectors(1, 'b') + Sectors(1, 'a'));
}

TEST(SimulatedFileSystemTest, DirectWritesMustBeAligned) {
  SimulatedFileSystem disk;
  auto file = disk.Open("/file", {.mode = OpenMode::kCreate, .direct = true});
  ASSERT_TRUE(file.ok()) << file.status();
  alignas(4096) static char buffer[8192];
  EXPECT_TRUE((*file)->Write(512, {buffer, 1024}).ok());
  EXPECT_FALSE((*file)->Write(511, {buffer, 1024}).ok());
  EXPECT_FALSE((*file)->Write(0, {buffer, 1000}).ok());
  EXPECT_FALSE((*file)->Write(0, {buffer + 512, 1024}).ok());
  SimulatedFileSystem without({.has_direct_writes = false});
  EXPECT_TRUE(absl::IsUnimplemented(
      without.Open("/file", {.mode = OpenMode::kCreate, .direct = true}).status()));
  EXPECT_FALSE(without.Exists("/file").value());
}

// One history, with everything that is left to chance in it.
std::string RandomHistory(uint64_t seed) {
  Random random(seed);
  SimulatedFileSystem disk({.seed = seed});
  std::string history;
  for (int step = 0; step < 300; ++step) {
    const std::string path = std::string("/") + static_cast<char>('a' + random.Below(4));
    auto file = Open(disk, path);
    const uint64_t offset = random.Below(4'000);
    const std::string data(static_cast<size_t>(random.Below(2'000)),
                           static_cast<char>('a' + random.Below(26)));
    EXPECT_TRUE(file->Write(offset, data).ok());
    if (random.OneIn(4)) {
      const bool fails = random.OneIn(3);
      if (fails) {
        disk.set_fault_hook(
            NthFault(Operation::kSync, "", 1, {.error = EIO, .reached = Reached::kSome}));
      }
      EXPECT_EQ(disk.SyncNow(*file).ok(), !fails);
    }
    if (random.OneIn(5)) {
      EXPECT_TRUE(disk.SyncDirectory("/").ok());
    }
    if (random.OneIn(7)) {
      EXPECT_TRUE(disk.Rename(path, "/z").ok());
    }
    if (random.OneIn(10)) {
      disk.Crash(random.OneIn(2) ? CrashPolicy::kRandomSubset : CrashPolicy::kTornCall, random);
      const std::vector<std::string> names = disk.List("/").value();
      for (const std::string& name : names) {
        history += name + "=" + Content(disk, "/" + name) + "\n";
      }
    }
  }
  return history;
}

TEST(SimulatedFileSystemTest, SameSeedSameHistory) {
  EXPECT_EQ(RandomHistory(1), RandomHistory(1));
  EXPECT_NE(RandomHistory(1), RandomHistory(2));
}

}  // namespace
}  // namespace cairn
