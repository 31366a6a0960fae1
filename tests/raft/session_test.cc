#include "raft/session.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

using Verdict = SessionTable::Verdict;

TEST(SessionTableTest, ARetryGetsTheFirstAnswer) {
  SessionTable table(10);
  table.Open(5);
  EXPECT_EQ(table.Begin({6, 1}, {5, 1}, 77).verdict, Verdict::kApply);
  EXPECT_EQ(table.Begin({7, 1}, {5, 1}, 77).verdict, Verdict::kPending);
  table.SetAnswer({5, 1}, Bytes::Copy("first"));
  table.SetAnswer({5, 1}, Bytes::Copy("second"));  // only a pending call takes one
  SessionTable::Decision decision = table.Begin({8, 2}, {5, 1}, 77);
  EXPECT_EQ(decision.verdict, Verdict::kDuplicate);
  EXPECT_EQ(decision.answer.view(), "first");
  EXPECT_EQ(decision.first, (LogPosition{6, 1}));
}

TEST(SessionTableTest, RefusesWhatItDoesNotKnow) {
  SessionTable table(10);
  EXPECT_EQ(table.Begin({1, 1}, {5, 1}, 77).verdict, Verdict::kExpired);
  table.Open(5);
  EXPECT_EQ(table.Begin({6, 1}, {5, 0}, 77).verdict, Verdict::kNumberTooOld);
  EXPECT_EQ(table.Begin({6, 1}, {5, 1}, 77).verdict, Verdict::kApply);
  EXPECT_EQ(table.Begin({7, 1}, {5, 1}, 78).verdict, Verdict::kNumberReused);
  EXPECT_TRUE(table.Close(5));
  EXPECT_FALSE(table.Close(5));
  EXPECT_EQ(table.Begin({9, 1}, {5, 2}, 77).verdict, Verdict::kExpired);
  table.SetAnswer({5, 1}, Bytes());  // gone: nothing to remember
}

TEST(SessionTableTest, NumbersMayComeInAnyOrderWithinTheWindow) {
  SessionTable table(10);
  table.Open(1);
  EXPECT_EQ(table.Begin({2, 1}, {1, 3}, 0).verdict, Verdict::kApply);
  EXPECT_EQ(table.Begin({3, 1}, {1, 1}, 0).verdict, Verdict::kApply);
  EXPECT_EQ(table.Begin({4, 1}, {1, 2000}, 0).verdict, Verdict::kApply);
  EXPECT_EQ(table.Begin({5, 1}, {1, 3}, 0).verdict, Verdict::kNumberTooOld);
  EXPECT_EQ(table.Begin({6, 1}, {1, 2}, 0).verdict, Verdict::kNumberTooOld);
  EXPECT_EQ(table.Begin({7, 1}, {1, 2000 - 1024}, 0).verdict, Verdict::kNumberTooOld);
  EXPECT_EQ(table.Begin({8, 1}, {1, 2000 - 1023}, 0).verdict, Verdict::kApply);
  EXPECT_EQ(table.Begin({9, 1}, {1, kMaxIndex}, 0).verdict, Verdict::kApply);
}

TEST(SessionTableTest, CallsInOrderFollowTheirPredecessor) {
  SessionTable table(10);
  table.Open(1);
  EXPECT_EQ(table.Begin({2, 1}, {1, 2, true}, 0).verdict, Verdict::kGap);
  EXPECT_EQ(table.Begin({3, 1}, {1, 1, true}, 0).verdict, Verdict::kApply);
  EXPECT_EQ(table.Begin({4, 1}, {1, 3, true}, 0).verdict, Verdict::kGap);
  EXPECT_EQ(table.Begin({5, 1}, {1, 2, true}, 0).verdict, Verdict::kApply);
  EXPECT_EQ(table.Begin({6, 1}, {1, 3, true}, 0).verdict, Verdict::kApply);
  table.SetAnswer({1, 2}, Bytes::Copy("two"));
  EXPECT_EQ(table.Begin({7, 1}, {1, 2, true}, 0).verdict, Verdict::kDuplicate);
  EXPECT_EQ(table.Begin({8, 1}, {1, 6}, 0).verdict, Verdict::kApply);
  EXPECT_EQ(table.Begin({9, 1}, {1, 5, true}, 0).verdict, Verdict::kGap);
}

TEST(SessionTableTest, TheSessionUsedLongestAgoGivesWay) {
  SessionTable table(2);
  table.Open(1);
  table.Open(2);
  EXPECT_EQ(table.Begin({3, 1}, {1, 1}, 0).verdict, Verdict::kApply);
  table.Open(4);
  EXPECT_EQ(table.size(), 2u);
  EXPECT_EQ(table.Begin({5, 1}, {2, 1}, 0).verdict, Verdict::kExpired);
  EXPECT_EQ(table.Begin({6, 1}, {1, 2}, 0).verdict, Verdict::kApply);
}

TEST(SessionTableTest, AForgottenAnswerIsNotMadeUp) {
  SessionTable table(2);
  table.Open(1);
  EXPECT_EQ(table.Begin({3, 1}, {1, 1}, 9).verdict, Verdict::kApply);
  table.ForgetAnswer({1, 1});
  EXPECT_EQ(table.Begin({4, 1}, {1, 1}, 9).verdict, Verdict::kForgotten);
  EXPECT_EQ(table.Begin({5, 1}, {1, 1}, 8).verdict, Verdict::kNumberReused);
}

TEST(SessionTableTest, DamagedBytesAreNotTaken) {
  SessionTable table(3);
  table.Open(1);
  table.Open(2);
  table.Begin({3, 1}, {1, 2}, 9);
  table.SetAnswer({1, 2}, Bytes::Copy("answer"));
  std::string bytes = table.Encode();
  SessionTable other(3);
  for (size_t length = 0; length < bytes.size(); ++length) {
    ASSERT_TRUE(absl::IsDataLoss(other.Decode(bytes.substr(0, length)))) << length;
    ASSERT_EQ(other.size(), 0u);
  }
  EXPECT_TRUE(absl::IsDataLoss(other.Decode(bytes + "x")));
  SessionTable small(1);
  EXPECT_TRUE(absl::IsDataLoss(small.Decode(bytes)));
  ASSERT_TRUE(other.Decode(bytes).ok());
  EXPECT_EQ(other.Encode(), bytes);
  EXPECT_EQ(other.Begin({9, 1}, {1, 2}, 9).answer.view(), "answer");
}

// The same rules over plain lists of everything that ever happened.
class NaiveTable {
 public:
  explicit NaiveTable(size_t max_sessions) : max_sessions_(max_sessions) {}

  SessionTable::Decision Begin(LogPosition position, const SessionCall& call, uint64_t checksum) {
    auto session = sessions_.find(call.session);
    if (session == sessions_.end()) return {Verdict::kExpired, {}, {}};
    session->second.used = position.index;
    auto& calls = session->second.calls;
    uint64_t newest = calls.empty() ? 0 : calls.rbegin()->first;
    if (call.number + SessionTable::kWindow <= newest) return {Verdict::kNumberTooOld, {}, {}};
    auto known = calls.find(call.number);
    if (known != calls.end()) {
      if (known->second.checksum != checksum) return {Verdict::kNumberReused, {}, {}};
      return {Verdict::kDuplicate, known->second.position, known->second.answer};
    }
    if (call.in_order && call.number != newest + 1) return {Verdict::kGap, {}, {}};
    calls[call.number] = {position, checksum, {}};
    return {Verdict::kApply, position, {}};
  }
  void SetAnswer(const SessionCall& call, const Bytes& answer) {
    sessions_.at(call.session).calls.at(call.number).answer = answer;
  }
  void Open(Index index) {
    if (sessions_.size() >= max_sessions_) {
      auto oldest = std::min_element(
          sessions_.begin(), sessions_.end(),
          [](const auto& a, const auto& b) { return a.second.used < b.second.used; });
      sessions_.erase(oldest);
    }
    sessions_[index].used = index;
  }
  bool Close(uint64_t session) { return sessions_.erase(session) == 1; }

 private:
  struct Call {
    LogPosition position;
    uint64_t checksum = 0;
    Bytes answer;
  };
  struct Session {
    Index used = 0;
    std::map<uint64_t, Call> calls;
  };
  const size_t max_sessions_;
  std::map<uint64_t, Session> sessions_;
};

TEST(SessionTableTest, AgreesWithANaiveTable) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    size_t max_sessions = 1 + random.Below(6);
    auto table = std::make_unique<SessionTable>(max_sessions);
    SessionTable replica(max_sessions);  // hears of each entry, but is never replaced
    NaiveTable naive(max_sessions);
    std::vector<uint64_t> opened = {0};
    std::map<uint64_t, uint64_t> next;
    for (Index index = 1; index <= 4000; ++index) {
      uint64_t dice = random.Below(100);
      if (dice < 3) {
        table->Open(index);
        replica.Open(index);
        naive.Open(index);
        opened.push_back(index);
        continue;
      }
      uint64_t session =
          opened[opened.size() - 1 - random.Below(std::min<size_t>(opened.size(), 9))];
      if (dice < 4) {
        bool closed = naive.Close(session);
        ASSERT_EQ(table->Close(session), closed);
        ASSERT_EQ(replica.Close(session), closed);
        continue;
      }
      uint64_t& newest = next[session];
      uint64_t number = newest + 1;
      if (random.OneIn(3)) number = 1 + random.Below(newest + 1);  // a retry
      if (random.OneIn(50)) number = newest + random.Below(1500);  // a jump
      newest = std::max(newest, number);
      SessionCall call{session, std::max<uint64_t>(number, 1), random.OneIn(4)};
      uint64_t checksum = call.number * 3 + random.OneIn(30);
      LogPosition position{index, 1 + index / 1000};
      SessionTable::Decision expected = naive.Begin(position, call, checksum);
      SessionTable::Decision decision = table->Begin(position, call, checksum);
      ASSERT_EQ(decision.verdict, expected.verdict) << "entry " << index;
      ASSERT_EQ(decision.answer, expected.answer);
      if (expected.verdict == Verdict::kDuplicate) {
        ASSERT_EQ(decision.first, expected.first);
      }
      replica.Begin(position, call, checksum);
      if (decision.verdict == Verdict::kApply) {
        Bytes answer = Bytes::Copy("answer " + std::to_string(index));
        naive.SetAnswer(call, answer);
        table->SetAnswer(call, answer);
        replica.SetAnswer(call, answer);
      }
      if (random.OneIn(100)) {
        std::string bytes = table->Encode();
        ASSERT_EQ(bytes, replica.Encode());
        table = std::make_unique<SessionTable>(max_sessions);
        ASSERT_TRUE(table->Decode(bytes).ok());
      }
    }
  }
}

}  // namespace
}  // namespace cairn
