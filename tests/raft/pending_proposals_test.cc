#include "raft/pending_proposals.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/raft/call_log.h"

namespace cairn {
namespace {

using Strings = std::vector<std::string>;

constexpr Instant kNow{1'000'000'000};

class PendingProposalsTest : public ::testing::Test {
 protected:
  ProposeOptions Until(Instant deadline) {
    ProposeOptions options;
    options.deadline = deadline;
    return options;
  }
  // Answers what was taken, as the applier would.
  void Answer(std::vector<PlacedSpan> taken) {
    for (PlacedSpan& placed : taken) {
      std::vector<ProposalResult> results;
      for (size_t i = 0; i < placed.span.count; ++i) {
        results.push_back(ProposalApplied{{placed.first.index + i, placed.first.term}, {}, false});
      }
      placed.span.call->Answer(placed.span.offset, absl::MakeSpan(results));
    }
  }

  CallLog log_;
  PendingProposals pending_;
};

TEST_F(PendingProposalsTest, GivesOutWhatIsCommittedAndSplits) {
  pending_.Add({5, 2}, log_.Span("a", 1));
  pending_.Add({6, 2}, log_.Span("b", 4));
  EXPECT_TRUE(pending_.TakeUpTo(4).empty());
  Answer(pending_.TakeUpTo(7));
  EXPECT_EQ(log_.Take(), (Strings{"a[0]: applied 5/2", "b[0]: applied 6/2", "b[1]: applied 7/2"}));
  Answer(pending_.TakeUpTo(100));
  EXPECT_EQ(log_.Take(), (Strings{"b[2]: applied 8/2", "b[3]: applied 9/2"}));
  EXPECT_TRUE(pending_.empty());
  EXPECT_EQ(pending_.NextDeadline(), kDistantFuture);
}

TEST_F(PendingProposalsTest, DeadlinesMakeThemUnknown) {
  pending_.Add({5, 2}, log_.Span("a", 1, Until(kNow + Seconds(2))));
  pending_.Add({6, 2}, log_.Span("b", 1, Until(kNow + Seconds(1))));
  pending_.Add({7, 2}, log_.Span("c", 1));
  EXPECT_EQ(pending_.NextDeadline(), kNow + Seconds(1));
  pending_.Expire(kNow);
  EXPECT_EQ(log_.Take(), Strings{});
  pending_.Expire(kNow + Seconds(1));
  EXPECT_EQ(log_.Take(), Strings{"b[0]: unknown 6/2"});
  EXPECT_EQ(pending_.NextDeadline(), kNow + Seconds(2));
  pending_.Expire(kNow + Seconds(2));
  EXPECT_EQ(log_.Take(), Strings{"a[0]: unknown 5/2"});
  EXPECT_EQ(pending_.NextDeadline(), kDistantFuture);
  Answer(pending_.TakeUpTo(7));
  EXPECT_EQ(log_.Take(), Strings{"c[0]: applied 7/2"});
}

TEST_F(PendingProposalsTest, WithoutLeadershipTheyWaitAWhileAndTheirOrdersAreInDoubt) {
  ProposeOptions options;
  options.order = std::make_shared<ProposalOrder>();
  pending_.Add({5, 2}, log_.Span("a", 2, options));
  pending_.Add({7, 2}, log_.Span("b", 1));
  EXPECT_EQ(options.order->in_doubt, 0);
  pending_.LeadershipLost(kNow + Seconds(1));
  pending_.LeadershipLost(kNow + Seconds(2));
  EXPECT_EQ(options.order->in_doubt, 1);
  Answer(pending_.TakeUpTo(5));
  EXPECT_EQ(log_.Take(), Strings{"a[0]: applied 5/2"});
  EXPECT_EQ(options.order->in_doubt, 1) << "one half of it is not answered";
  Answer(pending_.TakeUpTo(6));
  EXPECT_EQ(log_.Take(), Strings{"a[1]: applied 6/2"});
  EXPECT_EQ(options.order->in_doubt, 0);
  EXPECT_FALSE(options.order->broken);
  pending_.Expire(kNow + Seconds(1));
  EXPECT_EQ(log_.Take(), Strings{"b[0]: unknown 7/2"});
}

TEST_F(PendingProposalsTest, AnOrderInDoubtBreaksWhenNobodyCanTell) {
  ProposeOptions options;
  options.order = std::make_shared<ProposalOrder>();
  pending_.Add({5, 2}, log_.Span("a", 1, options));
  pending_.LeadershipLost(kNow + Seconds(1));
  pending_.Expire(kNow + Seconds(1));
  EXPECT_EQ(log_.Take(), Strings{"a[0]: unknown 5/2"});
  EXPECT_TRUE(options.order->broken);
  EXPECT_EQ(options.order->in_doubt, 0);
}

TEST_F(PendingProposalsTest, PlacesGivenOutAgainMakeTheFormerUnknown) {
  pending_.Add({5, 2}, log_.Span("a", 1));
  pending_.Add({6, 2}, log_.Span("b", 3));
  pending_.Add({9, 2}, log_.Span("c", 1));
  pending_.LeadershipLost(kNow + Seconds(1));
  pending_.Add({7, 4}, log_.Span("d", 2));
  EXPECT_EQ(log_.Take(), (Strings{"c[0]: unknown 9/2", "b[1]: unknown 7/2", "b[2]: unknown 8/2"}));
  Answer(pending_.TakeUpTo(8));
  EXPECT_EQ(log_.Take(), (Strings{"a[0]: applied 5/2", "b[0]: applied 6/2", "d[0]: applied 7/4",
                                  "d[1]: applied 8/4"}));
}

TEST_F(PendingProposalsTest, GivesUpAll) {
  pending_.Add({5, 2}, log_.Span("a", 2, Until(kNow)));
  pending_.GiveUpAll("stopped");
  EXPECT_EQ(log_.Take(), (Strings{"a[0]: unknown 5/2", "a[1]: unknown 6/2"}));
  EXPECT_TRUE(pending_.empty());
  EXPECT_EQ(pending_.NextDeadline(), kDistantFuture);
}

}  // namespace
}  // namespace cairn
