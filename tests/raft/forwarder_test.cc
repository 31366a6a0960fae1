#include "raft/forwarding/forwarder.h"

#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/raft/call_log.h"

namespace cairn {
namespace {

using Strings = std::vector<std::string>;

constexpr Instant kNow{1'000'000'000};
constexpr NodeId kLeader{3};
constexpr uint64_t kLife = 77;

class ForwarderTest : public ::testing::Test {
 protected:
  explicit ForwarderTest(Duration grace = {}) : forwarder_(Options(grace)) {
    forwarder_.SetLeader(kLeader, 5, kNow);
  }

  static Forwarder::Options Options(Duration grace) {
    Forwarder::Options options;
    options.grace = grace;
    options.frame_bytes = 1000;  // eight small commands
    options.timeout = Seconds(5);
    options.life = kLife;
    return options;
  }
  ProposeOptions Ordered() {
    ProposeOptions options;
    options.order = order_;
    return options;
  }
  void Forward(const std::string& name, size_t count, const ProposeOptions& options = {}) {
    forwarder_.Forward(kNow, log_.Request(name, count, options));
  }
  // "request: number of entries" of what is to be sent.
  Strings Sent(Instant now = kNow) {
    Strings sent;
    for (const Forwarder::Outgoing& out : forwarder_.TakeOutgoing(now)) {
      EXPECT_EQ(out.to, forwarder_.leader());
      EXPECT_EQ(out.forwarded.life, kLife);
      term_ = out.forwarded.term;
      sent.push_back(std::to_string(out.forwarded.request) + ": " +
                     std::to_string(out.forwarded.entries.size()));
    }
    return sent;
  }
  ForwardedResults Results(uint64_t request, size_t count, const ProposalResult& result) {
    ForwardedResults results;
    results.life = kLife;
    results.request = request;
    results.results.assign(count, result);
    return results;
  }
  static ProposalResult Applied() { return ProposalApplied{{9, 5}, Bytes::Copy("r"), false}; }
  static ProposalResult Refused(ProposalNotApplied::Reason reason) { return NotApplied(reason); }
  Strings Retries() {
    Strings names;
    for (ProposalRequest& request : forwarder_.TakeRetries()) {
      names.push_back(std::to_string(request.span.offset) + "+" +
                      std::to_string(request.entries.size()) + " try " +
                      std::to_string(request.tries));
      request.span.Answer(NotApplied(ProposalNotApplied::Reason::kStopping));
    }
    return names;
  }

  CallLog log_;
  Forwarder forwarder_;
  std::shared_ptr<ProposalOrder> order_ = std::make_shared<ProposalOrder>();
  Term term_ = 0;
};

TEST_F(ForwarderTest, PacksCommandsAndPassesResultsOn) {
  Forward("a", 1);
  Forward("b", 2);
  EXPECT_EQ(Sent(), Strings{"1: 3"});
  EXPECT_EQ(term_, 5u);
  EXPECT_EQ(Sent(), Strings{});
  forwarder_.Receive(kLeader, Results(1, 3, Applied()));
  EXPECT_EQ(log_.Take(),
            (Strings{"a[0]: applied 9/5 r", "b[0]: applied 9/5 r", "b[1]: applied 9/5 r"}));
  forwarder_.Receive(kLeader, Results(1, 3, Applied()));  // again: nobody waits
  EXPECT_TRUE(forwarder_.idle());
}

TEST_F(ForwarderTest, FramesAreBounded) {
  Forward("a", 20);
  EXPECT_EQ(Sent(), (Strings{"1: 8", "2: 8", "3: 4"}));
  Forward("huge", 1);
  EXPECT_EQ(Sent(), Strings{"4: 1"});
  for (uint64_t request : {2u, 1u, 3u}) {
    forwarder_.Receive(kLeader, Results(request, request == 3 ? 4 : 8, Applied()));
  }
  forwarder_.Receive(kLeader, Results(4, 1, Applied()));
  EXPECT_EQ(log_.Take().size(), 21u);
}

TEST_F(ForwarderTest, ResultsOfOthersAreIgnored) {
  Forward("a", 2);
  Sent();
  ForwardedResults other_life = Results(1, 2, Applied());
  other_life.life = kLife + 1;
  forwarder_.Receive(kLeader, other_life);
  forwarder_.Receive(NodeId{2}, Results(1, 2, Applied()));
  forwarder_.Receive(kLeader, Results(2, 2, Applied()));
  forwarder_.Receive(kLeader, Results(1, 1, Applied()));
  EXPECT_EQ(log_.Take(), Strings{});
  forwarder_.GiveUpAll("end");
}

TEST_F(ForwarderTest, ANewLeaderMakesWhatWasSentUnknown) {
  Forward("a", 1);
  Sent();
  Forward("b", 1);
  forwarder_.SetLeader(kLeader, 5);  // no news
  EXPECT_EQ(log_.Take(), Strings{});
  forwarder_.SetLeader(NodeId{2}, 6);
  EXPECT_EQ(log_.Take(), Strings{"a[0]: unknown 0/0"});
  EXPECT_EQ(Retries(), Strings{"0+1 try 0"});
}

TEST_F(ForwarderTest, ASilentLeaderIsWaitedForOnlySoLong) {
  ProposeOptions soon;
  soon.deadline = kNow + Seconds(1);
  Forward("a", 1, soon);
  Forward("b", 1);
  EXPECT_EQ(Sent(), Strings{"1: 2"});
  EXPECT_EQ(forwarder_.NextDeadline(), kNow + Seconds(1));
  forwarder_.Expire(kNow + Seconds(1));
  EXPECT_EQ(log_.Take(), Strings{"a[0]: unknown 0/0"});
  EXPECT_EQ(forwarder_.NextDeadline(), kNow + Seconds(5));
  forwarder_.Expire(kNow + Seconds(5));
  EXPECT_EQ(log_.Take(), Strings{"b[0]: unknown 0/0"});
  EXPECT_TRUE(forwarder_.idle());
  EXPECT_EQ(forwarder_.NextDeadline(), kDistantFuture);
  forwarder_.Receive(kLeader, Results(1, 2, Applied()));  // too late
}

TEST_F(ForwarderTest, AResultAfterOneDeadlineStillServesTheOthers) {
  ProposeOptions soon;
  soon.deadline = kNow + Seconds(1);
  Forward("a", 2, soon);
  Forward("b", 1);
  Sent();
  forwarder_.Expire(kNow + Seconds(1));
  forwarder_.Receive(kLeader, Results(1, 3, Applied()));
  EXPECT_EQ(log_.Take(),
            (Strings{"a[0]: unknown 0/0", "a[1]: unknown 0/0", "b[0]: applied 9/5 r"}));
}

TEST_F(ForwarderTest, OnlyWhatIsSurelyNotTakenIsTriedAgain) {
  Forward("a", 2);
  Sent();
  forwarder_.Receive(kLeader, Results(1, 2, Refused(ProposalNotApplied::Reason::kNotLeader)));
  EXPECT_EQ(log_.Take(), Strings{});
  EXPECT_EQ(Retries(), Strings{"0+2 try 1"});
  log_.Take();
  Forward("b", 1);
  Sent();
  forwarder_.Receive(kLeader, Results(2, 1, Refused(ProposalNotApplied::Reason::kOverloaded)));
  EXPECT_EQ(log_.Take(), Strings{"b[0]: OVERLOADED"});
  EXPECT_EQ(Retries(), Strings{});
}

TEST_F(ForwarderTest, TriesAreCounted) {
  ProposalRequest request = log_.Request("a", 1);
  for (int i = 0; i < 3; ++i) {
    forwarder_.Forward(kNow, std::move(request));
    Sent();
    forwarder_.Receive(kLeader, Results(static_cast<uint64_t>(i) + 1, 1,
                                        Refused(ProposalNotApplied::Reason::kNotLeader)));
    std::vector<ProposalRequest> retries = forwarder_.TakeRetries();
    ASSERT_EQ(retries.size(), 1u);
    request = std::move(retries[0]);
  }
  forwarder_.Forward(kNow, std::move(request));
  Sent();
  forwarder_.Receive(kLeader, Results(4, 1, Refused(ProposalNotApplied::Reason::kNotLeader)));
  EXPECT_EQ(log_.Take(), Strings{"a[0]: NOT_LEADER"});
}

TEST_F(ForwarderTest, AnOrderHasOneRequestUnderWay) {
  Forward("a", 10, Ordered());
  Forward("b", 1);
  EXPECT_EQ(Sent(), (Strings{"1: 8", "2: 1"}));
  Forward("c", 1, Ordered());  // goes with the rest of a
  EXPECT_EQ(Sent(), Strings{});
  forwarder_.Receive(kLeader, Results(1, 8, Applied()));
  EXPECT_EQ(Sent(), Strings{"3: 3"});
  forwarder_.Receive(kLeader, Results(3, 3, Applied()));
  forwarder_.Receive(kLeader, Results(2, 1, Applied()));
  EXPECT_EQ(log_.Take().size(), 12u);
  EXPECT_TRUE(forwarder_.idle());
}

TEST_F(ForwarderTest, NothingIsSentBehindARefusalOfItsOrder) {
  Forward("a", 10, Ordered());
  Sent();
  forwarder_.Receive(kLeader, Results(1, 8, Refused(ProposalNotApplied::Reason::kOverloaded)));
  EXPECT_EQ(Sent(), Strings{});
  Strings answers = log_.Take();
  ASSERT_EQ(answers.size(), 10u);
  EXPECT_EQ(answers[7], "a[7]: OVERLOADED");
  EXPECT_EQ(answers[8], "a[8]: ORDER_BROKEN");
}

TEST_F(ForwarderTest, WhatIsTriedAgainKeepsItsPlaceInTheOrder) {
  Forward("a", 10, Ordered());
  EXPECT_EQ(Sent(), Strings{"1: 8"});
  forwarder_.Receive(kLeader, Results(1, 8, Refused(ProposalNotApplied::Reason::kNotLeader)));
  EXPECT_EQ(Sent(), Strings{});
  std::vector<ProposalRequest> retries = forwarder_.TakeRetries();
  ASSERT_EQ(retries.size(), 2u);
  EXPECT_EQ(retries[0].span.offset, 0u);
  EXPECT_EQ(retries[0].entries.size(), 8u);
  EXPECT_EQ(retries[1].span.offset, 8u);
  for (ProposalRequest& retry : retries) forwarder_.Forward(kNow, std::move(retry));
  EXPECT_EQ(Sent(), Strings{"2: 8"});
  forwarder_.Receive(kLeader, Results(2, 8, Applied()));
  EXPECT_EQ(Sent(), Strings{"3: 2"});
  forwarder_.Receive(kLeader, Results(3, 2, Applied()));
  EXPECT_EQ(log_.Take().size(), 10u);
}

TEST_F(ForwarderTest, WhatExpiresBeforeItIsSentNeverLeaves) {
  ProposeOptions soon;
  soon.deadline = kNow + Seconds(1);
  Forward("a", 1, soon);
  Forward("b", 1);
  EXPECT_EQ(Sent(kNow + Seconds(1)), Strings{"1: 1"});
  EXPECT_EQ(log_.Take(), Strings{"a[0]: NOT_PROPOSED"});
  forwarder_.Receive(kLeader, Results(1, 1, Applied()));
  EXPECT_EQ(log_.Take(), Strings{"b[0]: applied 9/5 r"});
}

// With a grace: the leader that was asked may still say what became of it, after another one leads.
class ForwarderGraceTest : public ForwarderTest {
 protected:
  ForwarderGraceTest() : ForwarderTest(Milliseconds(200)) {}
};

TEST_F(ForwarderGraceTest, AFormerLeaderStillAnswers) {
  Forward("a", 1);
  Forward("b", 1, Ordered());
  EXPECT_EQ(Sent(), (Strings{"1: 1", "2: 1"}));
  forwarder_.SetLeader(NodeId{2}, 6, kNow);
  EXPECT_EQ(log_.Take(), Strings{});
  forwarder_.Receive(NodeId{2}, Results(1, 1, Applied()));
  EXPECT_EQ(log_.Take(), Strings{}) << "it was not asked";
  forwarder_.Receive(kLeader, Results(1, 1, Applied()));
  EXPECT_EQ(log_.Take(), Strings{"a[0]: applied 9/5 r"});
  forwarder_.Receive(kLeader, Results(2, 1, Refused(ProposalNotApplied::Reason::kNotLeader)));
  EXPECT_EQ(Retries(), Strings{"0+1 try 1"});
}

TEST_F(ForwarderGraceTest, WhatItNeverAnswersIsUnknown) {
  Forward("a", 1);
  Sent();
  forwarder_.SetLeader(NodeId::kNone, 6, kNow);
  EXPECT_EQ(forwarder_.NextDeadline(), kNow + Milliseconds(200));
  forwarder_.Expire(kNow + Milliseconds(199));
  EXPECT_EQ(log_.Take(), Strings{});
  forwarder_.Expire(kNow + Milliseconds(200));
  EXPECT_EQ(log_.Take(), Strings{"a[0]: unknown 0/0"});
  EXPECT_TRUE(forwarder_.idle());
}

TEST_F(ForwarderGraceTest, LaterOnesOfAnOrderWaitForTheFormerLeader) {
  Forward("a", 1, Ordered());
  EXPECT_EQ(Sent(), Strings{"1: 1"});
  Forward("b", 1, Ordered());
  forwarder_.SetLeader(NodeId::kNone, 6, kNow);
  EXPECT_TRUE(forwarder_.Busy(order_));
  Forward("c", 1, Ordered());
  EXPECT_EQ(Sent(), Strings{});
  EXPECT_EQ(Retries(), Strings{});
  forwarder_.Receive(kLeader, Results(1, 1, Refused(ProposalNotApplied::Reason::kNotLeader)));
  EXPECT_FALSE(forwarder_.Busy(order_));
  EXPECT_EQ(Retries(), (Strings{"0+1 try 1", "0+1 try 0", "0+1 try 0"})) << "a before b and c";
}

}  // namespace
}  // namespace cairn
