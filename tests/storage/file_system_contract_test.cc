// What storage/file_system.h promises, of every FileSystem.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "storage/encrypted/encrypted_file_system.h"
#include "storage/file_system.h"
#include "storage/posix_file_system.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/test_keys.h"
#include "tests/storage/test_directory.h"

namespace cairn {
namespace {

using OpenMode = FileSystem::OpenMode;

constexpr size_t kDirectAlignment = 4096;

// One FileSystem and a directory in it that is the test's own.
class Fixture {
 public:
  virtual ~Fixture() = default;
  virtual FileSystem& file_system() = 0;
  virtual std::string directory() = 0;
};

class PosixFixture final : public Fixture {
 public:
  FileSystem& file_system() override { return file_system_; }
  std::string directory() override { return directory_.path(); }

 private:
  PosixFileSystem file_system_;
  TestDirectory directory_;
};

class SimulatedFixture final : public Fixture {
 public:
  SimulatedFixture() { EXPECT_TRUE(file_system_.MakeDirectory(directory()).ok()); }
  FileSystem& file_system() override { return file_system_; }
  std::string directory() override { return "/data"; }

 private:
  SimulatedFileSystem file_system_;
};

// Of a kind, with what is in its directory encrypted.
template <typename Below>
class EncryptedFixture final : public Fixture {
 public:
  FileSystem& file_system() override { return file_system_; }
  std::string directory() override { return below_.directory(); }

 private:
  Below below_;
  EncryptedFileSystem file_system_{
      below_.file_system(), TestRing(Cipher::kAes256Gcm), {below_.directory()}};
};

struct Kind {
  const char* name;
  std::function<std::unique_ptr<Fixture>()> make;
  friend void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }
};

// Bytes at an address fit for direct access.
class AlignedBuffer {
 public:
  explicit AlignedBuffer(size_t size)
      : size_(size), bytes_(static_cast<char*>(std::aligned_alloc(kDirectAlignment, size))) {
    std::fill(bytes_, bytes_ + size, '?');
  }
  ~AlignedBuffer() { std::free(bytes_); }
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;

  char* data() { return bytes_; }
  absl::string_view view() const { return {bytes_, size_}; }

 private:
  size_t size_;
  char* bytes_;
};

class FileSystemContractTest : public testing::TestWithParam<Kind> {
 protected:
  FileSystemContractTest()
      : fixture_(GetParam().make()),
        file_system_(fixture_->file_system()),
        directory_(fixture_->directory()) {}

  std::string Path(const std::string& name) const { return directory_ + "/" + name; }

  std::unique_ptr<File> Open(const std::string& name, OpenMode mode) {
    auto file = file_system_.Open(Path(name), {.mode = mode});
    EXPECT_TRUE(file.ok()) << file.status();
    return std::move(file).value();
  }

  std::unique_ptr<File> FileWith(const std::string& name, const std::string& content) {
    auto file = Open(name, OpenMode::kCreate);
    EXPECT_TRUE(file->Write(0, content).ok());
    return file;
  }

  static std::string ReadAt(const File& file, uint64_t offset, size_t length) {
    std::string bytes(length, '?');
    const auto read = file.Read(offset, length, bytes.data());
    EXPECT_TRUE(read.ok()) << read.status();
    bytes.resize(read.value_or(0));
    return bytes;
  }

  std::string Content(const std::string& name) {
    auto content = ReadWholeFile(file_system_, Path(name));
    EXPECT_TRUE(content.ok()) << content.status();
    return content.value_or("");
  }

  std::vector<std::string> List(const std::string& directory) {
    auto names = file_system_.List(directory);
    EXPECT_TRUE(names.ok()) << names.status();
    return names.value_or(std::vector<std::string>());
  }

  std::unique_ptr<Fixture> fixture_;
  FileSystem& file_system_;
  const std::string directory_;
};

TEST_P(FileSystemContractTest, OpenModesAskWhetherTheFileIsThere) {
  const std::string path = Path("file");
  EXPECT_TRUE(absl::IsNotFound(file_system_.Open(path, {.mode = OpenMode::kRead}).status()));
  EXPECT_TRUE(absl::IsNotFound(file_system_.Open(path, {.mode = OpenMode::kReadWrite}).status()));
  EXPECT_TRUE(file_system_.Open(path, {.mode = OpenMode::kOpenOrCreate}).ok());
  EXPECT_TRUE(file_system_.Open(path, {.mode = OpenMode::kOpenOrCreate}).ok());
  EXPECT_TRUE(file_system_.Open(path, {.mode = OpenMode::kRead}).ok());
  EXPECT_TRUE(file_system_.Open(path, {.mode = OpenMode::kReadWrite}).ok());
  const auto again = file_system_.Open(path, {.mode = OpenMode::kCreate});
  EXPECT_TRUE(absl::IsAlreadyExists(again.status()));
  EXPECT_NE(again.status().message().find(path), absl::string_view::npos) << again.status();
}

TEST_P(FileSystemContractTest, NothingIsMadeInADirectoryThatIsNotThere) {
  const auto file = file_system_.Open(Path("absent/file"), {.mode = OpenMode::kCreate});
  EXPECT_TRUE(absl::IsNotFound(file.status())) << file.status();
}

TEST_P(FileSystemContractTest, AFileIsNoDirectory) {
  FileWith("file", "x");
  EXPECT_FALSE(file_system_.Open(Path("file/below"), {.mode = OpenMode::kCreate}).ok());
  EXPECT_FALSE(file_system_.MakeDirectory(Path("file")).ok());
  EXPECT_FALSE(file_system_.MakeDirectory(Path("file/below")).ok());
  EXPECT_FALSE(file_system_.List(Path("file")).ok());
  ASSERT_TRUE(file_system_.MakeDirectory(Path("directory")).ok());
  EXPECT_FALSE(file_system_.Open(Path("directory"), {.mode = OpenMode::kReadWrite}).ok());
}

TEST_P(FileSystemContractTest, ReadsWhatWasWritten) {
  auto file = FileWith("file", "hello, world");
  EXPECT_EQ(file->path(), Path("file"));
  EXPECT_EQ(file->Size().value(), 12u);
  EXPECT_EQ(ReadAt(*file, 0, 12), "hello, world");
  EXPECT_EQ(ReadAt(*file, 7, 3), "wor");
  ASSERT_TRUE(file->Write(7, "there").ok());
  EXPECT_EQ(Content("file"), "hello, there");
}

TEST_P(FileSystemContractTest, ReadsStopAtTheEnd) {
  auto file = FileWith("file", "hello");
  EXPECT_EQ(ReadAt(*file, 3, 100), "lo");
  EXPECT_EQ(ReadAt(*file, 5, 1), "");
  EXPECT_EQ(ReadAt(*file, 1'000'000, 1), "");
  EXPECT_EQ(ReadAt(*file, 0, 0), "");
}

TEST_P(FileSystemContractTest, WritesBehindTheEndLeaveZeroes) {
  auto file = FileWith("file", "a");
  ASSERT_TRUE(file->Write(1'000, "b").ok());
  EXPECT_EQ(Content("file"), "a" + std::string(999, '\0') + "b");
}

TEST_P(FileSystemContractTest, LargeWritesAcrossSectors) {
  std::string content(3'000'000, 'x');
  for (size_t i = 0; i < content.size(); i += 97) content[i] = static_cast<char>('a' + i % 26);
  auto file = Open("file", OpenMode::kCreate);
  ASSERT_TRUE(file->Write(0, content.substr(0, 1'000'001)).ok());
  ASSERT_TRUE(file->Write(1'000'001, content.substr(1'000'001)).ok());
  EXPECT_EQ(Content("file"), content);
  ASSERT_TRUE(file->Write(500, std::string(2'000, 'y')).ok());
  content.replace(500, 2'000, 2'000, 'y');
  EXPECT_EQ(Content("file"), content);
}

TEST_P(FileSystemContractTest, ResizeCutsAndGrowsWithZeroes) {
  auto file = FileWith("file", "hello, world");
  ASSERT_TRUE(file->Resize(5).ok());
  EXPECT_EQ(Content("file"), "hello");
  ASSERT_TRUE(file->Resize(2'000).ok());
  EXPECT_EQ(Content("file"), "hello" + std::string(1'995, '\0'));
  ASSERT_TRUE(file->Resize(0).ok());
  EXPECT_EQ(file->Size().value(), 0u);
}

TEST_P(FileSystemContractTest, PreallocateFillsWithZeroes) {
  auto file = Open("file", OpenMode::kCreate);
  ASSERT_TRUE(file_system_.Preallocate(*file, 2'500'000).ok());
  EXPECT_EQ(Content("file"), std::string(2'500'000, '\0'));
}

// A block file that is used again must not keep what it held.
TEST_P(FileSystemContractTest, PreallocateClearsAndCuts) {
  auto file = FileWith("file", std::string(9'000, 'x'));
  ASSERT_TRUE(file_system_.Preallocate(*file, 8'192).ok());
  EXPECT_EQ(Content("file"), std::string(8'192, '\0'));
}

TEST_P(FileSystemContractTest, ReservedZeroesAreThereAndTakeWhatIsWritten) {
  auto file = FileWith("file", std::string(9'000, 'x'));
  ASSERT_TRUE(file_system_.ReserveZeroes(*file, 8'192).ok());
  EXPECT_EQ(Content("file"), std::string(8'192, '\0'));
  ASSERT_TRUE(file_system_.ReserveZeroes(*file, 2'500'000).ok());
  EXPECT_EQ(Content("file"), std::string(2'500'000, '\0'));
  ASSERT_TRUE(file->Write(100'000, "hello").ok());
  ASSERT_TRUE(file_system_.SyncNow(*file).ok());
  EXPECT_EQ(Content("file").substr(99'999, 7), std::string("\0hello\0", 7));
}

TEST_P(FileSystemContractTest, OpenFilesOutliveTheirNames) {
  auto file = FileWith("file", "hello");
  auto reader = Open("file", OpenMode::kRead);
  ASSERT_TRUE(file_system_.Rename(Path("file"), Path("renamed")).ok());
  ASSERT_TRUE(file->Write(0, "J").ok());
  EXPECT_EQ(Content("renamed"), "Jello");
  ASSERT_TRUE(file_system_.Remove(Path("renamed")).ok());
  EXPECT_EQ(ReadAt(*reader, 0, 5), "Jello");
  FileWith("file", "other");
  EXPECT_EQ(ReadAt(*reader, 0, 5), "Jello");
}

TEST_P(FileSystemContractTest, AFileOpenedToReadTakesNoWrites) {
  FileWith("file", "hello");
  auto file = Open("file", OpenMode::kRead);
  EXPECT_FALSE(file->Write(0, "x").ok());
  EXPECT_FALSE(Open("file", OpenMode::kRead)->Resize(0).ok());
  EXPECT_EQ(Content("file"), "hello");
}

TEST_P(FileSystemContractTest, DirectReadsGiveWhatTheDiskHolds) {
  std::string content(10'000, 'x');
  for (size_t i = 0; i < content.size(); i += 7) content[i] = static_cast<char>('a' + i % 26);
  auto file = FileWith("file", content);
  ASSERT_TRUE(file_system_.SyncNow(*file).ok());
  AlignedBuffer buffer(16'384);
  auto read = file->ReadDirect(0, 16'384, buffer.data());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, content.size());
  EXPECT_EQ(buffer.view().substr(0, *read), content);
  read = file->ReadDirect(4'096, 4'096, buffer.data());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(buffer.view().substr(0, *read), content.substr(4'096, 4'096));
  read = file->ReadDirect(12'288, 4'096, buffer.data());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, 0u);
}

TEST_P(FileSystemContractTest, DirectWritesAreReadByEverybody) {
  auto opened = file_system_.Open(Path("file"), {.mode = OpenMode::kCreate, .direct = true});
  if (absl::IsUnimplemented(opened.status())) GTEST_SKIP() << opened.status();
  ASSERT_TRUE(opened.ok()) << opened.status();
  File& file = **opened;
  ASSERT_TRUE(file_system_.Preallocate(file, 16'384).ok());
  EXPECT_EQ(ReadAt(file, 4'096, 4), std::string(4, '\0'));
  AlignedBuffer buffer(4'096);
  ASSERT_TRUE(file.Write(4'096, buffer.view()).ok());
  EXPECT_EQ(ReadAt(file, 4'094, 4), std::string(2, '\0') + "??");
  EXPECT_EQ(Content("file").substr(4'096, 4'096), buffer.view());
}

TEST_P(FileSystemContractTest, SyncCallsDone) {
  auto file = FileWith("file", "hello");
  std::optional<absl::Status> result;
  file_system_.Sync(*file, [&result](absl::Status status) { result = status; });
  ASSERT_TRUE(result.has_value());
  EXPECT_TRUE(result->ok()) << *result;
}

TEST_P(FileSystemContractTest, RenameReplaces) {
  FileWith("old", "old");
  FileWith("new", "new");
  ASSERT_TRUE(file_system_.Rename(Path("new"), Path("old")).ok());
  EXPECT_EQ(Content("old"), "new");
  EXPECT_FALSE(file_system_.Exists(Path("new")).value());
  EXPECT_TRUE(absl::IsNotFound(file_system_.Rename(Path("absent"), Path("old"))));
  EXPECT_EQ(Content("old"), "new");
}

TEST_P(FileSystemContractTest, RenameMovesADirectoryWithWhatItHolds) {
  ASSERT_TRUE(file_system_.MakeDirectory(Path("from/below")).ok());
  FileWith("from/below/file", "x");
  ASSERT_TRUE(file_system_.Rename(Path("from"), Path("to")).ok());
  EXPECT_EQ(Content("to/below/file"), "x");
  EXPECT_EQ(List(directory_), std::vector<std::string>({"to"}));
}

TEST_P(FileSystemContractTest, RemoveTakesFilesAndEmptyDirectories) {
  ASSERT_TRUE(file_system_.MakeDirectory(Path("directory")).ok());
  FileWith("directory/file", "x");
  EXPECT_FALSE(file_system_.Remove(Path("directory")).ok());
  EXPECT_TRUE(file_system_.Remove(Path("directory/file")).ok());
  EXPECT_TRUE(file_system_.Remove(Path("directory")).ok());
  EXPECT_FALSE(file_system_.Exists(Path("directory")).value());
  EXPECT_TRUE(absl::IsNotFound(file_system_.Remove(Path("directory"))));
}

TEST_P(FileSystemContractTest, MakeDirectoryMakesTheParents) {
  EXPECT_TRUE(file_system_.MakeDirectory(Path("a/b/c")).ok());
  EXPECT_TRUE(file_system_.MakeDirectory(Path("a/b/c")).ok());
  EXPECT_TRUE(file_system_.MakeDirectory(Path("a/b/d")).ok());
  EXPECT_EQ(List(Path("a/b")), std::vector<std::string>({"c", "d"}));
}

TEST_P(FileSystemContractTest, ListsNamesInByteOrder) {
  for (const char* name : {"b", "a", "B", "a.tmp", "10", "9"}) FileWith(name, "");
  ASSERT_TRUE(file_system_.MakeDirectory(Path("c/deeper")).ok());
  EXPECT_EQ(List(directory_), std::vector<std::string>({"10", "9", "B", "a", "a.tmp", "b", "c"}));
  EXPECT_TRUE(absl::IsNotFound(file_system_.List(Path("absent")).status()));
}

TEST_P(FileSystemContractTest, SyncDirectoryNeedsADirectory) {
  EXPECT_TRUE(file_system_.SyncDirectory(directory_).ok());
  EXPECT_TRUE(absl::IsNotFound(file_system_.SyncDirectory(Path("absent"))));
}

TEST_P(FileSystemContractTest, ExistsTellsFilesAndDirectories) {
  EXPECT_FALSE(file_system_.Exists(Path("x")).value());
  EXPECT_FALSE(file_system_.Exists(Path("x/y")).value());
  EXPECT_TRUE(file_system_.Exists(directory_).value());
  FileWith("x", "");
  EXPECT_TRUE(file_system_.Exists(Path("x")).value());
  EXPECT_FALSE(file_system_.Exists(Path("x/y")).value());
}

TEST_P(FileSystemContractTest, OneHolderOfALock) {
  auto held = file_system_.Lock(Path("lock"));
  ASSERT_TRUE(held.ok()) << held.status();
  const auto second = file_system_.Lock(Path("lock"));
  EXPECT_TRUE(absl::IsAlreadyExists(second.status())) << second.status();
  EXPECT_TRUE(file_system_.Lock(Path("other")).ok());
  held->reset();
  EXPECT_TRUE(file_system_.Lock(Path("lock")).ok());
}

TEST_P(FileSystemContractTest, SaysWhoHoldsALock) {
  EXPECT_EQ(file_system_.LockHolder(Path("lock")).value(), std::nullopt);
  EXPECT_FALSE(file_system_.Exists(Path("lock")).value());
  auto held = file_system_.Lock(Path("lock"));
  ASSERT_TRUE(held.ok()) << held.status();
  const std::string content = Content("lock");
  for (int i = 0; i < 2; ++i) {
    const auto holder = file_system_.LockHolder(Path("lock"));
    ASSERT_TRUE(holder.ok()) << holder.status();
    ASSERT_TRUE(holder->has_value());
    EXPECT_EQ(**holder + "\n", "process " + content);
  }
  EXPECT_EQ(Content("lock"), content);
  held->reset();
  EXPECT_EQ(file_system_.LockHolder(Path("lock")).value(), std::nullopt);
  EXPECT_TRUE(file_system_.Lock(Path("lock")).ok());
}

TEST_P(FileSystemContractTest, BootIdStaysTheSame) {
  const auto id = file_system_.BootId();
  ASSERT_TRUE(id.ok()) << id.status();
  EXPECT_FALSE(id->empty());
  EXPECT_EQ(file_system_.BootId().value(), *id);
}

TEST_P(FileSystemContractTest, WriteFileAtomicallyReplacesTheWhole) {
  const std::string path = Path("file");
  ASSERT_TRUE(WriteFileAtomically(file_system_, path, "a long first content").ok());
  EXPECT_EQ(Content("file"), "a long first content");
  // An attempt that a power cut ended left more than the next one writes.
  FileWith("file.tmp", "something much longer than the second content");
  ASSERT_TRUE(WriteFileAtomically(file_system_, path, "second").ok());
  EXPECT_EQ(Content("file"), "second");
  EXPECT_EQ(List(directory_), std::vector<std::string>({"file"}));
}

TEST_P(FileSystemContractTest, WriteFileAtomicallyFailsWhole) {
  ASSERT_TRUE(file_system_.MakeDirectory(Path("directory/below")).ok());
  EXPECT_FALSE(WriteFileAtomically(file_system_, Path("directory"), "x").ok());
  EXPECT_EQ(List(directory_), std::vector<std::string>({"directory"}));
  EXPECT_TRUE(absl::IsNotFound(WriteFileAtomically(file_system_, Path("absent/file"), "x")));
}

TEST_P(FileSystemContractTest, ReadWholeFileNeedsIt) {
  const auto content = ReadWholeFile(file_system_, Path("absent"));
  EXPECT_TRUE(absl::IsNotFound(content.status())) << content.status();
  FileWith("empty", "");
  EXPECT_EQ(Content("empty"), "");
}

TEST(DirectoryOfTest, IsWhatHoldsTheEntry) {
  EXPECT_EQ(DirectoryOf("name"), ".");
  EXPECT_EQ(DirectoryOf("/name"), "/");
  EXPECT_EQ(DirectoryOf("a/b"), "a");
  EXPECT_EQ(DirectoryOf("/a/b/c"), "/a/b");
}

template <typename Made>
std::unique_ptr<Fixture> Make() {
  return std::make_unique<Made>();
}

INSTANTIATE_TEST_SUITE_P(
    FileSystems, FileSystemContractTest,
    testing::Values(Kind{"Posix", Make<PosixFixture>}, Kind{"Simulated", Make<SimulatedFixture>},
                    Kind{"EncryptedPosix", Make<EncryptedFixture<PosixFixture>>},
                    Kind{"EncryptedSimulated", Make<EncryptedFixture<SimulatedFixture>>}),
    [](const auto& tested) { return std::string(tested.param.name); });

}  // namespace
}  // namespace cairn
