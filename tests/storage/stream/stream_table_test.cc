#include "storage/stream/stream_table.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

StreamRow RowOf(uint64_t number) {
  StreamRow row;
  row.definition = std::make_shared<const std::string>(absl::StrCat("stream ", number));
  row.last_sequence = number;
  return row;
}

TEST(StreamTableTest, IdsCountFromOne) {
  StreamTable table;
  for (uint64_t i = 1; i <= 200; ++i) EXPECT_EQ(table.Add(RowOf(i)), i);
  EXPECT_EQ(table.size(), 200u);
  EXPECT_EQ(*table[65].definition, "stream 65");
  table.Change(65).last_sequence = 7;
  EXPECT_EQ(table[65].last_sequence, 7u);
}

TEST(StreamTableTest, FrozenCopiesStayAsTheyWere) {
  StreamTable table;
  Random random(1);
  uint64_t number = 0;
  for (int round = 0; round < 50; ++round) {
    while (table.size() == 0 || random.OneIn(3)) table.Add(RowOf(++number));
    for (int i = 0; i < 10; ++i) {
      table.Change(static_cast<StreamId>(1 + random.Below(table.size()))).last_sequence = ++number;
    }
    std::vector<uint64_t> expected;
    for (StreamId id = 1; id <= table.size(); ++id) expected.push_back(table[id].last_sequence);
    const StreamTable frozen = table.Freeze();
    const StreamTable again = table.Freeze();
    for (int i = 0; i < 100; ++i) {
      if (random.OneIn(5)) table.Add(RowOf(++number));
      table.Change(static_cast<StreamId>(1 + random.Below(table.size()))).last_sequence = ++number;
    }
    ASSERT_EQ(frozen.size(), expected.size());
    for (StreamId id = 1; id <= expected.size(); ++id) {
      ASSERT_EQ(frozen[id].last_sequence, expected[id - 1]);
      ASSERT_EQ(again[id].last_sequence, expected[id - 1]);
    }
  }
}

}  // namespace
}  // namespace cairn
