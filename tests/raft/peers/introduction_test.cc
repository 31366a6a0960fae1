#include "raft/peers/introduction.h"

#include <string>

#include "gtest/gtest.h"

namespace cairn {
namespace {

Introduction By(LogPosition at) { return {GroupId{1}, at, "somewhere:1"}; }

// Fault catalogue 5.2, row 10: what this node knows itself it is not told by strangers.
TEST(IntroductionTest, OnlyWhatIsBehindTheKnownEntriesIsNews) {
  const LogPosition configuration = {5, 2};
  EXPECT_FALSE(MayBeNews(By({4, 1}), 9, configuration)) << "older than the configuration";
  EXPECT_FALSE(MayBeNews(By({5, 2}), 9, configuration)) << "that one does not name it";
  EXPECT_FALSE(MayBeNews(By({9, 2}), 9, configuration)) << "there is another entry";
  EXPECT_TRUE(MayBeNews(By({10, 2}), 9, configuration));
  EXPECT_FALSE(MayBeNews(By({10, 1}), 9, configuration)) << "terms do not fall";
  EXPECT_TRUE(MayBeNews(By({1, 1}), 0, {})) << "who knows nothing has to believe";
}

TEST(IntroductionTest, WhatNobodySaysIsInvalid) {
  EXPECT_TRUE(Validate(By({1, 1})).ok());
  EXPECT_TRUE(Validate(By({kMaxIndex, kMaxTerm})).ok());
  EXPECT_FALSE(Validate(By({0, 1})).ok());
  EXPECT_FALSE(Validate(By({1, 0})).ok());
  EXPECT_FALSE(Validate(By({kMaxIndex + 1, 1})).ok());
  EXPECT_FALSE(Validate(By({1, kMaxTerm + 1})).ok());
  EXPECT_FALSE(Validate({GroupId::kNone, {1, 1}, "somewhere:1"}).ok());
  EXPECT_FALSE(Validate({GroupId{1}, {1, 1}, ""}).ok());
  Introduction introduction = By({1, 1});
  introduction.disks_before.resize(kMaxDisksBefore);
  EXPECT_TRUE(Validate(introduction).ok());
  introduction.disks_before.resize(kMaxDisksBefore + 1);
  EXPECT_FALSE(Validate(introduction).ok());
  EXPECT_FALSE(Validate({GroupId{1}, {1, 1}, std::string(kMaxAddressBytes + 1, 'a')}).ok());
}

}  // namespace
}  // namespace cairn
