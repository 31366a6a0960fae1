// Following the committed log: on whole hosts, and the queue by itself.

#include "raft/tail/committed_tails.h"

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "gtest/gtest.h"
#include "tests/raft/lifecycle/life_cluster.h"

namespace cairn {
namespace {

constexpr GroupId kGroup{1};

std::string Text(const TailResult& result) {
  if (const auto* entries = std::get_if<TailEntries>(&result)) {
    return std::to_string(entries->runs.front().first().index) + ".." +
           std::to_string(entries->next - 1);
  }
  if (const auto* compacted = std::get_if<TailCompacted>(&result)) {
    return "from " + std::to_string(compacted->first_available);
  }
  return "refused " + std::to_string(static_cast<int>(std::get<TailRefused>(result).reason));
}

class CommittedTailsTest : public testing::Test {
 protected:
  CommittedTailsTest() {
    cluster_.options.compaction.snapshot_entries = 1'000'000;
    cluster_.options.compaction.retained_entries = 5;
    cluster_.OpenEverywhere(kGroup);
    leader_ = cluster_.Leader(kGroup);
    follower_ = cluster_.Follower(kGroup);
  }
  // Asks, and does not wait.
  void Ask(uint64_t node, Index first, size_t max_bytes, Duration patience = Seconds(5)) {
    answer_.reset();
    cluster_.At(node, kGroup)
        .Tail(first, max_bytes, cluster_.world.Now() + patience,
              [this](TailResult result) { answer_ = std::move(result); });
  }
  TailResult Tail(uint64_t node, Index first, size_t max_bytes, Duration patience = Seconds(5)) {
    Ask(node, first, max_bytes, patience);
    EXPECT_TRUE(cluster_.Await([&] { return answer_.has_value(); }));
    return *std::move(answer_);
  }

  LifeCluster cluster_;
  uint64_t leader_ = 0;
  uint64_t follower_ = 0;
  std::optional<TailResult> answer_;
};

// Every entry once and in order, on each member alike, in pieces of the asker's size.
TEST_F(CommittedTailsTest, FollowsTheLog) {
  cluster_.Fill(kGroup, 40);
  for (uint64_t node : {leader_, follower_}) {
    ASSERT_TRUE(cluster_.Await([&] {
      return cluster_.Status(node, kGroup).commit_index ==
             cluster_.Status(leader_, kGroup).last_index;
    }));
    std::string commands;
    Index next = 1;
    int pieces = 0;
    while (next <= cluster_.Status(leader_, kGroup).last_index) {
      const TailResult result = Tail(node, next, 700);
      const auto& entries = std::get<TailEntries>(result);
      size_t bytes = 0;
      for (const RecordRun& run : entries.runs) {
        bytes += run.byte_size();
        for (size_t i = 0; i < run.size(); ++i) {
          EXPECT_EQ(run[i].position().index, next++);
          if (run[i].type() != EntryType::kCommand) continue;
          commands += std::string(run[i].Payload(run.bytes()).view()) + ",";
        }
      }
      EXPECT_LE(bytes, 700u);
      EXPECT_EQ(entries.next, next);
      ++pieces;
    }
    EXPECT_EQ(commands, cluster_.View(leader_, kGroup).commands);
    EXPECT_GT(pieces, 5);
  }
}

TEST_F(CommittedTailsTest, WaitsForWhatIsCommittedAndNoLongerThanAsked) {
  const Index next = cluster_.Status(leader_, kGroup).last_index + 1;
  Ask(follower_, next, 1 << 20);
  cluster_.world.RunFor(Seconds(1));
  EXPECT_FALSE(answer_.has_value());
  // Appended and not committed is not there.
  cluster_.network.SetFilter([&](Envelope& envelope) { return envelope.from == NodeId{leader_}; });
  cluster_.At(leader_, kGroup).Propose("c", {}, [](ProposalResult) {});
  cluster_.world.RunFor(Milliseconds(300));
  EXPECT_FALSE(answer_.has_value());
  cluster_.network.SetFilter(nullptr);
  EXPECT_TRUE(cluster_.Await([&] { return answer_.has_value(); }));
  EXPECT_EQ(std::get<TailEntries>(*answer_).runs.front().first().index, next);
  const Index last = cluster_.Status(leader_, kGroup).last_index;
  EXPECT_EQ(Text(Tail(follower_, last + 1, 1, Milliseconds(200))), "refused 0");
}

// Who did not ask while the log was dropped learns where it goes on, and is fed from there.
TEST_F(CommittedTailsTest, ACompactedPlaceIsToldWithTheFirstThereIs) {
  cluster_.Fill(kGroup, 5);
  EXPECT_EQ(Text(Tail(leader_, 1, 1)), "1..1");
  cluster_.Fill(kGroup, 60);
  ASSERT_TRUE(cluster_.Snapshot(leader_, kGroup).ok());
  ASSERT_TRUE(cluster_.Await([&] { return cluster_.Status(leader_, kGroup).first_index > 40; }));
  const Index first = cluster_.Status(leader_, kGroup).first_index;
  EXPECT_EQ(Text(Tail(leader_, 2, 1 << 20)), "from " + std::to_string(first));
  EXPECT_EQ(Text(Tail(leader_, first, 1)), std::to_string(first) + ".." + std::to_string(first));
}

TEST_F(CommittedTailsTest, GoesOnWhileApplyingIsPausedAndEndsWithTheGroup) {
  ASSERT_TRUE(cluster_.Pause(follower_, kGroup).ok());
  const Index next = cluster_.Status(leader_, kGroup).last_index + 1;
  Ask(follower_, next, 1);
  cluster_.Fill(kGroup, 1);
  EXPECT_TRUE(cluster_.Await([&] { return answer_.has_value(); }));
  EXPECT_EQ(Text(*answer_), std::to_string(next) + ".." + std::to_string(next));
  Ask(follower_, next + 1, 1, Seconds(100));
  bool closed = false;
  cluster_.HostAt(follower_).Close(kGroup, Instant{}, [&](const absl::Status&) { closed = true; });
  EXPECT_TRUE(cluster_.Await([&] { return closed; }));
  ASSERT_TRUE(answer_.has_value());
  EXPECT_EQ(Text(*answer_), "refused 3");
  EXPECT_EQ(Text(Tail(follower_, next + 1, 1)), "refused 3");
}

TEST(CommittedTailsQueueTest, IsBoundedAndAnswersEverybodyOnce) {
  int answers = 0;
  int overloaded = 0;
  {
    CommittedTails tails;
    for (size_t i = 0; i < CommittedTails::kMaxWaiting + 3; ++i) {
      tails.Ask(TailRequest(i + 1, 1, Instant{i % 2 == 0 ? 100 : 300}, [&](TailResult result) {
        ++answers;
        const auto* refused = std::get_if<TailRefused>(&result);
        if (refused != nullptr && refused->reason == TailRefused::Reason::kOverloaded) ++overloaded;
      }));
    }
    EXPECT_EQ(overloaded, 3);
    EXPECT_EQ(tails.NextDeadline(), Instant{100});
    EXPECT_EQ(tails.TakeDue(10).size(), 10u);  // dropped: answered as stopping
    EXPECT_EQ(answers, 13);
    tails.Expire(Instant{200});
    EXPECT_EQ(answers, 13 + (1024 - 10) / 2);
    EXPECT_EQ(tails.NextDeadline(), Instant{300});
  }
  EXPECT_EQ(answers, 1024 + 3);
}

}  // namespace
}  // namespace cairn
