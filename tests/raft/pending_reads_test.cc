#include "raft/pending_reads.h"

#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace cairn {
namespace {

using Strings = std::vector<std::string>;

constexpr Instant kNow{1'000'000'000};

class PendingReadsTest : public ::testing::Test {
 protected:
  std::vector<ReadRequest> Requests(const std::vector<std::string>& names,
                                    std::optional<Instant> deadline = std::nullopt) {
    std::vector<ReadRequest> requests;
    for (const std::string& name : names) {
      EXPECT_TRUE(budget_.Take(0));
      ReadRequest request;
      request.deadline = deadline;
      request.budget = &budget_;
      request.done = [this, name](const ReadResult& result) {
        const auto* ready = std::get_if<ReadReady>(&result);
        heard_.push_back(name + ": " +
                         (ready == nullptr ? NameOf(std::get<ReadRefused>(result).reason)
                                           : std::to_string(ready->index)));
      };
      requests.push_back(std::move(request));
    }
    return requests;
  }
  Strings Heard() { return std::exchange(heard_, {}); }

  CallBudget budget_{100};
  PendingReads reads_;
  Strings heard_;
};

TEST_F(PendingReadsTest, WaitForTheirIndexToBeApplied) {
  reads_.Ask(kNow, Requests({"a", "b"}));
  reads_.Ask(kNow, Requests({"c"}));
  reads_.Applied(100);
  EXPECT_EQ(Heard(), Strings{});
  reads_.Ready(1, 7);
  reads_.Ready(2, 5);
  reads_.Applied(4);
  EXPECT_EQ(Heard(), Strings{});
  reads_.Applied(5);
  EXPECT_EQ(Heard(), Strings{"c: 5"});
  reads_.Applied(9);
  EXPECT_EQ(Heard(), (Strings{"a: 7", "b: 7"}));
  EXPECT_TRUE(reads_.empty());
  EXPECT_EQ(budget_.calls(), 0u);
}

TEST_F(PendingReadsTest, AreRefusedTogether) {
  reads_.Ask(kNow, Requests({"a", "b"}));
  reads_.Refuse(1, {ReadRefused::Reason::kNoLeader, NodeId::kNone});
  EXPECT_EQ(Heard(), (Strings{"a: NO_LEADER", "b: NO_LEADER"}));
  reads_.Refuse(1, {ReadRefused::Reason::kNoLeader, NodeId::kNone});
  reads_.Ready(1, 5);
  EXPECT_TRUE(reads_.empty());
}

TEST_F(PendingReadsTest, ExpireWhereverTheyWait) {
  reads_.Ask(kNow, Requests({"a"}, kNow + Seconds(1)));
  reads_.Ask(kNow, Requests({"b"}, kNow + Seconds(2)));
  reads_.Ask(kNow, Requests({"c"}));
  reads_.Ready(2, 10);
  EXPECT_EQ(reads_.NextDeadline(), kNow + Seconds(1));
  reads_.Expire(kNow + Seconds(1));
  EXPECT_EQ(Heard(), Strings{"a: DEADLINE"});
  EXPECT_EQ(reads_.NextDeadline(), kNow + Seconds(2));
  reads_.Expire(kNow + Seconds(2));
  EXPECT_EQ(Heard(), Strings{"b: DEADLINE"});
  EXPECT_EQ(reads_.NextDeadline(), kDistantFuture);
  reads_.Ready(1, 5);  // the core's late answer
  reads_.Ready(3, 5);
  reads_.Applied(5);
  EXPECT_EQ(Heard(), Strings{"c: 5"});
}

TEST_F(PendingReadsTest, AreAllRefusedAtTheEnd) {
  reads_.Ask(kNow, Requests({"a"}));
  reads_.Ask(kNow, Requests({"b"}));
  reads_.Ready(2, 10);
  reads_.RefuseAll({ReadRefused::Reason::kStopping, NodeId::kNone});
  EXPECT_EQ(Heard(), (Strings{"a: STOPPING", "b: STOPPING"}));
  EXPECT_EQ(budget_.calls(), 0u);
}

}  // namespace
}  // namespace cairn
