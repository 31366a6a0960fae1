// What may come between the steps of an encrypted file system: other keys, other files of the same
// name, a disk that cannot be read or written for a moment, other threads.

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "storage/crypto/missing_key.h"
#include "storage/encrypted/encrypted_file_system.h"
#include "storage/encrypted/sector_cipher.h"
#include "storage/posix_file_system.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/test_keys.h"
#include "tests/storage/test_directory.h"

namespace cairn {
namespace {

using OpenMode = FileSystem::OpenMode;
using Standing = EncryptedFileSystem::Standing;

constexpr char kRoot[] = "/data";
constexpr char kPath[] = "/data/file";
constexpr uint64_t kUnit = kUnitTextBytes;

class EncryptedRacesTest : public testing::Test {
 protected:
  EncryptedRacesTest() { EXPECT_TRUE(disk_.MakeDirectory(kRoot).ok()); }

  static EncryptedFileSystem Files(FileSystem& disk, std::shared_ptr<const KeyRing> keys) {
    return EncryptedFileSystem(disk, std::move(keys), {kRoot});
  }
  static void Write(FileSystem& files, const std::string& path, const std::string& text) {
    ASSERT_TRUE(WriteFileAtomically(files, path, text).ok());
  }
  static std::string Read(FileSystem& files, const std::string& path = kPath) {
    const auto text = ReadWholeFile(files, path);
    return text.ok() ? *text : text.status().ToString();
  }

  SimulatedFileSystem disk_;
};

TEST_F(EncryptedRacesTest, SlashesMakeNoOtherFile) {
  EncryptedFileSystem files(disk_, TestRing(Cipher::kAes256Gcm), {"//data//"});
  Write(files, "/data//file", "attack");
  EXPECT_FALSE(absl::StrContains(Read(disk_), "attack"));
  EXPECT_EQ(Read(files, "//data/file"), "attack");
  EXPECT_EQ(files.Files().value(), std::vector<std::string>({kPath}));
  // Whoever writes under one name is known under the other one.
  EncryptedFileSystem plain = Files(disk_, nullptr);
  Write(plain, "/data/plain", "attack");
  disk_.set_fault_hook(
      NthFault(FileAccess::Operation::kWrite, ".cairn-anew", 1, {.error = ENOSPC}));
  const auto writer = files.Open("//data//plain", {.mode = OpenMode::kReadWrite});
  ASSERT_TRUE(writer.ok());
  EXPECT_FALSE(files.Renew("/data/plain").ok());
}

// At each call of wrapping a key anew another file gets the name: both are what they were.
TEST_F(EncryptedRacesTest, ANewKeyIsForTheFileThatWasLookedAt) {
  for (int call = 1;; ++call) {
    SimulatedFileSystem disk;
    ASSERT_TRUE(disk.MakeDirectory(kRoot).ok());
    const auto keys = TestRing(Cipher::kAes256Gcm, {1});
    EncryptedFileSystem files = Files(disk, keys);
    Write(files, kPath, "first");
    Write(files, "/data/other", "other");
    ASSERT_TRUE(keys->Replace({TestKey(2), TestKey(1)}).ok());
    int calls = 0;
    disk.set_fault_hook([&](const FileAccess&) {
      if (++calls == call) {
        EXPECT_TRUE(files.Rename("/data/other", kPath).ok());
      }
      return FileFault();
    });
    const absl::Status renewed = files.Renew(kPath);
    disk.set_fault_hook(nullptr);
    EXPECT_TRUE(renewed.ok()) << renewed;
    if (calls < call) {
      EXPECT_GT(call, 8);
      return;
    }
    EXPECT_EQ(Read(files), "other") << call;
    EncryptedFileSystem later = Files(disk, TestRing(Cipher::kAes256Gcm, {2, 1}));
    EXPECT_EQ(Read(later), "other") << call;
  }
}

// Keys come and go at each call of writing a file anew: none goes that a file needs afterwards.
TEST_F(EncryptedRacesTest, NoKeyGoesThatAFileIsBeingWrittenWith) {
  int refused = 0;
  for (int call = 1;; ++call) {
    SimulatedFileSystem disk;
    ASSERT_TRUE(disk.MakeDirectory(kRoot).ok());
    EncryptedFileSystem plain = Files(disk, nullptr);
    Write(plain, kPath, "attack");
    const auto keys = TestRing(Cipher::kAes256Gcm, {1});
    EncryptedFileSystem files = Files(disk, keys);
    const KeyRing::User user(*keys, [&files] { return files.KeysInUse(); });
    int calls = 0;
    disk.set_fault_hook([&](const FileAccess&) {
      if (++calls == call) {
        EXPECT_TRUE(keys->Replace({TestKey(2), TestKey(1)}).ok());
        refused += keys->Replace({TestKey(2)}).ok() ? 0 : 1;
      }
      return FileFault();
    });
    files.Renew(kPath).IgnoreError();  // void where the key changed; what counts is what is left
    disk.set_fault_hook(nullptr);
    if (calls < call) break;
    EXPECT_TRUE(files.CheckKeys().ok()) << call << files.CheckKeys();
    EXPECT_EQ(Read(files), "attack") << call;
    EXPECT_TRUE(files.Renew(kPath).ok());
    EXPECT_EQ(files.StandingOf(kPath).value(), Standing::kRight);
    EXPECT_TRUE(keys->Replace({TestKey(2)}).ok()) << call;
    EXPECT_EQ(Read(files), "attack") << call;
  }
  EXPECT_GT(refused, 3);
}

TEST_F(EncryptedRacesTest, WhereTheKeysInUseCannotBeToldNoneGoes) {
  const auto keys = TestRing(Cipher::kAes256Gcm, {1});
  EncryptedFileSystem files = Files(disk_, keys);
  const KeyRing::User user(*keys, [&files] { return files.KeysInUse(); });
  Write(files, kPath, "attack");
  ASSERT_TRUE(keys->Replace({TestKey(2), TestKey(1)}).ok());
  for (const FileAccess::Operation operation :
       {FileAccess::Operation::kList, FileAccess::Operation::kOpen}) {
    disk_.set_fault_hook([operation](const FileAccess& access) {
      FileFault fault;
      if (access.operation == operation) fault.error = EMFILE;
      return fault;
    });
    EXPECT_TRUE(absl::IsFailedPrecondition(keys->Replace({TestKey(2)})));
  }
  disk_.set_fault_hook(nullptr);
  EXPECT_FALSE(keys->Replace({TestKey(2)}).ok());
  ASSERT_TRUE(files.Renew(kPath).ok());
  EXPECT_TRUE(keys->Replace({TestKey(2)}).ok());
}

// A disk that cannot be read for a moment makes no plain file of an encrypted one.
TEST_F(EncryptedRacesTest, AHeaderThatCannotBeReadNowIsNotTakenForNone) {
  EncryptedFileSystem files = Files(disk_, TestRing(Cipher::kAes256Gcm));
  Write(files, kPath, "attack");
  const std::string before = Read(disk_);
  disk_.set_fault_hook([](const FileAccess& access) {
    FileFault fault;
    if (access.operation == FileAccess::Operation::kRead) fault.error = EIO;
    return fault;
  });
  EXPECT_FALSE(files.Open(kPath, {.mode = OpenMode::kReadWrite}).ok());
  const auto reader = files.Open(kPath, {.mode = OpenMode::kRead});
  disk_.set_fault_hook(nullptr);
  ASSERT_TRUE(reader.ok());
  char text[6];
  EXPECT_FALSE((*reader)->Read(0, sizeof(text), text).ok());
  EXPECT_EQ(Read(disk_), before);
  EXPECT_EQ(Read(files), "attack");
}

// Nor does it take what stands beside the bytes that are written.
TEST_F(EncryptedRacesTest, AWriteBesideWhatCannotBeReadNowChangesNothing) {
  EncryptedFileSystem files = Files(disk_, TestRing(Cipher::kAes256Gcm));
  const std::string text(kUnit + 100, 'a');
  Write(files, kPath, text);
  for (const uint64_t offset : {uint64_t{10}, kUnit + 50, kUnit + 100}) {
    auto file = files.Open(kPath, {.mode = OpenMode::kReadWrite});
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE((*file)->Resize(text.size()).ok());  // so that it knows how long it is
    disk_.set_fault_hook([](const FileAccess& access) {
      FileFault fault;
      if (access.operation == FileAccess::Operation::kRead) fault.error = EIO;
      return fault;
    });
    EXPECT_FALSE((*file)->Write(offset, "b").ok());
    disk_.set_fault_hook(nullptr);
    EXPECT_EQ(Read(files), text);
  }
}

// Who opens a file is let in only when the name of the new one is durable.
TEST_F(EncryptedRacesTest, ANameThatCannotBeMadeDurableIsAnError) {
  EncryptedFileSystem plain = Files(disk_, nullptr);
  Write(plain, kPath, "attack");
  EncryptedFileSystem files = Files(disk_, TestRing(Cipher::kAes256Gcm));
  disk_.set_fault_hook(NthFault(FileAccess::Operation::kSyncDirectory, kRoot, 1, {.error = EIO}));
  EXPECT_FALSE(files.Open(kPath, {.mode = OpenMode::kReadWrite}).ok());
  disk_.set_fault_hook(nullptr);
  EXPECT_EQ(Read(files), "attack");
}

// Writes behind the end without room, at each call of them: the file is as long as it was, and the
// same write leaves what it should.
TEST_F(EncryptedRacesTest, AGapThatFindsNoRoomIsNoneLater) {
  for (const uint64_t size : {uint64_t{0}, uint64_t{100}, kUnit, kUnit + 7}) {
    for (const uint64_t offset : {size, size + 1, uint64_t{2000}, 5 * kUnit}) {
      for (int call = 1; call <= 3; ++call) {
        SCOPED_TRACE(absl::StrCat(size, " ", offset, " ", call));
        SimulatedFileSystem disk;
        ASSERT_TRUE(disk.MakeDirectory(kRoot).ok());
        EncryptedFileSystem files = Files(disk, TestRing(Cipher::kAes256Gcm));
        std::string text(size, 'a');
        Write(files, kPath, text);
        auto file = files.Open(kPath, {.mode = OpenMode::kReadWrite});
        ASSERT_TRUE(file.ok());
        disk.set_fault_hook(NthFault(FileAccess::Operation::kWrite, kPath, call,
                                     {.error = ENOSPC, .reached = FileFault::Reached::kSome}));
        const absl::Status status = (*file)->Write(offset, "hello");
        disk.set_fault_hook(nullptr);
        if (!status.ok()) {
          ASSERT_TRUE(absl::IsResourceExhausted(status)) << status;
          ASSERT_EQ(Read(files), text);
          ASSERT_EQ((*file)->Size().value(), size);
          ASSERT_TRUE((*file)->Write(offset, "hello").ok());
        }
        text.resize(offset, '\0');
        text += "hello";
        ASSERT_EQ(Read(files), text);
        ASSERT_EQ((*file)->Size().value(), text.size());
      }
    }
  }
}

// A process ended between the header and its sync, and the next one goes on in the file.
TEST_F(EncryptedRacesTest, AHeaderThatWasNeverSyncedIsSyncedBeforeTheRest) {
  const auto keys = TestRing(Cipher::kAes256Gcm);
  {
    EncryptedFileSystem files = Files(disk_, keys);
    disk_.set_fault_hook([this](const FileAccess& access) {
      FileFault fault;
      if (access.operation == FileAccess::Operation::kSync) {
        disk_.set_fault_hook(nullptr);
        disk_.RestartProcess();
        fault.error = EIO;
      }
      return fault;
    });
    EXPECT_FALSE(files.Open(kPath, {.mode = OpenMode::kOpenOrCreate}).ok());
  }
  ASSERT_TRUE(disk_.SyncDirectory(kRoot).ok());
  EncryptedFileSystem files = Files(disk_, keys);
  auto file = files.Open(kPath, {.mode = OpenMode::kOpenOrCreate});
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_TRUE((*file)->Write(0, std::string(100, 'a')).ok());
  // All that was not synced but the last sector is lost.
  const auto pending = disk_.Pending();
  for (const PendingOperation& each : pending) {
    EXPECT_GE(each.offset, uint64_t{EncryptedHeader::kCopyAt}) << "the first header is durable";
  }
  EXPECT_FALSE(pending.empty());
}

// One thread appends and syncs, others read beside it, by the same handle and by their own.
TEST(EncryptedThreadsTest, ReadsBesideWritesSeeWhatWasWritten) {
  TestDirectory directory;
  PosixFileSystem disk;
  EncryptedFileSystem files(disk, TestRing(Cipher::kAes256Gcm), {directory.path()});
  const std::string path = directory.path() + "/file";
  auto opened = files.Open(path, {.mode = OpenMode::kCreate});
  ASSERT_TRUE(opened.ok());
  File& file = **opened;
  std::atomic<uint64_t> written = 0;
  const auto byte_at = [](uint64_t at) { return static_cast<char>('a' + at % 23); };
  const auto read_on = [&](const File& from) {
    uint64_t reads = 0;
    while (written < 60'000) {
      const uint64_t end = written;
      const uint64_t begin = end > 700 ? end - 700 : 0;
      std::string text(end - begin, '?');
      const auto read = from.Read(begin, text.size(), text.data());
      ASSERT_TRUE(read.ok()) << read.status();
      ASSERT_EQ(*read, text.size());
      for (uint64_t i = 0; i < text.size(); ++i) ASSERT_EQ(text[i], byte_at(begin + i));
      ++reads;
    }
    EXPECT_GT(reads, 0u);
  };
  std::thread same([&] { read_on(file); });
  std::thread own([&] {
    const auto reader = files.Open(path, {.mode = OpenMode::kRead});
    ASSERT_TRUE(reader.ok());
    read_on(**reader);
  });
  while (written < 60'000) {
    const uint64_t end = written;
    std::string piece;
    for (uint64_t i = 0; i < 1 + end % 37; ++i) piece.push_back(byte_at(end + i));
    ASSERT_TRUE(file.Write(end, piece).ok());
    written += piece.size();
  }
  same.join();
  own.join();
}

// Files are renewed while they are made, written, renamed and removed.
TEST(EncryptedThreadsTest, FilesAreRenewedBesideTheirUse) {
  TestDirectory directory;
  PosixFileSystem disk;
  const auto keys = TestRing(Cipher::kAes256Gcm, {1, 2});
  EncryptedFileSystem files(disk, keys, {directory.path()});
  EncryptedFileSystem plain(disk, nullptr, {directory.path()});
  std::atomic<bool> ends = false;
  std::thread renews([&] {
    bool one = true;
    while (!ends) {
      ASSERT_TRUE(keys->Replace({TestKey(one ? 2 : 1), TestKey(one ? 1 : 2)}).ok());
      one = !one;
      const auto all = files.Files();
      ASSERT_TRUE(all.ok()) << all.status();
      // Void where the file is in use at that moment.
      for (const std::string& path : *all) files.Renew(path).IgnoreError();
    }
  });
  for (int i = 0; i < 150; ++i) {
    const std::string path = absl::StrCat(directory.path(), "/", i % 5);
    const std::string text = absl::StrCat("text ", i, std::string(i * 7, 'x'));
    FileSystem& maker = i % 2 == 0 ? static_cast<FileSystem&>(files) : plain;
    // As a store would that was there before: under another name, and not through the one in use.
    ASSERT_TRUE(WriteFileAtomically(maker, path + ".new", text).ok());
    ASSERT_TRUE(files.Rename(path + ".new", path).ok());
    auto file = files.Open(path, {.mode = OpenMode::kReadWrite});
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_TRUE((*file)->Write(text.size(), " and more").ok());
    ASSERT_TRUE(files.SyncNow(**file).ok());
    ASSERT_EQ(ReadWholeFile(files, path).value(), text + " and more");
    if (i % 3 == 0) {
      ASSERT_TRUE(files.Remove(path).ok());
      ASSERT_FALSE(files.Exists(path).value());
    }
  }
  ends = true;
  renews.join();
  EXPECT_TRUE(files.CheckKeys().ok());
}

}  // namespace
}  // namespace cairn
