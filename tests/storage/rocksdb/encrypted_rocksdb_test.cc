// A log in RocksDB whose files are encrypted: what rots below the encryption is known for rot, and
// a torn end for a torn end, although neither looks as on a plain disk.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/encrypted/encrypted_file_system.h"
#include "storage/encrypted/sector_cipher.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/test_keys.h"
#include "tests/storage/rocksdb/rocksdb_subject.h"

namespace cairn {
namespace {

using testing::IsEmpty;

constexpr uint64_t kUnit = kSectorBytes;

class EncryptedRocksDbTest : public testing::Test {
 protected:
  void SetUp() override {
    RocksDbSubject subject(files_);
    ASSERT_TRUE(subject.Open().ok());
    for (Term term = 1; term <= 2; ++term) ASSERT_TRUE(subject.AppendAndSync(term).ok());
    ASSERT_TRUE(subject.Open().ok());  // which writes a table
    for (Term term = 3; term <= 4; ++term) ASSERT_TRUE(subject.AppendAndSync(term).ok());
    given_ = subject.given;
    subject.store = nullptr;
    subject.disk = nullptr;
    Random random(1);
    disk_.Crash(CrashPolicy::kDropAll, random);
    const std::vector<std::string> names = disk_.List("/log").value();
    for (const std::string& name : names) {
      if (absl::StartsWith(name, "acks.")) ledger_ = "/log/" + name;
    }
  }

  // Rots the first unit of each file of the database whose name ends so.
  static void Rot(SimulatedFileSystem& disk, const std::string& ending) {
    const std::vector<std::string> names = disk.List("/log/db").value();
    for (const std::string& name : names) {
      if (!absl::EndsWith(name, ending)) continue;
      disk.FlipBits("/log/db/" + name, EncryptedHeader::kBytes + 100, 4);
    }
  }

  // Starts on `disk`.
  void Start(SimulatedFileSystem& disk, const std::function<void(RocksDbSubject&)>& look) {
    EncryptedFileSystem files(disk, keys_, {"/log"});
    RocksDbSubject subject(files);
    subject.given = subject.acknowledged = given_;
    ASSERT_EQ(subject.Open(), absl::OkStatus());
    look(subject);
  }

  const std::shared_ptr<KeyRing> keys_ = TestRing(Cipher::kAes256Gcm);
  SimulatedFileSystem disk_;
  EncryptedFileSystem files_{disk_, keys_, {"/log"}};
  LogTwin given_{kGroup};
  std::string ledger_;
};

TEST_F(EncryptedRocksDbTest, NothingIsWrongWithoutDamage) {
  Start(disk_, [](RocksDbSubject& subject) {
    EXPECT_THAT(subject.recovered.faulty, IsEmpty());
    subject.ExpectNothingWrong();
  });
}

// The ledger, or the write-ahead log: the other one knows.
TEST_F(EncryptedRocksDbTest, WhatOneHasLostTheOtherOneKnows) {
  const uint64_t size = ReadWholeFile(disk_, ledger_)->size();
  for (uint64_t at = EncryptedHeader::kBytes; at < size; at += kUnit) {
    SCOPED_TRACE(at);
    const auto image = disk_.CrashImage({});
    image->FlipBits(ledger_, at + 100, 4);
    Start(*image, [](RocksDbSubject& subject) {
      EXPECT_FALSE(subject.recovered.hard_state_lost);
      EXPECT_THAT(subject.recovered.faulty, IsEmpty());
      subject.ExpectNothingWrong();
    });
    if (HasFailure()) return;
  }
  const auto image = disk_.CrashImage({});
  Rot(*image, ".log");
  Start(*image, [](RocksDbSubject& subject) {
    EXPECT_FALSE(subject.recovered.hard_state_lost);
    subject.ExpectNothingWrong();
  });
}

// What the last sync brought is in neither, and nobody vouches for a vote.
TEST_F(EncryptedRocksDbTest, WhatBothHaveLostIsNotVouchedFor) {
  // The records of the last two syncs; two of all begin the file.
  const uint64_t text = ReadWholeFile(files_, ledger_)->size();
  ASSERT_EQ(text, 4u * 4096);
  for (const uint64_t record : {2, 3}) {
    SCOPED_TRACE(record);
    const auto image = disk_.CrashImage({});
    image->FlipBits(
        ledger_, EncryptedHeader::kBytes + (record * 4096 + 30) / kUnitTextBytes * kUnit + 50, 4);
    Rot(*image, ".log");
    Start(*image, [](RocksDbSubject& subject) { EXPECT_TRUE(subject.recovered.hard_state_lost); });
  }
}

}  // namespace
}  // namespace cairn
