#include "tests/core/scenario_script.h"

#include <string>

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

TEST(ScenarioScriptTest, BlocksAreCommentsACommandAndLines) {
  const std::string text =
      "# What it is about.\n"
      "\n"
      "cluster nodes=3\n"
      "----\n"
      "one\n"
      "two\n"
      "\n"
      "settle\n"
      "----\n";
  auto blocks = ParseScript("a.txt", text);
  ASSERT_TRUE(blocks.ok()) << blocks.status();
  ASSERT_EQ(blocks->size(), 2u);
  EXPECT_EQ((*blocks)[0].command, "cluster nodes=3");
  EXPECT_EQ((*blocks)[0].line, 3);
  EXPECT_EQ((*blocks)[0].expected, (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ((*blocks)[1].command, "settle");
  EXPECT_TRUE((*blocks)[1].expected.empty());
  EXPECT_EQ(FormatScript(*blocks), text);
}

TEST(ScenarioScriptTest, ErrorsNameFileAndLine) {
  const struct {
    const char* text;
    const char* error;
  } kCases[] = {
      {"", "a.txt:1: does not end in a newline"},
      {"\n", "a.txt:1: ends without a command"},
      {"settle\n", "a.txt:1: no ---- behind the command: settle"},
      {"\nsettle\none\n", "a.txt:2: no ---- behind the command: settle"},
      {"settle\n----\n\n----\n", "a.txt:4: ---- without a command before it"},
      {"settle\n----\n\n# lost\n", "a.txt:4: ends without a command"},
  };
  for (const auto& test : kCases) {
    EXPECT_EQ(ParseScript("a.txt", test.text).status(), absl::InvalidArgumentError(test.error));
  }
}

TEST(ScenarioScriptTest, ArgumentsAreTakenByName) {
  ScenarioArguments arguments("verb first node=3 list=1,20 name=x loud second");
  EXPECT_EQ(arguments.verb(), "verb");
  EXPECT_EQ(arguments.Node("node"), NodeId{3});
  EXPECT_EQ(arguments.Number("count", 7), 7u);
  EXPECT_EQ(arguments.Numbers("list"), (std::vector<uint64_t>{1, 20}));
  EXPECT_EQ(arguments.OptionalText("name"), "x");
  EXPECT_EQ(arguments.OptionalNode("other"), std::nullopt);
  EXPECT_TRUE(arguments.Flag("loud"));
  EXPECT_FALSE(arguments.Flag("loud"));
  EXPECT_EQ(arguments.Word(), "first");
  EXPECT_EQ(arguments.Word(), "second");
  EXPECT_TRUE(arguments.Finish().ok()) << arguments.Finish();
}

TEST(ScenarioScriptTest, WhatIsMissingWrongOrLeftOverIsAnError) {
  ScenarioArguments missing("verb");
  missing.Number("node");
  EXPECT_EQ(missing.Finish(), absl::InvalidArgumentError("verb: node is missing"));
  ScenarioArguments wrong("verb node=3x");
  wrong.Number("node");
  EXPECT_EQ(wrong.Finish(), absl::InvalidArgumentError("verb: node: '3x' is no number"));
  ScenarioArguments list("verb list=1,,2");
  list.Numbers("list");
  EXPECT_EQ(list.Finish(), absl::InvalidArgumentError("verb: list: '' is no number"));
  EXPECT_EQ(ScenarioArguments("verb nodd=3").Finish(),
            absl::InvalidArgumentError("verb: nodd= means nothing here"));
  EXPECT_EQ(ScenarioArguments("verb fast").Finish(),
            absl::InvalidArgumentError("verb: 'fast' means nothing here"));
  EXPECT_EQ(ScenarioArguments("verb a=1 a=2").Finish(),
            absl::InvalidArgumentError("verb: a stands there twice"));
  ScenarioArguments word("verb");
  word.Word();
  EXPECT_EQ(word.Finish(), absl::InvalidArgumentError("verb: a word is missing"));
}

}  // namespace
}  // namespace cairn
