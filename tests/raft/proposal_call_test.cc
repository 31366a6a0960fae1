#include "raft/proposal_call.h"

#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace cairn {
namespace {

ProposalResult Applied(Index index) { return ProposalApplied{{index, 1}, Bytes(), false}; }
ProposalResult Refused() { return NotApplied(ProposalNotApplied::Reason::kOverloaded); }

TEST(ProposalCallTest, ASingleCallIsAnsweredOnceAndReleasesItsBytes) {
  CallBudget budget(100);
  ASSERT_TRUE(budget.Take(60));
  int answers = 0;
  ProposalCall call(
      [&](const ProposalResult& result) {
        ++answers;
        EXPECT_EQ(std::get<ProposalApplied>(result).at.index, 5u);
      },
      ProposeOptions(), &budget, 60);
  EXPECT_EQ(budget.bytes(), 60u);
  std::vector<ProposalResult> results = {Applied(5)};
  call.Answer(0, absl::MakeSpan(results));
  EXPECT_EQ(answers, 1);
  EXPECT_EQ(budget.bytes(), 0u);
  EXPECT_EQ(budget.calls(), 0u);
}

TEST(ProposalCallTest, ABatchGetsItsAnswersInPieces) {
  CallBudget budget(100);
  ASSERT_TRUE(budget.Take(60));
  std::vector<std::string> heard;
  ProposalCall call(
      [&](size_t first, std::vector<ProposalResult> results) {
        heard.push_back(std::to_string(first) + "+" + std::to_string(results.size()));
      },
      5, ProposeOptions(), &budget, 60);
  std::vector<ProposalResult> results = {Applied(8), Applied(9)};
  call.Answer(3, absl::MakeSpan(results));
  EXPECT_EQ(budget.bytes(), 60u);
  call.AnswerAll(0, 3, Refused());
  EXPECT_EQ(heard, (std::vector<std::string>{"3+2", "0+3"}));
  EXPECT_EQ(budget.bytes(), 0u);
}

TEST(ProposalCallTest, AnythingButAppliedBreaksTheOrder) {
  for (const ProposalResult& result : {Applied(1), Refused(), ProposalResult(ProposalUnknown{})}) {
    ProposeOptions options;
    options.order = std::make_shared<ProposalOrder>();
    ProposalCall call([](const ProposalResult&) {}, options, nullptr, 0);
    EXPECT_FALSE(call.order_broken());
    call.AnswerAll(0, 1, result);
    EXPECT_EQ(options.order->broken, !std::holds_alternative<ProposalApplied>(result));
  }
}

TEST(ProposalCallTest, ACallWithoutAnswerIsABug) {
  EXPECT_DEATH(ProposalCall([](const ProposalResult&) {}, ProposeOptions(), nullptr, 0),
               "a call without its answer");
}

// The program's function is never called by two threads at a time, and hears of every entry once.
TEST(ProposalCallTest, PiecesFromManyThreads) {
  constexpr size_t kThreads = 4;
  constexpr size_t kEach = 500;
  std::atomic<int> inside = 0;
  std::set<size_t> heard;
  ProposalCall call(
      [&](size_t first, const std::vector<ProposalResult>& results) {
        EXPECT_EQ(inside.fetch_add(1), 0);
        for (size_t i = 0; i < results.size(); ++i) EXPECT_TRUE(heard.insert(first + i).second);
        inside.fetch_sub(1);
      },
      kThreads * kEach, ProposeOptions(), nullptr, 0);
  std::vector<std::thread> threads;
  for (size_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (size_t i = 0; i < kEach; ++i) call.AnswerAll(thread * kEach + i, 1, Refused());
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(heard.size(), kThreads * kEach);
}

}  // namespace
}  // namespace cairn
