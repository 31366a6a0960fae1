// Runs tests with the mutant that the environment names: CAIRN_CHOSEN_MUTANT=N.

#include <cstdlib>

#include "absl/strings/numbers.h"
#include "base/chosen_mutant.h"
#include "gtest/gtest.h"

int main(int argc, char** argv) {
  const char* chosen = std::getenv("CAIRN_CHOSEN_MUTANT");
  if (chosen == nullptr || !absl::SimpleAtoi(chosen, &cairn::chosen_mutant)) return 64;
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
