#include "storage/read_only_file_system.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "storage/simulated_file_system.h"

namespace cairn {
namespace {

TEST(ReadOnlyFileSystemTest, ReadsAndChangesNothing) {
  SimulatedFileSystem real;
  ASSERT_TRUE(real.MakeDirectory("/d").ok());
  ASSERT_TRUE(WriteFileAtomically(real, "/d/file", "content").ok());
  int changes = 0;
  real.set_fault_hook([&changes](const FileAccess& access) {
    using Operation = FileAccess::Operation;
    const bool reads =
        access.operation == Operation::kOpen || access.operation == Operation::kRead ||
        access.operation == Operation::kReadDirect || access.operation == Operation::kList;
    if (!reads) ++changes;
    return FileFault();
  });

  ReadOnlyFileSystem file_system(real);
  EXPECT_EQ(ReadWholeFile(file_system, "/d/file").value(), "content");
  EXPECT_EQ(file_system.List("/d").value(), std::vector<std::string>{"file"});
  EXPECT_TRUE(file_system.Exists("/d/file").value());
  EXPECT_FALSE(file_system.LockHolder("/d/LOCK").value().has_value());
  EXPECT_EQ(file_system.BootId().value(), real.BootId().value());

  using Mode = FileSystem::OpenMode;
  for (const Mode mode : {Mode::kReadWrite, Mode::kCreate, Mode::kOpenOrCreate}) {
    EXPECT_TRUE(absl::IsPermissionDenied(file_system.Open("/d/file", {.mode = mode}).status()));
  }
  const std::unique_ptr<File> file = file_system.Open("/d/file", {}).value();
  absl::Status synced;
  file_system.Sync(*file, [&synced](absl::Status status) { synced = std::move(status); });
  for (const absl::Status& refused :
       {synced, file_system.SyncNow(*file), file_system.Preallocate(*file, 4096),
        file_system.ReserveZeroes(*file, 4096), file_system.SyncDirectory("/d"),
        file_system.Rename("/d/file", "/d/other"), file_system.Remove("/d/file"),
        file_system.MakeDirectory("/e"), file_system.Lock("/d/LOCK").status()}) {
    EXPECT_TRUE(absl::IsPermissionDenied(refused)) << refused;
  }
  EXPECT_EQ(changes, 0);
}

// How far somebody is who reads a file is told as it is read.
TEST(ReadOnlyFileSystemTest, TellsWhatIsRead) {
  SimulatedFileSystem real;
  ASSERT_TRUE(WriteFileAtomically(real, "/file", std::string(5000, 'x')).ok());
  size_t told = 0;
  ReadOnlyFileSystem file_system(real, [&told](size_t bytes) { told += bytes; });
  EXPECT_EQ(ReadWholeFile(file_system, "/file")->size(), 5000u);
  EXPECT_EQ(told, 5000u);
  const std::unique_ptr<File> file = file_system.Open("/file", {}).value();
  alignas(4096) char page[4096];
  EXPECT_EQ(file->Read(4990, 100, page).value(), 10u);
  EXPECT_EQ(told, 5010u);
  EXPECT_EQ(file->ReadDirect(4096, 4096, page).value(), 904u);
  EXPECT_EQ(told, 5914u);
  real.FailReads("/file", 0, 512);
  EXPECT_FALSE(file->Read(0, 100, page).ok());
  EXPECT_EQ(told, 5914u);
  EXPECT_TRUE(absl::IsPermissionDenied(
      file_system.Open("/file", {.mode = FileSystem::OpenMode::kReadWrite}).status()));
}

}  // namespace
}  // namespace cairn
