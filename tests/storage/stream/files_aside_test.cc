#include "storage/stream/files_aside.h"

#include <cerrno>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/file_system.h"
#include "storage/simulated_file_system.h"

namespace cairn {
namespace {

constexpr char kDirectory[] = "/kept";

void Fill(SimulatedFileSystem& disk) {
  ASSERT_TRUE(disk.MakeDirectory(kDirectory).ok());
  for (const char* name : {"a", "b", "c"}) {
    const std::string path = std::string(kDirectory) + "/" + name;
    ASSERT_TRUE(WriteFileAtomically(disk, path, name).ok());
  }
}

TEST(FilesAsideTest, AreKeptUnderAnotherName) {
  SimulatedFileSystem disk;
  Fill(disk);
  ASSERT_TRUE(WriteFileAtomically(disk, "/kept/b.lost", "of long ago").ok());
  ASSERT_EQ(SetFilesAside(disk, kDirectory), absl::OkStatus());
  const std::vector<std::string> kept = {"a.lost", "b.lost", "c.lost"};
  EXPECT_EQ(disk.WorstCaseImage()->List(kDirectory).value(), kept);
  EXPECT_EQ(ReadWholeFile(disk, "/kept/b.lost").value(), "b");
  ASSERT_EQ(SetFilesAside(disk, kDirectory), absl::OkStatus());
  EXPECT_EQ(disk.List(kDirectory).value(), kept);
}

TEST(FilesAsideTest, CutShortItIsDoneAgain) {
  Random random(1);
  for (uint64_t nth = 1; nth <= 3; ++nth) {
    SimulatedFileSystem disk;
    Fill(disk);
    uint64_t calls = 0;
    disk.set_fault_hook([&](const FileAccess& access) {
      FileFault fault;
      if (access.operation == FileAccess::Operation::kRename && ++calls == nth) fault.error = EIO;
      return fault;
    });
    EXPECT_FALSE(SetFilesAside(disk, kDirectory).ok());
    disk.set_fault_hook(nullptr);
    disk.Crash(CrashPolicy::kRandomSubset, random);
    ASSERT_EQ(SetFilesAside(disk, kDirectory), absl::OkStatus());
    EXPECT_EQ(disk.List(kDirectory).value(),
              (std::vector<std::string>{"a.lost", "b.lost", "c.lost"}));
  }
}

}  // namespace
}  // namespace cairn
