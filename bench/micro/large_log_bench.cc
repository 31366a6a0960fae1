// A large block log: opening it, reading it in order, verifying it, and what it takes of memory.
//
// What a disk can do is asked beside it: the same files, read with direct reads of 1 MiB. What is
// said to be cold was dropped from the page cache before; the order of neighbours alternates.
//
//   large_log_bench OUTPUT.json
//
// By environment: CAIRN_BENCH_DIRECTORY, where to write (beside OUTPUT.json); CAIRN_BENCH_LOG_MIB,
// how much (1024); CAIRN_BENCH_LOG_ENTRIES, how many small entries the log has whose memory is
// measured (1000000).

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/check.h"
#include "base/system_clock.h"
#include "base/thread_executor.h"
#include "base/types.h"
#include "bench/micro/log_work.h"
#include "storage/block/block_log.h"
#include "storage/block/log_inspector.h"
#include "storage/block/log_verifier.h"
#include "storage/posix_file_system.h"
#include "storage/record.h"

namespace cairn {
namespace {

constexpr GroupId kGroup{1};
constexpr size_t kPiece = size_t{1} << 20;
constexpr size_t kEntriesARun = 256;
constexpr size_t kPairs = 8;

double Seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

size_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  size_t pages = 0;
  size_t resident = 0;
  statm >> pages >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

// The block files of a log, in order.
std::vector<std::string> Blocks(const std::string& directory) {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    const std::string path = entry.path().string();
    if (absl::EndsWith(path, ".block")) paths.push_back(path);
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

void DropFromCache(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    CAIRN_CHECK(file >= 0) << path;
    CAIRN_CHECK(fdatasync(file) == 0) << path;
    CAIRN_CHECK(posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED) == 0) << path;
    close(file);
  }
}

// Bytes there were.
uint64_t ReadDirectly(const std::vector<std::string>& paths) {
  void* buffer = std::aligned_alloc(4096, kPiece);
  CAIRN_CHECK(buffer != nullptr);
  uint64_t bytes = 0;
  for (const std::string& path : paths) {
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
    CAIRN_CHECK(file >= 0) << path;
    for (ssize_t got; (got = read(file, buffer, kPiece)) > 0;) bytes += static_cast<uint64_t>(got);
    close(file);
  }
  std::free(buffer);
  return bytes;
}

class Log {
 public:
  // `readers`: threads that help to read blocks.
  explicit Log(const std::string& directory, size_t readers = 0)
      : background_(clock_, "background") {
    BlockLogOptions options;
    options.directory = directory;
    options.identity.node = NodeId{1};
    options.identity.incarnation = Incarnation{1};
    options.background = &background_;
    options.make_reader = [this] { return std::make_unique<ThreadExecutor>(clock_, "log reader"); };
    options.readers = readers;
    auto log = BlockLog::Open(file_system_, std::move(options));
    CAIRN_CHECK(log.ok()) << log.status();
    log_ = *std::move(log);
    auto opened = log_->OpenGroup(kGroup);
    CAIRN_CHECK(opened.ok()) << opened.status();
    store_ = opened->store;
    last_hash_ = opened->recovered.last_hash;
  }

  LogStore& store() { return *store_; }
  BlockLog& log() { return *log_; }

  // Appends `count` runs of 256 entries, `a_sync` of them with one sync.
  void Fill(uint64_t count, size_t payload_bytes, size_t a_sync) {
    Entries entries(kGroup, payload_bytes, store_->last(), last_hash_);
    for (uint64_t done = 0; done < count; done += a_sync) {
      const size_t now = std::min<uint64_t>(a_sync, count - done);
      LogAppend append;
      append.runs = entries.Runs(now, kEntriesARun);
      append.commit = append.runs.back().last().index;
      last_hash_ = append.runs.back().last_hash();
      absl::Status status = store_->Append(append);
      CAIRN_CHECK(status.ok()) << status;
      log_->Sync([&](absl::Status synced) { status = std::move(synced); });
      CAIRN_CHECK(status.ok()) << status;
    }
  }

  // Bytes of the records read.
  uint64_t Read(Index first, Index last) const {
    uint64_t bytes = 0;
    while (first <= last) {
      auto runs = store_->Read(first, last, kPiece);
      CAIRN_CHECK(runs.ok()) << runs.status();
      for (const RecordRun& run : *runs) bytes += run.byte_size();
      first = runs->back().last().index + 1;
    }
    return bytes;
  }

 private:
  PosixFileSystem file_system_;
  SystemClock clock_;
  ThreadExecutor background_;
  std::unique_ptr<BlockLog> log_;
  LogStore* store_ = nullptr;
  EntryHash last_hash_;
};

class Report {
 public:
  void Add(const std::string& name, const std::string& metric, double value) {
    std::cerr << name << ": " << metric << " " << value << "\n";
    rows_.push_back(absl::StrCat(R"({"case": ")", name, R"(", "system": "cairn", "metrics": {")",
                                 metric, R"(": )", value, "}}"));
  }
  void Write(const std::string& path) const {
    std::ofstream(path) << "{\"results\": [\n" << absl::StrJoin(rows_, ",\n") << "\n]}\n";
  }

 private:
  std::vector<std::string> rows_;
};

double MibPerSecond(uint64_t bytes, double seconds) {
  return static_cast<double>(bytes) / seconds / (1 << 20);
}

// By the caller alone, and with so many readers beside it as there are by default; they take turns,
// and each is the first one as often.
void MeasureOpening(const std::string& directory, const std::string& name, Report& report) {
  std::vector<double> alone;
  std::vector<double> shared;
  std::vector<double> ratios;
  const auto open = [&](size_t readers, std::vector<double>& milliseconds) {
    DropFromCache(Blocks(directory));
    std::unique_ptr<Log> log;
    milliseconds.push_back(1e3 * Seconds([&] { log = std::make_unique<Log>(directory, readers); }));
  };
  for (size_t pair = 0; pair < kPairs; ++pair) {
    if (pair % 2 == 0) open(0, alone);
    open(BlockLogOptions().readers, shared);
    if (pair % 2 == 1) open(0, alone);
    ratios.push_back(shared.back() / alone.back());
  }
  report.Add(name, "open_ms", Median(shared));
  report.Add(name, "slowest_open_ms", *std::max_element(shared.begin(), shared.end()));
  report.Add(name, "open_by_one_thread_ms", Median(alone));
  report.Add(name, "open_in_that_by_one_thread", Median(ratios));
}

// A process that writes is killed, at some moment.
void KillAWriter(const std::string& directory) {
  const pid_t child = fork();
  CAIRN_CHECK(child >= 0);
  if (child == 0) {
    Log log(directory);
    log.Fill(uint64_t{1} << 40, 256, 16);
    _exit(0);
  }
  // So that it writes; where in a batch it ends is left to chance.
  usleep(1'500'000);
  kill(child, SIGKILL);
  CAIRN_CHECK(waitpid(child, nullptr, 0) == child);
}

// Of a log that is in the page cache before anybody opens it.
void MeasureCachedReading(const std::string& directory, Report& report) {
  std::vector<std::string> paths = Blocks(directory);
  paths.resize(std::min<size_t>(paths.size(), 8));
  for (const std::string& path : paths) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream content;
    content << file.rdbuf();
  }
  Log log(directory);
  const Index last = std::min<Index>(log.store().last().index, 1'000'000);
  std::vector<double> rates;
  for (size_t round = 0; round < kPairs; ++round) {
    uint64_t bytes = 0;
    const double seconds = Seconds([&] { bytes = log.Read(1, last); });
    rates.push_back(MibPerSecond(bytes, seconds));
  }
  report.Add("256 B entries read in order, from the page cache", "mib_per_second", Median(rates));
}

void MeasureReading(const std::string& directory, Report& report) {
  const std::vector<std::string> paths = Blocks(directory);
  Log log(directory);
  const Index end = log.store().last().index;
  const Index part = std::min<Index>(end / kPairs, 1'000'000);
  std::vector<double> ratios;
  std::vector<double> cold;
  for (size_t pair = 0; pair < kPairs; ++pair) {
    const Index first = 1 + pair * (end / kPairs);
    // Files about as far in the log, and none that were read just now by the other one.
    const size_t from = ((2 * pair + kPairs) * paths.size() / (2 * kPairs)) % paths.size();
    const std::vector<std::string> files(
        paths.begin() + static_cast<std::ptrdiff_t>(from),
        paths.begin() + static_cast<std::ptrdiff_t>(std::min(from + 4, paths.size())));
    double direct = 0;
    double mine = 0;
    const auto read_files = [&] {
      DropFromCache(files);
      uint64_t bytes = 0;
      const double seconds = Seconds([&] { bytes = ReadDirectly(files); });
      direct = MibPerSecond(bytes, seconds);
    };
    const auto read_entries = [&] {
      DropFromCache(paths);
      uint64_t bytes = 0;
      const double seconds = Seconds([&] { bytes = log.Read(first, first + part - 1); });
      mine = MibPerSecond(bytes, seconds);
    };
    if (pair % 2 == 0) read_files();
    read_entries();
    if (pair % 2 == 1) read_files();
    cold.push_back(mine);
    ratios.push_back(mine / direct);
  }
  report.Add("256 B entries read in order, cold", "mib_per_second", Median(cold));
  report.Add("256 B entries read in order, cold, in the disk's rate", "ratio_per_second",
             Median(ratios));
}

void MeasureVerifying(const std::string& directory, Report& report) {
  std::vector<double> ratios;
  std::vector<double> rates;
  for (int pair = 0; pair < 3; ++pair) {
    const std::vector<std::string> paths = Blocks(directory);
    uint64_t bytes = 0;
    double direct = 0;
    const auto read_files = [&] {
      DropFromCache(paths);
      direct = Seconds([&] { bytes = ReadDirectly(paths); });
    };
    if (pair % 2 == 0) read_files();
    DropFromCache(paths);
    const double mine = Seconds([&] {
      PosixFileSystem file_system;
      auto log = LogInspector::Open(file_system, directory);
      CAIRN_CHECK(log.ok()) << log.status();
      const SystemClock clock;
      ThreadExecutor beside(clock, "read ahead");
      for (const VerifiedFile& file : VerifyLog(**log, &beside)) {
        CAIRN_CHECK(file.faulty.empty()) << file.path;
      }
    });
    if (pair % 2 == 1) read_files();
    ratios.push_back(direct / mine);
    rates.push_back(MibPerSecond(bytes, mine));
  }
  report.Add("log verified, cold", "mib_per_second", Median(rates));
  report.Add("log verified, cold, in the disk's rate", "ratio_per_second", Median(ratios));
}

void MeasureMemory(const std::string& directory, uint64_t entries, Report& report) {
  const std::string name = absl::StrCat("a log of ", entries, " entries of 16 B, 256 a sync");
  const size_t before = ResidentBytes();
  auto log = std::make_unique<Log>(directory);
  log->Fill((entries + kEntriesARun - 1) / kEntriesARun, 16, 1);
  const auto mib = [](size_t bytes) { return static_cast<double>(bytes) / (1 << 20); };
  const size_t cache = BlockLogOptions().recent_bytes;
  report.Add(name, "resident_mib_beside_the_cache",
             mib(ResidentBytes() - std::min(before + cache, ResidentBytes())));
  report.Add(name, "index_mib", mib(log->log().figures().index_bytes));
  log = nullptr;
  const size_t closed = ResidentBytes();
  report.Add(name, "open_ms", 1e3 * Seconds([&] { log = std::make_unique<Log>(directory); }));
  report.Add(name, "resident_mib_opened_again",
             mib(ResidentBytes() - std::min(closed, ResidentBytes())));
}

uint64_t Setting(const char* name, uint64_t otherwise) {
  const char* text = getenv(name);
  uint64_t value = otherwise;
  if (text != nullptr && (!absl::SimpleAtoi(text, &value) || value == 0)) {
    std::cerr << name << ": " << text << ": wants a number from 1 on\n";
    exit(64);
  }
  return value;
}

int Run(const std::string& output) {
  const uint64_t mib = Setting("CAIRN_BENCH_LOG_MIB", 1024);
  const uint64_t entries = Setting("CAIRN_BENCH_LOG_ENTRIES", 1'000'000);
  const char* given = getenv("CAIRN_BENCH_DIRECTORY");
  WorkDirectory work(given != nullptr ? given
                                      : std::filesystem::absolute(output).parent_path().string());
  Report report;
  // First, while nothing has been taken from the system and given back.
  const std::string small = work.path() + "/small";
  MeasureMemory(small, entries, report);
  std::filesystem::remove_all(small);

  const std::string large = work.path() + "/large";
  {
    Log log(large);
    const uint64_t run_bytes = Entries(kGroup, 256).Runs(1, kEntriesARun)[0].byte_size();
    log.Fill((mib << 20) / run_bytes + 1, 256, 16);
  }
  MeasureOpening(large, absl::StrCat("a log of ", mib, " MiB, closed"), report);
  MeasureCachedReading(large, report);
  MeasureReading(large, report);
  MeasureVerifying(large, report);
  KillAWriter(large);
  MeasureOpening(large, absl::StrCat("a log of ", mib, " MiB, its writer killed"), report);
  report.Write(output);
  return 0;
}

}  // namespace
}  // namespace cairn

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: large_log_bench OUTPUT.json\n";
    return 64;
  }
  return cairn::Run(argv[1]);
}
