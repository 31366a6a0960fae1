// Writes logs by chance and what the store itself says of them, for readers in other languages:
//   log_maker DIRECTORY FIRST_SEED COUNT [lose]
// For each seed DIRECTORY/<seed>/log gets the files as a process or a power cut left them, and
// DIRECTORY/<seed>/store.json what BlockLog reports when it opens them (log_reader.py names the
// fields); DIRECTORY/<seed>/recovered gets them as that left them. One seed in three ends in an
// orderly way, one in a process killed and one in a power cut at some call to the file system.
// With `lose` all end in an orderly way, and then a batch is lost, both copies of its id record.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/random.h"
#include "storage/posix_file_system.h"
#include "storage/simulated_file_system.h"
#include "tests/raft/repair/lost_end.h"
#include "tests/storage/block/log_driver.h"
#include "tests/storage/reader/log_json.h"

namespace cairn {
namespace {

constexpr GroupId kGroups[] = {kGroupA, kGroupB, kGroupC, static_cast<GroupId>(1000)};
constexpr int kSteps = 90;

enum class End { kOrderly, kKilled, kPowerCut };

// The files of the log in `from`. They need not survive a power cut if they are for a reader only.
void Copy(SimulatedFileSystem& from, FileSystem& to, const std::string& directory, bool durable) {
  CAIRN_CHECK(to.MakeDirectory(directory).ok());
  const std::vector<std::string> names = from.List(kTestDirectory).value();
  for (const std::string& name : names) {
    absl::StatusOr<std::string> content =
        ReadWholeFile(from, absl::StrCat(kTestDirectory, "/", name));
    CAIRN_CHECK(content.ok()) << content.status();
    const std::string path = absl::StrCat(directory, "/", name);
    if (durable) {
      CAIRN_CHECK(WriteFileAtomically(to, path, *content).ok());
      continue;
    }
    auto file = to.Open(path, {.mode = FileSystem::OpenMode::kCreate});
    CAIRN_CHECK(file.ok()) << file.status();
    CAIRN_CHECK((*file)->Write(0, *content).ok());
  }
}

// What happens to groups, drawn from a seed.
class Life {
 public:
  // `seed`: of what is compressed when. One append in `appends_a_term` is of another term.
  Life(LogDriver& driver, Random& random, uint64_t seed, uint64_t appends_a_term)
      : driver_(driver), random_(random), compression_(seed), appends_a_term_(appends_a_term) {}

  void Step() {
    const GroupId group = kGroups[random_.Below(std::size(kGroups))];
    if (const uint64_t what = random_.Below(24); what < 13) {
      Append(group);
    } else if (what < 15) {
      driver_.Vote(group, {.term = ++term_, .vote = static_cast<NodeId>(random_.Below(4))});
    } else if (what < 17) {
      driver_.AppendConfiguration(group, term_, absl::StrCat("members ", random_.Below(1000)));
    } else if (what < 20) {
      Truncate(group);
    } else if (what < 22) {
      Drop(group);
    } else if (what == 22) {
      driver_.Reset(group, {Committed(group) + random_.Below(20), term_});
    } else if (random_.OneIn(3)) {
      driver_.DropGroup(group);
      committed_.erase(group);
    }
    if (!random_.OneIn(3)) CAIRN_CHECK(driver_.Sync().ok());
    driver_.log().scrub()->Compress(compression_.Below(40'000));
  }

 private:
  ModelLog Log(GroupId group) const {
    const auto found = driver_.model().find(group);
    return found == driver_.model().end() ? ModelLog() : found->second;
  }

  Index Committed(GroupId group) const {
    const auto found = committed_.find(group);
    return std::max(found == committed_.end() ? 0 : found->second, Log(group).base.index);
  }

  std::vector<std::string> Payloads() {
    std::vector<std::string> payloads;
    const uint64_t count = random_.OneIn(4) ? random_.Below(30) + 1 : random_.Below(3) + 1;
    for (uint64_t i = 0; i < count; ++i) {
      std::string payload(random_.Below(random_.OneIn(5) ? 2500 : 60), '\0');
      // Some are zeros and are masked.
      if (!random_.OneIn(5)) {
        for (char& each : payload) each = static_cast<char>(random_.Below(256));
      }
      payloads.push_back(std::move(payload));
    }
    return payloads;
  }

  void Append(GroupId group) {
    const ModelLog log = Log(group);
    LogAppend append;
    if (random_.OneIn(appends_a_term_)) ++term_;
    RecordRunBuilder builder(group, log.last(), log.last_hash());
    for (std::string& payload : Payloads()) {
      const SessionCall call = {
          .session = random_.Below(3), .number = random_.Below(1000), .in_order = random_.OneIn(2)};
      builder.Add(
          PreparedEntry::Make(static_cast<EntryType>(random_.OneIn(8) ? 6 : 2), std::move(payload),
                              call, static_cast<uint16_t>(1 + random_.Below(3))),
          term_, WallTime{static_cast<int64_t>(random_.Below(2000)) - 1000});
    }
    append.runs = {std::move(builder).Build()};
    append.commit = Committed(group);
    append.commit += random_.Below(log.last().index - append.commit + 1);
    committed_[group] = append.commit;
    CAIRN_CHECK(driver_.Apply(group, append).ok());
  }

  void Truncate(GroupId group) {
    const ModelLog log = Log(group);
    const Index uncommitted = log.last().index - Committed(group);
    if (uncommitted == 0) return;
    const Index from = log.last().index - random_.Below(std::min<Index>(uncommitted, 12));
    driver_.Truncate(group, from, ++term_,
                     random_.OneIn(3) ? std::vector<std::string>() : Payloads());
  }

  void Drop(GroupId group) {
    const Index base = Log(group).base.index;
    const Index committed = Committed(group);
    if (committed > base) driver_.Drop(group, base + 1 + random_.Below(committed - base));
  }

  LogDriver& driver_;
  Random& random_;
  Random compression_;
  const uint64_t appends_a_term_;
  Term term_ = 1;
  std::map<GroupId, Index> committed_;
};

// What the store says that opens these files.
std::string StoreJson(SimulatedFileSystem& file_system, const BlockLogOptions& options) {
  const std::string boot_id = file_system.BootId().value();
  LogDriver driver(file_system, options);
  return LogJson(boot_id, driver.status(), driver.status().ok() ? &driver.log() : nullptr);
}

BlockLogOptions OptionsFor(Random& random, bool compressed, bool lose) {
  BlockLogOptions options = TestOptions();
  options.geometry = random.OneIn(3) ? BlockGeometry{.block_bytes = 128 << 10, .unit_bytes = 4096}
                                     : BlockGeometry{.block_bytes = 16 << 10, .unit_bytes = 512};
  // Of a block that is sealed the footer says what a lost batch held.
  if (lose) options.geometry.block_bytes = 2 << 20;
  options.copy_distance = 2 + random.Below(3);
  if (compressed) options.compression = LogCompression::kZstd;
  options.compression_distance = 1;
  return options;
}

// The disk after the life, in the same boot unless the power was cut.
std::unique_ptr<SimulatedFileSystem> MakeLog(uint64_t seed, End end, uint64_t appends_a_term,
                                             const BlockLogOptions& options, Random& random) {
  // A copy is in the boot after that of its origin, so that is the second one here.
  std::unique_ptr<SimulatedFileSystem> written = SimulatedFileSystem().CrashImage({});
  SimulatedFileSystem same_boot;
  std::unique_ptr<SimulatedFileSystem> left;
  LogDriver driver(*written, options);
  CAIRN_CHECK(driver.status().ok()) << driver.status();
  Life life(driver, random, seed, appends_a_term);
  const int steps = kSteps / 2 + static_cast<int>(random.Below(kSteps / 2));
  for (int i = 0; i < steps; ++i) life.Step();
  if (end == End::kOrderly) {
    CAIRN_CHECK(driver.Sync().ok());
    Copy(*written, same_boot, kTestDirectory, true);
    return same_boot.CrashImage({});
  }
  uint64_t calls_left = 1 + random.Below(60);
  written->set_fault_hook([&](const FileAccess& access) {
    // Before a sync there is most to lose.
    if (access.operation == FileAccess::Operation::kSync && random.OneIn(2)) calls_left = 1;
    if (left != nullptr || --calls_left > 0) return FileFault();
    if (end == End::kPowerCut) {
      const CrashPolicy policies[] = {CrashPolicy::kKeepPrefix, CrashPolicy::kRandomSubset,
                                      CrashPolicy::kTornCall};
      left =
          written->CrashImage(ChooseCrash(policies[random.Below(3)], written->Pending(), random));
    } else {
      left = written->CrashImage(ChooseCrash(CrashPolicy::kKeepAll, written->Pending(), random));
    }
    return FileFault();
  });
  while (left == nullptr) life.Step();
  written->set_fault_hook(nullptr);
  if (end == End::kPowerCut) return left;
  Copy(*left, same_boot, kTestDirectory, true);
  return same_boot.CrashImage({});
}

// Some batch that is there, and not the last one.
void LoseSome(SimulatedFileSystem& disk, const BlockLogOptions& options, Random& random) {
  uint64_t batches = 0;
  {
    const std::unique_ptr<SimulatedFileSystem> image = disk.WorstCaseImage();
    LogDriver driver(*image, options);
    CAIRN_CHECK(driver.status().ok()) << driver.status();
    batches = driver.log().figures().batches;
  }
  // Those of released blocks are not there.
  for (int tries = 0; tries < 100; ++tries) {
    const uint64_t batch = random.Below(batches - 1) + 1;
    if (LoseBatch(disk, kTestDirectory, batch).ok()) return;
  }
  CAIRN_CHECK(false) << "no batch is lost";
}

void Make(const std::string& directory, uint64_t seed, bool lose) {
  Random random(seed);
  const BlockLogOptions options = OptionsFor(random, !lose && seed / 3 % 2 == 1, lose);
  const End end = lose ? End::kOrderly : static_cast<End>(seed % 3);
  const std::unique_ptr<SimulatedFileSystem> left =
      MakeLog(seed, end, lose ? 20 : 3, options, random);
  if (lose) LoseSome(*left, options, random);
  PosixFileSystem posix;
  Copy(*left, posix, directory + "/log", false);
  absl::Status written =
      WriteFileAtomically(posix, directory + "/store.json", StoreJson(*left, options));
  CAIRN_CHECK(written.ok()) << written;
  Copy(*left, posix, directory + "/recovered", false);
}

}  // namespace
}  // namespace cairn

int main(int argc, char** argv) {
  uint64_t first = 0;
  uint64_t count = 0;
  const bool lose = argc == 5 && std::string(argv[4]) == "lose";
  if (argc != (lose ? 5 : 4) || !absl::SimpleAtoi(argv[2], &first) ||
      !absl::SimpleAtoi(argv[3], &count)) {
    std::cerr << "usage: log_maker DIRECTORY FIRST_SEED COUNT [lose]\n";
    return 64;
  }
  for (uint64_t seed = first; seed < first + count; ++seed) {
    cairn::Make(absl::StrCat(argv[1], "/", seed), seed, lose);
  }
  return 0;
}
