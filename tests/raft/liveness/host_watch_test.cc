#include "raft/liveness/host_watch.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/random.h"
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
  void Ask(uint64_t question, Duration patience) {
    watch_.Receive(
        now_, kPeer,
        {.question = question, .reply_wanted = true, .life = kLife, .patience = patience}, kOurs);
  }
  // "to 2: answer 9"
  std::string Said() {
    std::vector<std::string> all;
    for (const HostWatch::Outgoing& out : watch_.TakeOutgoing()) {
      all.push_back(absl::StrCat("to ", ToInteger(out.to), ": ",
                                 out.heartbeat.reply_wanted ? "question " : "answer ",
                                 out.heartbeat.question));
    }
    return absl::StrJoin(all, ", ");
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

// A question of who waits for its answer, which goes with the next question, as the second one.
TEST_F(HostWatchTest, AnAnswerGoesWithTheNextQuestion) {
  Rest(1, 2, kLife);
  Run(Milliseconds(50), {2});
  EXPECT_EQ(last_.heartbeat.patience, kTiming.heartbeat_interval);
  EXPECT_EQ(last_.heartbeat.answered, 0u);
  Ask(41, Milliseconds(100));
  Ask(42, Milliseconds(100));
  EXPECT_TRUE(watch_.TakeOutgoing().empty());
  Run(Milliseconds(100), {2});
  EXPECT_TRUE(last_.heartbeat.reply_wanted);
  EXPECT_EQ(last_.heartbeat.answered, 42u);
  Run(Milliseconds(100), {2});
  EXPECT_EQ(last_.heartbeat.answered, 0u) << "once";
}

TEST_F(HostWatchTest, WhoCannotWaitIsAnsweredAtOnce) {
  Rest(1, 2, kLife);
  Run(Milliseconds(50), {2});
  // An earlier version; and one that would wait for less than it takes until the next question.
  for (const Duration patience : {Duration{}, Milliseconds(49)}) {
    Ask(43, patience);
    EXPECT_EQ(Said(), "to 2: answer 43");
  }
  // It has another life now than the one it told.
  watch_.Receive(now_, kPeer,
                 {.question = 44, .reply_wanted = true, .life = kLife, .patience = Seconds(1)},
                 kOurs + 1);
  EXPECT_EQ(Said(), "to 2: answer 44");
  // Nobody is about to be asked.
  watch_.Awake(kGroup);
  Ask(45, Seconds(1));
  EXPECT_EQ(Said(), "to 2: answer 45");
}

TEST_F(HostWatchTest, WhatIsOwedGoesWhenNothingIsAskedAnyMore) {
  Rest(1, 2, kLife);
  Run(Milliseconds(50), {2});
  Ask(46, Milliseconds(100));
  EXPECT_EQ(Said(), "");
  watch_.Awake(kGroup);
  EXPECT_EQ(Said(), "to 2: answer 46");
}

// The answer in a question counts as any other.
TEST_F(HostWatchTest, AnAnswerWithAQuestionCounts) {
  Rest(1, 2, kLife);
  for (int i = 0; i < 30; ++i) {
    Run(Milliseconds(100), {});
    watch_.Receive(now_, kPeer,
                   {.question = 1,
                    .reply_wanted = true,
                    .life = kLife,
                    .patience = Milliseconds(100),
                    .answered = last_.heartbeat.question},
                   kOurs);
  }
  EXPECT_EQ(Lost(), "");
  watch_.Receive(now_, kPeer,
                 {.question = 1, .reply_wanted = true, .life = kLife / 2, .answered = 7}, kOurs);
  EXPECT_EQ(Lost(), "") << "never asked";
  Run(Milliseconds(100), {});
  watch_.Receive(now_, kPeer,
                 {.question = 1,
                  .reply_wanted = true,
                  .life = kLife / 2,
                  .answered = last_.heartbeat.question},
                 kOurs);
  EXPECT_EQ(Lost(), "group 1: restarted 2");
}

// There is time for two that are lost; with short timeouts for none that waits.
TEST_F(HostWatchTest, HowLongAnAnswerMayWait) {
  const std::vector<std::pair<int64_t, int64_t>> cases = {
      {1000, 100}, {600, 100}, {500, 50}, {400, 0}, {150, 0}};
  for (const auto& [timeout, patience] : cases) {
    watch_.Awake(kGroup);
    Rest(1, 2, kLife, {Milliseconds(100), Milliseconds(timeout)});
    Run(Duration{}, {2});
    EXPECT_EQ(last_.heartbeat.patience, Milliseconds(patience)) << timeout;
  }
}

// Two hosts that rely on each other, with a network between them that delays and loses.
class TwoHosts {
 public:
  explicit TwoHosts(uint64_t seed, HostWatch::Timing timing) : random_(seed), timing_(timing) {}

  void Rest(uint64_t node) {
    watches_[node].Rests(kGroup, {{NodeId{3 - node}, LifeOf(3 - node)}}, timing_, now_);
  }
  // `lost` in a hundred, none that wait longer than `delay`.
  void Run(Duration duration, Duration delay, uint64_t lost, std::set<uint64_t> alive = {1, 2}) {
    const Instant end = now_ + duration;
    while (true) {
      Instant next = under_way_.empty() ? kDistantFuture : under_way_.begin()->first;
      for (const uint64_t node : alive) next = std::min(next, watches_[node].NextWakeup());
      if (next > end) break;
      now_ = std::max(now_, next);
      if (!under_way_.empty() && under_way_.begin()->first <= now_) {
        const auto [to, heartbeat] = under_way_.begin()->second;
        under_way_.erase(under_way_.begin());
        if (alive.contains(to)) {
          watches_[to].Receive(now_, NodeId{3 - to}, heartbeat, LifeOf(to));
        }
      }
      for (const uint64_t node : alive) {
        if (watches_[node].NextWakeup() <= now_) watches_[node].Tick(now_, LifeOf(node));
        for (const HostWatch::Outgoing& out : watches_[node].TakeOutgoing()) {
          ++messages;
          if (random_.Below(100) < lost) continue;
          const Duration wait = Nanoseconds(
              static_cast<int64_t>(random_.Below(static_cast<uint64_t>(delay.nanoseconds) + 1)));
          under_way_.emplace(now_ + wait, std::pair(ToInteger(out.to), out.heartbeat));
        }
      }
    }
    now_ = end;
  }
  size_t resting() const { return watches_[1].resting() + watches_[2].resting(); }

  int messages = 0;

 private:
  static HostLife LifeOf(uint64_t node) { return node * 1'000'000; }

  Random random_;
  const HostWatch::Timing timing_;
  std::array<HostWatch, 3> watches_ = {HostWatch(1), HostWatch(1000), HostWatch(5000)};
  std::multimap<Instant, std::pair<uint64_t, HostHeartbeat>> under_way_;
  Instant now_{1'000'000'000};
};

TEST(TwoHostsTest, EachSaysOneThingAnInterval) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    TwoHosts hosts(seed, kTiming);
    hosts.Rest(1);
    hosts.Run(Milliseconds(static_cast<int64_t>(seed) * 7 % 100), Milliseconds(3), 0);
    hosts.Rest(2);
    hosts.messages = 0;
    hosts.Run(Seconds(60), Milliseconds(3), 0);
    EXPECT_EQ(hosts.resting(), 2u);
    EXPECT_NEAR(hosts.messages, 1200, 10);
  }
}

// As with answers that go at once: two in a row may be lost, or late, and a dead one is noticed.
TEST(TwoHostsTest, ALossyNetworkIsNoDeathAndADeathIsNoticed) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Random random(seed);
    const int64_t timeout = 450 + static_cast<int64_t>(random.Below(1000));
    TwoHosts hosts(seed, {Milliseconds(100), Milliseconds(timeout)});
    hosts.Rest(1);
    hosts.Run(Milliseconds(static_cast<int64_t>(random.Below(100))), Milliseconds(30), 0);
    hosts.Rest(2);
    hosts.Run(Seconds(20), Milliseconds(30), 1);
    EXPECT_EQ(hosts.resting(), 2u) << seed;
    hosts.Run(Milliseconds(timeout), Milliseconds(30), 0, {1});
    EXPECT_EQ(hosts.resting(), 1u) << seed;
  }
}

TEST_F(HostWatchTest, ALeaderRelyingOnTwoIsLostOnceWithTheFirst) {
  watch_.Rests(kGroup, {{NodeId{2}, kLife}, {NodeId{3}, kLife}}, kTiming, now_);
  Run(Milliseconds(1100), {3});
  EXPECT_EQ(Lost(), "group 1: silent 2");
  EXPECT_EQ(watch_.NextWakeup(), kDistantFuture);
}

}  // namespace
}  // namespace cairn
