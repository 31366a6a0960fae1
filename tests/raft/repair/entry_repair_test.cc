#include "raft/repair/entry_repair.h"

#include <optional>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "tests/core/raft_under_test.h"
#include "tests/raft/records.h"

namespace cairn {
namespace {

constexpr Duration kPatience = Milliseconds(200);
constexpr Duration kPause = Seconds(1);
constexpr HardState kTerm1 = {.term = 1};
const std::vector<Term> kFiveEntries = {1, 1, 1, 1, 1};

// Node 1 of five with five entries, which follows node 2.
class EntryRepairTest : public testing::Test {
 protected:
  EntryRepairTest() { node_.Receive(2, Heartbeat{.term = 1}); }

  void Damage(Index index) { node_.Step(EntriesDamaged{{index, index}}); }
  void Heal(Index index) { node_.Step(EntriesRepaired{{index, index}, {}}); }
  std::optional<EntryRepair::Asking> Next() { return repair_.Next(node_.now(), node_.raft()); }
  // Who is asked now, 0 if nobody is.
  uint64_t Asked() {
    const std::optional<EntryRepair::Asking> asking = Next();
    if (!asking) return 0;
    request_ = asking->request.request;
    return ToInteger(asking->to);
  }
  // How many entries of the answer are to be written.
  size_t Answer(uint64_t from, uint64_t request, Index first = 1, Index last = 0) {
    std::vector<RecordRun> entries;
    if (first <= last) entries.push_back(MakeRun({}, {}, kFiveEntries).Slice(first, last));
    size_t taken = 0;
    for (const RecordRun& run :
         repair_.Take(NodeId{from}, EntryReply{request}, entries, node_.raft())) {
      taken += run.size();
    }
    return taken;
  }
  HoleRange Nowhere() {
    const auto nowhere = repair_.TakeNowhere(node_.raft());
    return nowhere ? nowhere->entries : HoleRange();
  }
  void Lack(uint64_t from) { EXPECT_EQ(Answer(from, request_), 0u); }

  RaftUnderTest node_{5, kFiveEntries, kTerm1};
  EntryRepair repair_{kPatience, kPause, 1000};
  uint64_t request_ = 0;
};

TEST_F(EntryRepairTest, ALateAnswerIsTakenOnceOfWhomItWasAsked) {
  Damage(3);
  ASSERT_EQ(Asked(), 2u);
  const uint64_t asked_of_2 = request_;
  node_.Elapse(kPatience);
  ASSERT_EQ(Asked(), 3u);
  const uint64_t asked_of_3 = request_;
  EXPECT_EQ(Answer(3, asked_of_2, 3, 3), 0u);
  EXPECT_EQ(Answer(2, asked_of_3, 3, 3), 0u);
  EXPECT_EQ(Answer(2, asked_of_3 + 1, 3, 3), 0u);
  EXPECT_EQ(Answer(2, asked_of_2, 3, 3), 1u);
  EXPECT_EQ(Answer(3, asked_of_3, 3, 3), 0u) << "one write at a time";
  repair_.Written(false);
  EXPECT_EQ(Answer(2, asked_of_2, 3, 3), 0u) << "repeated";
  EXPECT_EQ(Answer(3, asked_of_3, 3, 3), 1u);
  repair_.Written(true);
  Heal(3);
  EXPECT_FALSE(Next());
  EXPECT_EQ(repair_.NextDeadline(), kDistantFuture);
}

// Up to four times the pause.
TEST_F(EntryRepairTest, WhoIsSilentIsWaitedForLongerEachTime) {
  Damage(3);
  for (Duration wait : {kPatience, kPatience * 2, kPatience * 4, kPatience * 8, kPatience * 16,
                        kPause * 4, kPause * 4}) {
    for (uint64_t peer : {2, 3, 4, 5}) {
      ASSERT_EQ(Asked(), peer);
      ASSERT_EQ(repair_.NextDeadline(), node_.now() + wait);
      node_.Elapse(wait - Milliseconds(1));
      ASSERT_EQ(Asked(), 0u);
      node_.Elapse(Milliseconds(1));
    }
    ASSERT_EQ(Asked(), 0u);
    ASSERT_EQ(repair_.NextDeadline(), node_.now() + kPause);
    node_.Elapse(kPause);
  }
  EXPECT_FALSE(repair_.TakeNowhere(node_.raft())) << "nobody has said to lack it";
}

// Nobody leads who could say it for all.
TEST(EntryRepairAloneTest, AHoleIsNowhereOnceAllHaveSaidSo) {
  RaftUnderTest node(3, kFiveEntries, kTerm1);
  node.Step(EntriesDamaged{{3, 3}});
  EntryRepair repair(kPatience, kPause, 0);
  for (uint64_t peer : {2, 3}) {
    EXPECT_FALSE(repair.TakeNowhere(node.raft()));
    const std::optional<EntryRepair::Asking> asking = repair.Next(node.now(), node.raft());
    ASSERT_TRUE(asking && asking->to == NodeId{peer});
    repair.Take(NodeId{peer}, EntryReply{asking->request.request}, {}, node.raft());
  }
  EXPECT_FALSE(repair.Next(node.now(), node.raft()));
  const auto nowhere = repair.TakeNowhere(node.raft());
  ASSERT_TRUE(nowhere.has_value());
  EXPECT_EQ(nowhere->entries, (HoleRange{3, 3}));
  EXPECT_TRUE(nowhere->all_asked);
  EXPECT_FALSE(repair.Next(node.now(), node.raft()));
  EXPECT_FALSE(repair.TakeNowhere(node.raft()));
  EXPECT_EQ(repair.NextDeadline(), node.now() + kPause);
}

// The others are asked all the same.
TEST_F(EntryRepairTest, AHoleIsNowhereOnceTheLeaderLacksIt) {
  Damage(3);
  ASSERT_EQ(Asked(), 2u);
  Lack(2);
  ASSERT_EQ(Asked(), 3u);
  EXPECT_EQ(Nowhere(), (HoleRange{3, 3}));
  Lack(3);
  ASSERT_EQ(Asked(), 4u);
  EXPECT_FALSE(repair_.TakeNowhere(node_.raft()));
}

// "No" to a question of before says nothing of what is asked for now, entries do.
TEST_F(EntryRepairTest, AnAnswerIsAboutWhatWasAsked) {
  Damage(3);
  ASSERT_EQ(Asked(), 2u);
  const uint64_t about_3 = request_;
  Damage(2);
  node_.Elapse(kPatience);
  ASSERT_EQ(Asked(), 2u);
  EXPECT_EQ(Answer(2, about_3), 0u);
  EXPECT_EQ(Asked(), 0u) << "it has not answered this";
  EXPECT_FALSE(repair_.TakeNowhere(node_.raft()));
  Lack(2);
  EXPECT_EQ(Asked(), 3u);
  EXPECT_EQ(Nowhere(), (HoleRange{2, 3})) << "both were asked for";
}

// Another entry that has taken the place is asked for anew.
TEST_F(EntryRepairTest, AnotherEntryIsAnotherHole) {
  Damage(5);
  ASSERT_EQ(Asked(), 2u);
  const uint64_t first = request_;
  node_.Receive(3, MakeAppend(2, {4, 1}, {2}));
  node_.Settle();
  Damage(5);
  EXPECT_EQ(Answer(2, first, 5, 5), 0u);
  node_.Elapse(kPatience);
  ASSERT_EQ(Asked(), 3u);
  EXPECT_FALSE(repair_.TakeNowhere(node_.raft()));
}

// As entry by entry: one range a term.
TEST(EntryRepairAloneTest, WhatIsAskedEqualsTheHolesEntryByEntry) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    std::vector<Term> terms = {1};
    while (terms.size() < 200) terms.push_back(terms.back() + (random.OneIn(5) ? 1 : 0));
    RaftUnderTest node(3, terms, {.term = terms.back()});
    const uint64_t rarely = 1 + random.Below(20);
    for (Index index = 1; index <= terms.size(); ++index) {
      if (random.OneIn(rarely)) node.Step(EntriesDamaged{{index, index}});
    }
    std::vector<EntryRange> twin;
    for (Index index = 1; index <= terms.size(); ++index) {
      if (!node.raft().holes().Contains(index)) continue;
      const Term term = terms[index - 1];
      if (!twin.empty() && twin.back().last + 1 == index && twin.back().term == term) {
        twin.back().last = index;
      } else {
        twin.push_back({index, index, term});
      }
    }
    if (twin.size() > kMaxEntryRanges) twin.resize(kMaxEntryRanges);
    ASSERT_EQ(RangesToAsk(node.raft()), twin);
  }
}

// One question to each member, and one answer of each: not one an entry.
TEST(EntryRepairAloneTest, AGapOfAMillionThatNobodyHasIsOneRound) {
  constexpr Index kMany = 1'000'000;
  RecoveredRaft recovered = Recovered(3, {1}, kTerm1);
  recovered.runs = {{1, kMany + 2}};
  RaftUnderTest node(recovered);
  node.Step(EntriesDamaged{{2, kMany + 1}});
  EntryRepair repair(kPatience, kPause, 0);
  for (uint64_t peer : {2, 3}) {
    const std::optional<EntryRepair::Asking> asking = repair.Next(node.now(), node.raft());
    ASSERT_TRUE(asking && asking->to == NodeId{peer});
    EXPECT_EQ(asking->request.wanted, (std::vector<EntryRange>{{2, kMany + 1, 1}}));
    repair.Take(NodeId{peer}, EntryReply{asking->request.request}, {}, node.raft());
  }
  EXPECT_FALSE(repair.Next(node.now(), node.raft()));
  const auto nowhere = repair.TakeNowhere(node.raft());
  ASSERT_TRUE(nowhere.has_value());
  EXPECT_EQ(nowhere->entries, (HoleRange{2, kMany + 1}));
}

// The leader lacks the first ones and has the others: only what nobody has is nowhere, and that is
// not said while the others are written.
TEST_F(EntryRepairTest, WhatIsGivenIsNotNowhere) {
  node_.Step(EntriesDamaged{{2, 5}});
  ASSERT_EQ(Asked(), 2u);
  EXPECT_EQ(Answer(2, request_, 4, 5), 2u);
  EXPECT_EQ(Nowhere(), HoleRange()) << "some of it is being written";
  repair_.Written(true);
  node_.Step(EntriesRepaired{{4, 5}, {}});
  EXPECT_EQ(Nowhere(), (HoleRange{2, 3}));
}

// What was found bad since it was asked is in nobody's answer.
TEST_F(EntryRepairTest, WhatNobodyWasAskedForIsNotNowhere) {
  node_.Step(EntriesDamaged{{2, 3}});
  ASSERT_EQ(Asked(), 2u);
  node_.Step(EntriesDamaged{{4, 5}});
  Lack(2);
  EXPECT_EQ(Nowhere(), (HoleRange{2, 3}));
}

// What it gave was not what stood there; it may have more.
TEST_F(EntryRepairTest, ABadAnswerSaysNothingOfTheRest) {
  node_.Step(EntriesDamaged{{2, 5}});
  for (uint64_t peer : {2, 3, 4, 5}) {
    ASSERT_EQ(Asked(), peer);
    if (peer == 4) {
      EXPECT_EQ(Answer(peer, request_, 2, 3), 2u);
      repair_.Written(false);
    } else {
      Lack(peer);
    }
  }
  EXPECT_EQ(Asked(), 0u);
  EXPECT_EQ(Nowhere(), (HoleRange{2, 2}));
}

// A member that is down does not keep what the leader lacks for ever.
TEST_F(EntryRepairTest, WhoIsSilentIsNotWaitedForWhereTheLeaderLacksIt) {
  node_.Step(EntriesDamaged{{2, 5}});
  ASSERT_EQ(Asked(), 2u);
  Lack(2);
  auto nowhere = repair_.TakeNowhere(node_.raft());
  ASSERT_TRUE(nowhere.has_value());
  EXPECT_FALSE(nowhere->all_asked);
  for (uint64_t peer : {3, 4, 5}) {
    ASSERT_EQ(Asked(), peer);
    EXPECT_FALSE(repair_.TakeNowhere(node_.raft()));
    node_.Elapse(kPatience);
  }
  ASSERT_EQ(Asked(), 0u);
  nowhere = repair_.TakeNowhere(node_.raft());
  ASSERT_TRUE(nowhere.has_value());
  EXPECT_TRUE(nowhere->all_asked);
  EXPECT_EQ(nowhere->entries, (HoleRange{2, 5}));
}

}  // namespace
}  // namespace cairn
