// Runs the scenarios of testdata/*.txt and compares what they print.
//
// After a change of what is printed:
//
//   CAIRN_REWRITE=1 bazel run //tests/core:scenario_test
//
// writes what is printed now into the checkout. Read the difference before you believe it.

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "gtest/gtest.h"
#include "tests/core/scenario_script.h"
#include "tests/core/scenario_verbs.h"

namespace cairn {
namespace {

constexpr char kDirectory[] = "tests/core/testdata";

std::vector<std::string> ScenarioNames() {
  std::vector<std::string> names;
  for (const auto& file : std::filesystem::directory_iterator(kDirectory)) {
    if (file.path().extension() == ".txt") names.push_back(file.path().stem());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// The checkout, or empty if this is not a rewrite.
std::string RewriteRoot() {
  const char* root = std::getenv("BUILD_WORKSPACE_DIRECTORY");
  return std::getenv("CAIRN_REWRITE") != nullptr && root != nullptr ? root : "";
}

class ScenarioTest : public testing::TestWithParam<std::string> {};

TEST_P(ScenarioTest, PrintsWhatIsExpected) {
  const std::string path = std::string(kDirectory) + "/" + GetParam() + ".txt";
  auto blocks = ParseScript(path, ReadFile(path));
  ASSERT_TRUE(blocks.ok()) << blocks.status().message();
  const std::string root = RewriteRoot();
  Scenario scenario;
  for (ScenarioBlock& block : *blocks) {
    const std::string where = path + ":" + std::to_string(block.line) + ": ";
    auto printed = scenario.Run(block.command);
    ASSERT_TRUE(printed.ok()) << where << printed.status().message();
    ASSERT_EQ(scenario.violation(), "") << where << block.command << "\n"
                                        << absl::StrJoin(*printed, "\n");
    if (root.empty()) {
      ASSERT_EQ(absl::StrJoin(*printed, "\n"), absl::StrJoin(block.expected, "\n"))
          << where << block.command;
    }
    block.expected = *std::move(printed);
  }
  if (!root.empty()) std::ofstream(root + "/" + path) << FormatScript(*blocks);
}

INSTANTIATE_TEST_SUITE_P(Testdata, ScenarioTest, testing::ValuesIn(ScenarioNames()),
                         [](const auto& scenario) { return scenario.param; });

}  // namespace
}  // namespace cairn
