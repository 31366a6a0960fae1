#include "raft/peers/successors.h"

#include <vector>

#include "gtest/gtest.h"

namespace cairn {
namespace {

constexpr NodeId kNode{4};
constexpr Incarnation kFirst{41};
constexpr Incarnation kSecond{42};
constexpr Incarnation kThird{43};

Introduction Of(Incarnation disk, const std::vector<Incarnation>& before, LogPosition at) {
  return {GroupId{1}, at, "somewhere:1", disk, before};
}

TEST(SuccessorsTest, WhoKnowsTheDiskBeforeIsBelieved) {
  Successors successors;
  EXPECT_FALSE(successors.Has(kNode, kFirst, kSecond, 0));
  EXPECT_TRUE(successors.Believe(kNode, kFirst, Of(kSecond, {kFirst}, {10, 3})));
  EXPECT_TRUE(successors.Has(kNode, kFirst, kSecond, 9));
  EXPECT_FALSE(successors.Has(kNode, kFirst, kSecond, 10)) << "this log says who is a member there";
  EXPECT_FALSE(successors.Has(kNode, kFirst, kThird, 9)) << "it spoke for itself only";
  EXPECT_FALSE(successors.Has(NodeId{5}, kFirst, kSecond, 9));
  EXPECT_FALSE(successors.Has(kNode, kThird, kSecond, 9)) << "this log knows another one";
  EXPECT_FALSE(successors.Has(kNode, kSecond, kSecond, 9)) << "it is the member";
}

// In however high a term: a wiped disk may lead a group of its own.
TEST(SuccessorsTest, NobodyElseIs) {
  Successors successors;
  const LogPosition far = {kMaxIndex, kMaxTerm};
  for (const std::vector<Incarnation>& before :
       {std::vector<Incarnation>{}, {kThird}, {kSecond, kThird}}) {
    EXPECT_FALSE(successors.Believe(kNode, kFirst, Of(kSecond, before, far)));
    EXPECT_FALSE(successors.Has(kNode, kFirst, kSecond, 0));
  }
  // An old disk that comes back: of those that came after it, it does not know.
  EXPECT_FALSE(successors.Believe(kNode, kSecond, Of(kFirst, {}, far)));
  EXPECT_FALSE(successors.Has(kNode, kSecond, kFirst, 0));
}

TEST(SuccessorsTest, WhereNoDiskIsKnownNobodyIsAnotherOne) {
  Successors successors;
  EXPECT_TRUE(successors.Believe(kNode, Incarnation::kUnknown, Of(kSecond, {}, {10, 3})));
  EXPECT_TRUE(successors.Believe(kNode, kSecond, Of(kSecond, {}, {10, 3})));
  EXPECT_TRUE(successors.Believe(kNode, kFirst, Of(Incarnation::kUnknown, {}, {10, 3})))
      << "an older version, or a member without a disk; where it is dialled may be news";
  EXPECT_TRUE(successors.Believe(kNode, kFirst, Of(Incarnation::kUnknown, {kFirst}, {10, 3})));
  EXPECT_FALSE(successors.Has(kNode, kFirst, Incarnation::kUnknown, 0));
  EXPECT_FALSE(successors.Has(kNode, kFirst, kSecond, 0));
}

TEST(SuccessorsTest, TheLatestCounts) {
  Successors successors;
  EXPECT_TRUE(successors.Believe(kNode, kFirst, Of(kSecond, {kFirst}, {10, 3})));
  EXPECT_TRUE(successors.Believe(kNode, kFirst, Of(kThird, {kFirst, kSecond}, {14, 3})));
  EXPECT_TRUE(successors.Believe(kNode, kFirst, Of(kSecond, {kFirst}, {12, 3})));
  EXPECT_TRUE(successors.Believe(kNode, kFirst, Of(kSecond, {kFirst}, {20, 2})));
  EXPECT_TRUE(successors.Has(kNode, kFirst, kThird, 13));
  EXPECT_TRUE(successors.Has(kNode, kSecond, kThird, 13));
  EXPECT_FALSE(successors.Has(kNode, kFirst, kSecond, 0)) << "it said that before";
  EXPECT_TRUE(successors.Believe(kNode, kFirst, Of(kSecond, {kFirst}, {13, 4})));
  EXPECT_TRUE(successors.Has(kNode, kFirst, kSecond, 12)) << "the others were never committed";
}

}  // namespace
}  // namespace cairn
