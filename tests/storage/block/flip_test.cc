// Every byte of a log is flipped, one at a time, and the log opened again: nothing that was
// acknowledged is lost or changed without a word (fault catalogue D8).
//
// All of the log was synced, so of what recovery may say only these are right: an error that names
// the file; an entry that is faulty, and it is the one that was flipped; or everything is there,
// bit for bit. To say "torn" of anything is wrong.
//
// And every sector is zeroed, one at a time: a write that never reached the disk. The same holds,
// but for the last batch after a reboot, which may look as a power cut leaves it: MAYBE_TORN.

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/executor.h"
#include "gtest/gtest.h"
#include "storage/block/log_verifier.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/log_driver.h"
#include "tests/storage/faulty_indexes.h"

namespace cairn {
namespace {

constexpr uint64_t kParts = 4;  // of the work
constexpr NodeId kSelf = static_cast<NodeId>(3);
constexpr NodeId kPeer = static_cast<NodeId>(1);

// Runs what is posted at once.
class InlineExecutor final : public Executor {
 public:
  void Post(Task task) override { task(); }
  void PostAt(Instant, Task task) override { task(); }
};

std::string Text(const char* what, int i, size_t length = 0) {
  std::string text = absl::StrCat(what, " ", i, " ");
  // Not all the same, so that bytes that are swapped or moved show too.
  while (text.size() < length) text += static_cast<char>('a' + text.size() % 23);
  return text;
}

// The log to be flipped: several groups, small and large batches, votes, configurations, masked
// payloads, a truncation with other entries in place, a dropped prefix, copies, three blocks in use
// and one prepared.
class Subject {
 public:
  Subject() {
    // The second boot of this machine, because CrashImage of one in its first is in its second.
    const SimulatedFileSystem first_boot;
    written_ = first_boot.CrashImage({});
    Write(*written_);
    same_boot_ = std::make_unique<SimulatedFileSystem>();
    CAIRN_CHECK(same_boot_->MakeDirectory(kTestDirectory).ok());
    const std::vector<std::string> names = written_->List(kTestDirectory).value();
    for (const std::string& name : names) {
      const std::string path = absl::StrCat(kTestDirectory, "/", name);
      const std::string content = ReadWholeFile(*written_, path).value();
      CAIRN_CHECK(WriteFileAtomically(*same_boot_, path, content).ok());
      files_.emplace_back(path, content);
    }
    CAIRN_CHECK(Image(false)->BootId().value() == written_->BootId().value());
    CAIRN_CHECK(Image(true)->BootId().value() != written_->BootId().value());
  }

  // The disk, since the log was written rebooted or not.
  std::unique_ptr<SimulatedFileSystem> Image(bool rebooted) const {
    return rebooted ? written_->CrashImage({}) : same_boot_->CrashImage({});
  }

  struct FileContent {
    std::string path;
    std::string bytes;
    FileContent(std::string file_path, std::string content)
        : path(std::move(file_path)), bytes(std::move(content)) {}
  };
  const std::vector<FileContent>& files() const { return files_; }
  const Model& model() const { return model_; }
  Index commit() const { return commit_; }  // of group A; the others know of none
  // Where the log of the group ended before the last batch.
  Index EndBeforeLastBatch(GroupId group) const { return before_last_.at(group).last().index; }

 private:
  void Write(SimulatedFileSystem& file_system);

  std::unique_ptr<SimulatedFileSystem> written_;
  std::unique_ptr<SimulatedFileSystem> same_boot_;
  std::vector<FileContent> files_;
  Model model_;
  Model before_last_;
  Index commit_ = 0;
};

void Subject::Write(SimulatedFileSystem& file_system) {
  InlineExecutor background;
  BlockLogOptions options = TestOptions();
  options.copy_distance = 2;
  options.background = &background;
  LogDriver driver(file_system, options);
  CAIRN_CHECK(driver.status().ok()) << driver.status();
  auto sync = [&] { CAIRN_CHECK(driver.Sync().ok()); };
  auto append = [&](Term term, std::vector<std::string> payloads) {
    LogAppend entries;
    entries.runs = {MakeRun(kGroupA, driver.model().at(kGroupA), term, payloads)};
    entries.commit = commit_ = driver.model().at(kGroupA).last().index;
    CAIRN_CHECK(driver.Apply(kGroupA, entries).ok());
    sync();
  };
  driver.Vote(kGroupA, {.term = 1, .vote = kSelf});
  driver.AppendConfiguration(kGroupA, 1, "members 1 2 3");
  driver.Append(kGroupB, 1, {"b1", Text("b2", 2, 300)});
  driver.Append(kGroupC, 1, {"c1", "c2", "c3"});
  sync();
  append(1, {Text("a", 2, 200), std::string(700, '\0'), ""});
  for (int i = 0; i < 6; ++i) append(1, {Text("a", i, 1300)});
  driver.Drop(kGroupA, 3);
  driver.Vote(kGroupB, {.term = 2, .vote = kPeer});
  sync();
  // An election was lost: the last two give way to entries of term 3, the last of them in a block
  // of its own size.
  driver.Vote(kGroupA, {.term = 3, .vote = kPeer});
  driver.Truncate(kGroupA, driver.model().at(kGroupA).last().index - 1, 3,
                  {Text("another", 1), Text("another", 2, 900)});
  sync();
  for (int i = 0; driver.log().figures().blocks < 3; ++i) append(3, {Text("second", i, 900)});
  driver.AppendConfiguration(kGroupA, 3, "members 1 2 3 4");
  driver.AppendConfiguration(kGroupB, 2, "members of b");
  sync();
  driver.Drop(kGroupA, 9);
  driver.Drop(kGroupB, 2);
  sync();
  for (int i = 0; driver.log().figures().blocks < 4; ++i) {
    append(3, {Text("third", i, 1000), Text("third again", i)});
  }
  for (int i = 0; i < 4; ++i) append(4, {Text("fourth", i, 300)});
  // The last batch has something of all groups.
  before_last_ = driver.synced();
  driver.Vote(kGroupC, {.term = 9, .vote = kPeer});
  driver.Append(kGroupB, 2, {Text("last b", 1, 30), Text("last b", 2, 600)});
  append(4, {Text("last a", 1, 800)});
  CAIRN_CHECK_EQ(driver.log().figures().blocks, size_t{4});
  model_ = driver.synced();
  file_system.RestartProcess();
}

const Subject& TheSubject() {
  static const Subject* const kSubject = new Subject();
  return *kSubject;
}

// What is done to the disk: one byte flipped, or one sector zeroed.
struct Damage {
  std::string path;
  uint64_t offset = 0;
  uint64_t length = 1;
  uint8_t mask = 0;  // of a flip

  bool zeroed() const { return length == kSectorBytes; }
  void Do(SimulatedFileSystem& file_system) const {
    if (zeroed()) {
      file_system.ZeroSector(path, offset);
    } else {
      file_system.FlipBits(path, offset, mask);
    }
  }
};

std::string ToString(const Damage& damage) {
  return absl::StrCat(damage.path, " at ", damage.offset,
                      damage.zeroed() ? " zeroed" : absl::StrCat(" xor ", damage.mask));
}

struct Counts {
  uint64_t tried = 0;
  uint64_t intact = 0;   // all is there
  uint64_t refused = 0;  // the log was not opened
  uint64_t faulty = 0;   // an entry is
  uint64_t torn = 0;     // may be torn
};

// Opens the log as it is and compares it with what was acknowledged.
class Judge {
 public:
  Judge(SimulatedFileSystem& file_system, const Damage& damage, bool rebooted)
      : file_system_(file_system), damage_(damage), rebooted_(rebooted) {}

  // Empty if what is found is right; what is wrong otherwise.
  std::string Run() {
    BlockLogOptions options = TestOptions();
    absl::StatusOr<std::unique_ptr<BlockLog>> log = BlockLog::Open(file_system_, options);
    if (!log.ok()) {
      refused_ = true;
      return Refusal(log.status());
    }
    std::vector<GroupId> groups;
    for (const auto& [group, expected] : TheSubject().model()) groups.push_back(group);
    if ((*log)->Groups() != groups) return "other groups";
    for (const auto& [group, expected] : TheSubject().model()) {
      absl::StatusOr<OpenedLog> opened = (*log)->OpenGroup(group);
      if (!opened.ok()) return absl::StrCat("a group is lost: ", opened.status().ToString());
      std::string wrong = Compare(group, *opened, expected);
      if (!wrong.empty()) return absl::StrCat("group ", ToInteger(group), ": ", wrong);
    }
    return "";
  }

  bool refused() const { return refused_; }
  // Entries that are called faulty, and those from which on groups may be torn.
  const std::set<std::pair<GroupId, Index>>& faulty() const { return faulty_; }
  const std::map<GroupId, Index>& torn_from() const { return torn_from_; }

 private:
  // An error has to say what is wrong, and where.
  std::string Refusal(const absl::Status& status) const {
    if (!absl::IsDataLoss(status)) return absl::StrCat("refused by ", status.ToString());
    if (!absl::StrContains(status.message(), damage_.path)) {
      return absl::StrCat("does not name the file: ", status.ToString());
    }
    return "";
  }

  std::string Compare(GroupId group, const OpenedLog& opened, const ModelLog& expected) {
    const RecoveredLog& found = opened.recovered;
    if (found.hard_state_lost) return "hard state lost";
    if (found.hard_state != expected.hard_state) return "hard state";
    if (found.base != expected.base || found.base_hash != expected.base_hash) return "base";
    if (found.last_hash != expected.last_hash()) return "last hash";
    if (opened.store->base() != expected.base) return "base of the store";
    if (opened.store->last() != expected.last()) {
      return absl::StrCat("ends at ", ToString(opened.store->last()));
    }
    if (found.torn_from) {
      const bool may_be = damage_.zeroed() && rebooted_ &&
                          *found.torn_from > TheSubject().EndBeforeLastBatch(group);
      if (!may_be) return absl::StrCat("may be torn from ", *found.torn_from);
      torn_from_[group] = *found.torn_from;
    }
    if (found.report.torn_first != 0 || found.report.torn_last != 0) return "entries are torn";
    if (found.known_commit > (group == kGroupA ? TheSubject().commit() : 0)) return "commit";
    std::vector<TermRun> runs;
    for (const RecordRun& run : expected.entries) {
      if (runs.empty() || runs.back().term != run.last().term) runs.push_back({run.last().term, 0});
      runs.back().last_index = run.last().index;
    }
    if (found.runs != runs) return "term runs";
    for (const FaultyEntries& range : found.faulty) {
      for (Index index = range.first.index; index <= range.last; ++index) {
        if (std::string wrong = TakeFaulty(expected, range, index); !wrong.empty()) return wrong;
      }
    }
    std::string wrong = CompareConfigurations(found, expected);
    const Index end = found.torn_from ? *found.torn_from - 1 : expected.last().index;
    if (wrong.empty()) wrong = CompareEntries(*opened.store, expected, end);
    return wrong.empty() ? CompareHashes(*opened.store, group, expected, end) : wrong;
  }

  // An entry said to be faulty must be the one that is.
  std::string TakeFaulty(const ModelLog& expected, const FaultyEntries& range, Index index) {
    const RecordRun* record = expected.At(index);
    const bool was_there =
        record != nullptr && record->last() == LogPosition{index, range.first.term};
    if (!was_there) return "a faulty entry there never was";
    if (std::string wrong = TakeFaulty(*record); !wrong.empty()) return wrong;
    if (!absl::StrContains(absl::StrCat(range.file, range.reason), damage_.path)) {
      return absl::StrCat("entry ", index, " is faulty in ", range.file);
    }
    return "";
  }

  std::string TakeFaulty(const RecordRun& record) {
    faulty_.emplace(record[0].group(), record.last().index);
    if (!damage_.zeroed() && faulty_.size() > 1) return "two faulty entries";
    const std::string bytes(record.bytes().view());
    for (const Subject::FileContent& file : TheSubject().files()) {
      if (file.path != damage_.path) continue;
      for (size_t at = file.bytes.find(bytes); at != std::string::npos;
           at = file.bytes.find(bytes, at + 1)) {
        if (at < damage_.offset + damage_.length && damage_.offset < at + bytes.size()) return "";
      }
    }
    return absl::StrCat("entry ", record.last().index, " is called faulty and is not");
  }

  std::string CompareConfigurations(const RecoveredLog& found, const ModelLog& expected) {
    std::map<Index, std::string> bodies;
    for (const RawConfiguration& each : found.configurations) {
      bodies[each.at.index] = std::string(each.body.view());
    }
    for (const RecordRun& run : expected.entries) {
      if (run[0].type() != EntryType::kConfiguration) continue;
      auto body = bodies.find(run.last().index);
      if (body == bodies.end()) {
        if (found.torn_from && run.last().index >= *found.torn_from) continue;
        if (!FaultyIndexes(found).contains(run.last().index))
          return absl::StrCat("configuration ", run.last().index, " is not there");
        continue;
      }
      if (run[0].Payload(run.bytes()).view() != body->second) return "configuration";
      bodies.erase(body);
    }
    return bodies.empty() ? "" : "a configuration there never was";
  }

  std::string CompareEntries(LogStore& store, const ModelLog& expected, Index end) {
    Index next = expected.first_index();
    while (next <= end) {
      absl::StatusOr<std::vector<RecordRun>> runs = store.Read(next, end, size_t{1} << 20);
      if (!runs.ok()) {
        if (!absl::IsDataLoss(runs.status())) return runs.status().ToString();
        if (!absl::StrContains(runs.status().message(), damage_.path)) {
          return absl::StrCat("does not name the file: ", runs.status().ToString());
        }
        std::string wrong = TakeFaulty(*expected.At(next));
        if (!wrong.empty()) return wrong;
        ++next;
        continue;
      }
      for (const RecordRun& run : *runs) {
        for (size_t i = 0; i < run.size(); ++i, ++next) {
          const RecordRun* wanted = expected.At(next);
          if (wanted == nullptr || wanted->bytes().view() != run[i].bytes()) {
            return absl::StrCat("entry ", next, " is another one");
          }
        }
      }
    }
    return "";
  }

  std::string CompareHashes(LogStore& store, GroupId group, const ModelLog& expected,
                            Index end) const {
    for (Index i = expected.base.index; i <= end; ++i) {
      absl::StatusOr<EntryHash> hash = store.HashAt(i);
      const EntryHash wanted =
          i == expected.base.index ? expected.base_hash : expected.At(i)->last_hash();
      if (hash.ok() && *hash == wanted) continue;
      if (hash.ok()) return absl::StrCat("hash at ", i, " is another one");
      // The entry behind a faulty one knows its hash, if it can be read.
      const bool next_is_bad = i == end || faulty_.contains({group, i + 1});
      if (!faulty_.contains({group, i}) || !next_is_bad) return absl::StrCat("no hash at ", i);
    }
    return "";
  }

  SimulatedFileSystem& file_system_;
  const Damage damage_;
  const bool rebooted_;
  bool refused_ = false;
  std::set<std::pair<GroupId, Index>> faulty_;
  std::map<GroupId, Index> torn_from_;
};

// True if `cairn log verify` would say that something is lost that was acknowledged.
bool VerifierFindsFaults(SimulatedFileSystem& file_system) {
  absl::StatusOr<std::unique_ptr<LogInspector>> log =
      LogInspector::Open(file_system, kTestDirectory);
  if (!log.ok()) return true;
  const std::vector<VerifiedFile> files = VerifyLog(**log);
  return std::any_of(files.begin(), files.end(),
                     [](const VerifiedFile& file) { return !file.faulty.empty(); });
}

// Opens the damaged log: what the verifier, which looks before, and opening it once more say must
// be the same. Each is done where it is asked for, because there are many bytes.
struct Checks {
  bool verify = true;
  bool twice = true;
};
std::string Try(const Damage& damage, bool rebooted, const Checks& checks, Counts& counts) {
  const std::unique_ptr<SimulatedFileSystem> file_system = TheSubject().Image(rebooted);
  damage.Do(*file_system);
  const bool has_faults = checks.verify && VerifierFindsFaults(*file_system);
  Judge first(*file_system, damage, rebooted);
  if (std::string wrong = first.Run(); !wrong.empty()) return wrong;
  if (checks.verify && has_faults != (first.refused() || !first.faulty().empty())) {
    return has_faults ? "only the verifier finds a fault" : "the verifier finds no fault";
  }
  ++counts.tried;
  if (first.refused()) {
    ++counts.refused;
    return "";
  }
  if (!first.torn_from().empty()) {
    ++counts.torn;
  } else {
    ++(first.faulty().empty() ? counts.intact : counts.faulty);
  }
  if (!checks.twice) return "";
  // What the first opening wrote changes nothing.
  file_system->RestartProcess();
  Judge second(*file_system, damage, rebooted);
  if (std::string wrong = second.Run(); !wrong.empty()) {
    return absl::StrCat("opened again: ", wrong);
  }
  if (second.refused()) return "opened once, then refused";
  if (second.faulty() != first.faulty() || second.torn_from() != first.torn_from()) {
    return "opened again: another answer";
  }
  return "";
}

void Print(const Counts& counts) {
  std::printf(
      "%llu tried: %llu times all is there, %llu an entry is faulty, %llu may be torn, "
      "%llu refused\n",
      static_cast<unsigned long long>(counts.tried), static_cast<unsigned long long>(counts.intact),
      static_cast<unsigned long long>(counts.faulty), static_cast<unsigned long long>(counts.torn),
      static_cast<unsigned long long>(counts.refused));
}

// One bit, another one from byte to byte and from case to case.
uint8_t BitFor(uint64_t offset, bool rebooted) {
  return static_cast<uint8_t>(1 << (offset / kParts + (rebooted ? 4 : 0)) % 8);
}

// Rebooted or not, and which of the parts of the work.
class FlipTest : public testing::TestWithParam<std::tuple<bool, uint64_t>> {};

TEST_P(FlipTest, NoWrongAnswerGoesUnnoticed) {
  const auto& [rebooted, part] = GetParam();
  Counts counts;
  uint64_t wrong = 0;
  for (const Subject::FileContent& file : TheSubject().files()) {
    for (uint64_t offset = part; offset < file.bytes.size(); offset += kParts) {
      for (uint8_t mask : {BitFor(offset, rebooted), uint8_t{0xff}}) {
        // All bits of a byte in one of the two cases.
        if (mask == 0xff && (offset / kParts + rebooted) % 2 != 0) continue;
        const Damage flip = {.path = file.path, .offset = offset, .mask = mask};
        const Checks checks = {.verify = mask == 0xff, .twice = mask != 0xff};
        const std::string what = Try(flip, rebooted, checks, counts);
        if (what.empty()) continue;
        ADD_FAILURE() << ToString(flip) << (rebooted ? ", rebooted: " : ": ") << what;
        ASSERT_LT(++wrong, 20u) << "and more";
      }
    }
  }
  Print(counts);
  // What is said of entries is not said by chance, and a log is not refused lightly: only where the
  // next batch would begin.
  EXPECT_GT(counts.faulty, 1500u);
  EXPECT_LE(counts.refused, 2 * 2 * kSectorBytes / kParts);
}

INSTANTIATE_TEST_SUITE_P(AllBytes, FlipTest,
                         testing::Combine(testing::Bool(), testing::Range(uint64_t{0}, kParts)),
                         [](const testing::TestParamInfo<std::tuple<bool, uint64_t>>& each) {
                           return absl::StrCat(std::get<0>(each.param) ? "Rebooted" : "SameBoot",
                                               std::get<1>(each.param));
                         });

class ZeroTest : public testing::TestWithParam<bool> {};

TEST_P(ZeroTest, NoWrongAnswerGoesUnnoticed) {
  const bool rebooted = GetParam();
  Counts counts;
  for (const Subject::FileContent& file : TheSubject().files()) {
    for (uint64_t offset = 0; offset + kSectorBytes <= file.bytes.size(); offset += kSectorBytes) {
      const std::string sector = file.bytes.substr(offset, kSectorBytes);
      if (sector == std::string(kSectorBytes, '\0')) continue;
      const Damage damage = {.path = file.path, .offset = offset, .length = kSectorBytes};
      EXPECT_EQ(Try(damage, rebooted, {}, counts), "") << ToString(damage);
    }
  }
  Print(counts);
  EXPECT_GT(counts.faulty, 10u);
  EXPECT_EQ(counts.torn > 0, rebooted);
  EXPECT_EQ(counts.refused, 0u);
}

INSTANTIATE_TEST_SUITE_P(AllSectors, ZeroTest, testing::Bool(),
                         [](const testing::TestParamInfo<bool>& each) {
                           return each.param ? "Rebooted" : "SameBoot";
                         });

TEST(FlipSubjectTest, TheLogIsWorthFlipping) {
  uint64_t bytes = 0;
  for (const Subject::FileContent& file : TheSubject().files()) bytes += file.bytes.size();
  EXPECT_GE(bytes, uint64_t{64} << 10);
  for (bool rebooted : {false, true}) {
    Counts counts;
    const Damage nothing = {.path = TheSubject().files()[0].path};
    EXPECT_EQ(Try(nothing, rebooted, {}, counts), "");
    EXPECT_EQ(counts.intact, 1u);
  }
}

}  // namespace
}  // namespace cairn
