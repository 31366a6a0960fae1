// Violations: where checkers say that an invariant does not hold.

#ifndef TESTS_SIM_VIOLATIONS_H_
#define TESTS_SIM_VIOLATIONS_H_

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/types.h"
#include "tests/sim/event_log.h"

namespace cairn::sim {

// Keeps the first one: what follows is often its consequence. The run stops soon after. One thread.
class Violations {
 public:
  explicit Violations(EventLog& log) : log_(log) {}

  // `invariant`: its number and name, "I4 persist before send".
  void Report(absl::string_view invariant, absl::string_view what) {
    if (!first_.empty()) return;
    first_ = absl::StrCat(invariant, ": ", what);
    log_.Add(NodeId::kNone, "VIOLATION", {}, [&] { return first_; });
  }

  bool any() const { return !first_.empty(); }
  const std::string& first() const { return first_; }

 private:
  EventLog& log_;
  std::string first_;
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_VIOLATIONS_H_
