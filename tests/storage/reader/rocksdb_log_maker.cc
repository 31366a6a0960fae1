// Writes logs in RocksDB by chance and what the store itself says of them, for readers in other
// languages:
//   rocksdb_log_maker DIRECTORY FIRST_SEED COUNT
// For each seed DIRECTORY/<seed>/log gets the log, closed in an orderly way, and
// DIRECTORY/<seed>/store.json what RocksDbLog reports when it opens it (log_json.h).

#include <algorithm>
#include <cstdint>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/random.h"
#include "storage/log_store.h"
#include "storage/posix_file_system.h"
#include "storage/rocksdb/rocksdb_log.h"
#include "tests/storage/log_twin.h"
#include "tests/storage/reader/log_json.h"

namespace cairn {
namespace {

constexpr GroupId kGroups[] = {GroupId{1}, GroupId{2}, GroupId{1000}};
constexpr int kSteps = 80;

RocksDbLogOptions OptionsFor(const std::string& directory, uint64_t seed) {
  RocksDbLogOptions options;
  options.directory = directory;
  options.identity = {{}, NodeId{7}, Incarnation{seed}};
  // Some of it in tables, and merged; or all of it in the write-ahead log.
  options.write_buffer_bytes = seed % 2 == 0 ? size_t{64} << 10 : size_t{4} << 20;
  return options;
}

// What happens to groups, drawn from a seed.
class Life {
 public:
  Life(RocksDbLog& log, Random& random) : log_(log), random_(random) {}

  void Step() {
    const GroupId group = kGroups[random_.Below(std::size(kGroups))];
    auto found = logs_.find(group);
    if (found == logs_.end()) {
      absl::StatusOr<OpenedLog> opened = log_.OpenGroup(group);
      CAIRN_CHECK(opened.ok()) << opened.status();
      found = logs_.emplace(group, Log{LogTwin(group), opened->store}).first;
    }
    Log& log = found->second;
    if (const uint64_t what = random_.Below(20); what < 13) {
      Append(log);
    } else if (what < 15 && log.twin.last() > log.twin.base) {
      Truncate(log);
    } else if (what < 18) {
      const Index base = log.twin.base + random_.Below(log.twin.last() - log.twin.base + 1);
      CAIRN_CHECK(log.store->DropPrefix(base).ok());
      log.twin.base = base;
    } else if (what == 18) {
      log.twin.Add(++term_, "of another history");
      log.twin.base = log.twin.last();
      CAIRN_CHECK(
          log.store->Reset(log.twin.PositionAt(log.twin.base), log.twin.HashAt(log.twin.base))
              .ok());
    } else {
      log_.CloseGroup(group);
      CAIRN_CHECK(log_.DropGroup(group).ok());
      logs_.erase(found);
    }
    if (random_.OneIn(3)) Sync();
  }

  void Sync() {
    log_.Sync([](const absl::Status& status) { CAIRN_CHECK(status.ok()) << status; });
  }

 private:
  struct Log {
    LogTwin twin;
    LogStore* store;
  };

  std::string Payload() {
    std::string payload(random_.Below(random_.OneIn(5) ? 5000 : 60), '\0');
    // Some are zeros and are masked.
    if (random_.OneIn(5)) return payload;
    for (char& each : payload) each = static_cast<char>(random_.Below(256));
    return payload;
  }

  void Append(Log& log) {
    if (random_.OneIn(3)) ++term_;
    LogAppend append;
    append.hard_state = HardState{term_, NodeId{random_.Below(4)}};
    append.commit = log.twin.last();
    for (uint64_t i = random_.Below(8) + 1; i > 0; --i) {
      const EntryType type = random_.OneIn(8) ? EntryType::kConfiguration : EntryType::kCommand;
      append.runs.push_back(log.twin.Add(term_, Payload(), type));
    }
    CAIRN_CHECK(log.store->Append(append).ok());
  }

  void Truncate(Log& log) {
    const Index left = std::min<Index>(log.twin.last() - log.twin.base, 12);
    const Index from = log.twin.last() - random_.Below(left);
    log.twin.TruncateFrom(from);
    LogAppend append;
    append.truncate_from = from;
    if (random_.OneIn(2)) append.runs = {log.twin.Add(++term_, Payload())};
    CAIRN_CHECK(log.store->Append(append).ok());
  }

  RocksDbLog& log_;
  Random& random_;
  Term term_ = 1;
  std::map<GroupId, Log> logs_;
};

void Make(FileSystem& file_system, const std::string& directory, uint64_t seed) {
  Random random(seed);
  CAIRN_CHECK(file_system.MakeDirectory(directory).ok());
  const RocksDbLogOptions options = OptionsFor(directory + "/log", seed);
  std::string told;
  for (const bool writes : {true, false}) {
    absl::StatusOr<std::unique_ptr<RocksDbLog>> log = RocksDbLog::Open(file_system, options);
    CAIRN_CHECK(log.ok()) << log.status();
    if (!writes) {
      told = LogJson("", log.status(), log->get());
      continue;
    }
    Life life(**log, random);
    for (int i = 0; i < kSteps; ++i) life.Step();
    life.Sync();
  }
  CAIRN_CHECK(WriteFileAtomically(file_system, directory + "/store.json", told).ok());
}

}  // namespace
}  // namespace cairn

int main(int argc, char** argv) {
  uint64_t first = 0;
  uint64_t count = 0;
  if (argc != 4 || !absl::SimpleAtoi(argv[2], &first) || !absl::SimpleAtoi(argv[3], &count)) {
    std::cerr << "usage: rocksdb_log_maker DIRECTORY FIRST_SEED COUNT\n";
    return 64;
  }
  cairn::PosixFileSystem file_system;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    cairn::Make(file_system, absl::StrCat(argv[1], "/", seed), seed);
  }
  return 0;
}
