#include "storage/rocksdb/verified_part.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/storage/log_twin.h"

namespace cairn {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr GroupId kGroup = GroupId::kDefault;
constexpr size_t kWalked = 3000;
constexpr Index kAll = ~Index{0} - 1;

class VerifiedPartTest : public testing::Test {
 protected:
  // Of some more than 1000 bytes.
  void Add(EntryType type = EntryType::kCommand, Index good = kAll) {
    part_.Add(twin_.Add(1, std::string(1000, 'a'), type));
    part_.Advance(kWalked, good);
  }
  void ExpectMark(Index index) {
    EXPECT_EQ(part_.mark(), index);
    if (index != 0) {
      EXPECT_EQ(part_.mark_hash(), twin_.HashAt(index));
    }
  }

  LogTwin twin_{kGroup};
  VerifiedPart part_;
};

TEST_F(VerifiedPartTest, TheMarkStaysBehindTheEnd) {
  for (int i = 0; i < 5; ++i) Add();
  ExpectMark(0);
  for (int i = 5; i < 8; ++i) Add();
  ExpectMark(3);
  Add();
  ExpectMark(6);
}

TEST_F(VerifiedPartTest, NoMarkPassesWhatIsNotGood) {
  for (int i = 0; i < 30; ++i) Add(EntryType::kCommand, /*good=*/4);
  ExpectMark(3);
  for (int i = 0; i < 3; ++i) Add();
  EXPECT_GT(part_.mark(), 4u);
}

TEST_F(VerifiedPartTest, ATruncationLowersIt) {
  for (int i = 0; i < 9; ++i) Add(EntryType::kConfiguration);
  ExpectMark(6);
  part_.TruncateTo(7, twin_.HashAt(7));
  twin_.TruncateFrom(8);
  ExpectMark(6);
  part_.TruncateTo(4, twin_.HashAt(4));
  twin_.TruncateFrom(5);
  ExpectMark(4);
  EXPECT_THAT(part_.ConfigurationsOfMark(), ElementsAre(1, 2, 3, 4));
  for (int i = 0; i < 2; ++i) Add();
  ExpectMark(4);
  for (int i = 0; i < 4; ++i) Add();
  ExpectMark(7);
  EXPECT_THAT(part_.ConfigurationsOfMark(), ElementsAre(1, 2, 3, 4));
}

TEST_F(VerifiedPartTest, WhatIsCutOffIsNotBehindTheMark) {
  for (int i = 0; i < 8; ++i) Add();
  ExpectMark(3);
  part_.TruncateTo(7, twin_.HashAt(7));
  twin_.TruncateFrom(8);
  Add();
  ExpectMark(3);
  for (int i = 0; i < 2; ++i) Add();
  ExpectMark(6);
}

TEST_F(VerifiedPartTest, ADroppedPrefixTakesItAway) {
  for (int i = 0; i < 9; ++i) Add(EntryType::kConfiguration);
  part_.DropPrefix(5, twin_.HashAt(5));
  ExpectMark(6);
  EXPECT_THAT(part_.ConfigurationsOfMark(), ElementsAre(6));
  part_.DropPrefix(6, twin_.HashAt(6));
  ExpectMark(0);
  EXPECT_THAT(part_.ConfigurationsOfMark(), IsEmpty());
  for (int i = 0; i < 6; ++i) Add();
  ExpectMark(12);
  EXPECT_THAT(part_.ConfigurationsOfMark(), ElementsAre(7, 8, 9));
}

TEST_F(VerifiedPartTest, AConfigurationThatIsRepairedIsNamed) {
  Add(EntryType::kConfiguration);
  const RecordRun unread = twin_.Add(1, "unread", EntryType::kConfiguration);
  for (int i = 0; i < 9; ++i) Add();
  part_.AddRepaired(unread);
  part_.AddRepaired(unread);
  EXPECT_THAT(part_.ConfigurationsOfMark(), ElementsAre(1, 2));
}

TEST_F(VerifiedPartTest, TheMarkNamesFewConfigurations) {
  for (int i = 0; i < 200; ++i) Add(EntryType::kConfiguration);
  EXPECT_GT(part_.mark(), 50u);
  EXPECT_LT(part_.mark(), 70u);
  part_.DropPrefix(180, twin_.HashAt(180));
  for (int i = 0; i < 9; ++i) Add();
  EXPECT_GT(part_.mark(), 180u);
}

}  // namespace
}  // namespace cairn
