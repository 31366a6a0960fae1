#include "tests/sim/world.h"

#include <cstdint>

#include "absl/strings/str_cat.h"

namespace cairn::sim {
namespace {

// Far more than any run takes; more means that nodes keep each other busy for nothing.
constexpr uint64_t kMostTasks = 5'000'000;

}  // namespace

bool World::RunFor(Duration length, const std::function<bool()>& done) {
  const Instant end = events.now() + length;
  while (!violations.any()) {
    if (done()) return true;
    if (events.now() >= end || !events.RunNext()) return false;
    if (events.executed() > kMostTasks) {
      violations.Report("I23 bounded", "the run does not come to an end");
    }
  }
  return false;
}

void World::Require(const char* what, Duration length, const std::function<bool()>& done,
                    const std::function<std::string()>& describe) {
  if (violations.any() || RunFor(length, done)) return;
  violations.Report("I22 liveness", absl::StrCat(what, "; ", describe()));
}

}  // namespace cairn::sim
