// A store against its twin: long random histories with power cuts.

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "tests/storage/log_store_contract.h"

namespace cairn {
namespace {

constexpr size_t kNoLimit = size_t{1} << 40;

// One group: what it holds, and every state a power cut may leave.
class Subject {
 public:
  explicit Subject(GroupId group) : twin(group) { Settle(); }

  LogTwin twin;
  Index commit = 0;       // the highest ever told
  Index commit_sure = 0;  // what recovery cannot know less of

  // What is written is durable from now on.
  void Settle() {
    states_ = {twin};
    bases_ = {twin.base};
    durable_ = twin.last();
    commit_sure = std::max(commit_sure, commit_written_);
  }

  LogAppend RandomAppend(Random& random) {
    LogAppend append;
    Term term = std::max<Term>(twin.PositionAt(twin.last()).term, 1) + random.Below(2);
    if (random.OneIn(4)) {
      twin.hard_state = {twin.hard_state.term + random.Below(2), NodeId{random.Below(4)}};
      append.hard_state = twin.hard_state;
      Note();
    }
    if (random.OneIn(6) && twin.last() > Floor()) {
      const Index from = Floor() + 1 + random.Below(twin.last() - Floor());
      // By name, or by an entry of a higher term in its place.
      if (random.OneIn(2)) append.truncate_from = from;
      ++term;
      twin.TruncateFrom(from);
      durable_ = std::min(durable_, from - 1);
      if (append.truncate_from) Note();
      if (!append.truncate_from) append.runs.push_back(AddEntry(term, random));
    }
    if (!random.OneIn(5)) {
      for (uint64_t i = random.Below(6); i > 0; --i) append.runs.push_back(AddEntry(term, random));
    }
    if (random.OneIn(3)) {
      commit = std::max(commit, std::min<Index>(twin.last(), commit + random.Below(5)));
      append.commit = commit;
      commit_told_ = commit;
    }
    if (!append.runs.empty()) {
      commit_written_ = std::max(commit_written_, std::min(commit_told_, durable_));
    }
    return append;
  }

  // The end of another history of the group, in which what is committed is the same: what the log
  // is to be reset to.
  Index RandomReset(Random& random) {
    const Index old_base = twin.base;
    const Term term = twin.PositionAt(twin.last()).term + 1 + random.Below(2);
    twin.TruncateFrom(Floor() + 1);
    for (uint64_t i = random.Below(5); i > 0; --i) twin.Add(term, "of another history");
    twin.base = twin.last();
    bases_.push_back(twin.base);
    durable_ = std::min(durable_, old_base);
    commit = std::max(commit, twin.base);
    Note();
    return twin.base;
  }

  // The index to drop up to; nothing that is not committed.
  Index RandomDrop(Random& random) {
    twin.base += random.Below(commit - twin.base + 1);
    bases_.push_back(twin.base);
    return twin.base;
  }

  // Finds what recovery found among what a power cut may have left, and goes on from there. False
  // if it is none of these.
  bool GoOnFrom(const RecoveredLog& found) {
    for (auto state = states_.rbegin(); state != states_.rend(); ++state) {
      for (const Index base : bases_) {
        if (found.hard_state != state->hard_state || base > state->last() ||
            found.base != state->PositionAt(base) || found.base_hash != state->HashAt(base) ||
            found.runs != state->TermRunsAbove(base) ||
            found.last_hash != state->HashAt(state->last())) {
          continue;
        }
        twin = *state;
        twin.base = base;
        commit = std::min(commit, twin.last());
        commit_told_ = found.known_commit;
        commit_written_ = commit_sure;  // the rest may have been lost
        Settle();
        return true;
      }
    }
    return false;
  }

  Index durable() const { return durable_; }

 private:
  Index Floor() const { return std::max(commit, twin.base); }

  RecordRun AddEntry(Term term, Random& random) {
    const size_t size =
        static_cast<size_t>(random.OneIn(10) ? random.Below(9'000) : random.Below(100));
    const EntryType type = random.OneIn(8) ? EntryType::kConfiguration : EntryType::kCommand;
    RecordRun run = twin.Add(term, std::string(size, static_cast<char>(random.Below(256))), type);
    Note();
    return run;
  }

  void Note() { states_.push_back(twin); }

  // Since what was synced, after each single change, in order.
  std::vector<LogTwin> states_;
  std::vector<Index> bases_;
  Index durable_ = 0;         // entries up to here are, as they stand
  Index commit_told_ = 0;     // since the log was opened
  Index commit_written_ = 0;  // with entries
};

// A history of a disk with some groups, checked step by step.
class History {
 public:
  History(LogStoreContract& test, uint64_t seed) : test_(test), random_(seed) {
    for (const GroupId group : {GroupId{1}, GroupId{2}, GroupId{900}})
      subjects_.emplace_back(group);
  }

  void Step() {
    Subject& subject = subjects_[static_cast<size_t>(random_.Below(subjects_.size()))];
    const uint64_t choice = random_.Below(12);
    if (choice == 0 && random_.OneIn(3)) {
      const Index to = subject.RandomReset(random_);
      ASSERT_TRUE(
          StoreOf(subject).Reset(subject.twin.PositionAt(to), subject.twin.HashAt(to)).ok());
      test_.ExpectHolds(subject.twin);
    } else if (choice == 0) {
      const Index up_to = subject.RandomDrop(random_);
      ASSERT_TRUE(StoreOf(subject).DropPrefix(up_to).ok());
    } else if (choice <= 3) {
      test_.Sync();
      for (Subject& each : subjects_) each.Settle();
    } else if (choice == 4) {
      OpenAgain();
    } else if (choice == 5) {
      ExpectReads(subject);
    } else {
      test_.Append(subject.RandomAppend(random_), subject.twin.group());
    }
  }

 private:
  LogStore& StoreOf(const Subject& subject) { return test_.store(subject.twin.group()); }

  void OpenAgain() {
    if (!test_.has_power_cuts() || random_.OneIn(3)) {
      test_.Reopen();
    } else {
      test_.PowerCut();
    }
    for (Subject& subject : subjects_) {
      ExpectPossible(subject);
      if (testing::Test::HasFatalFailure()) return;
    }
  }

  void ExpectPossible(Subject& subject) {
    const GroupId group = subject.twin.group();
    const RecoveredLog found = test_.recovered(group);
    const Index durable = subject.durable();
    EXPECT_TRUE(found.faulty.empty());
    EXPECT_LE(found.known_commit, subject.commit);
    EXPECT_GE(std::max(found.known_commit, found.base.index), subject.commit_sure);
    ASSERT_TRUE(subject.GoOnFrom(found)) << "group " << ToInteger(group);
    if (!found.torn_from) {
      test_.ExpectRecovered(subject.twin);
      return;
    }
    // Entries that may be torn are not readable. Here the cluster decides that they are gone.
    ASSERT_GT(*found.torn_from, durable);
    LogAppend append;
    append.truncate_from = *found.torn_from;
    subject.twin.TruncateFrom(*found.torn_from);
    subject.commit = std::min(subject.commit, subject.twin.last());
    test_.Append(append, group);
    test_.Sync();
    subject.Settle();
    test_.ExpectHolds(subject.twin);
  }

  void ExpectReads(const Subject& subject) {
    const LogTwin& twin = subject.twin;
    if (twin.last() == twin.base) return;
    const Index first = twin.base + 1 + random_.Below(twin.last() - twin.base);
    const Index last = first + random_.Below(20);
    const size_t max_bytes =
        random_.OneIn(2) ? static_cast<size_t>(random_.Below(20'000)) : kNoLimit;
    const auto runs = StoreOf(subject).Read(first, last, max_bytes);
    ASSERT_TRUE(runs.ok()) << runs.status();
    std::string expected;
    for (Index i = first; i <= std::min(last, twin.last()); ++i) {
      const std::string& record = twin.At(i).record;
      if (i > first && expected.size() + record.size() > max_bytes) break;
      expected += record;
    }
    ASSERT_TRUE(RecordsOf(*runs) == expected) << "from " << first << " to " << last;
    ASSERT_EQ(StoreOf(subject).HashAt(first).value(), twin.HashAt(first));
  }

  LogStoreContract& test_;
  Random random_;
  std::vector<Subject> subjects_;
};

TEST_P(LogStoreContract, BehavesLikeItsTwin) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    StartOver(seed);
    History history(*this, seed);
    for (int step = 0; step < 250; ++step) {
      history.Step();
      if (HasFailure()) FAIL() << "step " << step;
    }
  }
}

}  // namespace
}  // namespace cairn
