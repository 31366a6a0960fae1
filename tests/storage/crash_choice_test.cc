#include "storage/crash_choice.h"

#include <algorithm>
#include <set>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

// `calls[i]` sectors written by call i; ids count from 1.
std::vector<PendingOperation> Calls(const std::vector<size_t>& calls) {
  std::vector<PendingOperation> pending;
  for (size_t call = 0; call < calls.size(); ++call) {
    for (size_t i = 0; i < calls[call]; ++i) {
      PendingOperation operation;
      operation.id = pending.size() + 1;
      operation.call = call;
      pending.push_back(operation);
    }
  }
  return pending;
}

bool Has(const std::vector<CrashChoice>& choices, std::set<OperationId> kept) {
  return std::find(choices.begin(), choices.end(), CrashChoice{std::move(kept)}) != choices.end();
}

TEST(CrashChoiceTest, FewOperationsAreTriedInAllSubsets) {
  Random random(1);
  const auto choices = EnumerateCrashes(Calls({2, 1}), {}, random);
  EXPECT_EQ(choices.size(), 8u);
  EXPECT_TRUE(Has(choices, {}));
  EXPECT_TRUE(Has(choices, {1, 3}));
  EXPECT_TRUE(Has(choices, {1, 2, 3}));
  EXPECT_EQ(EnumerateCrashes({}, {}, random).size(), 1u);
}

TEST(CrashChoiceTest, ManyOperationsAreTriedInTheChoicesThatFindBugs) {
  Random random(1);
  const auto choices = EnumerateCrashes(Calls({3, 1, 4}), {.exhaustive = 4, .samples = 0}, random);
  // Prefixes, none and all among them.
  EXPECT_TRUE(Has(choices, {}));
  EXPECT_TRUE(Has(choices, {1, 2, 3, 4, 5}));
  EXPECT_TRUE(Has(choices, {1, 2, 3, 4, 5, 6, 7, 8}));
  // All but one, only one.
  EXPECT_TRUE(Has(choices, {1, 2, 3, 5, 6, 7, 8}));
  EXPECT_TRUE(Has(choices, {4}));
  // The last call without its beginning.
  EXPECT_TRUE(Has(choices, {1, 2, 3, 4, 6, 7, 8}));
  EXPECT_TRUE(Has(choices, {1, 2, 3, 4, 8}));
  // The first one without its beginning.
  EXPECT_TRUE(Has(choices, {2, 3}));
  EXPECT_FALSE(Has(choices, {2, 4, 6}));
}

TEST(CrashChoiceTest, SamplesAreAdded) {
  Random random(1);
  const auto pending = Calls({30});
  const size_t without = EnumerateCrashes(pending, {.samples = 0}, random).size();
  const size_t with = EnumerateCrashes(pending, {.samples = 100}, random).size();
  EXPECT_EQ(with, without + 100);
}

TEST(CrashChoiceTest, SameSeedSameChoices) {
  const auto pending = Calls({5, 20, 3});
  Random one(7), two(7);
  EXPECT_EQ(EnumerateCrashes(pending, {}, one), EnumerateCrashes(pending, {}, two));
}

TEST(CrashChoiceTest, PoliciesKeepWhatTheyPromise) {
  const auto pending = Calls({3, 1, 4});
  Random random(3);
  EXPECT_TRUE(ChooseCrash(CrashPolicy::kDropAll, pending, random).kept.empty());
  EXPECT_EQ(ChooseCrash(CrashPolicy::kKeepAll, pending, random).kept.size(), 8u);
  std::set<size_t> prefixes;
  bool torn = false;
  for (int i = 0; i < 200; ++i) {
    const auto prefix = ChooseCrash(CrashPolicy::kKeepPrefix, pending, random).kept;
    prefixes.insert(prefix.size());
    EXPECT_TRUE(prefix.empty() || *prefix.rbegin() == prefix.size());
    const auto call = ChooseCrash(CrashPolicy::kTornCall, pending, random).kept;
    // Once something of the last call is kept, all of the calls before it is.
    if (!call.empty() && *call.rbegin() >= 5) {
      for (OperationId id = 1; id <= 4; ++id) EXPECT_EQ(call.count(id), 1u);
      torn = torn || (call.size() > 4 && call.size() < 8);
    }
  }
  EXPECT_EQ(prefixes.size(), 9u);
  EXPECT_TRUE(torn);
}

TEST(CrashChoiceTest, PoliciesTakeAnIdleDisk) {
  Random random(3);
  for (const CrashPolicy policy :
       {CrashPolicy::kDropAll, CrashPolicy::kKeepAll, CrashPolicy::kKeepPrefix,
        CrashPolicy::kRandomSubset, CrashPolicy::kTornCall}) {
    EXPECT_TRUE(ChooseCrash(policy, {}, random).kept.empty());
  }
}

}  // namespace
}  // namespace cairn
