// What it takes to open a log of 10,000 blocks (store catalogue V12), in files: counted in calls
// and bytes, since a test that measures time fails on a busy machine. The time is printed.

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/system_clock.h"
#include "base/thread_executor.h"
#include "gtest/gtest.h"
#include "storage/block/block_log.h"
#include "storage/posix_file_system.h"
#include "storage/record.h"
#include "tests/storage/block/log_driver.h"

namespace cairn {
namespace {

constexpr uint64_t kBlocks = 10'000;
constexpr uint64_t kPage = 4096;

struct Calls {
  std::atomic<uint64_t> opens = 0;
  std::atomic<uint64_t> reads = 0;
  std::atomic<uint64_t> bytes_read = 0;
  std::atomic<uint64_t> writes = 0;
  std::atomic<uint64_t> syncs = 0;
};

class CountedFile final : public File {
 public:
  CountedFile(std::unique_ptr<File> real, Calls& calls) : real_(std::move(real)), calls_(calls) {}

  File& real() { return *real_; }
  const std::string& path() const override { return real_->path(); }
  absl::StatusOr<uint64_t> Size() const override { return real_->Size(); }
  absl::StatusOr<size_t> Read(uint64_t offset, size_t length, char* to) const override {
    return Counted(real_->Read(offset, length, to));
  }
  absl::StatusOr<size_t> ReadDirect(uint64_t offset, size_t length, char* to) const override {
    return Counted(real_->ReadDirect(offset, length, to));
  }
  bool IsCached(uint64_t offset) const override { return real_->IsCached(offset); }
  absl::Status Write(uint64_t offset, absl::string_view data) override {
    ++calls_.writes;
    return real_->Write(offset, data);
  }
  void StartWriteback(uint64_t, uint64_t) override {}
  void DropCached(uint64_t, uint64_t) const override {}
  absl::Status Resize(uint64_t length) override { return real_->Resize(length); }

 private:
  absl::StatusOr<size_t> Counted(absl::StatusOr<size_t> bytes) const {
    ++calls_.reads;
    calls_.bytes_read += bytes.value_or(0);
    return bytes;
  }

  const std::unique_ptr<File> real_;
  Calls& calls_;
};

// Files of the system's, with calls counted, and none synced: that is not what is tested, and there
// would be many.
class CountedFileSystem final : public FileSystem {
 public:
  Calls& calls() { return calls_; }

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path,
                                             OpenOptions options) override {
    ++calls_.opens;
    absl::StatusOr<std::unique_ptr<File>> file = real_.Open(path, options);
    if (!file.ok()) return file.status();
    return std::make_unique<CountedFile>(*std::move(file), calls_);
  }
  absl::Status Preallocate(File& file, uint64_t length) override {
    return real_.ReserveZeroes(static_cast<CountedFile&>(file).real(), length);
  }
  void Sync(File&, SyncDone done) override {
    ++calls_.syncs;
    done(absl::OkStatus());
  }
  absl::Status SyncNow(File&) override {
    ++calls_.syncs;
    return absl::OkStatus();
  }
  absl::Status SyncDirectory(const std::string&) override { return absl::OkStatus(); }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    return real_.Rename(from, to);
  }
  absl::Status Remove(const std::string& path) override { return real_.Remove(path); }
  absl::Status MakeDirectory(const std::string& path) override { return real_.MakeDirectory(path); }
  absl::StatusOr<bool> Exists(const std::string& path) override { return real_.Exists(path); }
  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override {
    return real_.List(directory);
  }
  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) override {
    return real_.Lock(path);
  }
  absl::StatusOr<std::optional<std::string>> LockHolder(const std::string& path) override {
    return real_.LockHolder(path);
  }
  absl::StatusOr<std::string> BootId() override {
    return rebooted_ ? "another boot" : real_.BootId();
  }
  // What comes is another boot of the machine than what was.
  void Reboot() { rebooted_ = true; }

 private:
  PosixFileSystem real_;
  Calls calls_;
  bool rebooted_ = false;
};

class ManyBlocksTest : public testing::Test {
 protected:
  ManyBlocksTest()
      : directory_(absl::StrCat(testing::TempDir(), "/many-blocks-", getpid())),
        options_(TestOptions()) {
    options_.directory = directory_ + "/log";
    options_.geometry = {.block_bytes = 64 << 10, .unit_bytes = 4096};
    options_.make_reader = [this] { return std::make_unique<ThreadExecutor>(clock_, "reader"); };
  }
  ~ManyBlocksTest() override { std::filesystem::remove_all(directory_); }

  // A row of entries of two groups, one a batch.
  void Fill() {
    CountedFileSystem files;
    absl::StatusOr<std::unique_ptr<BlockLog>> log = BlockLog::Open(files, options_);
    ASSERT_TRUE(log.ok()) << log.status();
    const GroupId groups[] = {kGroupA, kGroupB};
    LogStore* stores[] = {(*log)->OpenGroup(kGroupA)->store, (*log)->OpenGroup(kGroupB)->store};
    EntryHash hashes[2];
    const std::string payload(40'000, 'x');
    for (size_t i = 0; files.calls().syncs < 12 * kBlocks; ++i) {
      const size_t at = i % 2;
      RecordRunBuilder builder(groups[at], stores[at]->last(), hashes[at]);
      builder.Add(PreparedEntry::Make(EntryType::kCommand, payload), 1, WallTime{1});
      LogAppend append;
      append.runs = {std::move(builder).Build()};
      hashes[at] = append.runs[0].last_hash();
      ASSERT_TRUE(stores[at]->Append(append).ok());
      absl::Status synced;
      (*log)->Sync([&](absl::Status status) { synced = std::move(status); });
      ASSERT_TRUE(synced.ok()) << synced;
      if (i % 100 == 0 && (*log)->figures().blocks > kBlocks) break;
    }
    ASSERT_GT((*log)->figures().blocks, kBlocks);
    lasts_ = {stores[0]->last(), stores[1]->last()};
  }

  // Each block's file once; two headers, two seals and a footer of it, a page each; the block in
  // use, with a list of all blocks that stands there twice, somewhat more often.
  void ExpectLittle(bool rebooted) {
    CountedFileSystem files;
    if (rebooted) files.Reboot();
    const auto start = std::chrono::steady_clock::now();
    absl::StatusOr<std::unique_ptr<BlockLog>> log = BlockLog::Open(files, options_);
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    ASSERT_TRUE(log.ok()) << log.status();
    const Calls& calls = files.calls();
    std::printf("%s: %.3f s; %llu files opened, %llu reads of %llu bytes, %llu writes\n",
                rebooted ? "after a power cut" : "after an orderly end", time.count(),
                static_cast<unsigned long long>(calls.opens),
                static_cast<unsigned long long>(calls.reads),
                static_cast<unsigned long long>(calls.bytes_read),
                static_cast<unsigned long long>(calls.writes));
    EXPECT_LE(calls.opens, kBlocks * 21 / 20);
    EXPECT_LE(calls.reads, kBlocks * 6);
    EXPECT_LE(calls.bytes_read, kBlocks * 6 * kPage);
    EXPECT_LE(calls.writes, 20u);
    EXPECT_LE(calls.syncs, 20u);
    for (const size_t at : {0, 1}) {
      const auto opened = (*log)->OpenGroup(at == 0 ? kGroupA : kGroupB);
      ASSERT_TRUE(opened.ok()) << opened.status();
      EXPECT_EQ(opened->store->last(), lasts_[at]);
      EXPECT_TRUE(opened->recovered.faulty.empty());
      EXPECT_FALSE(opened->recovered.hard_state_lost);
    }
  }

  const SystemClock clock_;
  const std::string directory_;
  BlockLogOptions options_;
  std::vector<LogPosition> lasts_;
};

TEST_F(ManyBlocksTest, OpeningTakesTheBlockInUseAndALittleForEachOtherOne) {
  ASSERT_NO_FATAL_FAILURE(Fill());
  ExpectLittle(/*rebooted=*/false);
  ExpectLittle(/*rebooted=*/true);
}

}  // namespace
}  // namespace cairn
