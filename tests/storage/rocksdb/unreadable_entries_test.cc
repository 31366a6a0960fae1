#include "storage/rocksdb/unreadable_entries.h"

#include "gtest/gtest.h"

namespace cairn {
namespace {

TEST(UnreadableEntriesTest, MoreOfARangeThatIsKnown) {
  constexpr GroupId kOne{1};
  UnreadableEntries entries;
  EXPECT_TRUE(entries.Add(kOne, 5, 6));
  EXPECT_FALSE(entries.Add(kOne, 5, kMaxIndex));
  entries.Forget(kOne, 0, 1000);
  EXPECT_EQ(entries.First(kOne), 1001u);
}

TEST(UnreadableEntriesTest, TheFirstOfEachGroup) {
  constexpr GroupId kOne{1};
  constexpr GroupId kOther{2};
  UnreadableEntries entries;
  EXPECT_EQ(entries.First(kOne), ~Index{0});
  for (const Index index : {9, 5, 7}) EXPECT_TRUE(entries.Add(kOne, index, index));
  EXPECT_FALSE(entries.Add(kOne, 7, 7));
  EXPECT_TRUE(entries.Add(kOther, 3, 3));
  EXPECT_EQ(entries.First(kOne), 5u);
  entries.Forget(kOne, 0, 4);
  EXPECT_EQ(entries.First(kOne), 5u);
  entries.Forget(kOne, 4, 7);
  EXPECT_EQ(entries.First(kOne), 9u);
  entries.Forget(kOne, 9, ~Index{0});
  EXPECT_EQ(entries.First(kOne), ~Index{0});
  entries.Forget(kOne, 1, 2);
  EXPECT_EQ(entries.First(kOther), 3u);
  entries.ForgetGroup(kOther);
  EXPECT_EQ(entries.First(kOther), ~Index{0});
}

}  // namespace
}  // namespace cairn
