// A log that nobody writes to, and that is not as it should be now: plain where it is to be
// encrypted, under a key that was replaced, in a block that has rotted. Upkeep sees to it.

#include <cerrno>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/block/block_file.h"
#include "storage/block/block_log.h"
#include "storage/block/log_inspector.h"
#include "storage/crypto/key_ring.h"
#include "storage/file_system.h"
#include "storage/log_store.h"
#include "storage/no_room.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/log_driver.h"
#include "tests/storage/block/test_keys.h"

namespace cairn {
namespace {

constexpr char kSecret[] = "attack at dawn";
constexpr int kEnough = 200;

std::string Payload(size_t i, size_t length) {
  std::string text = absl::StrCat("entry ", i, ": ");
  while (text.size() < length) text += kSecret;
  return text;
}

BlockLogOptions WithKeys(std::shared_ptr<const KeyRing> keys) {
  BlockLogOptions options = TestOptions();
  options.keys = std::move(keys);
  return options;
}

void Fill(LogDriver& driver) {
  driver.Vote(kGroupA, {.term = 1, .vote = static_cast<NodeId>(2)});
  for (size_t i = 0; i < 60; ++i) {
    driver.Append(kGroupA, 1, {Payload(i, 300 + i * 37 % 900)});
    if (i % 3 == 0) driver.Append(kGroupB, 1, {Payload(i, 200)});
    ASSERT_TRUE(driver.Sync().ok());
  }
  driver.Drop(kGroupA, 7);
  ASSERT_TRUE(driver.Sync().ok());
}

void ExpectAllThere(LogDriver& driver, const Model& model) {
  ASSERT_TRUE(driver.status().ok()) << driver.status();
  for (const auto& [group, log] : model) {
    EXPECT_EQ(Difference(driver.recovered(group), log), "");
    EXPECT_EQ(Difference(driver.store(group), log), "");
  }
}

// What a writer does that has nothing to write. How many pieces it was.
int KeepUp(BlockLog& log) {
  int pieces = 0;
  // Asked once more, as a writer does after some time.
  for (bool more = true, last = false; (more || !last) && pieces < kEnough; ++pieces) {
    last = !more;
    const absl::StatusOr<bool> upkeep = log.Upkeep();
    EXPECT_TRUE(upkeep.ok()) << upkeep.status();
    more = upkeep.ok() && *upkeep;
  }
  EXPECT_LT(pieces, kEnough);
  return pieces;
}

std::map<std::string, std::string> Files(SimulatedFileSystem& file_system) {
  std::map<std::string, std::string> files;
  const std::vector<std::string> names = file_system.List(kTestDirectory).value();
  for (const std::string& name : names) {
    const std::string path = JoinPath(kTestDirectory, name);
    files[path] = ReadWholeFile(file_system, path).value();
  }
  return files;
}

bool SecretIsInTheLog(SimulatedFileSystem& file_system) {
  for (const auto& [path, content] : Files(file_system)) {
    if (absl::StrContains(content, kSecret)) return true;
  }
  return false;
}

// Each block is wrapped by the key with this id; 0: plain.
void ExpectKey(SimulatedFileSystem& file_system, std::shared_ptr<const KeyRing> keys, uint64_t id) {
  const auto log = LogInspector::Open(file_system, kTestDirectory, std::move(keys));
  ASSERT_TRUE(log.ok()) << log.status();
  for (const BlockSummary& block : (*log)->Summaries()) {
    if (block.state == BlockSummary::State::kSpare) continue;
    EXPECT_EQ(block.key, id) << block.block;
  }
}

TEST(UpkeepTest, AnIdleLogIsEncryptedWrittenUnderAnotherCipherAndPlainAgain) {
  SimulatedFileSystem file_system;
  Model model;
  {
    LogDriver driver(file_system);
    Fill(driver);
    model = driver.model();
  }
  EXPECT_TRUE(SecretIsInTheLog(file_system));
  for (const Cipher cipher : {Cipher::kAes256Gcm, Cipher::kChaCha20Poly1305, Cipher::kNone}) {
    const std::shared_ptr<KeyRing> keys = TestRing(cipher);
    {
      LogDriver driver(file_system, WithKeys(keys));
      ExpectAllThere(driver, model);
      const LogUpkeep before = driver.log().upkeep();
      EXPECT_GT(before.to_rewrite, 3u);
      uint64_t left = before.to_rewrite;
      while (driver.log().Upkeep().value()) {
        // What is empty goes before more is copied.
        ASSERT_LE(driver.log().upkeep().blocks, before.blocks + 3);
        EXPECT_LE(driver.log().upkeep().to_rewrite, left);
        left = driver.log().upkeep().to_rewrite;
      }
      KeepUp(driver.log());
      EXPECT_EQ(driver.log().upkeep().to_rewrite, 0u);
      for (const auto& [group, log] : model) {
        EXPECT_EQ(Difference(driver.store(group), log), "");
      }
    }
    ExpectKey(file_system, keys, cipher == Cipher::kNone ? 0 : keys->current()->id);
    EXPECT_EQ(SecretIsInTheLog(file_system), cipher == Cipher::kNone);
    const std::unique_ptr<SimulatedFileSystem> image = file_system.WorstCaseImage();
    LogDriver after(*image, WithKeys(keys));
    ExpectAllThere(after, model);
  }
  LogDriver plain(file_system);
  ExpectAllThere(plain, model);
}

// The reserve is for votes and the like, and a block is not emptied by one more.
TEST(UpkeepTest, OnAFullDiskNothingIsCopiedIntoTheReserve) {
  SimulatedFileSystem file_system;
  BlockLogOptions options = TestOptions();
  options.reserve_bytes = options.geometry.block_bytes;
  {
    LogDriver driver(file_system, options);
    Fill(driver);
  }
  const std::shared_ptr<KeyRing> keys = TestRing(Cipher::kAes256Gcm);
  options.keys = keys;
  file_system.set_capacity_bytes(0);
  LogDriver driver(file_system, options);
  ASSERT_TRUE(driver.status().ok()) << driver.status();
  const uint64_t due = driver.log().upkeep().to_rewrite;
  KeepUp(driver.log());
  EXPECT_EQ(driver.log().upkeep().to_rewrite, due);
  for (Term term = 2; term < 6; ++term) {
    driver.Vote(kGroupA, {.term = term, .vote = NodeId::kNone});
    ASSERT_TRUE(driver.Sync().ok()) << term;
  }
  file_system.set_capacity_bytes(UINT64_MAX);
  driver.log().SeekRoom();
  KeepUp(driver.log());
  EXPECT_EQ(driver.log().upkeep().to_rewrite, 0u);
}

bool ASpareHasTheSecret(SimulatedFileSystem& file_system) {
  for (const auto& [path, content] : Files(file_system)) {
    const bool is_spare = absl::EndsWith(path, ".spare");
    if (is_spare && absl::StrContains(content, kSecret)) return true;
  }
  return false;
}

// A released block of once is a spare: what stands in it must not stay either.
TEST(UpkeepTest, NoSpareHasPlainText) {
  SimulatedFileSystem file_system;
  {
    LogDriver driver(file_system);
    Fill(driver);
    driver.Drop(kGroupA, driver.model().at(kGroupA).last().index);
    driver.Drop(kGroupB, driver.model().at(kGroupB).last().index);
    for (size_t i = 0; i < 100 && !ASpareHasTheSecret(file_system); ++i) {
      driver.Append(kGroupA, 1, {std::string(700, 'x')});
      ASSERT_TRUE(driver.Sync().ok());
    }
  }
  ASSERT_TRUE(ASpareHasTheSecret(file_system));
  LogDriver driver(file_system, WithKeys(TestRing(Cipher::kAes256Gcm)));
  ASSERT_TRUE(driver.status().ok()) << driver.status();
  KeepUp(driver.log());
  EXPECT_FALSE(SecretIsInTheLog(file_system));
}

TEST(UpkeepTest, AnIdleLogIsWrappedByANewMasterKey) {
  SimulatedFileSystem file_system;
  const std::shared_ptr<KeyRing> keys = TestRing(Cipher::kAes256Gcm, {1});
  LogDriver driver(file_system, WithKeys(keys));
  Fill(driver);
  for (uint8_t key = 2; key <= 4; ++key) {
    EXPECT_EQ(driver.log().upkeep().to_rewrap, 0u);
    ASSERT_TRUE(keys->Replace({TestKey(key), TestKey(static_cast<uint8_t>(key - 1))}).ok());
    const LogUpkeep before = driver.log().upkeep();
    EXPECT_EQ(before.to_rewrap, before.blocks);
    EXPECT_EQ(before.to_rewrite, 0u);
    KeepUp(driver.log());
    EXPECT_EQ(driver.log().upkeep().to_rewrap, 0u);
    ExpectKey(file_system, keys, TestKey(key).id);
    // The old key is needed no more.
    const std::unique_ptr<SimulatedFileSystem> image = file_system.WorstCaseImage();
    LogDriver after(*image, WithKeys(TestRing(Cipher::kAes256Gcm, {key})));
    ExpectAllThere(after, driver.model());
  }
}

// Or the next start would be refused.
TEST(UpkeepTest, AKeyThatABlockIsWrappedByIsNotLetGo) {
  SimulatedFileSystem file_system;
  const std::shared_ptr<KeyRing> keys = TestRing(Cipher::kAes256Gcm, {1});
  LogDriver driver(file_system, WithKeys(keys));
  Fill(driver);
  ASSERT_EQ(keys->Replace({TestKey(2), TestKey(1)}), absl::OkStatus());
  const absl::Status refused = keys->Replace({TestKey(2)});
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_TRUE(absl::StrContains(refused.message(), KeyIdText(TestKey(1).id))) << refused;
  EXPECT_TRUE(keys->Find(TestKey(1).id).has_value()) << "the ring is as it was";
  KeepUp(driver.log());
  EXPECT_EQ(driver.log().upkeep().to_rewrap, 0u);
  EXPECT_EQ(keys->Replace({TestKey(2)}), absl::OkStatus());
  EXPECT_FALSE(keys->Find(TestKey(1).id).has_value());
}

// A log that is to be plain again keeps the key until it is.
TEST(UpkeepTest, AKeyOfALogThatBecomesPlainIsNotLetGo) {
  SimulatedFileSystem file_system;
  {
    LogDriver driver(file_system, WithKeys(TestRing(Cipher::kAes256Gcm, {1})));
    Fill(driver);
  }
  const std::shared_ptr<KeyRing> keys = TestRing(Cipher::kNone, {1});
  LogDriver driver(file_system, WithKeys(keys));
  EXPECT_FALSE(keys->Replace({TestKey(2)}).ok());
  KeepUp(driver.log());
  EXPECT_EQ(keys->Replace({TestKey(2)}), absl::OkStatus());
}

// Each attempt would take what room there is for a moment.
TEST(UpkeepTest, WithoutRoomItSaysSo) {
  SimulatedFileSystem file_system;
  {
    LogDriver driver(file_system);
    Fill(driver);
  }
  const std::shared_ptr<KeyRing> keys = TestRing(Cipher::kAes256Gcm);
  LogDriver driver(file_system, WithKeys(keys));
  ASSERT_TRUE(driver.status().ok()) << driver.status();
  file_system.set_capacity_bytes(0);
  absl::StatusOr<bool> more = true;
  for (int i = 0; i < kEnough && more.ok(); ++i) more = driver.log().Upkeep();
  EXPECT_TRUE(IsNoRoom(more.status())) << more.status();
  EXPECT_TRUE(IsNoRoom(driver.log().Upkeep().status()));
  driver.Vote(kGroupA, {.term = 7, .vote = NodeId::kNone});
  EXPECT_TRUE(driver.Sync().ok()) << "there is room for that";
  file_system.set_capacity_bytes(UINT64_MAX);
  KeepUp(driver.log());
  EXPECT_EQ(driver.log().upkeep().to_rewrite, 0u);
}

TEST(UpkeepTest, WhereNothingIsDueNothingIsWritten) {
  for (const std::shared_ptr<KeyRing>& keys :
       {std::shared_ptr<KeyRing>(), TestRing(Cipher::kAes256Gcm)}) {
    SimulatedFileSystem file_system;
    {
      LogDriver driver(file_system, WithKeys(keys));
      Fill(driver);
    }
    LogDriver driver(file_system, WithKeys(keys));
    ASSERT_TRUE(driver.status().ok()) << driver.status();
    KeepUp(driver.log());  // releases what is not in use
    const std::map<std::string, std::string> before = Files(file_system);
    EXPECT_LE(KeepUp(driver.log()), 2);
    EXPECT_EQ(Files(file_system), before);
  }
}

// What the scrub found bad is emptied, too, and what is not in use goes.
TEST(UpkeepTest, ABlockToBeAvoidedIsEmptiedAndReleased) {
  SimulatedFileSystem file_system;
  LogDriver driver(file_system);
  Fill(driver);
  const std::string path = JoinPath(kTestDirectory, BlockFileName(3));
  const auto file =
      BlockFile::Open(file_system, path, 3, std::nullopt, nullptr, FileSystem::OpenMode::kRead);
  ASSERT_TRUE(file.ok()) << file.status();
  for (int copy : {0, 1}) file_system.FlipBits(path, (*file)->geometry().seal_at(copy) + 20, 1);
  ScrubPosition position;
  while (!driver.log().scrub()->Step(position, 1 << 20).round_ended) {
  }
  KeepUp(driver.log());
  EXPECT_FALSE(file_system.Exists(path).value());
  for (const auto& [group, log] : driver.model()) {
    EXPECT_EQ(Difference(driver.store(group), log), "");
  }
}

// An error at each call in turn, and then the power goes: nothing is lost, and what was begun is
// finished later.
TEST(UpkeepTest, AnErrorAtAnyCallIsFinalAndLosesNothing) {
  int failed = 0;
  int without_room = 0;
  for (const int error : {EIO, ENOSPC}) {
    bool reached_end = false;
    for (uint64_t nth = 1; !reached_end; ++nth) {
      SCOPED_TRACE(absl::StrCat("call ", nth, ", error ", error));
      SimulatedFileSystem disk({.seed = nth});
      Model model;
      {
        LogDriver driver(disk);
        Fill(driver);
        model = driver.model();
      }
      const std::shared_ptr<KeyRing> keys = TestRing(Cipher::kAes256Gcm, {1});
      {
        LogDriver driver(disk, WithKeys(keys));
        ASSERT_TRUE(driver.status().ok()) << driver.status();
        uint64_t calls = 0;
        disk.set_fault_hook([&](const FileAccess&) {
          FileFault fault;
          if (++calls == nth) fault = {.error = error, .reached = FileFault::Reached::kSome};
          return fault;
        });
        absl::StatusOr<bool> more = true;
        for (int i = 0; i < kEnough && more.ok(); ++i) {
          more = driver.log().Upkeep();
          if (IsNoRoom(more.status())) more = true;
          if (more.ok() && !*more && driver.log().upkeep().to_rewrite == 0) break;
        }
        reached_end = calls < nth;
        disk.set_fault_hook(nullptr);
        if (!more.ok()) {
          ++failed;
          EXPECT_EQ(driver.log().Upkeep().status(), more.status());
          LogAppend append;
          append.hard_state = HardState{.term = 99};
          EXPECT_EQ(driver.store(kGroupA).Append(append), more.status());
        } else {
          without_room += error == ENOSPC ? 1 : 0;
          EXPECT_EQ(driver.log().upkeep().to_rewrite, 0u);
        }
      }
      EXPECT_EQ(disk.uses_after_failure(), 0u);
      Random random(nth);
      disk.Crash(CrashPolicy::kRandomSubset, random);
      LogDriver driver(disk, WithKeys(keys));
      ExpectAllThere(driver, model);
      KeepUp(driver.log());
      EXPECT_EQ(driver.log().upkeep().to_rewrite, 0u);
      EXPECT_FALSE(SecretIsInTheLog(disk));
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(failed, 20);
  EXPECT_GT(without_room, 2);
}

}  // namespace
}  // namespace cairn
