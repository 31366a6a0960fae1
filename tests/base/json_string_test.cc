#include "base/json_string.h"

#include <string>

#include "gtest/gtest.h"

namespace cairn {
namespace {

TEST(JsonStringTest, EscapesWhatJsonMustNotHave) {
  EXPECT_EQ(JsonString("a\"b\\\n"), "\"a\\\"b\\\\\\u000a\"");
}

TEST(JsonStringTest, ReplacesWhatIsNotUtf8) {
  EXPECT_EQ(JsonString("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"),
            "\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80\"");
  const std::string bad = "\xef\xbf\xbd";
  EXPECT_EQ(JsonString("a\xff"), "\"a" + bad + "\"");
  EXPECT_EQ(JsonString("\xc3"), "\"" + bad + "\"");                                // cut short
  EXPECT_EQ(JsonString("\xc0\xaf"), "\"" + bad + bad + "\"");                      // overlong
  EXPECT_EQ(JsonString("\xed\xa0\x80"), "\"" + bad + bad + bad + "\"");            // surrogate
  EXPECT_EQ(JsonString("\xf4\x90\x80\x80"), "\"" + bad + bad + bad + bad + "\"");  // too large
}

}  // namespace
}  // namespace cairn
