#include "tests/storage/block/crash_enumerator.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

constexpr GroupId kGroups[] = {kGroupA, kGroupB, kGroupC};
// One in this many states is also cut inside its recovery; in one of so many the log is written
// after it.
constexpr uint64_t kInsideRecoveryEvery = 150;
constexpr uint64_t kWriteAfterRecoveryEvery = 7;

bool Changes(FileAccess::Operation operation) {
  switch (operation) {
    case FileAccess::Operation::kRead:
    case FileAccess::Operation::kReadDirect:
    case FileAccess::Operation::kList:
    case FileAccess::Operation::kLock:
      return false;
    default:
      return true;
  }
}

std::string Describe(const CrashChoice& choice, const std::vector<PendingOperation>& pending) {
  std::string text = "power cut that keeps";
  for (const PendingOperation& each : pending) {
    absl::StrAppend(&text, "\n  ", choice.kept.contains(each.id) ? "+ " : "- ", each.id, " kind ",
                    static_cast<int>(each.kind), " ", each.path, " ", each.offset);
  }
  return text;
}

std::vector<uint64_t> IdsOf(const std::vector<PendingOperation>& pending) {
  std::vector<uint64_t> ids;
  for (const PendingOperation& each : pending) ids.push_back(each.id);
  return ids;
}

const ModelLog& LogOf(const Model& model, GroupId group) {
  static const ModelLog* const kEmpty = new ModelLog();
  auto found = model.find(group);
  return found == model.end() ? *kEmpty : found->second;
}

// All that the store gives of the group before `end`.
std::string Entries(LogStore& store, Index end) {
  std::string text;
  Index next = store.base().index + 1;
  const Index last = std::min(store.last().index, end - 1);
  while (next <= last) {
    absl::StatusOr<std::vector<RecordRun>> runs = store.Read(next, last, size_t{1} << 20);
    if (!runs.ok()) {
      absl::StrAppend(&text, next, ": ", runs.status().ToString(), " ");
      ++next;
      continue;
    }
    for (const RecordRun& run : *runs) absl::StrAppend(&text, ToString(run.last_hash()), " ");
    next = runs->back().last().index + 1;
  }
  return text;
}

std::string Summary(const RecoveredLog& recovered, LogStore& store) {
  std::string text = absl::StrCat(
      "term ", recovered.hard_state.term, " vote ", ToInteger(recovered.hard_state.vote), " lost ",
      recovered.hard_state_lost, " base ", ToString(recovered.base), " runs ");
  for (const TermRun& run : recovered.runs)
    absl::StrAppend(&text, run.term, "@", run.last_index, " ");
  absl::StrAppend(&text, "hash ", ToString(recovered.last_hash), " torn ",
                  recovered.torn_from.value_or(0), " faulty ", recovered.faulty.size(), " entries ",
                  Entries(store, recovered.torn_from.value_or(kMaxIndex)));
  return text;
}

}  // namespace

void CrashEnumerator::Run(const Script& setup, const Script& script) {
  if (setup) {
    LogDriver driver(file_system_, setup_options_.value_or(options_));
    ASSERT_TRUE(driver.status().ok()) << driver.status();
    setup(driver);
    ASSERT_TRUE(driver.Sync().ok());
    before_ = driver.model();
  }
  file_system_.RestartProcess();
  file_system_.set_fault_hook([this](const FileAccess& access) {
    if (Changes(access.operation)) AtBoundary();
    return FileFault();
  });
  {
    LogDriver driver(file_system_, options_);
    ASSERT_TRUE(driver.status().ok()) << driver.status();
    driver.set_model(before_);
    driver_ = &driver;
    script(driver);
    AtBoundary();
    before_ = driver.synced();
    driver_ = nullptr;
  }
  file_system_.set_fault_hook(nullptr);
}

void CrashEnumerator::AtBoundary() {
  if (testing::Test::HasFailure()) return;
  const std::vector<PendingOperation> pending = file_system_.Pending();
  // A boundary is new if there is something new to lose or to keep.
  const uint64_t done = driver_ == nullptr ? 0 : driver_->log().figures().batches;
  if (IdsOf(pending) == IdsOf(last_pending_) && done == last_done_ && counts_.states > 0) return;
  last_pending_ = pending;
  last_done_ = done;
  ++counts_.boundaries;
  for (const CrashChoice& choice : EnumerateCrashes(pending, CrashEnumeration(), random_)) {
    Check(choice);
    if (testing::Test::HasFailure()) {
      ADD_FAILURE() << Describe(choice, pending);
      return;
    }
  }
}

void CrashEnumerator::Check(const CrashChoice& choice) {
  ++counts_.states;
  const std::unique_ptr<SimulatedFileSystem> image = file_system_.CrashImage(choice);
  const bool look_inside = counts_.states % kInsideRecoveryEvery == 0;
  std::unique_ptr<SimulatedFileSystem> untouched = look_inside ? image->CrashImage({}) : nullptr;
  const std::string problem = Judge(*image);
  ASSERT_EQ(problem, "");

  // Recovery left a state from which it finds the same again, also after another power cut.
  std::unique_ptr<SimulatedFileSystem> cut_again = image->WorstCaseImage();
  image->RestartProcess();
  const RecoveredState first = Recover(*image, /*write=*/false);
  const RecoveredState second =
      Recover(*cut_again, /*write=*/counts_.states % kWriteAfterRecoveryEvery == 0);
  ASSERT_EQ(first.error, "");
  ASSERT_EQ(first.text, second.text);
  if (look_inside) CheckInsideRecovery(*untouched, first);
}

std::string CrashEnumerator::Judge(SimulatedFileSystem& file_system) {
  const Model& synced = driver_ == nullptr ? before_ : driver_->synced();
  const Model& issued = driver_ == nullptr ? before_ : driver_->issued();
  LogDriver driver(file_system, options_);
  if (!driver.status().ok()) return driver.status().ToString();
  const std::string as_synced = CompareWith(driver, synced, /*may_be_torn=*/false);
  if (as_synced.empty()) {
    ++counts_.cut;
    return "";
  }
  const std::string as_issued = CompareWith(driver, issued, /*may_be_torn=*/true);
  if (as_issued.empty()) {
    ++counts_.kept;
    return "";
  }
  return absl::StrCat("neither what was synced: ", as_synced, "\nnor what was issued: ", as_issued);
}

// Entries that may be torn are those of the batch that was issued and not synced.
std::string CrashEnumerator::CompareWith(LogDriver& driver, const Model& model, bool may_be_torn) {
  bool torn = false;
  for (GroupId group : kGroups) {
    RecoveredLog recovered = driver.recovered(group);
    ModelLog expected = LogOf(model, group);
    if (recovered.torn_from && may_be_torn) {
      const Index from = *recovered.torn_from;
      const ModelLog& synced = LogOf(driver_ == nullptr ? before_ : driver_->synced(), group);
      const RecordRun* was_synced = synced.At(from);
      const RecordRun* issued = expected.At(from);
      if (issued == nullptr) return absl::StrCat("torn from ", from, " where nothing was issued");
      if (was_synced != nullptr && was_synced->last_hash() == issued->last_hash()) {
        return absl::StrCat("torn from ", from, ", which was acknowledged");
      }
      recovered.torn_from.reset();
      // The configurations before the torn entries are all that can be read.
      std::string difference;
      std::vector<RecordRun> kept(
          expected.entries.begin(),
          expected.entries.begin() + static_cast<std::ptrdiff_t>(from - expected.base.index - 1));
      if (recovered.hard_state != expected.hard_state) return "hard state";
      if (recovered.last_hash != expected.last_hash()) return "last hash";
      if (driver.store(group).last() != expected.last()) return "last";
      for (const RecordRun& run : kept) {
        absl::StatusOr<std::vector<RecordRun>> read =
            driver.store(group).Read(run.first().index, run.first().index, 1);
        if (!read.ok() || !(read->front().bytes() == run.bytes())) {
          return absl::StrCat("entry ", run.first().index, " before the torn ones");
        }
      }
      torn = true;
      continue;
    }
    std::string difference = Difference(recovered, expected);
    if (difference.empty()) difference = Difference(driver.store(group), expected);
    if (!difference.empty()) return absl::StrCat("group ", ToInteger(group), ": ", difference);
  }
  if (torn) ++counts_.torn;
  return "";
}

RecoveredState CrashEnumerator::Recover(SimulatedFileSystem& file_system, bool write) {
  RecoveredState state;
  LogDriver driver(file_system, options_);
  if (!driver.status().ok()) {
    state.error = driver.status().ToString();
    return state;
  }
  for (GroupId group : kGroups) {
    const RecoveredLog& recovered = driver.recovered(group);
    absl::StrAppend(&state.text, "group ", ToInteger(group), " ",
                    Summary(recovered, driver.store(group)), "\n");
    if (recovered.torn_from) state.torn = recovered.torn_from;
  }
  if (!write) return state;
  // The log goes on: what is written now is there after the next start.
  Model model;
  for (GroupId group : kGroups) {
    LogStore& store = driver.store(group);
    LogAppend append;
    append.hard_state = HardState{.term = 1000, .vote = static_cast<NodeId>(1)};
    ModelLog end;
    end.base = store.last();
    end.base_hash = driver.recovered(group).last_hash;
    if (const std::optional<Index>& torn = driver.recovered(group).torn_from) {
      append.truncate_from = *torn;
      end.base_hash = store.HashAt(*torn - 1).value();
      end.base = {*torn - 1, 1};
    }
    append.runs = {MakeRun(group, end, 1000, {"written after recovery"})};
    EXPECT_TRUE(store.Append(append).ok());
  }
  EXPECT_TRUE(driver.Sync().ok());
  std::string expected;
  for (GroupId group : kGroups) {
    absl::StrAppend(&expected, Entries(driver.store(group), kMaxIndex), "\n");
  }
  const std::unique_ptr<SimulatedFileSystem> after = file_system.WorstCaseImage();
  LogDriver next(*after, options_);
  EXPECT_TRUE(next.status().ok()) << next.status();
  if (!next.status().ok()) return state;
  std::string found;
  for (GroupId group : kGroups) {
    EXPECT_EQ(next.recovered(group).hard_state.term, 1000u);
    EXPECT_FALSE(next.recovered(group).torn_from.has_value());
    absl::StrAppend(&found, Entries(next.store(group), kMaxIndex), "\n");
  }
  EXPECT_EQ(found, expected);
  return state;
}

void CrashEnumerator::CheckInsideRecovery(const SimulatedFileSystem& before,
                                          const RecoveredState& expected) {
  const std::unique_ptr<SimulatedFileSystem> image = before.CrashImage({});
  std::vector<uint64_t> seen;
  image->set_fault_hook([&](const FileAccess& access) {
    if (!Changes(access.operation) || testing::Test::HasFailure()) return FileFault();
    const std::vector<PendingOperation> pending = image->Pending();
    if (pending.empty() || IdsOf(pending) == seen) return FileFault();
    seen = IdsOf(pending);
    for (CrashPolicy policy : {CrashPolicy::kDropAll, CrashPolicy::kKeepAll,
                               CrashPolicy::kRandomSubset, CrashPolicy::kTornCall}) {
      ++counts_.inside_recovery;
      const CrashChoice choice = ChooseCrash(policy, pending, random_);
      const std::unique_ptr<SimulatedFileSystem> cut = image->CrashImage(choice);
      const RecoveredState state = Recover(*cut, /*write=*/false);
      EXPECT_EQ(state.error, "") << Describe(choice, pending);
      EXPECT_EQ(state.text, expected.text) << Describe(choice, pending);
    }
    return FileFault();
  });
  Recover(*image, /*write=*/false);
  image->set_fault_hook(nullptr);
}

}  // namespace cairn
