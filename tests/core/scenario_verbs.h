// The verbs of scenarios. docs of each: at its handler.

#ifndef TESTS_CORE_SCENARIO_VERBS_H_
#define TESTS_CORE_SCENARIO_VERBS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tests/core/scenario_cluster.h"

namespace cairn {

// Carries out the commands of one script. The first must be `cluster`.
class Scenario {
 public:
  // The lines that `command` prints. INVALID_ARGUMENT if it cannot be carried out.
  absl::StatusOr<std::vector<std::string>> Run(absl::string_view command);

  // The first broken promise, empty while there is none.
  std::string violation() const { return cluster_ == nullptr ? "" : cluster_->violation(); }

 private:
  std::unique_ptr<ScenarioCluster> cluster_;
};

}  // namespace cairn

#endif  // TESTS_CORE_SCENARIO_VERBS_H_
