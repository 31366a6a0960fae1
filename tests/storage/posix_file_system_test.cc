#include "storage/posix_file_system.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <iterator>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/storage/test_directory.h"

namespace cairn {
namespace {

using OpenMode = FileSystem::OpenMode;

class PosixFileSystemTest : public testing::Test {
 protected:
  std::string Path(const std::string& name) const { return directory_.path() + "/" + name; }

  std::unique_ptr<File> Open(const std::string& path, OpenMode mode) {
    auto file = file_system_.Open(path, {.mode = mode});
    EXPECT_TRUE(file.ok()) << file.status();
    return std::move(file).value();
  }

  mode_t ModeOf(const std::string& path) {
    struct stat information = {};
    EXPECT_EQ(stat(path.c_str(), &information), 0) << path;
    return information.st_mode & 0777;
  }

  TestDirectory directory_;
  PosixFileSystem file_system_;
};

// Lets no file grow beyond `bytes` while it lives, as a full disk would.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(signal(SIGXFSZ, SIG_IGN)) {
    EXPECT_EQ(getrlimit(RLIMIT_FSIZE, &old_), 0);
    const rlimit limit = {bytes, old_.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &old_);
    signal(SIGXFSZ, handler_);
  }

 private:
  sighandler_t handler_;
  rlimit old_;
};

TEST_F(PosixFileSystemTest, OnlyTheOwnerMayLook) {
  const mode_t old_mask = umask(0);
  Open(Path("file"), OpenMode::kCreate);
  EXPECT_TRUE(file_system_.MakeDirectory(Path("a/b")).ok());
  EXPECT_TRUE(file_system_.Lock(Path("lock")).ok());
  umask(old_mask);
  EXPECT_EQ(ModeOf(Path("file")), 0600u);
  EXPECT_EQ(ModeOf(Path("lock")), 0600u);
  EXPECT_EQ(ModeOf(Path("a")), 0700u);
  EXPECT_EQ(ModeOf(Path("a/b")), 0700u);
}

TEST_F(PosixFileSystemTest, NoSpaceIsResourceExhausted) {
  auto full = Open("/dev/full", OpenMode::kReadWrite);
  const absl::Status status = full->Write(0, "x");
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "write /dev/full: No space left")) << status;
  // The file may be used again, as far as this one can be.
  EXPECT_FALSE(absl::IsResourceExhausted(file_system_.SyncNow(*full)));
}

// The system takes what fits and says so; a caller must not take that for the whole.
TEST_F(PosixFileSystemTest, AShortWriteIsNotAWrite) {
  auto file = Open(Path("file"), OpenMode::kCreate);
  absl::Status status;
  {
    const FileSizeLimit limit(1'000);
    status = file->Write(0, std::string(2'000, 'x'));
  }
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_EQ(file->Size().value(), 1'000u);
}

TEST_F(PosixFileSystemTest, AFailedFileStaysFailed) {
  auto file = Open(Path("file"), OpenMode::kCreate);
  absl::Status first;
  {
    const FileSizeLimit limit(1'000);
    first = file->Write(2'000, "x");
  }
  ASSERT_FALSE(first.ok());
  EXPECT_EQ(file->Write(0, "x"), first);
  EXPECT_EQ(file->Resize(0), first);
  EXPECT_EQ(file_system_.SyncNow(*file), first);
  EXPECT_EQ(file_system_.Preallocate(*file, 10), first);
  absl::Status synced;
  file_system_.Sync(*file, [&synced](absl::Status status) { synced = status; });
  EXPECT_EQ(synced, first);
  // Another descriptor of the same file knows nothing of it.
  EXPECT_TRUE(Open(Path("file"), OpenMode::kReadWrite)->Write(0, "x").ok());
}

TEST_F(PosixFileSystemTest, PreallocationThatDoesNotFitFails) {
  auto file = Open(Path("file"), OpenMode::kCreate);
  auto other = Open(Path("other"), OpenMode::kCreate);
  const FileSizeLimit limit(1'000);
  EXPECT_TRUE(absl::IsResourceExhausted(file_system_.Preallocate(*file, 100'000)));
  EXPECT_TRUE(absl::IsResourceExhausted(file_system_.ReserveZeroes(*other, 100'000)));
  EXPECT_FALSE(other->Write(0, "x").ok()) << "as after any failure";
}

// The space is the file's own, so that no write to it finds the disk full.
TEST_F(PosixFileSystemTest, ReservedZeroesHaveTheirSpace) {
  constexpr uint64_t kLength = uint64_t{8} << 20;
  auto file = Open(Path("file"), OpenMode::kCreate);
  ASSERT_TRUE(file_system_.ReserveZeroes(*file, kLength).ok());
  struct stat found = {};
  ASSERT_EQ(stat(Path("file").c_str(), &found), 0);
  EXPECT_EQ(static_cast<uint64_t>(found.st_size), kLength);
  EXPECT_GE(static_cast<uint64_t>(found.st_blocks) * 512, kLength);
}

// The cache is for what is written there later, and a copy of each zero would cost more than it.
TEST_F(PosixFileSystemTest, PreallocatedZerosAreNotCached) {
  if (absl::IsUnimplemented(
          file_system_.Open(Path("direct"), {.mode = OpenMode::kCreate, .direct = true})
              .status())) {
    GTEST_SKIP() << "the file system has no direct writes";
  }
  constexpr size_t kPage = 4096;
  constexpr size_t kLength = 700 * kPage;
  auto file = Open(Path("file"), OpenMode::kCreate);
  ASSERT_TRUE(file->Write(0, std::string(kLength, 'x')).ok());
  ASSERT_TRUE(file_system_.Preallocate(*file, kLength + 10).ok());
  ASSERT_TRUE(file_system_.SyncNow(*file).ok());

  const int descriptor = open(Path("file").c_str(), O_RDONLY);
  ASSERT_GE(descriptor, 0);
  void* mapped = mmap(nullptr, kLength, PROT_READ, MAP_SHARED, descriptor, 0);
  close(descriptor);
  ASSERT_NE(mapped, MAP_FAILED);
  std::vector<unsigned char> cached(kLength / kPage);
  EXPECT_EQ(mincore(mapped, kLength, cached.data()), 0);
  munmap(mapped, kLength);
  EXPECT_EQ(std::count_if(cached.begin(), cached.end(), [](unsigned char c) { return c & 1; }), 0);

  std::string read(kLength + 10, 'y');
  EXPECT_EQ(file->Read(0, read.size(), read.data()).value(), read.size());
  EXPECT_EQ(read, std::string(kLength + 10, '\0'));
}

TEST_F(PosixFileSystemTest, DirectWritesWhereThereAreNoneAreRefused) {
  // Files of /proc are never written past the page cache.
  const auto file =
      file_system_.Open("/proc/self/oom_score_adj", {.mode = OpenMode::kReadWrite, .direct = true});
  EXPECT_TRUE(absl::IsUnimplemented(file.status())) << file.status();
}

// What was there before stays readable after the name is gone or names something else.
TEST_F(PosixFileSystemTest, DirectReadsFollowTheFileNotTheName) {
  auto file = Open(Path("file"), OpenMode::kCreate);
  ASSERT_TRUE(file->Write(0, std::string(4'096, 'x')).ok());
  ASSERT_TRUE(file_system_.Remove(Path("file")).ok());
  ASSERT_TRUE(Open(Path("file"), OpenMode::kCreate)->Write(0, std::string(4'096, 'y')).ok());
  alignas(4'096) static char buffer[4'096];
  const auto read = file->ReadDirect(0, sizeof buffer, buffer);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(std::string(buffer, *read), std::string(4'096, 'x'));
}

// A log of ten thousand blocks is read directly when it is opened, and keeps all of them open.
TEST_F(PosixFileSystemTest, ManyFilesTakeOneHandleEach) {
  const auto handles = [] {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return std::distance(begin(all), end(all));
  };
  constexpr int kFiles = 400;
  const auto before = handles();
  std::vector<std::unique_ptr<File>> files;
  alignas(4'096) static char buffer[4'096];
  for (int round = 0; round < 2; ++round) {  // those that are closed give back what they kept
    files.clear();
    for (int i = 0; i < kFiles; ++i) {
      files.push_back(Open(Path(absl::StrCat(i)), OpenMode::kOpenOrCreate));
      ASSERT_TRUE(files[i]->Write(0, std::string(4'096, static_cast<char>('a' + i % 26))).ok());
      for (int time = 0; time < 2; ++time) {
        ASSERT_EQ(files[i]->ReadDirect(0, sizeof buffer, buffer).value(), sizeof buffer);
        EXPECT_EQ(std::string(buffer, sizeof buffer),
                  std::string(4'096, static_cast<char>('a' + i % 26)));
      }
    }
    EXPECT_LE(handles() - before, kFiles + kFiles / 4);
    EXPECT_GT(handles() - before, kFiles + kFiles / 8) << "some keep one for direct reads";
  }
}

// /proc has no direct reads: the cached pages are dropped instead.
TEST_F(PosixFileSystemTest, DirectReadsFallBack) {
  auto file = Open("/proc/self/stat", OpenMode::kRead);
  alignas(4'096) static char buffer[4'096];
  const auto read = file->ReadDirect(0, sizeof buffer, buffer);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_TRUE(absl::StartsWith(absl::string_view(buffer, *read), absl::StrCat(getpid(), " (")));
}

TEST_F(PosixFileSystemTest, LockNamesItsHolder) {
  auto held = file_system_.Lock(Path("lock"));
  ASSERT_TRUE(held.ok()) << held.status();
  EXPECT_EQ(ReadWholeFile(file_system_, Path("lock")).value(), absl::StrCat(getpid(), "\n"));
  const absl::Status status = file_system_.Lock(Path("lock")).status();
  EXPECT_EQ(status.message(), absl::StrCat("lock ", Path("lock"), ": held by process ", getpid()));
}

bool IsOpenTwice(const std::filesystem::path& path) {
  int count = 0;
  for (const auto& descriptor : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    count += std::filesystem::read_symlink(descriptor.path(), gone) == path;
  }
  return count == 2;
}

// As a tool has the lock that looks at a log while the node starts.
TEST_F(PosixFileSystemTest, WhoHasALockForAMomentKeepsNobodyFromIt) {
  ASSERT_TRUE(file_system_.Lock(Path("lock")).ok());
  const std::filesystem::path path = std::filesystem::canonical(Path("lock"));
  for (int round = 0; round < 10; ++round) {
    const int asks = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    ASSERT_EQ(flock(asks, LOCK_SH), 0);
    std::atomic<bool> done = false;
    // Until the other one has come for it.
    std::thread moment([&] {
      while (!done && !IsOpenTwice(path)) std::this_thread::yield();
      close(asks);
    });
    const absl::Status status = file_system_.Lock(Path("lock")).status();
    done = true;
    moment.join();
    EXPECT_TRUE(status.ok()) << status;
  }
}

TEST_F(PosixFileSystemTest, LockReplacesALongerPidOfOldTimes) {
  ASSERT_TRUE(Open(Path("lock"), OpenMode::kCreate)->Write(0, "99999999999999\n").ok());
  auto held = file_system_.Lock(Path("lock"));
  ASSERT_TRUE(held.ok()) << held.status();
  EXPECT_EQ(ReadWholeFile(file_system_, Path("lock")).value(), absl::StrCat(getpid(), "\n"));
}

TEST_F(PosixFileSystemTest, BootIdIsThatOfTheMachine) {
  const auto id = file_system_.BootId();
  ASSERT_TRUE(id.ok()) << id.status();
  EXPECT_EQ(id->size(), 36u) << *id;
}

}  // namespace
}  // namespace cairn
