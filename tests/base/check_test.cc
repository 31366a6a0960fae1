#include "base/check.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <ostream>
#include <string>

#include "base/check_handler.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

enum class Color : uint8_t { kRed = 7, kBlue = 8 };

struct Point {
  int x;
  bool operator==(const Point&) const = default;
};

struct Named {
  std::string name;
  bool operator==(const Named&) const = default;
  friend std::ostream& operator<<(std::ostream& out, const Named& named) {
    return out << "<" << named.name << ">";
  }
};

TEST(CheckTest, PassesWithoutEvaluatingTheMessage) {
  int evaluated = 0;
  CAIRN_CHECK(true) << ++evaluated;
  CAIRN_CHECK_EQ(1, 1) << ++evaluated;
  EXPECT_EQ(evaluated, 0);
}

TEST(CheckTest, EvaluatesOperandsOnce) {
  int evaluated = 0;
  CAIRN_CHECK(++evaluated > 0);
  CAIRN_CHECK_GT(++evaluated, 0);
  EXPECT_EQ(evaluated, 2);
}

TEST(CheckTest, IsTheBodyOfAnIf) {
  bool reached = false;
  if (reached)
    CAIRN_CHECK_EQ(1, 2);
  else
    reached = true;
  EXPECT_TRUE(reached);
}

TEST(CheckTest, ComparesIntegersByValue) {
  const uint64_t largest = std::numeric_limits<uint64_t>::max();
  CAIRN_CHECK_GT(largest, -1);
  CAIRN_CHECK_LT(-1, largest);
  CAIRN_CHECK_NE(largest, -1);
  CAIRN_CHECK_GE(largest, 0);
  CAIRN_CHECK_LE(-1, 0u);
}

TEST(CheckDeathTest, WritesPlaceConditionAndMessage) {
  EXPECT_DEATH(CAIRN_CHECK(1 > 2) << "in batch " << 3,
               "check_test\\.cc:[0-9]+: check failed: 1 > 2 in batch 3\n");
}

TEST(CheckDeathTest, WritesNothingBehindABareCondition) {
  EXPECT_DEATH(CAIRN_CHECK(1 > 2), "check failed: 1 > 2\n");
}

TEST(CheckDeathTest, WritesOneLine) {
  EXPECT_DEATH(CAIRN_CHECK(false) << "one\ntwo", "check failed: false one two\n");
}

TEST(CheckDeathTest, WritesBothOperands) {
  const int index = 3;
  const uint64_t last = 4;
  EXPECT_DEATH(CAIRN_CHECK_EQ(index, last), "check failed: index == last \\(3 vs\\. 4\\)\n");
  EXPECT_DEATH(CAIRN_CHECK_NE(index, 3), "index != 3 \\(3 vs\\. 3\\)\n");
  EXPECT_DEATH(CAIRN_CHECK_LT(index, 3), "index < 3 \\(3 vs\\. 3\\)\n");
  EXPECT_DEATH(CAIRN_CHECK_LE(last, index), "last <= index \\(4 vs\\. 3\\)\n");
  EXPECT_DEATH(CAIRN_CHECK_GT(index, last), "index > last \\(3 vs\\. 4\\)\n");
  EXPECT_DEATH(CAIRN_CHECK_GE(index, last) << "late", "index >= last \\(3 vs\\. 4\\) late\n");
}

TEST(CheckDeathTest, WritesOperandsOfAnyType) {
  const uint8_t byte = 65;
  EXPECT_DEATH(CAIRN_CHECK_EQ(byte, 66), "\\(65 vs\\. 66\\)");
  EXPECT_DEATH(CAIRN_CHECK_EQ(true, false), "\\(true vs\\. false\\)");
  EXPECT_DEATH(CAIRN_CHECK_EQ(Color::kRed, Color::kBlue), "\\(7 vs\\. 8\\)");
  EXPECT_DEATH(CAIRN_CHECK_EQ((Point{1}), (Point{2})), "\\(\\? vs\\. \\?\\)");
  EXPECT_DEATH(CAIRN_CHECK_EQ(Named{"a"}, Named{"b"}), "\\(<a> vs\\. <b>\\)");
  const int* const pointer = nullptr;
  EXPECT_DEATH(CAIRN_CHECK_NE(pointer, nullptr), "vs\\. nullptr\\)");
}

TEST(CheckDeathTest, AProgramMayEndInItsOwnWay) {
  EXPECT_EXIT(
      {
        SetCheckHandler([](const std::string& text) {
          std::fprintf(stderr, "ends: %s", text.c_str());
          std::_Exit(70);
        });
        CAIRN_CHECK_EQ(1 + 1, 3) << "in arithmetic";
      },
      ::testing::ExitedWithCode(70),
      "^ends: .*check_test.cc:.*check failed: .*2 vs. 3.* in arithmetic$");
}

TEST(CheckDeathTest, AHandlerThatReturnsSavesNobody) {
  EXPECT_DEATH(
      {
        SetCheckHandler([](const std::string&) {});
        CAIRN_CHECK(false) << "all the same";
      },
      "check failed: false all the same");
}

}  // namespace
}  // namespace cairn
