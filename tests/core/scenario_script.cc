#include "tests/core/scenario_script.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace cairn {
namespace {

constexpr absl::string_view kSeparator = "----";

bool IsComment(const std::string& line) { return line.empty() || line[0] == '#'; }

}  // namespace

absl::StatusOr<std::vector<ScenarioBlock>> ParseScript(const std::string& name,
                                                       absl::string_view text) {
  auto error = [&name](size_t i, absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat(name, ":", i + 1, ": ", what));
  };
  if (!absl::EndsWith(text, "\n")) return error(0, "does not end in a newline");
  text.remove_suffix(1);
  std::vector<std::string> lines = absl::StrSplit(text, '\n');
  std::vector<ScenarioBlock> blocks;
  ScenarioBlock block;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (IsComment(lines[i])) {
      block.comments.push_back(lines[i]);
      continue;
    }
    if (lines[i] == kSeparator) return error(i, "---- without a command before it");
    block.line = static_cast<int>(i) + 1;
    block.command = lines[i];
    if (++i == lines.size() || lines[i] != kSeparator) {
      return error(i - 1, absl::StrCat("no ---- behind the command: ", block.command));
    }
    while (i + 1 < lines.size() && !lines[i + 1].empty()) block.expected.push_back(lines[++i]);
    blocks.push_back(std::exchange(block, {}));
  }
  if (!block.comments.empty()) return error(lines.size() - 1, "ends without a command");
  if (blocks.empty()) return error(0, "no command");
  return blocks;
}

std::string FormatScript(const std::vector<ScenarioBlock>& blocks) {
  std::string text;
  for (const ScenarioBlock& block : blocks) {
    for (const std::string& comment : block.comments) absl::StrAppend(&text, comment, "\n");
    absl::StrAppend(&text, block.command, "\n", kSeparator, "\n");
    for (const std::string& line : block.expected) absl::StrAppend(&text, line, "\n");
  }
  return text;
}

ScenarioArguments::ScenarioArguments(absl::string_view command) {
  for (absl::string_view word : absl::StrSplit(command, ' ', absl::SkipEmpty())) {
    size_t equals = word.find('=');
    if (verb_.empty()) {
      verb_ = std::string(word);
    } else if (equals == absl::string_view::npos) {
      words_.emplace_back(word);
    } else if (!values_
                    .emplace(std::string(word.substr(0, equals)),
                             std::string(word.substr(equals + 1)))
                    .second) {
      Fail(absl::StrCat(word.substr(0, equals), " stands there twice"));
    }
  }
}

uint64_t ScenarioArguments::ParseNumber(const std::string& key, absl::string_view text) {
  uint64_t number = 0;
  if (!absl::SimpleAtoi(text, &number)) Fail(absl::StrCat(key, ": '", text, "' is no number"));
  return number;
}

uint64_t ScenarioArguments::Number(const std::string& key, std::optional<uint64_t> fallback) {
  std::optional<std::string> text = OptionalText(key);
  if (text) return ParseNumber(key, *text);
  if (!fallback) Fail(absl::StrCat(key, " is missing"));
  return fallback.value_or(0);
}

std::optional<NodeId> ScenarioArguments::OptionalNode(const std::string& key) {
  std::optional<std::string> text = OptionalText(key);
  if (!text) return std::nullopt;
  return NodeId{ParseNumber(key, *text)};
}

std::optional<std::string> ScenarioArguments::OptionalText(const std::string& key) {
  auto found = values_.find(key);
  if (found == values_.end()) return std::nullopt;
  std::string text = found->second;
  values_.erase(found);
  return text;
}

std::vector<uint64_t> ScenarioArguments::Numbers(const std::string& key) {
  std::vector<uint64_t> numbers;
  std::optional<std::string> text = OptionalText(key);
  if (!text) return numbers;
  for (absl::string_view each : absl::StrSplit(*text, ',')) {
    numbers.push_back(ParseNumber(key, each));
  }
  return numbers;
}

bool ScenarioArguments::Flag(const std::string& flag) { return std::erase(words_, flag) > 0; }

std::string ScenarioArguments::Word() {
  if (words_.empty()) {
    Fail("a word is missing");
    return "";
  }
  std::string word = words_.front();
  words_.erase(words_.begin());
  return word;
}

void ScenarioArguments::Fail(const std::string& what) {
  if (error_.empty()) error_ = what;
}

absl::Status ScenarioArguments::Finish() {
  if (!words_.empty()) Fail(absl::StrCat("'", words_.front(), "' means nothing here"));
  if (!values_.empty()) Fail(absl::StrCat(values_.begin()->first, "= means nothing here"));
  if (error_.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(verb_, ": ", error_));
}

}  // namespace cairn
