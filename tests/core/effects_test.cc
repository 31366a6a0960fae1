#include "raft/core/effects.h"

#include <functional>

#include "gtest/gtest.h"

namespace cairn {
namespace {

TEST(EffectsTest, RolesHaveNames) {
  EXPECT_STREQ(NameOf(Role::kFollower), "follower");
  EXPECT_STREQ(NameOf(Role::kPreCandidate), "pre-candidate");
  EXPECT_STREQ(NameOf(Role::kCandidate), "candidate");
  EXPECT_STREQ(NameOf(Role::kLeader), "leader");
}

TEST(EffectsTest, AnyPartMakesThemNotEmpty) {
  EXPECT_TRUE(Effects{}.empty());
  const std::function<void(Effects&)> kParts[] = {
      [](Effects& effects) { effects.log_batches.emplace_back(); },
      [](Effects& effects) { effects.messages.emplace_back(); },
      [](Effects& effects) { effects.send_entries.emplace_back(); },
      [](Effects& effects) { effects.ask_torn.emplace(); },
      [](Effects& effects) { effects.apply_up_to = 1; },
      [](Effects& effects) { effects.proposals.emplace_back(); },
      [](Effects& effects) { effects.reads.emplace_back(); },
      [](Effects& effects) { effects.leadership.emplace(); },
      [](Effects& effects) { effects.fence.emplace(); },
      [](Effects& effects) { effects.stalled = true; },
  };
  for (const auto& add : kParts) {
    Effects effects;
    add(effects);
    EXPECT_FALSE(effects.empty());
  }
}

}  // namespace
}  // namespace cairn
