// Encrypted blocks: nothing readable on the disk, no nonce twice, wrong keys refused by name, keys
// changed while the log is used, damage told from a key that is missing.

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/coding.h"
#include "base/executor.h"
#include "base/random.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/block/block_file.h"
#include "storage/block/block_key.h"
#include "storage/block/log_inspector.h"
#include "storage/block/log_salvage.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/log_driver.h"
#include "tests/storage/block/test_keys.h"

namespace cairn {
namespace {

using testing::Contains;
using testing::HasSubstr;

constexpr char kSecret[] = "attack at dawn, and tell nobody; ";

std::string Payload(size_t i, size_t length) {
  std::string text = absl::StrCat("entry ", i, ": ");
  while (text.size() < length) text += kSecret;
  text.resize(length);
  return text;
}

BlockLogOptions Encrypted(std::shared_ptr<const KeyRing> keys) {
  BlockLogOptions options = TestOptions();
  options.keys = std::move(keys);
  return options;
}

// All files of the log, by path.
std::map<std::string, std::string> Files(SimulatedFileSystem& file_system) {
  std::map<std::string, std::string> files;
  const std::vector<std::string> names = file_system.List(kTestDirectory).value();
  for (const std::string& name : names) {
    const std::string path = JoinPath(kTestDirectory, name);
    files[path] = ReadWholeFile(file_system, path).value();
  }
  return files;
}

// The id of the master key of each block; 0 for one that is not encrypted.
std::map<uint64_t, uint64_t> KeysOf(SimulatedFileSystem& file_system,
                                    std::shared_ptr<const KeyRing> keys) {
  std::map<uint64_t, uint64_t> ids;
  const auto log = LogInspector::Open(file_system, kTestDirectory, std::move(keys));
  EXPECT_TRUE(log.ok()) << log.status();
  if (!log.ok()) return ids;
  for (const BlockSummary& block : (*log)->Summaries()) {
    if (block.state != BlockSummary::State::kSpare) ids[block.block] = block.key;
  }
  return ids;
}

void Fill(LogDriver& driver, size_t entries) {
  driver.Vote(kGroupA, {.term = 1, .vote = static_cast<NodeId>(2)});
  driver.AppendConfiguration(kGroupB, 1, "members 1 2 3");
  for (size_t i = 0; i < entries; ++i) {
    driver.Append(kGroupA, 1, {Payload(i, 300 + i * 37 % 900), Payload(i, 40)});
    if (i % 3 == 0) driver.Append(kGroupB, 1, {Payload(i, 200)});
    ASSERT_TRUE(driver.Sync().ok());
  }
}

void ExpectAllThere(LogDriver& driver, const Model& model) {
  ASSERT_TRUE(driver.status().ok()) << driver.status();
  for (const auto& [group, log] : model) {
    EXPECT_EQ(Difference(driver.recovered(group), log), "");
    EXPECT_EQ(Difference(driver.store(group), log), "");
  }
}

class EncryptionTest : public testing::TestWithParam<std::tuple<Cipher, uint64_t>> {
 protected:
  static Cipher cipher() { return std::get<0>(GetParam()); }
  static BlockLogOptions Options(std::shared_ptr<const KeyRing> keys) {
    BlockLogOptions options = Encrypted(std::move(keys));
    options.geometry.unit_bytes = std::get<1>(GetParam());
    if (options.geometry.unit_bytes == 4096) options.geometry.block_bytes = 128 << 10;
    return options;
  }
  SimulatedFileSystem file_system_;
};

INSTANTIATE_TEST_SUITE_P(Ciphers, EncryptionTest,
                         testing::Combine(testing::Values(Cipher::kAes256Gcm,
                                                          Cipher::kChaCha20Poly1305),
                                          testing::Values(512, 4096)),
                         [](const testing::TestParamInfo<std::tuple<Cipher, uint64_t>>& each) {
                           return absl::StrCat(
                               std::get<0>(each.param) == Cipher::kAes256Gcm ? "Aes" : "ChaCha",
                               std::get<1>(each.param));
                         });

TEST_P(EncryptionTest, WhatIsWrittenIsReadBack) {
  Model model;
  for (int life = 0; life < 3; ++life) {
    LogDriver driver(file_system_, Options(TestRing(cipher())));
    ExpectAllThere(driver, model);
    driver.set_model(model);
    driver.Append(kGroupA, 1, {Payload(1, 50'000)});  // a block of its own where blocks are small
    Fill(driver, 40);
    model = driver.model();
  }
  EXPECT_GT(Files(file_system_).size(), 6u);
}

TEST_P(EncryptionTest, NothingOfItCanBeReadOnTheDisk) {
  LogDriver driver(file_system_, Options(TestRing(cipher())));
  Fill(driver, 60);
  // Nor the hashes, by which a payload could be guessed.
  std::vector<std::string> hashes;
  for (const RecordRun& run : driver.model().at(kGroupA).entries) {
    std::string& hash = hashes.emplace_back();
    AppendLittleEndian(&hash, run.last_hash().low);
  }
  for (const auto& [path, content] : Files(file_system_)) {
    EXPECT_FALSE(absl::StrContains(content, "attack")) << path;
    EXPECT_FALSE(absl::StrContains(content, "members")) << path;
    for (const std::string& hash : hashes) EXPECT_FALSE(absl::StrContains(content, hash)) << path;
    EXPECT_FALSE(absl::StrContains(content, TestKey(1).secret.view())) << path;
  }
}

TEST_P(EncryptionTest, AWrongKeyIsRefusedByNameAndChangesNothing) {
  {
    LogDriver driver(file_system_, Options(TestRing(cipher())));
    Fill(driver, 30);
  }
  const std::map<std::string, std::string> before = Files(file_system_);
  for (std::shared_ptr<const KeyRing> keys :
       {std::shared_ptr<const KeyRing>(), std::shared_ptr<const KeyRing>(TestRing(cipher(), {2})),
        std::shared_ptr<const KeyRing>(TestRing(Cipher::kNone, {2, 3}))}) {
    LogDriver driver(file_system_, Options(keys));
    EXPECT_TRUE(absl::IsFailedPrecondition(driver.status())) << driver.status();
    EXPECT_TRUE(IsMissingKey(driver.status()));
    EXPECT_THAT(driver.status().message(), HasSubstr(KeyIdText(TestKey(1).id)));
    EXPECT_THAT(driver.status().message(), HasSubstr(".block"));
    const char* source = keys == nullptr ? "no key was given" : "the test's keys";
    EXPECT_THAT(driver.status().message(), HasSubstr(source));
    const auto log = LogInspector::Open(file_system_, kTestDirectory, keys);
    EXPECT_TRUE(IsMissingKey(log.status())) << log.status();
    EXPECT_EQ(Files(file_system_), before);
  }
  LogDriver driver(file_system_, Options(TestRing(cipher(), {2, 1})));
  EXPECT_TRUE(driver.status().ok()) << driver.status();
}

TEST_P(EncryptionTest, NewBlocksHaveTheNewestKey) {
  Model model;
  {
    LogDriver driver(file_system_, Options(TestRing(cipher(), {1})));
    Fill(driver, 30);
    model = driver.model();
  }
  std::shared_ptr<KeyRing> keys = TestRing(cipher(), {2, 1});
  LogDriver driver(file_system_, Options(keys));
  ExpectAllThere(driver, model);
  driver.set_model(model);
  // The log goes on in another block at once.
  driver.Append(kGroupA, 1, {"short"});
  ASSERT_TRUE(driver.Sync().ok());
  // And the old ones are wrapped by it: the old key can go.
  for (const auto& [block, key] : KeysOf(file_system_, keys)) EXPECT_EQ(key, TestKey(2).id);
  // And again when the keys change while it is open.
  ASSERT_TRUE(keys->Replace({TestKey(3), TestKey(2)}).ok());
  driver.Append(kGroupA, 1, {"short"});
  ASSERT_TRUE(driver.Sync().ok());
  for (const auto& [block, key] : KeysOf(file_system_, keys)) EXPECT_EQ(key, TestKey(3).id);
  const std::unique_ptr<SimulatedFileSystem> image = file_system_.WorstCaseImage();
  LogDriver after(*image, Options(TestRing(cipher(), {3})));
  ExpectAllThere(after, driver.model());
}

// A crash between the two copies of a header leaves one that the old and one that the new key
// opens.
TEST_P(EncryptionTest, EitherKeyOpensABlockWhoseHeaderIsHalfRewrapped) {
  Model model;
  {
    LogDriver driver(file_system_, Options(TestRing(cipher(), {1})));
    Fill(driver, 3);
    model = driver.model();
  }
  const std::string path = JoinPath(kTestDirectory, BlockFileName(1));
  const uint64_t at = Options(nullptr).geometry.header_at(1);
  auto header_at = [&](uint64_t offset) {
    return Files(file_system_)[path].substr(offset, kSectorBytes);
  };
  const std::string old_copy = header_at(at);
  {
    LogDriver driver(file_system_, Options(TestRing(cipher(), {2, 1})));
    ASSERT_TRUE(driver.status().ok()) << driver.status();
  }
  file_system_.Overwrite(path, at, old_copy);
  const uint32_t newest = BlockHeader::Decode(header_at(0))->encryption.revision;
  EXPECT_LT(BlockHeader::Decode(old_copy)->encryption.revision, newest);
  for (const uint8_t key : {uint8_t{1}, uint8_t{2}}) {
    const std::unique_ptr<SimulatedFileSystem> image = file_system_.WorstCaseImage();
    image->Remove(JoinPath(kTestDirectory, BlockFileName(2))).IgnoreError();
    const auto block =
        BlockFile::Open(*image, path, 1, std::nullopt, TestRing(cipher(), {key}).get(),
                        FileSystem::OpenMode::kReadWrite);
    ASSERT_TRUE(block.ok()) << block.status();
    EXPECT_EQ((*block)->good_headers()[0], key == 2);
    ASSERT_TRUE((*block)->HealHeaders().ok());
    const auto healed =
        BlockFile::Open(*image, path, 1, std::nullopt, TestRing(cipher(), {key}).get(),
                        FileSystem::OpenMode::kReadWrite);
    ASSERT_TRUE(healed.ok()) << healed.status();
    EXPECT_TRUE((*healed)->good_headers()[0] && (*healed)->good_headers()[1]);
    // A revision is never gone below: the greater one may have been written under.
    EXPECT_EQ((*healed)->header().encryption.revision, newest);
  }
}

TEST_P(EncryptionTest, FromPlainToEncryptedAndBack) {
  Model model;
  const std::shared_ptr<KeyRing> steps[] = {nullptr, TestRing(cipher()), TestRing(Cipher::kNone),
                                            TestRing(cipher(), {2, 1})};
  for (const std::shared_ptr<KeyRing>& keys : steps) {
    LogDriver driver(file_system_, Options(keys));
    ExpectAllThere(driver, model);
    driver.set_model(model);
    Fill(driver, 12);
    // Some of it is written anew with each batch.
    for (size_t i = 0; i < 200; ++i) {
      driver.Append(kGroupB, 1, {"short"});
      ASSERT_TRUE(driver.Sync().ok());
    }
    for (const auto& [group, log] : driver.model()) {
      EXPECT_EQ(Difference(driver.store(group), log), "");
    }
    model = driver.model();
    // Those of the step before are gone, and nothing of them is left.
    const uint64_t wanted = keys != nullptr && keys->current() ? keys->current()->id : 0;
    for (const auto& [block, key] : KeysOf(file_system_, keys))
      EXPECT_EQ(key, wanted) << "block " << block << ", " << KeyIdText(wanted);
    for (const auto& [path, content] : Files(file_system_)) {
      EXPECT_TRUE(wanted == 0 || !absl::StrContains(content, "attack")) << path;
    }
  }
}

// Every unit that is written under a key and a nonce, in all lives of the log and on every disk
// that a power cut may leave: never twice with other bytes. Read from what is written, with the
// data key of the block's header.
class NonceWatch {
 public:
  void Look(SimulatedFileSystem& file_system, const KeyRing& keys) {
    for (const auto& [path, content] : Files(file_system)) Look(path, content, keys);
  }
  uint64_t nonces() const { return seen_.size(); }

 private:
  void Look(const std::string& path, const std::string& content, const KeyRing& keys) {
    if (!absl::EndsWith(path, ".block") && !absl::EndsWith(path, ".block.tmp")) return;
    const auto header = BlockHeader::Decode(absl::string_view(content).substr(0, kSectorBytes));
    if (!header.ok() || !header->is_encrypted()) return;
    const auto key = RecoverBlockKey(*header, &keys);
    ASSERT_TRUE(key.ok()) << key.status();
    const uint64_t unit = header->geometry.unit_bytes;
    const uint64_t block_bytes = header->FileGeometry().block_bytes;
    for (uint64_t at = unit; at < block_bytes - unit; at += unit) {
      const std::string stored = content.substr(at, unit);
      const auto revision = LoadLittleEndian<uint32_t>(stored.data());
      if (revision == 0) continue;
      // A power cut leaves pieces: only a whole unit tells its bytes.
      UnitCipher cipher(header->encryption.cipher, *key, header->block, unit);
      const std::string plain(cipher.Open(at / unit, stored).plain.view());
      if (plain == std::string(plain.size(), kUnreadableByte)) continue;
      const auto [seen, is_new] =
          seen_.emplace(std::tuple(std::string(key->view()), revision, at / unit), stored);
      ASSERT_EQ(seen->second, stored)
          << path << ": unit " << at / unit << " twice under revision " << revision;
    }
  }

  std::map<std::tuple<std::string, uint32_t, uint64_t>, std::string> seen_;
};

// Runs what was posted when it is told to.
class LateExecutor final : public Executor {
 public:
  void Post(Task task) override { tasks_.push_back(std::move(task)); }
  void PostAt(Instant, Task task) override { tasks_.push_back(std::move(task)); }
  void RunAll() {
    for (; !tasks_.empty(); tasks_.pop_front()) std::move(tasks_.front())();
  }

 private:
  std::deque<Task> tasks_;
};

// Lives of a log by chance, with crashes and errors, changes of key and cipher, repairs,
// compression, and a background that comes late.
class NonceLives {
 public:
  NonceLives(uint64_t seed, Cipher cipher, const BlockLogOptions& options)
      : random_(seed), cipher_(cipher), options_(options) {
    options_.copy_distance = 2;
    options_.recent_bytes = 0;
    options_.background = &background_;
    options_.compression = LogCompression::kZstd;
    options_.compression_distance = 1;
  }

  void Live(Term term) {
    options_.keys = keys_ = TestRing(DrawCipher(), DrawOrder());
    const uint64_t fault_after = random_.Below(80);
    uint64_t writes = 0;
    // After each write, before what comes next may overwrite it.
    file_system_.set_fault_hook([&](const FileAccess& access) {
      using Operation = FileAccess::Operation;
      const bool is_write =
          access.operation == Operation::kWrite || access.operation == Operation::kSync;
      if (is_write || access.operation == Operation::kRename) Look();
      if (is_write && ++writes == fault_after) {
        return FileFault{.error = 5, .reached = FileFault::Reached::kSome};
      }
      return FileFault();
    });
    {
      LogDriver driver(file_system_, options_);
      for (size_t i = 0; driver.status().ok() && i < 1 + random_.Below(8); ++i) {
        if (!Step(driver, term, i)) break;
      }
    }
    if (random_.OneIn(2)) background_.RunAll();
    file_system_.set_fault_hook(nullptr);
    Look();
    if (random_.OneIn(3)) {
      file_system_.RestartProcess();
    } else {
      file_system_.Crash(random_.OneIn(2) ? CrashPolicy::kRandomSubset : CrashPolicy::kDropAll,
                         random_);
    }
  }

  uint64_t nonces() const { return watch_.nonces(); }
  uint64_t repaired() const { return repaired_; }
  uint64_t replaced() const { return replaced_; }
  size_t compressed() const { return compressed_; }

 private:
  void Look() { watch_.Look(file_system_, *all_keys_); }

  // Mostly the one, sometimes the other, or none.
  Cipher DrawCipher() {
    if (!random_.OneIn(3)) return cipher_;
    if (random_.OneIn(3)) return Cipher::kNone;
    return cipher_ == Cipher::kAes256Gcm ? Cipher::kChaCha20Poly1305 : Cipher::kAes256Gcm;
  }
  std::vector<uint8_t> DrawOrder() {
    std::vector<uint8_t> order = {1, 2, 3};
    std::swap(order[0], order[random_.Below(3)]);
    return order;
  }

  bool Step(LogDriver& driver, Term term, size_t i) {
    const GroupId group = random_.OneIn(3) ? kGroupB : kGroupA;
    LogStore& store = driver.store(group);
    if (random_.OneIn(5)) {
      std::vector<MasterKey> keys;
      for (uint8_t number : DrawOrder()) keys.push_back(TestKey(number));
      EXPECT_TRUE(keys_->Replace(std::move(keys)).ok());
      ++replaced_;
    }
    if (random_.OneIn(4)) background_.RunAll();
    if (random_.OneIn(2)) driver.log().scrub()->Compress(random_.Below(100'000));
    compressed_ = std::max(compressed_, driver.log().figures().compressed_blocks);
    if (random_.OneIn(3) && store.last().index > store.base().index) Repair(store);
    ModelLog end;
    end.base = store.last();
    end.base_hash = store.HashAt(end.base.index).value_or(EntryHash());
    LogAppend append;
    if (!driver.recovered(group).torn_from) {
      append.runs = {MakeRun(
          group, end, term,
          {Payload(random_.Next() % 1000, 20 + random_.Below(5 * options_.geometry.unit_bytes))})};
    }
    append.hard_state = HardState{.term = 100 * term + i, .vote = NodeId{1}};
    if (!store.Append(append).ok()) return false;
    // What fails here fails the sync as well.
    if (end.base.index > 3 && random_.OneIn(8)) store.DropPrefix(end.base.index - 1).IgnoreError();
    return driver.Sync().ok();
  }

  // What is not bad may be written again as well.
  void Repair(LogStore& store) {
    const Index first = store.base().index + 1;
    const auto runs =
        store.Read(first + random_.Below(store.last().index - first + 1), store.last().index, 3000);
    if (runs.ok() && store.Repair(*runs).ok()) ++repaired_;
  }

  Random random_;
  const Cipher cipher_;
  BlockLogOptions options_;
  SimulatedFileSystem file_system_;
  LateExecutor background_;
  std::shared_ptr<KeyRing> keys_;
  const std::shared_ptr<KeyRing> all_keys_ = TestRing(Cipher::kAes256Gcm, {1, 2, 3});
  NonceWatch watch_;
  uint64_t repaired_ = 0;
  uint64_t replaced_ = 0;
  size_t compressed_ = 0;  // blocks at a time
};

TEST_P(EncryptionTest, NoNonceIsUsedTwice) {
  uint64_t nonces = 0;
  uint64_t repaired = 0;
  uint64_t replaced = 0;
  uint64_t compressed = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    NonceLives lives(seed, cipher(), Options(nullptr));
    for (Term term = 1; term <= 12; ++term) {
      SCOPED_TRACE(absl::StrCat("seed ", seed, ", life ", term));
      lives.Live(term);
      if (HasFatalFailure()) return;
    }
    nonces += lives.nonces();
    repaired += lives.repaired();
    replaced += lives.replaced();
    compressed += lives.compressed();
  }
  EXPECT_GT(nonces, 1000u);
  EXPECT_GT(repaired, 20u);
  EXPECT_GT(replaced, 20u);
  EXPECT_GT(compressed, 5u);
}

// A disk that is rolled back, or an image that is started more than once.
TEST_P(EncryptionTest, LivesThatBeginWithOneImageShareNoNonce) {
  const std::shared_ptr<KeyRing> keys = TestRing(cipher());
  {
    LogDriver driver(file_system_, Options(keys));
    Fill(driver, 3);
  }
  NonceWatch watch;
  for (size_t life = 1; life <= 8; ++life) {
    SCOPED_TRACE(life);
    const std::unique_ptr<SimulatedFileSystem> image = file_system_.WorstCaseImage();
    LogDriver driver(*image, Options(keys));
    ASSERT_TRUE(driver.status().ok()) << driver.status();
    const uint64_t before = watch.nonces();
    driver.Append(kGroupC, 1, {Payload(life, 500)});
    ASSERT_TRUE(driver.Sync().ok());
    watch.Look(*image, *keys);
    EXPECT_GT(watch.nonces(), before);
    if (HasFatalFailure()) return;
  }
}

// Bytes of the header, in one copy and in both.
TEST_P(EncryptionTest, ADamagedHeaderIsDamageAndOneCopyServes) {
  const std::shared_ptr<KeyRing> keys = TestRing(cipher());
  Model model;
  {
    LogDriver driver(file_system_, Options(keys));
    driver.Append(kGroupA, 1, {Payload(1, 100)});
    ASSERT_TRUE(driver.Sync().ok());
    model = driver.model();
  }
  const std::string path = JoinPath(kTestDirectory, BlockFileName(1));
  const BlockGeometry geometry = Options(keys).geometry;
  for (uint64_t at = 0; at < kSectorBytes; at += 3) {
    const std::unique_ptr<SimulatedFileSystem> one = file_system_.WorstCaseImage();
    one->FlipBits(path, geometry.header_at(static_cast<int>(at % 2)) + at, 0x20);
    {
      LogDriver driver(*one, Options(keys));
      ExpectAllThere(driver, model);
    }
    const std::unique_ptr<SimulatedFileSystem> both = file_system_.WorstCaseImage();
    both->FlipBits(path, geometry.header_at(0) + at, 0x20);
    both->FlipBits(path, geometry.header_at(1) + at, 0x20);
    LogDriver without(*both, Options(keys));
    ASSERT_TRUE(without.status().ok()) << without.status();
    EXPECT_THAT(without.log().notes(), Contains(HasSubstr(path)));
    EXPECT_TRUE(without.recovered(kGroupA).hard_state_lost);
  }
}

// What is saved of an encrypted log is encrypted, too.
TEST_P(EncryptionTest, ASalvagedLogIsEncrypted) {
  const std::shared_ptr<KeyRing> keys = TestRing(cipher());
  Model model;
  {
    LogDriver driver(file_system_, Options(keys));
    Fill(driver, 10);
    model = driver.model();
  }
  const auto log = LogInspector::Open(file_system_, kTestDirectory, keys);
  ASSERT_TRUE(log.ok()) << log.status();
  const SalvagePlan plan = PlanSalvage(**log);
  EXPECT_EQ(plan.acknowledgement, "nothing-lost");
  const absl::Status done = Salvage(**log, plan, plan.acknowledgement, file_system_, "/new");
  ASSERT_TRUE(done.ok()) << done;
  BlockLogOptions options = Options(keys);
  options.directory = "/new";
  LogDriver driver(file_system_, options);
  ExpectAllThere(driver, model);
  const std::vector<std::string> names = file_system_.List("/new").value();
  for (const std::string& name : names) {
    const std::string content = ReadWholeFile(file_system_, JoinPath("/new", name)).value();
    EXPECT_FALSE(absl::StrContains(content, "attack")) << name;
  }
}

// The wrapped key of another block, under a good checksum: what somebody put there.
TEST_P(EncryptionTest, ADataKeyOpensOnlyItsOwnBlock) {
  const std::shared_ptr<KeyRing> keys = TestRing(cipher());
  {
    BlockLogOptions options = Options(keys);
    options.copy_distance = 100;  // the first blocks stay
    LogDriver driver(file_system_, options);
    Fill(driver, 60);
  }
  const BlockGeometry geometry = Options(keys).geometry;
  auto header_of = [&](uint64_t block) {
    return BlockHeader::Decode(
               absl::string_view(
                   Files(file_system_)[JoinPath(kTestDirectory, BlockFileName(block))])
                   .substr(0, kSectorBytes))
        .value();
  };
  BlockHeader forged = header_of(1);
  forged.encryption.data_key = header_of(2).encryption.data_key;
  const std::string path = JoinPath(kTestDirectory, BlockFileName(1));
  for (int copy : {0, 1}) {
    file_system_.Overwrite(path, geometry.header_at(copy), forged.Encode());
  }
  LogDriver driver(file_system_, Options(keys));
  ASSERT_TRUE(driver.status().ok()) << driver.status();
  EXPECT_THAT(driver.log().notes(), Contains(HasSubstr(KeyIdText(TestKey(1).id))));
  EXPECT_FALSE(driver.recovered(kGroupA).faulty.empty());
}

// A unit that was moved within its block, or to another one, is bad, though it was written with the
// very key.
TEST_P(EncryptionTest, AUnitCountsOnlyWhereItWasWritten) {
  SeededRandomBytes random(5);
  const SecretKey key = SecretKey::Draw(random);
  const uint64_t unit = std::get<1>(GetParam());
  UnitCipher writer(cipher(), key, 7, unit);
  const std::string plain(2 * writer.plain_bytes(), 'p');
  const std::string stored = writer.Seal(3, 10, plain);
  EXPECT_NE(stored.substr(4, 100), stored.substr(unit + 4, 100));
  EXPECT_EQ(writer.Open(10, stored).plain.view(), plain);
  const std::string unreadable(writer.plain_bytes(), kUnreadableByte);
  EXPECT_EQ(writer.Open(11, stored.substr(0, unit)).plain.view(), unreadable);
  UnitCipher other_block(cipher(), key, 8, unit);
  EXPECT_EQ(other_block.Open(10, stored.substr(0, unit)).plain.view(), unreadable);
  std::string other_revision = stored.substr(0, unit);
  other_revision[0] = 4;
  EXPECT_EQ(writer.Open(10, other_revision).plain.view(), unreadable);
  for (size_t at = 0; at < unit; at += 7) {
    std::string flipped = stored.substr(0, unit);
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    EXPECT_EQ(writer.Open(10, flipped).plain.view(), unreadable);
  }
  // What never reached the disk is told from what is bad.
  std::string torn = stored.substr(0, unit) + std::string(unit, '\0');
  EXPECT_EQ(writer.Open(10, torn).plain.view().substr(writer.plain_bytes()),
            std::string(writer.plain_bytes(), '\0'));
  EXPECT_EQ(writer.Open(10, torn).zero_sectors.at(0), 0);
  EXPECT_EQ(writer.Open(10, torn).zero_sectors.at(1), unit == 512 ? 0x01 : 0xff);
}

}  // namespace
}  // namespace cairn
