#include "raft/liveness/catch_up.h"

#include "gtest/gtest.h"

namespace cairn {
namespace {

constexpr uint64_t kMaxLag = 10;

class CatchUpTest : public testing::Test {
 protected:
  void Append(Index commit) {
    AppendEntries append;
    append.term = term_;
    append.commit = commit;
    catch_up_.Hear(append);
  }
  void Heartbeat(Index commit) {
    cairn::Heartbeat heartbeat;
    heartbeat.term = term_;
    heartbeat.commit = commit;
    catch_up_.Hear(heartbeat);
  }
  // The leader speaks, is asked, and says that as much is committed.
  void Learn(Index commit) {
    Append(commit);
    ASSERT_TRUE(catch_up_.wants_to_ask());
    catch_up_.Asked();
    catch_up_.OnAnswer(term_, commit);
  }
  void Offer(Index index) { catch_up_.OnOffer(term_, index); }
  // The member knows `commit` to be committed, and has applied as much or less.
  bool At(Index commit, Index applied, bool paused = false) {
    catch_up_.Look({.term = term_,
                    .commit = commit,
                    .commit_term = term_,
                    .applied = applied,
                    .leads = false,
                    .paused = paused});
    return catch_up_.caught_up();
  }

  Term term_ = 5;
  CatchUp catch_up_{kMaxLag};
};

TEST_F(CatchUpTest, NothingIsKnownBeforeALeaderHasSpoken) {
  EXPECT_FALSE(At(0, 0));
  EXPECT_FALSE(At(100, 100));
  EXPECT_FALSE(catch_up_.wants_to_ask());
  Learn(100);
  EXPECT_TRUE(At(100, 100));
}

// It was on its way while this member was down, and says what was committed then.
TEST_F(CatchUpTest, AnAppendThatWasOnItsWayProvesNothing) {
  Append(27);
  EXPECT_FALSE(At(27, 27));
  ASSERT_TRUE(catch_up_.wants_to_ask());
  catch_up_.Asked();
  Append(27);
  EXPECT_FALSE(At(27, 27));
  Append(208);
  catch_up_.OnAnswer(term_, 208);
  EXPECT_FALSE(At(207, 207));
  EXPECT_TRUE(At(208, 208));
}

// The first catch-up goes to its very end: however little is missing, it is missed.
TEST_F(CatchUpTest, GoesOnToWhatWasCommittedWhenItBegan) {
  Learn(7);
  EXPECT_FALSE(At(0, 0));
  EXPECT_FALSE(At(3, 3));
  EXPECT_EQ(catch_up_.committed(), 7u);
  Append(12);
  EXPECT_FALSE(At(6, 6));
  EXPECT_TRUE(At(7, 7));
}

TEST_F(CatchUpTest, ALittleBehindIsWellAndMoreIsNot) {
  Learn(100);
  ASSERT_TRUE(At(100, 100));
  Append(110);
  EXPECT_TRUE(At(110, 100));
  Append(111);
  EXPECT_FALSE(At(111, 100));
  // To its end again, not just to the bound.
  EXPECT_FALSE(At(111, 110));
  EXPECT_TRUE(At(111, 111));
}

// The group went on meanwhile: what was the end is none.
TEST_F(CatchUpTest, BeginsAgainIfItLagsAtTheEnd) {
  Learn(50);
  EXPECT_FALSE(At(20, 20));
  Append(80);
  EXPECT_FALSE(At(50, 50));
  Append(85);
  EXPECT_FALSE(At(79, 79));
  EXPECT_TRUE(At(80, 80));
}

// A heartbeat names what this member holds, however much more there is: it asks.
TEST_F(CatchUpTest, WhoHearsItsLeaderAsks) {
  Heartbeat(40);
  EXPECT_FALSE(At(40, 40));
  ASSERT_TRUE(catch_up_.wants_to_ask());
  catch_up_.Asked();
  EXPECT_FALSE(catch_up_.wants_to_ask());
  catch_up_.OnNoAnswer();
  ASSERT_TRUE(catch_up_.wants_to_ask());
  catch_up_.Asked();
  EXPECT_FALSE(At(40, 40));
  catch_up_.OnAnswer(term_, 43);
  EXPECT_FALSE(At(40, 40));
  EXPECT_TRUE(At(43, 43));
  EXPECT_FALSE(catch_up_.wants_to_ask());
}

TEST_F(CatchUpTest, AnAnswerOfAnEarlierTermIsNone) {
  Heartbeat(40);
  catch_up_.Asked();
  term_ = 6;
  Heartbeat(40);
  EXPECT_TRUE(catch_up_.wants_to_ask());
  catch_up_.Asked();
  catch_up_.OnAnswer(5, 40);
  EXPECT_FALSE(At(40, 40));
  catch_up_.Asked();
  catch_up_.OnAnswer(6, 40);
  EXPECT_TRUE(At(40, 40));
}

TEST_F(CatchUpTest, ASnapshotIsNotTheEnd) {
  Learn(100);
  ASSERT_TRUE(At(100, 100));
  Offer(500);
  EXPECT_FALSE(At(100, 100));
  // The offer comes again until the snapshot is there.
  for (int i = 0; i < 20; ++i) {
    Offer(500);
    Heartbeat(100);
    EXPECT_FALSE(At(100, 100));
  }
  EXPECT_FALSE(At(500, 500));
  Learn(530);
  EXPECT_FALSE(At(500, 500));
  EXPECT_FALSE(At(529, 529));
  EXPECT_TRUE(At(530, 530));
}

TEST_F(CatchUpTest, NothingComesBehindASnapshotOfEverything) {
  Offer(500);
  EXPECT_FALSE(At(500, 500));
  Heartbeat(500);
  ASSERT_TRUE(catch_up_.wants_to_ask());
  catch_up_.Asked();
  catch_up_.OnAnswer(term_, 500);
  EXPECT_TRUE(At(500, 500));
}

TEST_F(CatchUpTest, PausedWithNothingPendingIsWellAndWithSomethingIsNot) {
  Learn(100);
  ASSERT_TRUE(At(100, 100));
  EXPECT_TRUE(At(100, 100, /*paused=*/true));
  Append(101);
  EXPECT_FALSE(At(101, 100, true));
  EXPECT_FALSE(At(101, 100));
  EXPECT_TRUE(At(101, 101));
}

// Messages that came meanwhile are lost, however many.
TEST_F(CatchUpTest, WhoLostItsLeaderKnowsNothing) {
  Learn(100);
  ASSERT_TRUE(At(100, 100));
  catch_up_.Look(
      {.term = 5, .commit = 100, .commit_term = 5, .applied = 100, .leader_known = false});
  EXPECT_FALSE(catch_up_.caught_up());
  Heartbeat(100);
  EXPECT_FALSE(At(100, 100));
  Learn(104);
  EXPECT_FALSE(At(100, 100));
  EXPECT_TRUE(At(104, 104));
}

// Its commit index may be behind that of the leader before.
TEST_F(CatchUpTest, ALeaderIsBelievedWhenItHasCommittedAnEntryOfItsTerm) {
  Learn(30);
  catch_up_.Look({.term = 5, .commit = 30, .commit_term = 4, .applied = 30});
  EXPECT_FALSE(catch_up_.caught_up());
  Append(31);
  catch_up_.Look({.term = 5, .commit = 31, .commit_term = 5, .applied = 31});
  EXPECT_TRUE(catch_up_.caught_up());
}

// What a leader of an earlier term said may be gone, after an unsafe recovery.
TEST_F(CatchUpTest, AnEarlierTermBindsNobody) {
  Append(900);
  EXPECT_FALSE(At(20, 20));
  term_ = 6;
  EXPECT_FALSE(At(20, 20));
  EXPECT_EQ(catch_up_.committed(), 20u);
  Learn(21);
  EXPECT_TRUE(At(21, 21));
  EXPECT_EQ(catch_up_.committed(), 21u);
  term_ = 5;
  Append(900);
  term_ = 6;
  EXPECT_TRUE(At(21, 21));
}

TEST_F(CatchUpTest, ALeaderKnows) {
  catch_up_.Look({.term = 5, .commit = 9, .commit_term = 5, .applied = 8, .leads = true});
  EXPECT_FALSE(catch_up_.caught_up());
  catch_up_.Look({.term = 5, .commit = 9, .commit_term = 5, .applied = 9, .leads = true});
  EXPECT_TRUE(catch_up_.caught_up());
}

}  // namespace
}  // namespace cairn
