// The block log store, as it is and encrypted, against a plain file and against RocksDB's
// write-ahead log: the same batches of entries, each batch made durable by one sync.
//
// The plain file is what no log store can beat: zero-written before, then overwritten in place, one
// pwrite and one fdatasync a batch. RocksDB takes a synced WriteBatch with its default options.
// Turns are interleaved, so that the disk's moods fall on all alike, and a ratio is the median of
// the ratios of turns that were neighbours. A second plain file gets as many bytes as the log
// writes: what its ids cost is between the two, what checksums and the chain cost behind it.
// Preparing the next block file is not in it: that goes on in the background, and the batches of
// all turns fit into two blocks.
//
//   block_log_bench OUTPUT.json
//
// By environment: CAIRN_BENCH_DIRECTORY, where to write (beside OUTPUT.json; not a tmpfs, whose
// syncs do nothing); CAIRN_BENCH_PAIRS, how many turns (24, at least 20).

#include <stdlib.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/check.h"
#include "base/system_clock.h"
#include "base/thread_executor.h"
#include "base/types.h"
#include "bench/micro/log_work.h"
#include "rocksdb/db.h"
#include "rocksdb/options.h"
#include "rocksdb/write_batch.h"
#include "storage/block/block_log.h"
#include "storage/crypto/key_ring.h"
#include "storage/posix_file_system.h"
#include "storage/record.h"

namespace cairn {
namespace {

constexpr GroupId kGroup{1};
constexpr int kWarmUpTurns = 2;

// Something that makes a run of entries durable.
class System {
 public:
  virtual ~System() = default;
  virtual std::string name() const = 0;
  // Cairn's own, with something it can do without: what counts is its speed in that of Cairn.
  virtual bool is_variant() const { return false; }
  virtual void WriteDurably(const RecordRun& run) = 0;
};

class BlockStore final : public System {
 public:
  BlockStore(FileSystem& file_system, const std::string& directory, Cipher cipher = Cipher::kNone)
      : cipher_(cipher), background_(clock_, "background") {
    BlockLogOptions options;
    options.directory = directory;
    options.identity.node = NodeId{1};
    options.identity.incarnation = Incarnation{1};
    options.background = &background_;
    if (cipher != Cipher::kNone) {
      options.keys = std::make_shared<KeyRing>(
          cipher, std::vector<MasterKey>{MasterKey(SecretKey::Draw(random_))}, "a key", random_);
    }
    auto log = BlockLog::Open(file_system, std::move(options));
    CAIRN_CHECK(log.ok()) << log.status();
    log_ = *std::move(log);
    store_ = log_->OpenGroup(kGroup).value().store;
  }

  std::string name() const override {
    return is_variant() ? absl::StrCat("cairn with ", CipherName(cipher_)) : "cairn";
  }
  bool is_variant() const override { return cipher_ != Cipher::kNone; }
  void WriteDurably(const RecordRun& run) override {
    LogAppend append;
    append.runs.push_back(run);
    append.commit = run.last().index;
    absl::Status status = store_->Append(append);
    CAIRN_CHECK(status.ok()) << status;
    log_->Sync([&](absl::Status synced) { status = std::move(synced); });
    CAIRN_CHECK(status.ok()) << status;
  }

 private:
  const Cipher cipher_;
  SystemRandomBytes random_;
  SystemClock clock_;
  ThreadExecutor background_;
  std::unique_ptr<BlockLog> log_;
  LogStore* store_ = nullptr;
};

class PlainFile : public System {
 public:
  PlainFile(FileSystem& file_system, const std::string& path) : file_system_(file_system) {
    auto file = file_system_.Open(path, {.mode = FileSystem::OpenMode::kCreate});
    CAIRN_CHECK(file.ok()) << file.status();
    file_ = *std::move(file);
    absl::Status status = file_system_.Preallocate(*file_, bytes_);
    if (status.ok()) status = file_system_.SyncNow(*file_);
    CAIRN_CHECK(status.ok()) << status;
  }

  std::string name() const override { return "plain file"; }
  void WriteDurably(const RecordRun& run) override { Write(run.bytes().view(), {}); }

 protected:
  // `front` behind what was written at the front before, `back` before what was at the back.
  void Write(absl::string_view front, absl::string_view back) {
    if (end_ + front.size() + back.size() > begin_) {
      end_ = 0;
      begin_ = bytes_;
    }
    absl::Status status = file_->Write(end_, front);
    end_ += front.size();
    begin_ -= back.size();
    if (status.ok() && !back.empty()) status = file_->Write(begin_, back);
    if (status.ok()) status = file_system_.SyncNow(*file_);
    CAIRN_CHECK(status.ok()) << status;
  }

 private:
  const uint64_t bytes_ = BlockLogOptions().geometry.block_bytes;

  FileSystem& file_system_;
  std::unique_ptr<File> file_;
  uint64_t end_ = 0;
  uint64_t begin_ = bytes_;
};

// What the log's bytes take of its time; the rest is checksums, hashes and the chain. A plain file
// gets as many bytes as the log writes, in as many places, the ids of the entries twice among them
// (storage/block/FORMAT.md, "Costs").
class PlainFileOfAllBytes final : public PlainFile {
 public:
  using PlainFile::PlainFile;

  std::string name() const override { return "plain file of as many bytes"; }
  void WriteDurably(const RecordRun& run) override {
    const size_t ids = 220 + 8 * run.size();
    const size_t front = RoundUp(ids + run.byte_size());
    if (bytes_.size() < front) bytes_.resize(front, 'x');
    const absl::string_view bytes = bytes_;
    Write(bytes.substr(0, front), bytes.substr(0, RoundUp(ids)));
  }

 private:
  static size_t RoundUp(size_t bytes) {
    const size_t unit = BlockLogOptions().geometry.unit_bytes;
    return (bytes + unit - 1) / unit * unit;
  }

  std::string bytes_;
};

class RocksDbLog final : public System {
 public:
  explicit RocksDbLog(const std::string& directory) {
    rocksdb::Options options;
    options.create_if_missing = true;
    rocksdb::DB* database = nullptr;
    rocksdb::Status status = rocksdb::DB::Open(options, directory, &database);
    CAIRN_CHECK(status.ok()) << status.ToString();
    database_.reset(database);
  }

  std::string name() const override { return "RocksDB"; }
  void WriteDurably(const RecordRun& run) override {
    rocksdb::WriteBatch batch;
    for (size_t i = 0; i < run.size(); ++i) {
      const RecordView record = run[i];
      // Big-endian, so that keys are in the order of the log.
      std::array<char, sizeof(Index)> key;
      for (size_t byte = 0; byte < key.size(); ++byte) {
        key[byte] = static_cast<char>(record.position().index >> (8 * (key.size() - 1 - byte)));
      }
      const absl::string_view bytes = record.bytes();
      batch.Put(rocksdb::Slice(key.data(), key.size()), rocksdb::Slice(bytes.data(), bytes.size()));
    }
    rocksdb::WriteOptions options;
    options.sync = true;
    rocksdb::Status status = database_->Write(options, &batch);
    CAIRN_CHECK(status.ok()) << status.ToString();
  }

 private:
  std::unique_ptr<rocksdb::DB> database_;
};

// Median microseconds of a batch within one turn: what else the disk did in between does not count.
double Turn(System& system, const std::vector<RecordRun>& runs) {
  std::vector<double> microseconds;
  for (const RecordRun& run : runs) {
    auto start = std::chrono::steady_clock::now();
    system.WriteDurably(run);
    std::chrono::duration<double, std::micro> passed = std::chrono::steady_clock::now() - start;
    microseconds.push_back(passed.count());
  }
  return Median(std::move(microseconds));
}

struct BatchSize {
  size_t entries;
  size_t batches_a_turn;
};

// The results of one batch size, as JSON objects.
std::vector<std::string> Measure(const std::string& directory, BatchSize size, int pairs) {
  PosixFileSystem file_system;
  std::vector<std::unique_ptr<System>> systems;
  systems.push_back(std::make_unique<BlockStore>(file_system, directory + "/block"));
  systems.push_back(std::make_unique<PlainFile>(file_system, directory + "/plain"));
  systems.push_back(std::make_unique<PlainFileOfAllBytes>(file_system, directory + "/bytes"));
  systems.push_back(std::make_unique<RocksDbLog>(directory + "/rocksdb"));
  for (const Cipher cipher : {Cipher::kAes256Gcm, Cipher::kChaCha20Poly1305}) {
    systems.push_back(std::make_unique<BlockStore>(
        file_system, absl::StrCat(directory, "/", CipherName(cipher)), cipher));
  }
  Entries entries(kGroup);
  std::vector<std::vector<double>> microseconds(systems.size());
  for (int turn = -kWarmUpTurns; turn < pairs; ++turn) {
    const std::vector<RecordRun> runs = entries.Runs(size.batches_a_turn, size.entries);
    for (size_t i = 0; i < systems.size(); ++i) {
      // Each is first as often as the others.
      const size_t which = (i + static_cast<size_t>(turn + kWarmUpTurns)) % systems.size();
      const double passed = Turn(*systems[which], runs);
      if (turn >= 0) microseconds[which].push_back(passed);
    }
  }
  std::vector<std::string> results;
  const std::string name = absl::StrCat("synced batch of ", size.entries, " x 256 B");
  for (size_t i = 0; i < systems.size(); ++i) {
    const double median = Median(microseconds[i]);
    const bool is_variant = systems[i]->is_variant();
    const std::string one = is_variant ? systems[i]->name() : "cairn";
    const std::string other = is_variant ? "cairn" : systems[i]->name();
    std::vector<double> ratios;  // how many times the speed of the other one this one has
    for (size_t pair = 0; pair < microseconds[i].size(); ++pair) {
      const double ratio = microseconds[i][pair] / microseconds[0][pair];
      ratios.push_back(is_variant ? 1 / ratio : ratio);
    }
    std::cerr << name << ", " << systems[i]->name() << ": " << median << " us; " << one << " has "
              << Median(ratios) << " of the speed of " << other << " (median of " << ratios.size()
              << " pairs)\n";
    results.push_back(absl::StrCat(R"({"case": ")", name, R"(", "system": ")", systems[i]->name(),
                                   R"(", "metrics": {"batch_us": )", median,
                                   R"(, "entries_per_second": )",
                                   1e6 * static_cast<double>(size.entries) / median, "}}"));
    if (i == 0) continue;
    results.push_back(absl::StrCat(R"({"case": ")", name, ", ", one, "'s speed in that of ", other,
                                   R"(", "system": ")", one, R"(", "metrics": )",
                                   R"({"ratio_per_second": )", Median(ratios), "}}"));
  }
  return results;
}

int Run(const std::string& output) {
  const char* directory = getenv("CAIRN_BENCH_DIRECTORY");
  const char* pairs_text = getenv("CAIRN_BENCH_PAIRS");
  int pairs = 24;
  if (pairs_text != nullptr && (!absl::SimpleAtoi(pairs_text, &pairs) || pairs < 20)) {
    std::cerr << "CAIRN_BENCH_PAIRS: " << pairs_text << ": wants a number from 20 on\n";
    return 64;
  }
  const std::string beside = std::filesystem::absolute(output).parent_path().string();
  WorkDirectory work(directory != nullptr ? directory : beside);
  std::vector<std::string> results;
  for (BatchSize size : {BatchSize{1, 100}, BatchSize{16, 100}, BatchSize{256, 25}}) {
    const std::string place = absl::StrCat(work.path(), "/", size.entries);
    std::filesystem::create_directory(place);
    for (std::string& result : Measure(place, size, pairs)) results.push_back(std::move(result));
    std::filesystem::remove_all(place);
  }
  std::ofstream(output) << R"({"context": {"pairs": )" << pairs << "}, \"results\": [\n"
                        << absl::StrJoin(results, ",\n") << "\n]}\n";
  return 0;
}

}  // namespace
}  // namespace cairn

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: block_log_bench OUTPUT.json\n";
    return 64;
  }
  return cairn::Run(argv[1]);
}
