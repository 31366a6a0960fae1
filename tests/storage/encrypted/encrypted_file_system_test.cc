// Encrypted files: the text is that of a plain file, power cuts and full disks included; nothing of
// it is on the disk; keys are missed by name, changed, and files written anew, at each step of
// which the power may be cut.

#include "storage/encrypted/encrypted_file_system.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/crypto/missing_key.h"
#include "storage/encrypted/sector_cipher.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/test_keys.h"

namespace cairn {
namespace {

using OpenMode = FileSystem::OpenMode;
using Standing = EncryptedFileSystem::Standing;
using testing::HasSubstr;

constexpr char kRoot[] = "/data";
constexpr char kPath[] = "/data/file";
constexpr char kSecret[] = "attack at dawn, and tell nobody";
// Of the text, so that files have several and ends fall everywhere in one.
constexpr uint64_t kUnit = kUnitTextBytes;

EncryptedFileSystem Encrypted(FileSystem& real, std::shared_ptr<const KeyRing> keys) {
  return EncryptedFileSystem(real, std::move(keys), {kRoot});
}

std::string Raw(FileSystem& real, const std::string& path = kPath) {
  const auto content = ReadWholeFile(real, path);
  EXPECT_TRUE(content.ok()) << content.status();
  return content.value_or("");
}

void WriteDurably(FileSystem& file_system, const std::string& path, const std::string& text) {
  auto file = file_system.Open(path, {.mode = OpenMode::kOpenOrCreate});
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_TRUE((*file)->Write(0, text).ok());
  ASSERT_TRUE(file_system.SyncNow(**file).ok());
  ASSERT_TRUE(file_system.SyncDirectory(DirectoryOf(path)).ok());
}

std::string Repeated(size_t bytes) {
  std::string text;
  while (text.size() < bytes) absl::StrAppend(&text, kSecret, " ", text.size(), " ");
  text.resize(bytes);
  return text;
}

class EncryptedFileSystemTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(real_.MakeDirectory(kRoot).ok()); }

  SimulatedFileSystem real_;
};

// What is on the disk -----------------------------------------------------------------------------

TEST_F(EncryptedFileSystemTest, NothingOfTheTextIsOnTheDisk) {
  for (const Cipher cipher : {Cipher::kAes256Gcm, Cipher::kChaCha20Poly1305}) {
    EncryptedFileSystem files = Encrypted(real_, TestRing(cipher));
    const std::string path = absl::StrCat(kRoot, "/", CipherName(cipher));
    const std::string text = Repeated(5000);
    WriteDurably(files, path, text);
    EXPECT_EQ(Raw(files, path), text);
    EXPECT_FALSE(absl::StrContains(Raw(real_, path), "attack"));
    // The same text under another name has nothing in common with it.
    WriteDurably(files, path + ".other", text);
    const std::string first = Raw(real_, path);
    const std::string second = Raw(real_, path + ".other");
    ASSERT_EQ(first.size(), second.size());
    for (uint64_t at = EncryptedHeader::kBytes; at < first.size(); at += kUnitBytes) {
      EXPECT_NE(first.substr(at, kUnitBytes), second.substr(at, kUnitBytes)) << at;
    }
  }
}

TEST_F(EncryptedFileSystemTest, OnlyWhatIsBelowTheRootsIsEncryptedAndNoLock) {
  EncryptedFileSystem files = Encrypted(real_, TestRing(Cipher::kAes256Gcm));
  ASSERT_TRUE(real_.MakeDirectory("/database/below").ok());
  ASSERT_TRUE(real_.MakeDirectory("/data/below").ok());
  for (const char* path : {"/elsewhere", "/database/below/file", "/data/LOCK"}) {
    WriteDurably(files, path, kSecret);
    EXPECT_EQ(Raw(real_, path), kSecret) << path;
  }
  WriteDurably(files, "/data/below/file", kSecret);
  EXPECT_FALSE(absl::StrContains(Raw(real_, "/data/below/file"), "attack"));
}

// A unit that was changed, moved, or is another file's, is not read; what stands beside it is.
TEST_F(EncryptedFileSystemTest, WhateverIsChangedIsNoticed) {
  const auto keys = TestRing(Cipher::kAes256Gcm);
  EncryptedFileSystem files = Encrypted(real_, keys);
  const std::string text = Repeated(3 * kUnit + 100);
  WriteDurably(files, kPath, text);
  const auto expect_bad = [&](SimulatedFileSystem& disk, uint64_t unit, const std::string& what) {
    EncryptedFileSystem damaged = Encrypted(disk, keys);
    auto file = damaged.Open(kPath, {.mode = OpenMode::kRead});
    ASSERT_TRUE(file.ok()) << what << file.status();
    for (uint64_t each = 0; each < 4; ++each) {
      std::string read(kUnit, '?');
      const auto got = (*file)->Read(each * kUnit, kUnit, read.data());
      ASSERT_EQ(got.ok(), each != unit) << what << " " << each;
      if (got.ok()) {
        EXPECT_EQ(read.substr(0, *got), text.substr(each * kUnit, kUnit)) << what;
      }
    }
  };
  for (uint64_t at = EncryptedHeader::kBytes; at < Raw(real_).size(); at += 7) {
    const auto image = real_.CrashImage({});
    image->FlipBits(kPath, at, 0x10);
    expect_bad(*image, (at - EncryptedHeader::kBytes) / kUnitBytes, absl::StrCat("byte ", at));
  }
  const auto moved = real_.CrashImage({});
  moved->Overwrite(kPath, EncryptedHeader::kBytes,
                   Raw(real_).substr(EncryptedHeader::kBytes + kUnitBytes, kUnitBytes));
  expect_bad(*moved, 0, "moved");
  WriteDurably(files, "/data/other", text);
  const auto foreign = real_.CrashImage({});
  foreign->Overwrite(
      kPath, EncryptedHeader::kBytes + kUnitBytes,
      Raw(real_, "/data/other").substr(EncryptedHeader::kBytes + kUnitBytes, kUnitBytes));
  expect_bad(*foreign, 1, "another file's");
}

TEST_F(EncryptedFileSystemTest, OneGoodHeaderIsEnough) {
  const auto keys = TestRing(Cipher::kAes256Gcm);
  EncryptedFileSystem files = Encrypted(real_, keys);
  WriteDurably(files, kPath, kSecret);
  for (const uint64_t copy : {uint64_t{0}, EncryptedHeader::kCopyAt}) {
    for (const uint64_t at : {copy, copy + 50, copy + 130, copy + 511}) {
      const auto image = real_.CrashImage({});
      image->FlipBits(kPath, at, 1);
      EncryptedFileSystem damaged = Encrypted(*image, keys);
      EXPECT_EQ(Raw(damaged), kSecret) << at;
      EXPECT_EQ(damaged.StandingOf(kPath).value(), Standing::kToRewrap) << at;
      EXPECT_TRUE(damaged.Renew(kPath).ok());
      EXPECT_EQ(damaged.StandingOf(kPath).value(), Standing::kRight) << at;
      image->ZeroSector(kPath, EncryptedHeader::kCopyAt - copy);
      EXPECT_EQ(Raw(damaged), kSecret) << at;
    }
    const auto image = real_.CrashImage({});
    image->FailReads(kPath, copy, kSectorBytes);
    EncryptedFileSystem damaged = Encrypted(*image, keys);
    EXPECT_EQ(Raw(damaged), kSecret);
  }
  // Without any it is rot, not a reason to stop.
  real_.FlipBits(kPath, 100, 1);
  real_.FlipBits(kPath, EncryptedHeader::kCopyAt + 100, 1);
  EXPECT_NE(Raw(files), kSecret);
}

// Keys --------------------------------------------------------------------------------------------

TEST_F(EncryptedFileSystemTest, AMissingKeyIsNamedAndNothingChanges) {
  EncryptedFileSystem files = Encrypted(real_, TestRing(Cipher::kAes256Gcm, {1}));
  WriteDurably(files, kPath, kSecret);
  const std::string before = Raw(real_);
  const std::string id = KeyIdText(TestKey(1).id);
  for (const auto& keys : {std::shared_ptr<KeyRing>(), TestRing(Cipher::kAes256Gcm, {2}),
                           TestRing(Cipher::kNone, {2})}) {
    EncryptedFileSystem others = Encrypted(real_, keys);
    for (const OpenMode mode : {OpenMode::kRead, OpenMode::kReadWrite, OpenMode::kOpenOrCreate}) {
      const absl::Status refused = others.Open(kPath, {.mode = mode}).status();
      EXPECT_TRUE(IsMissingKey(refused)) << refused;
      EXPECT_THAT(std::string(refused.message()), HasSubstr(id));
      EXPECT_THAT(std::string(refused.message()), HasSubstr(kPath));
    }
    EXPECT_TRUE(IsMissingKey(others.CheckKeys())) << others.CheckKeys();
    EXPECT_FALSE(others.Renew(kPath).ok() && keys != nullptr);
    EXPECT_EQ(Raw(real_), before);
  }
  EXPECT_TRUE(files.CheckKeys().ok());
}

TEST_F(EncryptedFileSystemTest, AKeyThatFilesNeedIsNotTakenAway) {
  const auto keys = TestRing(Cipher::kAes256Gcm, {1});
  EncryptedFileSystem files = Encrypted(real_, keys);
  const KeyRing::User user(*keys, [&files] { return files.KeysInUse(); });
  WriteDurably(files, kPath, kSecret);
  ASSERT_TRUE(keys->Replace({TestKey(2), TestKey(1)}).ok());
  const absl::Status refused = keys->Replace({TestKey(2)});
  EXPECT_THAT(std::string(refused.message()), HasSubstr(KeyIdText(TestKey(1).id)));
  EXPECT_EQ(files.StandingOf(kPath).value(), Standing::kToRewrap);
  ASSERT_TRUE(files.Renew(kPath).ok());
  EXPECT_TRUE(keys->Replace({TestKey(2)}).ok());
  EXPECT_EQ(Raw(files), kSecret);
}

// At each call, whatever a power cut leaves: it opens with both keys and has its text, and when it
// is right it needs the new key only.
TEST_F(EncryptedFileSystemTest, APowerCutAtEachStepOfANewKey) {
  EncryptedFileSystem old = Encrypted(real_, TestRing(Cipher::kAes256Gcm, {1}));
  const std::string text = Repeated(2 * kUnit + 10);
  WriteDurably(old, kPath, text);
  EncryptedFileSystem files = Encrypted(real_, TestRing(Cipher::kAes256Gcm, {2, 1}));
  uint64_t states = 0;
  std::set<Standing> seen;
  Random random(1);
  real_.set_fault_hook([&](const FileAccess&) {
    for (const CrashChoice& choice : EnumerateCrashes(real_.Pending(), {}, random)) {
      ++states;
      const auto image = real_.CrashImage(choice);
      EncryptedFileSystem after = Encrypted(*image, TestRing(Cipher::kAes256Gcm, {2, 1}));
      EXPECT_EQ(Raw(after), text);
      seen.insert(after.StandingOf(kPath).value());
      EXPECT_TRUE(after.Renew(kPath).ok());
      EncryptedFileSystem later = Encrypted(*image, TestRing(Cipher::kAes256Gcm, {2}));
      EXPECT_EQ(Raw(later), text);
    }
    return FileFault();
  });
  ASSERT_TRUE(files.Renew(kPath).ok());
  real_.set_fault_hook(nullptr);
  EXPECT_GT(states, 6u);
  EXPECT_TRUE(seen.contains(Standing::kToRewrap));
  EncryptedFileSystem later = Encrypted(real_, TestRing(Cipher::kAes256Gcm, {2}));
  EXPECT_EQ(Raw(later), text);
  EXPECT_EQ(later.KeysInUse().value(), std::set<uint64_t>({TestKey(2).id}));
}

// Written anew ------------------------------------------------------------------------------------

struct Form {
  Cipher cipher;  // kNone: plain
  const char* name;
};

class AnewTest : public EncryptedFileSystemTest,
                 public testing::WithParamInterface<std::pair<Form, Form>> {};

TEST_P(AnewTest, APowerCutAtEachStep) {
  const auto [from, to] = GetParam();
  EncryptedFileSystem old = Encrypted(real_, TestRing(from.cipher));
  const std::string text = Repeated(3 * kUnit + 10);
  WriteDurably(old, kPath, text);
  EncryptedFileSystem files = Encrypted(real_, TestRing(to.cipher));
  ASSERT_EQ(files.StandingOf(kPath).value(), Standing::kToRewrite);
  const std::shared_ptr<File> reader = *files.Open(kPath, {.mode = OpenMode::kRead});
  uint64_t states = 0;
  uint64_t leftovers = 0;
  Random random(1);
  real_.set_fault_hook([&](const FileAccess&) {
    for (const CrashChoice& choice :
         EnumerateCrashes(real_.Pending(), {.exhaustive = 8, .samples = 20}, random)) {
      ++states;
      const auto image = real_.CrashImage(choice);
      EncryptedFileSystem after = Encrypted(*image, TestRing(to.cipher));
      EXPECT_EQ(Raw(after), text);
      EXPECT_EQ(after.List(kRoot).value(), std::vector<std::string>({"file"}));
      leftovers += image->List(kRoot)->size() - 1;
      EXPECT_TRUE(after.RemoveLeftovers().ok());
      EXPECT_EQ(image->List(kRoot).value(), std::vector<std::string>({"file"}));
      EXPECT_TRUE(after.Renew(kPath).ok());
      EXPECT_EQ(after.StandingOf(kPath).value(), Standing::kRight);
      EXPECT_EQ(Raw(after), text);
    }
    return FileFault();
  });
  ASSERT_TRUE(files.Renew(kPath).ok());
  real_.set_fault_hook(nullptr);
  EXPECT_GT(states, 30u);
  EXPECT_GT(leftovers, 10u);
  EXPECT_EQ(files.StandingOf(kPath).value(), Standing::kRight);
  EXPECT_EQ(absl::StrContains(Raw(real_), "attack"), to.cipher == Cipher::kNone);
  // Who had it open reads on.
  std::string read(text.size(), '?');
  EXPECT_EQ(reader->Read(0, read.size(), read.data()).value(), text.size());
  EXPECT_EQ(read, text);
}

constexpr Form kPlain = {Cipher::kNone, "Plain"};
constexpr Form kAes = {Cipher::kAes256Gcm, "Aes"};
constexpr Form kChaCha = {Cipher::kChaCha20Poly1305, "ChaCha"};
INSTANTIATE_TEST_SUITE_P(Forms, AnewTest,
                         testing::Values(std::pair(kPlain, kAes), std::pair(kAes, kPlain),
                                         std::pair(kAes, kChaCha), std::pair(kChaCha, kAes)),
                         [](const auto& tested) {
                           return absl::StrCat(tested.param.first.name, "To",
                                               tested.param.second.name);
                         });

// What may happen to a file while it is written anew.
enum class Event { kWritten, kRemoved, kRenamed, kReplaced, kDirectoryRemoved };

class Meanwhile {
 public:
  static constexpr char kFile[] = "/data/below/file";

  explicit Meanwhile(Event event) : event_(event) {
    EXPECT_TRUE(disk_.MakeDirectory("/data/below").ok());
    EncryptedFileSystem plain = Encrypted(disk_, nullptr);
    WriteDurably(plain, kFile, text_);
    WriteDurably(plain, "/data/other", "other");
  }

  // Writes the file anew, and before the given call to the disk it happens; false if there were
  // not so many.
  bool Renew(int call) {
    int calls = 0;
    disk_.set_fault_hook([&](const FileAccess& access) {
      // From the rename on until that is durable nobody gets at it.
      const bool ends = access.operation == FileAccess::Operation::kRename ||
                        access.operation == FileAccess::Operation::kSyncDirectory;
      if (!ends && ++calls == call) Happen();
      return FileFault();
    });
    renewed_ = files_.Renew(kFile);
    disk_.set_fault_hook(nullptr);
    return calls >= call;
  }
  bool was_void() const { return absl::IsAborted(renewed_); }

  // Nothing of it is lost, and what is gone stays gone.
  void ExpectThatItCounts() {
    switch (event_) {
      case Event::kWritten:
        text_.replace(3, 7, "written");
        EXPECT_EQ(Raw(files_, kFile), text_);
        break;
      case Event::kRemoved:
        EXPECT_FALSE(files_.Exists(kFile).value());
        break;
      case Event::kRenamed:
        EXPECT_FALSE(files_.Exists(kFile).value());
        EXPECT_EQ(Raw(files_, "/data/below/renamed"), text_);
        break;
      case Event::kReplaced:
        EXPECT_EQ(Raw(files_, kFile), "other");
        break;
      case Event::kDirectoryRemoved:
        EXPECT_FALSE(files_.Exists("/data/below").value());
        break;
    }
  }

 private:
  void Happen() {
    switch (event_) {
      case Event::kWritten:
        writer_ = *files_.Open(kFile, {.mode = OpenMode::kReadWrite});
        EXPECT_TRUE(writer_->Write(3, "written").ok());
        break;
      case Event::kRemoved:
        EXPECT_TRUE(files_.Remove(kFile).ok());
        break;
      case Event::kRenamed:
        EXPECT_TRUE(files_.Rename(kFile, "/data/below/renamed").ok());
        break;
      case Event::kReplaced:
        EXPECT_TRUE(files_.Rename("/data/other", kFile).ok());
        break;
      case Event::kDirectoryRemoved:
        EXPECT_TRUE(files_.Remove(kFile).ok());
        EXPECT_TRUE(files_.Remove("/data/below").ok());
        break;
    }
  }

  const Event event_;
  std::string text_ = Repeated(2 * kUnit);
  SimulatedFileSystem disk_;
  EncryptedFileSystem files_ = Encrypted(disk_, TestRing(Cipher::kAes256Gcm));
  std::unique_ptr<File> writer_;
  absl::Status renewed_;
};

TEST_F(EncryptedFileSystemTest, WhatHappensMeanwhileCounts) {
  for (const Event event : {Event::kWritten, Event::kRemoved, Event::kRenamed, Event::kReplaced,
                            Event::kDirectoryRemoved}) {
    int made_void = 0;
    for (int call = 1;; ++call) {
      SCOPED_TRACE(absl::StrCat("event ", static_cast<int>(event), " at call ", call));
      Meanwhile meanwhile(event);
      if (!meanwhile.Renew(call)) break;
      made_void += meanwhile.was_void() ? 1 : 0;
      meanwhile.ExpectThatItCounts();
      if (HasFailure()) return;
    }
    EXPECT_GT(made_void, 3) << static_cast<int>(event);
  }
}

TEST_F(EncryptedFileSystemTest, AFileThatIsWrittenToIsLetBe) {
  EncryptedFileSystem plain = Encrypted(real_, nullptr);
  WriteDurably(plain, kPath, kSecret);
  EncryptedFileSystem files = Encrypted(real_, TestRing(Cipher::kAes256Gcm));
  // Opening it makes it right, unless that has no room: then it stays plain as long as it is open.
  real_.set_fault_hook(
      NthFault(FileAccess::Operation::kWrite, "file.cairn-anew", 2, {.error = ENOSPC}));
  std::unique_ptr<File> writer = *files.Open(kPath, {.mode = OpenMode::kReadWrite});
  real_.set_fault_hook(nullptr);
  ASSERT_TRUE(writer->Write(0, "A").ok());
  EXPECT_FALSE(files.Renew(kPath).ok());
  ASSERT_TRUE(files.Rename(kPath, "/data/renamed").ok());
  EXPECT_FALSE(files.Renew("/data/renamed").ok());
  EXPECT_TRUE(absl::StrContains(Raw(real_, "/data/renamed"), "Attack"));
  writer = nullptr;
  EXPECT_TRUE(files.Renew("/data/renamed").ok());
  EXPECT_FALSE(absl::StrContains(Raw(real_, "/data/renamed"), "ttack"));
  writer = *files.Open("/data/renamed", {.mode = OpenMode::kReadWrite});
  ASSERT_TRUE(writer->Write(0, "B").ok());
  EXPECT_EQ(Raw(files, "/data/renamed"), "B" + std::string(kSecret).substr(1));
}

TEST_F(EncryptedFileSystemTest, AFileThatIsOpenedToBeWrittenIsEncryptedFirst) {
  EncryptedFileSystem plain = Encrypted(real_, nullptr);
  const std::string text = Repeated(kUnit + 3);
  WriteDurably(plain, kPath, text);
  EncryptedFileSystem files = Encrypted(real_, TestRing(Cipher::kAes256Gcm));
  auto file = files.Open(kPath, {.mode = OpenMode::kReadWrite});
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->Size().value(), text.size());
  EXPECT_EQ(Raw(files), text);
  EXPECT_FALSE(absl::StrContains(Raw(real_), "attack"));
}

// Lives -------------------------------------------------------------------------------------------

// What may stand in a file after a power cut: of each byte what was there at the last sync, and
// what was written to it since.
class TextTwin {
 public:
  std::string text;

  void Write(uint64_t offset, const std::string& data) {
    if (offset + data.size() > text.size()) text.resize(offset + data.size(), '\0');
    text.replace(offset, data.size(), data);
    Note();
  }
  void Resize(uint64_t length) {
    text.resize(length, '\0');
    Note();
  }
  void Synced() {
    versions_.clear();
    Note();
  }
  // A text is a mixture of versions, and no longer than the longest.
  std::string WhyNot(const std::string& found) const {
    size_t shortest = SIZE_MAX;
    size_t longest = 0;
    for (const std::string& version : versions_) {
      shortest = std::min(shortest, version.size());
      longest = std::max(longest, version.size());
    }
    // A length between two of them: that of whole units.
    if (found.size() < shortest || found.size() > longest + kUnit) {
      return absl::StrCat("it has ", found.size(), " bytes, not ", shortest, " to ", longest);
    }
    for (size_t i = 0; i < found.size(); ++i) {
      const bool known =
          found[i] == 0 ||
          std::any_of(versions_.begin(), versions_.end(), [&](const std::string& version) {
            return i < version.size() && version[i] == found[i];
          });
      if (!known) return absl::StrCat("byte ", i, " was never there");
    }
    // What all agree on is sure.
    for (size_t i = 0; i < std::min(shortest, found.size()); ++i) {
      const bool same = std::all_of(versions_.begin(), versions_.end(), [&](const auto& version) {
        return version[i] == versions_.front()[i];
      });
      if (same && found[i] != versions_.front()[i]) return absl::StrCat("byte ", i, " is lost");
    }
    return "";
  }

 private:
  void Note() { versions_.push_back(text); }
  std::vector<std::string> versions_ = {""};
};

// Every unit that is written, on all disks: no nonce stands before two texts.
class NonceWatch {
 public:
  void Look(SimulatedFileSystem& disk) {
    const std::string raw = Raw(disk);
    for (uint64_t at = EncryptedHeader::kBytes; at + kUnitBytes <= raw.size(); at += kUnitBytes) {
      const std::string unit = raw.substr(at, kUnitBytes);
      if (unit == std::string(kUnitBytes, '\0')) continue;
      const auto [seen, is_new] = seen_.emplace(unit.substr(0, Aead::kNonceBytes), unit);
      ASSERT_EQ(seen->second, unit) << "a nonce twice, at " << at;
    }
  }
  size_t nonces() const { return seen_.size(); }

 private:
  std::map<std::string, std::string> seen_;
};

// One life after the other of a file by chance, each begun with what a power cut left of the one
// before.
class Lives {
 public:
  explicit Lives(uint64_t seed) : random_(seed), disk_(std::make_unique<SimulatedFileSystem>()) {
    EXPECT_TRUE(disk_->MakeDirectory(kRoot).ok());
  }

  void Run() {
    for (int life = 0; life < 4 && !testing::Test::HasFailure(); ++life) Live();
  }
  size_t nonces() const { return watch_.nonces(); }
  uint64_t cuts() const { return cuts_; }

 private:
  void Live() {
    EncryptedFileSystem files(*disk_, keys_, {kRoot});
    auto opened = files.Open(kPath, {.mode = OpenMode::kOpenOrCreate});
    ASSERT_TRUE(opened.ok()) << opened.status();
    file_ = *std::move(opened);
    // Another handle of the same file: both know what the other one wrote.
    other_ = *files.Open(kPath, {.mode = OpenMode::kReadWrite});
    ASSERT_TRUE(files.SyncNow(*file_).ok());
    ASSERT_TRUE(disk_->SyncDirectory(kRoot).ok());
    twin_.text = Raw(files);
    twin_.Synced();
    for (int i = 0; i < 40 && !testing::Test::HasFailure(); ++i) {
      Change(files);
      Compare(files);
      watch_.Look(*disk_);
      if (random_.Below(4) == 0) CutPower();
    }
    disk_ = disk_->CrashImage(ChooseCrash(CrashPolicy::kRandomSubset, disk_->Pending(), random_));
  }

  void Change(FileSystem& files) {
    File& file = random_.Below(2) == 0 ? *file_ : *other_;
    const uint64_t offset = random_.Below(4) == 0 ? random_.Below(4 * kUnit) : twin_.text.size();
    switch (random_.Below(8)) {
      case 0:
        ASSERT_TRUE(file.Resize(offset).ok());
        twin_.Resize(offset);
        break;
      case 1:
        ASSERT_TRUE(files.SyncNow(file).ok());
        twin_.Synced();
        break;
      default: {
        const std::string data(random_.Below(random_.Below(3) == 0 ? 3 * kUnit : 60),
                               static_cast<char>('a' + random_.Below(26)));
        ASSERT_TRUE(file.Write(offset, data).ok());
        if (!data.empty()) twin_.Write(offset, data);
      }
    }
  }

  void Compare(FileSystem& files) {
    ASSERT_EQ(file_->Size().value(), twin_.text.size());
    ASSERT_EQ(Raw(files), twin_.text);
    const uint64_t offset = random_.Below(twin_.text.size() + 100);
    std::string read(random_.Below(2 * kUnit), '?');
    const auto got = other_->Read(offset, read.size(), read.data());
    ASSERT_TRUE(got.ok()) << got.status();
    ASSERT_EQ(read.substr(0, *got),
              offset >= twin_.text.size() ? "" : twin_.text.substr(offset, read.size()));
  }

  void CutPower() {
    ++cuts_;
    const CrashPolicy policies[] = {CrashPolicy::kDropAll, CrashPolicy::kKeepPrefix,
                                    CrashPolicy::kRandomSubset, CrashPolicy::kTornCall};
    const auto image =
        disk_->CrashImage(ChooseCrash(policies[random_.Below(4)], disk_->Pending(), random_));
    watch_.Look(*image);
    EncryptedFileSystem after(*image, keys_, {kRoot});
    const auto found = ReadWholeFile(after, kPath);
    ASSERT_TRUE(found.ok()) << found.status();
    ASSERT_EQ(twin_.WhyNot(*found), "");
  }

  Random random_;
  std::unique_ptr<SimulatedFileSystem> disk_;
  const std::shared_ptr<KeyRing> keys_ = TestRing(Cipher::kAes256Gcm);
  std::unique_ptr<File> file_;
  std::unique_ptr<File> other_;
  TextTwin twin_;
  NonceWatch watch_;
  uint64_t cuts_ = 0;
};

TEST(EncryptedLivesTest, AreThoseOfAPlainFileAndNoNonceIsUsedTwice) {
  size_t nonces = 0;
  uint64_t cuts = 0;
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    Lives lives(seed);
    lives.Run();
    if (testing::Test::HasFailure()) return;
    nonces += lives.nonces();
    cuts += lives.cuts();
  }
  EXPECT_GT(nonces, 10'000u);
  EXPECT_GT(cuts, 3'000u);
}

TEST(NonceSourceTest, NoneIsGivenTwice) {
  SeededRandomBytes random(7);
  NonceSource one(random);
  NonceSource two(random);
  std::set<Aead::Nonce> seen;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_TRUE(seen.insert(one.Next()).second);
    EXPECT_TRUE(seen.insert(two.Next()).second);
  }
}

// Making a file, cut at each step: it is there and empty, or not there.
TEST_F(EncryptedFileSystemTest, APowerCutWhileAFileIsMade) {
  const auto keys = TestRing(Cipher::kAes256Gcm);
  EncryptedFileSystem files = Encrypted(real_, keys);
  uint64_t states = 0;
  uint64_t empty = 0;
  Random random(1);
  const auto look = [&] {
    for (const CrashChoice& choice : EnumerateCrashes(real_.Pending(), {}, random)) {
      ++states;
      const auto image = real_.CrashImage(choice);
      EncryptedFileSystem after = Encrypted(*image, keys);
      if (!after.Exists(kPath).value()) continue;
      auto file = after.Open(kPath, {.mode = OpenMode::kReadWrite});
      ASSERT_TRUE(file.ok()) << file.status();
      EXPECT_EQ((*file)->Size().value(), 0u);
      ++empty;
      ASSERT_TRUE((*file)->Write(0, kSecret).ok());
      ASSERT_TRUE(after.SyncNow(**file).ok());
      EXPECT_EQ(Raw(after), kSecret);
      EXPECT_FALSE(absl::StrContains(Raw(*image), "attack"));
    }
  };
  real_.set_fault_hook([&](const FileAccess&) {
    look();
    return FileFault();
  });
  auto file = files.Open(kPath, {.mode = OpenMode::kCreate});
  look();
  real_.set_fault_hook(nullptr);
  ASSERT_TRUE(file.ok());
  EXPECT_GT(states, 10u);
  EXPECT_GT(empty, 3u);
}

// Without room at any call, and some of a write done all the same: the file is what it was but for
// what was to be written, and the same is written later.
TEST_F(EncryptedFileSystemTest, AWriteThatFindsNoRoomChangesNothingElse) {
  const auto keys = TestRing(Cipher::kAes256Gcm);
  uint64_t refused = 0;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    Random random(seed);
    SimulatedFileSystem::Options options;
    options.seed = seed;
    SimulatedFileSystem disk(options);
    ASSERT_TRUE(disk.MakeDirectory(kRoot).ok());
    EncryptedFileSystem files = Encrypted(disk, keys);
    std::string text = Repeated(random.Below(3 * kUnit));
    WriteDurably(files, kPath, text);
    auto file = files.Open(kPath, {.mode = OpenMode::kReadWrite});
    ASSERT_TRUE(file.ok());
    const uint64_t offset = random.Below(2) == 0 ? text.size() : random.Below(text.size() + 1);
    const std::string data(1 + random.Below(3 * kUnit), 'x');
    disk.set_fault_hook(NthFault(FileAccess::Operation::kWrite, kPath, 1,
                                 {.error = ENOSPC, .reached = FileFault::Reached::kSome}));
    const absl::Status status = (*file)->Write(offset, data);
    disk.set_fault_hook(nullptr);
    ASSERT_TRUE(absl::IsResourceExhausted(status)) << status;
    ++refused;
    const std::string now = Raw(files);
    EXPECT_EQ(now.substr(0, offset), text.substr(0, offset));
    if (offset + data.size() < text.size()) {
      EXPECT_EQ(now.substr(offset + data.size()), text.substr(offset + data.size()));
    }
    EXPECT_EQ(now.size(), text.size());
    ASSERT_TRUE((*file)->Write(offset, data).ok());
    if (offset + data.size() > text.size()) text.resize(offset + data.size());
    text.replace(offset, data.size(), data);
    EXPECT_EQ(Raw(files), text);
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_EQ(refused, 300u);
}

}  // namespace
}  // namespace cairn
