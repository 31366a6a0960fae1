#include "raft/core/trail.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

// The same, entry by entry.
struct NaiveLog {
  LogPosition base;
  std::vector<Term> terms;  // of the entries behind base

  Index last_index() const { return base.index + terms.size(); }
  Term TermAt(Index index) const {
    if (index < base.index || index > last_index()) return 0;
    return index == base.index ? base.term : terms[index - base.index - 1];
  }
  LogPosition last() const { return {last_index(), TermAt(last_index())}; }

  Index LastOfTerm(Index index) const {
    while (index < last_index() && TermAt(index + 1) == TermAt(index)) ++index;
    return index;
  }

  LogPosition LastSharedWith(LogPosition other) const {
    for (Index index = last_index(); index > base.index; --index) {
      if (index <= other.index && TermAt(index) <= other.term) return {index, TermAt(index)};
    }
    return base;
  }
};

// One run an entry or more: the trail must take runs of equal terms.
std::vector<TermRun> MakeRuns(Random& random, LogPosition previous, uint64_t entries) {
  std::vector<TermRun> runs;
  for (uint64_t i = 1; i <= entries; ++i) {
    Term term = runs.empty() ? std::max<Term>(previous.term, 1) : runs.back().term;
    term += random.OneIn(3) ? random.Below(3) : 0;
    if (!runs.empty() && runs.back().term == term && !random.OneIn(5)) {
      runs.back().last_index = previous.index + i;
    } else {
      runs.push_back({term, previous.index + i});
    }
  }
  return runs;
}

void Append(NaiveLog& log, const std::vector<TermRun>& runs) {
  for (const TermRun& run : runs) {
    while (log.last_index() < run.last_index) log.terms.push_back(run.term);
  }
}

void ExpectSame(const Trail& trail, const NaiveLog& log) {
  ASSERT_EQ(trail.base(), log.base);
  ASSERT_EQ(trail.last(), log.last());
  ASSERT_EQ(trail.empty(), log.terms.empty());
  for (Index index = 0; index <= log.last_index() + 2; ++index) {
    ASSERT_EQ(trail.TermAt(index), log.TermAt(index)) << index;
    if (index <= log.base.index || index > log.last_index()) continue;
    ASSERT_EQ(trail.LastOfTerm(index), log.LastOfTerm(index)) << index;
  }
  for (size_t i = 1; i < trail.runs().size(); ++i) {
    ASSERT_LT(trail.runs()[i - 1].term, trail.runs()[i].term);
    ASSERT_LT(trail.runs()[i - 1].last_index, trail.runs()[i].last_index);
  }
}

// `log` with `trail`, grown, cut and compacted at random.
void Wander(Random& random, Trail& trail, NaiveLog& log) {
  switch (random.Below(3)) {
    case 0: {
      auto runs = MakeRuns(random, log.last(), random.Below(7));
      trail.Append(runs);
      Append(log, runs);
      break;
    }
    case 1: {
      Index first_removed = log.base.index + 1 + random.Below(log.terms.size() + 2);
      trail.TruncateFrom(first_removed);
      log.terms.resize(std::min(log.terms.size(), first_removed - log.base.index - 1));
      break;
    }
    case 2: {
      if (!random.OneIn(3)) break;
      Index new_base = log.base.index + random.Below(log.terms.size() + 1);
      trail.Compact(new_base);
      NaiveLog before = log;
      log.base = {new_base, before.TermAt(new_base)};
      log.terms.erase(log.terms.begin(), log.terms.begin() + static_cast<std::ptrdiff_t>(
                                                                 new_base - before.base.index));
      break;
    }
  }
}

TEST(TrailTest, IsTheShapeOfTheLog) {
  for (uint64_t seed = 1; seed <= 1000; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    Trail trail;
    NaiveLog log;
    for (int step = 0; step < 40; ++step) {
      Wander(random, trail, log);
      ExpectSame(trail, log);
      if (HasFatalFailure()) return;
      Trail rebuilt(trail.base(), trail.runs());
      ExpectSame(rebuilt, log);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(TrailTest, MatchesOnlyWhatItHas) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    Trail trail;
    NaiveLog log;
    for (int step = 0; step < 20; ++step) Wander(random, trail, log);
    for (Index index = 0; index <= log.last_index() + 2; ++index) {
      for (Term term = 0; term <= log.last().term + 2; ++term) {
        bool here =
            index >= log.base.index && index <= log.last_index() && log.TermAt(index) == term;
        EXPECT_EQ(trail.Matches({index, term}), here) << index << "/" << term;
      }
    }
  }
}

TEST(TrailTest, EmptyLogMatchesThePositionBeforeTheLog) {
  Trail trail;
  EXPECT_TRUE(trail.Matches({0, 0}));
  EXPECT_FALSE(trail.Matches({1, 0}));
  EXPECT_EQ(trail.last(), (LogPosition{0, 0}));
}

TEST(TrailTest, FirstMissingIsTheFirstEntryThatDiffers) {
  for (uint64_t seed = 1; seed <= 5000; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    Trail trail;
    NaiveLog log;
    for (int step = 0; step < 15; ++step) Wander(random, trail, log);
    // Another log that shares a prefix with this one, then goes its own way.
    Index shared = log.base.index + random.Below(log.terms.size() + 1);
    NaiveLog other = log;
    other.terms.resize(shared - log.base.index);
    Append(other, MakeRuns(random, other.last(), random.Below(6)));
    Index previous = log.base.index + random.Below(other.terms.size() + 1);
    if (previous > shared) previous = shared;
    std::vector<TermRun> runs;
    std::optional<Index> expected;
    for (Index index = previous + 1; index <= other.last_index(); ++index) {
      runs.push_back({other.TermAt(index), index});
      if (!expected && log.TermAt(index) != other.TermAt(index)) expected = index;
    }
    EXPECT_EQ(trail.FirstMissing({previous, other.TermAt(previous)}, runs), expected);
  }
}

TEST(TrailTest, EntriesUpToTheBaseCountAsHere) {
  Trail trail({10, 3}, {{3, 12}, {4, 15}});
  EXPECT_EQ(trail.FirstMissing({4, 1}, {{2, 8}}), std::nullopt);
  EXPECT_EQ(trail.FirstMissing({4, 1}, {{2, 9}, {3, 12}, {4, 15}}), std::nullopt);
  EXPECT_EQ(trail.FirstMissing({4, 1}, {{2, 9}, {3, 12}, {4, 16}}), 16u);
  EXPECT_EQ(trail.FirstMissing({4, 1}, {{2, 9}, {3, 11}, {5, 16}}), 12u);
}

TEST(TrailTest, LastSharedIsTheLargestPositionNotAboveTheOther) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    Trail trail;
    NaiveLog log;
    for (int step = 0; step < 20; ++step) Wander(random, trail, log);
    for (Index index = 0; index <= log.last_index() + 2; ++index) {
      for (Term term = 0; term <= log.last().term + 2; ++term) {
        EXPECT_EQ(trail.LastSharedWith({index, term}), log.LastSharedWith({index, term}))
            << index << "/" << term;
      }
    }
  }
}

// Logs of a group in which Raft's Log Matching holds: each leader's log grows from one that was
// there before, and an entry is named by the term of the leader that made it.
std::vector<std::vector<TermRun>> MakeGroupLogs(Random& random) {
  std::vector<std::vector<TermRun>> logs(3);
  for (Term term = 1; term <= 1 + random.Below(12); ++term) {
    auto& leader = logs[random.Below(logs.size())];
    Index last = leader.empty() ? 0 : leader.back().last_index;
    leader.push_back({term, last + 1 + random.Below(6)});
    for (auto& follower : logs) {
      if (&follower == &leader || random.OneIn(2)) continue;
      follower = leader;
      Index kept = last + random.Below(leader.back().last_index - last + 1);
      if (kept == last) {
        follower.pop_back();
      } else {
        follower.back().last_index = kept;
      }
    }
  }
  return logs;
}

TEST(TrailTest, RefusalsFindWhereTwoLogsPartOneTermAtATime) {
  for (uint64_t seed = 1; seed <= 5000; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    auto logs = MakeGroupLogs(random);
    Trail leader({}, logs[0]);
    Trail follower({}, logs[1]);
    Index shared = std::min(leader.last().index, follower.last().index);
    while (leader.TermAt(shared) != follower.TermAt(shared)) --shared;

    LogPosition previous = leader.last();
    size_t refusals = 0;
    while (!follower.Matches(previous)) {
      ++refusals;
      LogPosition next = leader.LastSharedWith(follower.LastSharedWith(previous));
      ASSERT_LT(next.index, previous.index);
      ASSERT_GE(next.index, shared) << "skips entries both have";
      previous = next;
    }
    EXPECT_LE(refusals, std::min(logs[0].size(), logs[1].size()) + 1);
  }
}

TEST(TrailTest, RunsBetweenAreTheRunsOfThatPart) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    Trail trail;
    NaiveLog log;
    for (int step = 0; step < 20; ++step) Wander(random, trail, log);
    for (Index first = log.base.index + 1; first <= log.last_index() + 1; ++first) {
      for (Index last = first - 1; last <= log.last_index(); ++last) {
        NaiveLog part{{first - 1, log.TermAt(first - 1)}, {}};
        Append(part, trail.RunsBetween(first, last));
        ASSERT_EQ(part.last(), (LogPosition{last, log.TermAt(last)}));
        for (Index i = first; i <= last; ++i) ASSERT_EQ(part.TermAt(i), log.TermAt(i));
      }
    }
  }
}

TEST(TrailTest, EntriesCostNothing) {
  constexpr Index kMany = kMaxIndex;
  Trail trail;
  trail.Append(TermRun{1, kMany / 2});
  trail.Append(TermRun{2, kMany});
  EXPECT_EQ(trail.TermAt(kMany / 2 + 1), 2u);
  EXPECT_EQ(trail.FirstMissing({0, 0}, {{1, kMany / 2 - 7}, {3, kMany}}), kMany / 2 - 6);
  EXPECT_EQ(trail.LastSharedWith({kMany, 1}), (LogPosition{kMany / 2, 1}));
  trail.TruncateFrom(kMany / 2 - 6);
  trail.Compact(kMany / 4);
  EXPECT_EQ(trail.RunsBetween(kMany / 4 + 1, kMany / 2 - 7),
            (std::vector<TermRun>{{1, kMany / 2 - 7}}));
}

TEST(TrailDeathTest, BrokenShapesFail) {
  Trail trail({5, 2}, {{2, 8}});
  EXPECT_DEATH(trail.Append(TermRun{2, 8}), "check failed");     // no entry
  EXPECT_DEATH(trail.Append(TermRun{1, 9}), "check failed");     // the term falls
  EXPECT_DEATH(trail.TruncateFrom(5), "check failed");           // the base
  EXPECT_DEATH(trail.Compact(9), "check failed");                // behind the end
  EXPECT_DEATH(trail.RunsBetween(5, 8), "check failed");         // before the log
  EXPECT_DEATH(trail.RunsBetween(6, 9), "check failed");         // behind the end
  EXPECT_DEATH(trail.FirstMissing({7, 1}, {}), "check failed");  // previous does not match
}

}  // namespace
}  // namespace cairn
