#include "service/cli/output.h"

#include <sstream>
#include <string>

#include "gtest/gtest.h"

namespace cairn {
namespace {

TEST(RowTest, IsJsonWithNumbersAsNumbers) {
  Row row = Row()
                .Add("name", "a\"b\\\n")
                .Add("sequence", uint64_t{18446744073709551615u})
                .Add("count", -3)
                .Add("seconds", 1.25)
                .Add("ok", true)
                .Add("headers", std::vector<std::pair<std::string, std::string>>{{"k", "v"}})
                .Add("subjects", std::vector<std::string>{"a.*", "b.>"});
  EXPECT_EQ(
      row.ToJson(),
      "{\"name\":\"a\\\"b\\\\\\u000a\",\"sequence\":18446744073709551615,\"count\":-3,"
      "\"seconds\":1.250,\"ok\":true,\"headers\":{\"k\":\"v\"},\"subjects\":[\"a.*\",\"b.>\"]}");
}

TEST(RowTest, HoldsRows) {
  const std::vector<Row> rows = {Row().Add("group", 1).Add("last", 7), Row().Add("group", 2)};
  Row row = Row().Add("groups", rows, "1:7,2").Add("none", std::vector<Row>(), "");
  EXPECT_EQ(row.ToJson(), R"({"groups":[{"group":1,"last":7},{"group":2}],"none":[]})");
  EXPECT_EQ(row.fields()[0].text, "1:7,2");
}

TEST(RowTest, WhatIsNoNumberIsNull) {
  EXPECT_EQ(Row().Add("x", 0.0 / 0.0).ToJson(), "{\"x\":null}");
}

TEST(OutputTest, TableHasColumnsThatFit) {
  std::ostringstream out;
  {
    Output output(OutputFormat::kTable, out);
    output.Print(Row().Add("node", uint64_t{1}).Add("role", "leader"));
    output.Print(Row().Add("node", uint64_t{12345}).Add("role", "follower"));
    output.Print(Row().Add("other", "x"));
  }
  EXPECT_EQ(out.str(), "NODE   ROLE\n1      leader\n12345  follower\nOTHER\nx\n");
}

TEST(OutputTest, JsonIsALineEach) {
  std::ostringstream out;
  Output output(OutputFormat::kJson, out);
  output.Print(Row().Add("a", 1));
  EXPECT_EQ(out.str(), "{\"a\":1}\n");
  output.Print(Row().Add("b", false));
  EXPECT_EQ(out.str(), "{\"a\":1}\n{\"b\":false}\n");
}

}  // namespace
}  // namespace cairn
