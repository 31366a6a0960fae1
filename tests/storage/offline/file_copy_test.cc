#include "storage/offline/file_copy.h"

#include <string>

#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/simulated_file_system.h"

namespace cairn {
namespace {

void Write(FileSystem& file_system, const std::string& path, const std::string& content) {
  ASSERT_TRUE(file_system.MakeDirectory(DirectoryOf(path)).ok());
  ASSERT_TRUE(WriteFileAtomically(file_system, path, content).ok());
}

TEST(FileCopyTest, ATreeIsThereAfterAPowerCut) {
  SimulatedFileSystem file_system;
  const std::string large((size_t{2} << 20) + 12'345, 'l');
  Write(file_system, "/from/a", "content of a");
  Write(file_system, "/from/d/e/large", large);
  Write(file_system, "/from/d/nothing", "");
  ASSERT_TRUE(file_system.MakeDirectory("/from/empty").ok());
  ASSERT_TRUE(CopyTree(file_system, "/from", file_system, "/to").ok());
  Random random(1);
  file_system.Crash(CrashPolicy::kDropAll, random);
  for (const std::string root : {"/from", "/to"}) {
    EXPECT_EQ(ReadWholeFile(file_system, root + "/a").value(), "content of a");
    EXPECT_TRUE(ReadWholeFile(file_system, root + "/d/e/large").value() == large);
    EXPECT_EQ(ReadWholeFile(file_system, root + "/d/nothing").value(), "");
    EXPECT_TRUE(file_system.List(root + "/empty").value().empty());
    EXPECT_EQ(file_system.List(root).value().size(), 3u);
  }
}

TEST(FileCopyTest, WhatCannotBeReadOrIsThereIsAnError) {
  SimulatedFileSystem file_system;
  Write(file_system, "/from", "a file");
  EXPECT_TRUE(CopyTree(file_system, "/from", file_system, "/to").ok());
  EXPECT_FALSE(CopyTree(file_system, "/from", file_system, "/to").ok());
  EXPECT_TRUE(absl::IsNotFound(CopyTree(file_system, "/nothing", file_system, "/other")));
  file_system.FailReads("/from", 0, 1);
  EXPECT_FALSE(CopyTree(file_system, "/from", file_system, "/third").ok());
}

}  // namespace
}  // namespace cairn
