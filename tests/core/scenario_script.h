// ScenarioScript: a scenario as a text file. Blocks, separated by an empty line:
//
//   # What this step is about.
//   propose node=1 count=3
//   ----
//   the lines that the command is expected to print
//
// A command is a verb, words and key=value pairs.

#ifndef TESTS_CORE_SCENARIO_SCRIPT_H_
#define TESTS_CORE_SCENARIO_SCRIPT_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/types.h"

namespace cairn {

struct ScenarioBlock {
  int line = 0;                       // of the command
  std::vector<std::string> comments;  // the lines before the command, empty ones included
  std::string command;
  std::vector<std::string> expected;
};

// INVALID_ARGUMENT, "name:line: what", for what is no block.
absl::StatusOr<std::vector<ScenarioBlock>> ParseScript(const std::string& name,
                                                       absl::string_view text);
std::string FormatScript(const std::vector<ScenarioBlock>& blocks);

// The words of one command. A handler takes what it knows, then asks Finish(), which names the
// first thing that was missing, wrong or left over; what is taken before that may be nonsense.
class ScenarioArguments {
 public:
  explicit ScenarioArguments(absl::string_view command);

  const std::string& verb() const { return verb_; }

  // The value of `key`, which must be there unless there is a `fallback`.
  uint64_t Number(const std::string& key, std::optional<uint64_t> fallback = std::nullopt);
  NodeId Node(const std::string& key) { return NodeId{Number(key)}; }
  std::optional<NodeId> OptionalNode(const std::string& key);
  std::optional<std::string> OptionalText(const std::string& key);
  // "1,2,3"; empty if it is not there.
  std::vector<uint64_t> Numbers(const std::string& key);
  // True if the word `flag` stands there.
  bool Flag(const std::string& flag);
  // The next word that is not taken.
  std::string Word();

  // Something is wrong with the command.
  void Fail(const std::string& what);
  absl::Status Finish();

 private:
  uint64_t ParseNumber(const std::string& key, absl::string_view text);

  std::string verb_;
  std::map<std::string, std::string> values_;
  std::vector<std::string> words_;
  std::string error_;
};

}  // namespace cairn

#endif  // TESTS_CORE_SCENARIO_SCRIPT_H_
