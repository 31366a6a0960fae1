// Files become what is wanted by themselves: new keys and ciphers come while the store is used, and
// what cannot be done now is done later.

#include "storage/encrypted/file_upkeep.h"

#include <cerrno>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/log_sink.h"
#include "gtest/gtest.h"
#include "storage/encrypted/encrypted_file_system.h"
#include "storage/simulated_file_system.h"
#include "tests/raft/manual_executor.h"
#include "tests/storage/block/test_keys.h"

namespace cairn {
namespace {

using OpenMode = FileSystem::OpenMode;

constexpr char kRoot[] = "/data";
constexpr int kFiles = 5;

class CountedLog final : public LogSink {
 public:
  void Log(LogLevel, absl::string_view text) override { lines.emplace_back(text); }
  std::vector<std::string> lines;
};

class FileUpkeepTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(disk_.MakeDirectory("/data/below").ok());
    EncryptedFileSystem plain(disk_, nullptr, {kRoot});
    for (int i = 0; i < kFiles; ++i) {
      ASSERT_TRUE(WriteFileAtomically(plain, Path(i), absl::StrCat("attack ", i)).ok());
    }
  }

  static std::string Path(int file) {
    return absl::StrCat(file % 2 == 0 ? "/data/below/" : "/data/", file);
  }

  void Begin(std::shared_ptr<KeyRing> keys) {
    upkeep_ = nullptr;
    keys_ = std::move(keys);
    files_ = std::make_unique<EncryptedFileSystem>(disk_, keys_, std::vector<std::string>{kRoot});
    FileUpkeep::Parts parts;
    parts.file_system = files_.get();
    parts.keys = keys_;
    parts.clock = &world_;
    parts.executor = std::make_unique<ManualExecutor>(&world_);
    parts.log = &log_;
    upkeep_ = std::make_unique<FileUpkeep>(std::move(parts));
  }

  int Plain() {
    int plain = 0;
    for (int i = 0; i < kFiles; ++i) {
      plain += absl::StrContains(ReadWholeFile(disk_, Path(i)).value(), "attack") ? 1 : 0;
    }
    return plain;
  }
  void ExpectAllRead() {
    for (int i = 0; i < kFiles; ++i) {
      EXPECT_EQ(ReadWholeFile(*files_, Path(i)).value(), absl::StrCat("attack ", i));
    }
  }

  SimulatedFileSystem disk_;
  ManualWorld world_;
  CountedLog log_;
  std::shared_ptr<KeyRing> keys_;
  std::unique_ptr<EncryptedFileSystem> files_;
  std::unique_ptr<FileUpkeep> upkeep_;
};

TEST_F(FileUpkeepTest, PlainFilesAreEncryptedOneAfterTheOther) {
  Begin(TestRing(Cipher::kAes256Gcm));
  EXPECT_EQ(upkeep_->status().to_rewrite, static_cast<uint64_t>(kFiles));
  world_.RunReady();
  EXPECT_EQ(upkeep_->status().files, static_cast<uint64_t>(kFiles));
  EXPECT_EQ(upkeep_->status().to_rewrite, static_cast<uint64_t>(Plain()));
  EXPECT_EQ(Plain(), kFiles - 1);
  world_.RunFor(Milliseconds(100));
  EXPECT_EQ(upkeep_->status().to_rewrite, 0u);
  EXPECT_EQ(Plain(), 0);
  ExpectAllRead();
  EXPECT_TRUE(log_.lines.empty());
}

TEST_F(FileUpkeepTest, AnotherMasterKeyIsNoticedWithinASecond) {
  Begin(TestRing(Cipher::kAes256Gcm, {1}));
  world_.RunFor(Seconds(1));
  ASSERT_EQ(Plain(), 0);
  ASSERT_TRUE(keys_->Replace({TestKey(2), TestKey(1)}).ok());
  EXPECT_EQ(files_->KeysInUse().value(), std::set<uint64_t>({TestKey(1).id}));
  // Nobody has looked yet, and it does not say that all is done.
  EXPECT_EQ(upkeep_->status().to_rewrap, static_cast<uint64_t>(kFiles));
  world_.RunFor(Seconds(2));
  EXPECT_EQ(files_->KeysInUse().value(), std::set<uint64_t>({TestKey(2).id}));
  EXPECT_EQ(upkeep_->status().to_rewrap, 0u);
  ExpectAllRead();
}

TEST_F(FileUpkeepTest, ACipherIsTakenAwayAgain) {
  Begin(TestRing(Cipher::kChaCha20Poly1305));
  world_.RunFor(Seconds(1));
  ASSERT_EQ(Plain(), 0);
  Begin(TestRing(Cipher::kNone));
  world_.RunFor(Seconds(1));
  EXPECT_EQ(Plain(), kFiles);
  EXPECT_TRUE(files_->KeysInUse()->empty());
}

TEST_F(FileUpkeepTest, WhatHasNoRoomIsToldOnceAndDoneLater) {
  disk_.set_fault_hook([](const FileAccess& access) {
    FileFault fault;
    const bool writes = access.operation == FileAccess::Operation::kWrite;
    if (writes && absl::EndsWith(access.path, ".cairn-anew")) fault.error = ENOSPC;
    return fault;
  });
  Begin(TestRing(Cipher::kAes256Gcm));
  world_.RunFor(Seconds(30));
  EXPECT_EQ(Plain(), kFiles);
  EXPECT_EQ(upkeep_->status().to_rewrite, static_cast<uint64_t>(kFiles));
  EXPECT_EQ(log_.lines.size(), 1u);
  disk_.set_fault_hook(nullptr);
  world_.RunFor(Seconds(60));
  EXPECT_EQ(Plain(), 0);
  EXPECT_EQ(upkeep_->status().to_rewrite, 0u);
  ExpectAllRead();
}

TEST_F(FileUpkeepTest, WhatIsWrittenToComesWhenItIsClosed) {
  Begin(TestRing(Cipher::kAes256Gcm));
  disk_.set_fault_hook(
      NthFault(FileAccess::Operation::kWrite, ".cairn-anew", 1, {.error = ENOSPC}));
  std::unique_ptr<File> writer = *files_->Open(Path(1), {.mode = OpenMode::kReadWrite});
  world_.RunFor(Seconds(2));
  EXPECT_EQ(Plain(), 1);
  EXPECT_EQ(upkeep_->status().to_rewrite, 1u);
  writer = nullptr;
  world_.RunFor(Seconds(60));
  EXPECT_EQ(Plain(), 0);
  EXPECT_EQ(upkeep_->status().to_rewrite, 0u);
}

// A new key that comes while others wait is not kept waiting, and nothing is said to be done
// before.
TEST_F(FileUpkeepTest, AKeyThatComesMeanwhileIsForAllOfThem) {
  Begin(TestRing(Cipher::kAes256Gcm, {1}));
  world_.RunReady();
  ASSERT_GT(Plain(), 1);
  ASSERT_TRUE(keys_->Replace({TestKey(2), TestKey(1)}).ok());
  EXPECT_EQ(upkeep_->status().to_rewrap, static_cast<uint64_t>(kFiles));
  world_.RunFor(Seconds(1));
  EXPECT_EQ(files_->KeysInUse().value(), std::set<uint64_t>({TestKey(2).id}));
  EXPECT_EQ(upkeep_->status().to_rewrap, 0u);
  EXPECT_EQ(upkeep_->status().to_rewrite, 0u);
}

// One that has another name by its turn is found again at once, and counts until then.
TEST_F(FileUpkeepTest, AFileThatWasRenamedIsNotForgotten) {
  Begin(TestRing(Cipher::kAes256Gcm));
  for (int i = 0; i < kFiles; ++i) ASSERT_TRUE(files_->Rename(Path(i), Path(i) + "r").ok());
  world_.RunFor(Milliseconds(500));
  EXPECT_EQ(upkeep_->status().to_rewrite, static_cast<uint64_t>(kFiles));
  world_.RunFor(Seconds(2));
  EXPECT_EQ(upkeep_->status().to_rewrite, 0u);
  for (int i = 0; i < kFiles; ++i) {
    EXPECT_FALSE(absl::StrContains(ReadWholeFile(disk_, Path(i) + "r").value(), "attack"));
  }
}

}  // namespace
}  // namespace cairn
