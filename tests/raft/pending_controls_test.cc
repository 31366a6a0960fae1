#include "raft/control/pending_controls.h"

#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace cairn {
namespace {

Instant At(int64_t milliseconds) { return Instant{} + Milliseconds(milliseconds); }

constexpr WallTime kWallNow = {77};

class PendingControlsTest : public testing::Test {
 protected:
  // Asks, and gives the number the core was told.
  uint64_t Ask(ControlRequest request, const std::string& name, Instant deadline = At(1000)) {
    ControlCall call(std::move(request), deadline, [this, name](auto result) {
      const auto* refused = std::get_if<ControlRefused>(&result);
      answers_.push_back(name + ": " + (refused != nullptr ? NameOf(refused->reason) : "done"));
    });
    auto event = controls_.Ask(std::move(call), kWallNow);
    if (!event) return 0;
    return std::visit(
        [](const auto& each) -> uint64_t {
          if constexpr (requires { each.request; }) return each.request;
          return 0;
        },
        *event);
  }

  std::vector<std::string> TakeAnswers() { return std::exchange(answers_, {}); }

  using Answers = std::vector<std::string>;
  PendingControls controls_;
  Answers answers_;
};

TEST_F(PendingControlsTest, AChangeIsDoneWhenItsEntryIsCommitted) {
  const uint64_t request = Ask(MembershipRequest{}, "change");
  controls_.Take({.request = request, .at = {7, 2}});
  EXPECT_EQ(TakeAnswers(), Answers());
  EXPECT_EQ(controls_.NextDeadline(), At(1000));
  controls_.Committed(6, [](Index) { return Term{2}; });
  EXPECT_EQ(TakeAnswers(), Answers());
  controls_.Committed(7, [](Index index) { return index == 7 ? Term{2} : Term{0}; });
  EXPECT_EQ(TakeAnswers(), Answers{"change: done"});
  EXPECT_EQ(controls_.NextDeadline(), kDistantFuture);
}

TEST_F(PendingControlsTest, AnotherEntryInItsPlaceIsNoSuccess) {
  controls_.Take({.request = Ask(MembershipRequest{}, "change"), .at = {7, 2}});
  controls_.Committed(9, [](Index) { return Term{3}; });
  EXPECT_EQ(TakeAnswers(), Answers{"change: unknown"});
}

TEST_F(PendingControlsTest, AChangeThatIsNotCommittedByTheDeadlineIsUnknown) {
  controls_.Take({.request = Ask(MembershipRequest{}, "change"), .at = {7, 2}});
  controls_.Expire(At(999));
  EXPECT_EQ(TakeAnswers(), Answers());
  controls_.Expire(At(1000));
  EXPECT_EQ(TakeAnswers(), Answers{"change: unknown"});
}

TEST_F(PendingControlsTest, OthersAreDoneWithTheOutcome) {
  controls_.Take({.request = Ask(TransferRequest{NodeId{2}}, "transfer"), .leader = NodeId{2}});
  controls_.Take({.request = Ask(StepDownRequest{}, "step down")});
  controls_.Take(
      {.request = Ask(CampaignRequest{}, "campaign"), .refusal = ControlRefusal::kNothingToDo});
  EXPECT_EQ(TakeAnswers(),
            (Answers{"transfer: done", "step down: done", "campaign: nothing to do"}));
}

TEST_F(PendingControlsTest, AnUnsafeRecoveryIsToldWithTheTimeOfDayAndDoneWithItsOutcome) {
  UnsafeRecoveryRequest request = {.evicted = {NodeId{2}, NodeId{3}}, .expiry = Seconds(9)};
  request.only_check = true;
  auto event = controls_.Ask(
      ControlCall(request, kDistantFuture,
                  [this](auto result) {
                    answers_.push_back(std::holds_alternative<ControlDone>(result) ? "done"
                                                                                   : "refused");
                  }),
      kWallNow);
  ASSERT_TRUE(event.has_value());
  const auto& recover = std::get<UnsafeRecover>(*event);
  EXPECT_EQ(recover.evicted, request.evicted);
  EXPECT_EQ(recover.quorum, 0u);
  EXPECT_EQ(recover.expiry, Seconds(9));
  EXPECT_EQ(recover.asked, kWallNow);
  EXPECT_TRUE(recover.only_check);
  controls_.Take({.request = recover.request});
  EXPECT_EQ(TakeAnswers(), Answers{"done"});
  const uint64_t refused = Ask(UnsafeRecoveryRequest{.evicted = {}, .quorum = 1}, "quorum");
  controls_.Take({.request = refused, .refusal = ControlRefusal::kNotLost});
  EXPECT_EQ(TakeAnswers(), Answers{"quorum: the majority is not lost"});
}

TEST_F(PendingControlsTest, UnknownAndRepeatedOutcomesAreIgnored) {
  const uint64_t request = Ask(StepDownRequest{}, "step down");
  controls_.Take({.request = request + 1});
  controls_.Take({.request = request});
  controls_.Take({.request = request});
  EXPECT_EQ(TakeAnswers(), Answers{"step down: done"});
}

TEST_F(PendingControlsTest, AnswersAllAtTheEnd) {
  controls_.Take({.request = Ask(MembershipRequest{}, "appended"), .at = {7, 2}});
  Ask(CancelRequest{}, "asked");
  controls_.RefuseAll(ControlRefused::Reason::kFenced, "storage failed");
  EXPECT_EQ(TakeAnswers(), (Answers{"asked: fenced", "appended: unknown"}));
}

TEST_F(PendingControlsTest, IsBounded) {
  for (int i = 0; i < 64; ++i) ASSERT_NE(Ask(StepDownRequest{}, "kept"), 0u);
  EXPECT_EQ(Ask(StepDownRequest{}, "too many"), 0u);
  EXPECT_EQ(TakeAnswers(), Answers{"too many: overloaded"});
  controls_.RefuseAll(ControlRefused::Reason::kStopping, "");
}

TEST(ControlCallTest, IsAnsweredOnceAtTheLatestWhenItIsDropped) {
  int answers = 0;
  {
    ControlCall call(StepDownRequest{}, At(0), [&](ControlResult) { ++answers; });
    ControlCall moved(std::move(call));
    EXPECT_EQ(answers, 0);
  }
  EXPECT_EQ(answers, 1);
  {
    ControlCall call(StepDownRequest{}, At(0), [&](ControlResult) { ++answers; });
    call.Answer(ControlDone{});
    call.Answer(ControlDone{});
  }
  EXPECT_EQ(answers, 2);
}

}  // namespace
}  // namespace cairn
