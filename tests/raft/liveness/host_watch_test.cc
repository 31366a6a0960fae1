#include "raft/liveness/host_watch.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

constexpr HostLife kOurs = 7;
constexpr HostLife kLife = 1'000'000'000'000;
constexpr HostWatch::Timing kTiming = {Milliseconds(100), Milliseconds(1000)};
constexpr GroupId kGroup{1};
constexpr NodeId kPeer{2};

class HostWatchTest : public ::testing::Test {
 protected:
  void Rest(uint64_t group, uint64_t peer, HostLife life, HostWatch::Timing timing = kTiming) {
    watch_.Rests(GroupId{group}, {{NodeId{peer}, life}}, timing, now_);
  }
  // Time passes, and the peers of `alive` answer at once, in life `life`.
  void Run(Duration duration, const std::vector<uint64_t>& alive, HostLife life = kLife) {
    const Instant end = now_ + duration;
    while (watch_.NextWakeup() <= end) {
      now_ = std::max(now_, watch_.NextWakeup());
      watch_.Tick(now_, kOurs);
      for (const HostWatch::Outgoing& out : watch_.TakeOutgoing()) {
        ++questions_;
        last_ = out;
        for (uint64_t peer : alive) {
          if (out.to == NodeId{peer}) Answer(out, life);
        }
      }
    }
    now_ = end;
  }
  void Answer(const HostWatch::Outgoing& question, HostLife life) {
    watch_.Receive(now_, question.to, {.question = question.heartbeat.question, .life = life},
                   kOurs);
  }
  // "group 1: silent 2"
  std::string Lost() {
    std::vector<std::string> all;
    for (const HostWatch::Lost& lost : watch_.TakeLost()) {
      const char* how = lost.host.how == HostLost::How::kSilent      ? "silent"
                        : lost.host.how == HostLost::How::kRestarted ? "restarted"
                                                                     : "doubtful";
      all.push_back(
          absl::StrCat("group ", ToInteger(lost.group), ": ", how, " ", ToInteger(lost.host.peer)));
    }
    return absl::StrJoin(all, ", ");
  }

  HostWatch watch_{500};
  Instant now_{1'000'000'000};
  int questions_ = 0;
  HostWatch::Outgoing last_;
};

TEST_F(HostWatchTest, ManyGroupsCostOneQuestionAnInterval) {
  for (uint64_t group = 1; group <= 1000; ++group) Rest(group, 2, kLife);
  Run(Seconds(10), {2});
  EXPECT_NEAR(questions_, 100, 2);
  EXPECT_EQ(Lost(), "");
  EXPECT_EQ(watch_.resting(), 1000u);
}

TEST_F(HostWatchTest, NothingIsAskedWhereNothingRests) {
  EXPECT_EQ(watch_.NextWakeup(), kDistantFuture);
  Rest(1, 2, kLife);
  Rest(2, 2, kLife);
  watch_.Awake(GroupId{1});
  EXPECT_NE(watch_.NextWakeup(), kDistantFuture);
  watch_.Awake(GroupId{2});
  EXPECT_EQ(watch_.NextWakeup(), kDistantFuture);
}

TEST_F(HostWatchTest, ASilentHostIsToldToItsGroupsWithinOneElectionTimeout) {
  Rest(1, 2, kLife);
  Rest(2, 2, kLife);
  Rest(3, 3, kLife);
  Run(Milliseconds(2050), {2, 3});
  Run(Milliseconds(900), {3});
  EXPECT_EQ(Lost(), "");
  Run(Milliseconds(100), {3});
  EXPECT_EQ(Lost(), "group 1: silent 2, group 2: silent 2");
  EXPECT_EQ(watch_.resting(), 1u);
}

TEST_F(HostWatchTest, TheShortestTimingCounts) {
  Rest(1, 2, kLife, {Milliseconds(100), Milliseconds(1000)});
  Rest(2, 2, kLife, {Milliseconds(20), Milliseconds(150)});
  Run(Milliseconds(160), {});
  EXPECT_EQ(Lost(), "group 1: silent 2, group 2: silent 2");
}

TEST_F(HostWatchTest, AnotherLifeIsARestartAndALittleLaterOneADoubt) {
  Rest(1, 2, kLife);
  Rest(2, 2, kLife + 3);
  Run(Milliseconds(250), {2}, kLife + 3);
  EXPECT_EQ(Lost(), "group 1: doubtful 2");
  Run(Milliseconds(250), {2}, kLife / 2);
  EXPECT_EQ(Lost(), "group 2: restarted 2");
}

// It knows of a later life than the answer that was on its way.
TEST_F(HostWatchTest, AnAnswerOlderThanTheRestMeansNothing) {
  Rest(1, 2, kLife);
  watch_.Tick(now_, kOurs);
  const HostWatch::Outgoing question = watch_.TakeOutgoing().at(0);
  now_ = now_ + Milliseconds(10);
  Rest(2, 2, kLife * 2);
  Rest(3, 2, kLife + 1);
  Answer(question, kLife);
  EXPECT_EQ(Lost(), "");
  // But the next one counts.
  Run(Milliseconds(250), {2}, kLife + 1);
  EXPECT_EQ(Lost(), "group 1: doubtful 2, group 2: restarted 2");
}

TEST_F(HostWatchTest, OnlyAnswersToOpenQuestionsCount) {
  Rest(1, 2, kLife);
  Run(Milliseconds(50), {2});
  for (int i = 0; i < 20; ++i) {
    Run(Milliseconds(100), {});
    // The same answer once more, one to a question never asked, and one of somebody else.
    watch_.Receive(now_, kPeer, {.question = 501, .life = kLife}, kOurs);
    watch_.Receive(now_, kPeer, {.question = 77, .life = kLife * 2}, kOurs);
    watch_.Receive(now_, NodeId{9}, {.question = 502, .life = kLife}, kOurs);
  }
  EXPECT_EQ(Lost(), "group 1: silent 2");
}

TEST_F(HostWatchTest, QuestionsAreAnsweredAlways) {
  watch_.Receive(now_, kPeer, {.question = 9, .reply_wanted = true, .life = kLife}, kOurs);
  const std::vector<HostWatch::Outgoing> out = watch_.TakeOutgoing();
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].to, kPeer);
  EXPECT_EQ(out[0].heartbeat.question, 9u);
  EXPECT_FALSE(out[0].heartbeat.reply_wanted);
  EXPECT_EQ(out[0].heartbeat.life, kOurs);
}

TEST_F(HostWatchTest, ALeaderRelyingOnTwoIsLostOnceWithTheFirst) {
  watch_.Rests(kGroup, {{NodeId{2}, kLife}, {NodeId{3}, kLife}}, kTiming, now_);
  Run(Milliseconds(1100), {3});
  EXPECT_EQ(Lost(), "group 1: silent 2");
  EXPECT_EQ(watch_.NextWakeup(), kDistantFuture);
}

}  // namespace
}  // namespace cairn
