#include "raft/repair/torn_gift.h"

#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "tests/raft/records.h"

namespace cairn {
namespace {

// Entries 4 to 7, of terms 2 and 3, may be torn behind entry 3.
class TornGiftTest : public testing::Test {
 protected:
  TornGiftTest() { Want(2, 11); }

  void Want(uint64_t holder, uint64_t request) {
    gift_.Want({.to = NodeId{holder}, .request = request, .first = 4, .runs = {{2, 5}, {3, 7}}},
               before_);
  }
  // As Request says.
  std::vector<EntryRange> Wanted() const {
    const std::optional<EntryRequest> request = gift_.Request();
    return request ? request->wanted : std::vector<EntryRange>();
  }
  bool Takes(Index first, Index last) {
    const absl::StatusOr<bool> taken = gift_.Take({entries_.Slice(first, last)});
    EXPECT_TRUE(taken.ok()) << taken.status();
    return taken.value_or(false);
  }

  const EntryHash before_ = MakeRun({}, {}, {1, 1, 1}).last_hash();
  const RecordRun entries_ = MakeRun({3, 1}, before_, {2, 2, 3, 3, 3});
  TornGift gift_;
};

TEST_F(TornGiftTest, PartsBecomeAWhole) {
  EXPECT_EQ(Wanted(), (std::vector<EntryRange>{{4, 5, 2}, {6, 7, 3}}));
  EXPECT_TRUE(Takes(4, 4));
  EXPECT_FALSE(gift_.whole());
  EXPECT_EQ(Wanted(), (std::vector<EntryRange>{{5, 5, 2}, {6, 7, 3}}));
  EXPECT_FALSE(Takes(6, 7)) << "one is missing";
  EXPECT_TRUE(Takes(4, 6));
  EXPECT_EQ(Wanted(), (std::vector<EntryRange>{{7, 7, 3}}));
  EXPECT_TRUE(Takes(7, 8));
  EXPECT_TRUE(gift_.whole());
  EXPECT_FALSE(gift_.Request().has_value());
  EXPECT_FALSE(Takes(7, 8));
  EXPECT_EQ(gift_.last_hash(), entries_.At(7).hash());
  const TornEntriesGiven given = gift_.Given({3, 1});
  EXPECT_EQ(given.from, NodeId{2});
  EXPECT_EQ(given.request, 11u);
  EXPECT_EQ(given.runs, (std::vector<TermRun>{{2, 5}, {3, 7}}));
  Index next = 4;
  for (const RecordRun& part : gift_.parts()) {
    EXPECT_EQ(part.first().index, next);
    EXPECT_EQ(part.first().term, part.last().term);
    next = part.last().index + 1;
  }
  EXPECT_EQ(next, 8u);
}

TEST_F(TornGiftTest, WhatHasComeStaysWhoeverIsAskedNext) {
  EXPECT_TRUE(Takes(4, 5));
  Want(3, 12);
  EXPECT_EQ(gift_.holder(), NodeId{3});
  EXPECT_EQ(Wanted(), (std::vector<EntryRange>{{6, 7, 3}}));
  EXPECT_TRUE(gift_.Awaits(NodeId{3}, {.request = 12}));
  EXPECT_TRUE(gift_.Awaits(NodeId{2}, {.request = 11})) << "late";
  EXPECT_FALSE(gift_.Awaits(NodeId{3}, {.request = 11}));
  EXPECT_FALSE(gift_.Awaits(NodeId{3}, {.request = 13}));
}

TEST_F(TornGiftTest, BehindAnotherEntryAllIsAskedForAgain) {
  EXPECT_TRUE(Takes(4, 7));
  gift_.Want({.to = NodeId{2}, .request = 12, .first = 4, .runs = {{2, 5}, {3, 7}}}, EntryHash{});
  EXPECT_FALSE(gift_.whole());
  Want(2, 13);
  EXPECT_TRUE(Takes(4, 7));
  gift_.Want({.to = NodeId{2}, .request = 14, .first = 4, .runs = {{2, 6}}}, before_);
  EXPECT_FALSE(gift_.whole());
  EXPECT_TRUE(gift_.parts().empty());
}

// Fewer are claimed than before.
TEST_F(TornGiftTest, MoreThanIsWantedIsNotKept) {
  EXPECT_TRUE(Takes(4, 7));
  gift_.Want({.to = NodeId{2}, .request = 12, .first = 4, .runs = {{2, 5}}}, before_);
  EXPECT_FALSE(gift_.whole());
}

TEST_F(TornGiftTest, OtherEntriesAreRefused) {
  const RecordRun other = MakeRun({3, 1}, EntryHash{}, {2, 2});
  EXPECT_EQ(gift_.Take({other}).status().code(), absl::StatusCode::kFailedPrecondition);
  const RecordRun of_another_term = MakeRun({3, 1}, before_, {2, 3});
  EXPECT_EQ(gift_.Take({of_another_term}).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(Takes(5, 7)) << "entry 4 was the right one";
  EXPECT_FALSE(gift_.Take({}).value());
}

// The hash of an entry says what stands before it: of two parts that do not fit either may be
// wrong.
TEST_F(TornGiftTest, APartOfAnotherLogDoesNotStayForEver) {
  const RecordRun other = MakeRun({3, 1}, before_, {2, 2}, "another command ");
  EXPECT_TRUE(gift_.Take({other}).value_or(false));
  EXPECT_EQ(gift_.Take({entries_.Slice(6, 7)}).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(Takes(4, 7));
  EXPECT_TRUE(gift_.whole());
}

TEST_F(TornGiftTest, LateAnswersToTheLastFewQuestionsCount) {
  for (uint64_t request = 12; request <= 18; ++request) Want(2, request);
  EXPECT_TRUE(gift_.Awaits(NodeId{2}, {.request = 11}));
  Want(2, 19);
  EXPECT_FALSE(gift_.Awaits(NodeId{2}, {.request = 11}));
  EXPECT_TRUE(gift_.Awaits(NodeId{2}, {.request = 12}));
}

}  // namespace
}  // namespace cairn
