#include "tests/sim/seed_runner.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/sim/fault_plan.h"
#include "tests/sim/simulation.h"

namespace cairn::sim {
namespace {

// What to say if the process dies: written beforehand, because a signal handler cannot.
char last_words[512];

void OnFatalSignal(int number) {
  ssize_t written = write(STDERR_FILENO, last_words, strlen(last_words));
  (void)written;  // there is nowhere to report it
  signal(number, SIG_DFL);
  raise(number);
}

}  // namespace

SeedRunner::SeedRunner(Options options) : options_(std::move(options)) {
  for (int number : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) signal(number, OnFatalSignal);
}

void SeedRunner::Announce(uint64_t seed) {
  std::string words = absl::StrCat("seed ", seed, " died; replay: ", options_.command,
                                   " --seed=", seed, " --trace\n");
  size_t length = std::min(words.size(), sizeof(last_words) - 1);
  memcpy(last_words, words.data(), length);
  last_words[length] = '\0';
}

bool SeedRunner::Run(uint64_t seed) {
  Announce(seed);
  FaultPlan plan = DrawFaultPlan(seed);
  if (options_.trace) std::cout << ToString(plan);
  SimulationResult result = Simulate(plan, options_.trace ? &std::cout : nullptr);
  // By place, not by number: a shard may have the odd seeds only.
  if (options_.twice_one_in > 0 && seeds_ % options_.twice_one_in == 0) {
    SimulationResult again = Simulate(plan, nullptr);
    result.counters.Count("seed run twice");
    if (again.log_hash != result.log_hash && result.violation.empty()) {
      result.violation = absl::StrCat("I24 deterministic: ", result.events, " events, then ",
                                      again.events, ", or other ones");
    }
  }
  ++seeds_;
  counters_.Add(result.counters);
  acknowledged_ += result.acknowledged;
  tasks_ += result.tasks;
  simulated_seconds_ += static_cast<double>(result.simulated.nanoseconds) / 1e9;
  if (result.violation.empty()) return true;
  ++failures_;
  std::cout << "seed " << seed << " failed: " << result.violation
            << "\n  replay: " << options_.command << " --seed=" << seed << " --trace" << std::endl;
  return false;
}

std::string SeedRunner::Summary() const {
  return absl::StrFormat(
      "%d seeds, %d failed; %.1f s of virtual time, %d tasks, %d commands acknowledged", seeds_,
      failures_, simulated_seconds_, tasks_, acknowledged_);
}

}  // namespace cairn::sim
