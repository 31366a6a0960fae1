// SeedRunner: runs seeds one after the other and says how to repeat what failed.

#ifndef TESTS_SIM_SEED_RUNNER_H_
#define TESTS_SIM_SEED_RUNNER_H_

#include <cstdint>
#include <string>

#include "tests/sim/counters.h"

namespace cairn::sim {

class SeedRunner {
 public:
  struct Options {
    std::string command = "bazel run //tests/sim:simulate --";  // what people repeat a seed with
    bool trace = false;                                         // to stdout
    uint64_t twice_one_in = 0;  // so many seeds run twice and are compared (I24); 0: none
  };
  // Also prints the seed under way if the process aborts.
  explicit SeedRunner(Options options);

  // False, and the reason on stdout, if an invariant did not hold.
  bool Run(uint64_t seed);

  // Over all seeds run.
  const Counters& counters() const { return counters_; }
  // One line: seeds, simulated time, commands acknowledged, time taken.
  std::string Summary() const;

 private:
  void Announce(uint64_t seed);

  const Options options_;
  Counters counters_;
  uint64_t seeds_ = 0;
  uint64_t failures_ = 0;
  uint64_t acknowledged_ = 0;
  uint64_t tasks_ = 0;
  double simulated_seconds_ = 0;
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_SEED_RUNNER_H_
