// simulate: runs the simulator on seeds of your choice. See tests/sim/README.md.

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "base/chosen_mutant.h"
#include "tests/sim/seed_runner.h"

namespace {

constexpr char kUsage[] =
    "usage: simulate [--seed=N | --first_seed=N --seeds=N] [--trace] [--twice] [--keep_going]\n"
    "                [--counters] [--mutant=N]\n"
    "  --seed=N        run one seed\n"
    "  --first_seed=N  run --seeds=N seeds from this one on (1 and 100)\n"
    "  --trace         print every event\n"
    "  --twice         run each seed twice and compare\n"
    "  --keep_going    do not stop at the first failure\n"
    "  --counters      print how often interesting states came up\n"
    "  --mutant=N      with this deliberate fault, in a program that has them "
    "(tests/sim/README.md)\n";

struct Arguments {
  uint64_t first_seed = 1;
  uint64_t seeds = 100;
  bool keep_going = false;
  bool counters = false;
  std::string mutant;
  cairn::sim::SeedRunner::Options runner;
};

// False in a program without mutants.
bool ChooseMutant([[maybe_unused]] absl::string_view number) {
#ifdef CAIRN_MUTANTS_BY_FLAG
  return absl::SimpleAtoi(number, &cairn::chosen_mutant);
#else
  return false;
#endif
}

bool Parse(int count, char** words, Arguments& arguments) {
  for (int i = 1; i < count; ++i) {
    absl::string_view word = words[i];
    if (absl::ConsumePrefix(&word, "--seed=")) {
      if (!absl::SimpleAtoi(word, &arguments.first_seed)) return false;
      arguments.seeds = 1;
    } else if (absl::ConsumePrefix(&word, "--first_seed=")) {
      if (!absl::SimpleAtoi(word, &arguments.first_seed)) return false;
    } else if (absl::ConsumePrefix(&word, "--seeds=")) {
      if (!absl::SimpleAtoi(word, &arguments.seeds)) return false;
    } else if (absl::ConsumePrefix(&word, "--mutant=")) {
      if (!ChooseMutant(word)) return false;
      arguments.mutant = std::string(word);
    } else if (word == "--trace") {
      arguments.runner.trace = true;
    } else if (word == "--twice") {
      arguments.runner.twice_one_in = 1;
    } else if (word == "--keep_going") {
      arguments.keep_going = true;
    } else if (word == "--counters") {
      arguments.counters = true;
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (!Parse(argc, argv, arguments)) {
    std::cerr << kUsage;
    return 64;
  }
  absl::string_view program = argv[0];
  program.remove_prefix(program.rfind('/') + 1);
  arguments.runner.command = absl::StrCat("bazel run //tests/sim:", program, " --");
  if (!arguments.mutant.empty())
    absl::StrAppend(&arguments.runner.command, " --mutant=", arguments.mutant);
  auto start = std::chrono::steady_clock::now();
  cairn::sim::SeedRunner runner(arguments.runner);
  bool good = true;
  for (uint64_t i = 0; i < arguments.seeds && (good || arguments.keep_going); ++i) {
    good &= runner.Run(arguments.first_seed + i);
  }
  std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  if (arguments.counters) std::cout << runner.counters().ToString();
  std::cout << runner.Summary() << absl::StreamFormat("; took %.1f s\n", taken.count());
  return good ? 0 : 1;
}
