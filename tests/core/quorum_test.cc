#include "raft/core/quorum.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <map>
#include <new>
#include <optional>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"

namespace {
int allocations = 0;
}  // namespace

// Not inlined: where only one of a pair is, g++ sees malloc and delete, or new and free.
[[gnu::noinline]] void* operator new(size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace cairn {
namespace {

constexpr uint64_t kOfNobody = std::numeric_limits<uint64_t>::max();

std::vector<Member> MakeVoters(const std::vector<uint64_t>& nodes) {
  std::vector<Member> members;
  for (uint64_t node : nodes) members.push_back({NodeId{node}, {}, {}});
  return members;
}

Configuration MakeConfiguration(const std::vector<uint64_t>& voters,
                                const std::vector<uint64_t>& outgoing_voters = {}) {
  return {MakeVoters(voters), MakeVoters(outgoing_voters), {}};
}

// Any subset of the nodes 1..9, and another one while joint.
Configuration MakeRandomConfiguration(Random& random) {
  auto draw = [&random] {
    std::vector<uint64_t> nodes;
    uint64_t denominator = 1 + random.Below(4);
    for (uint64_t node = 1; node <= 9; ++node) {
      if (random.OneIn(denominator)) nodes.push_back(node);
    }
    return MakeVoters(nodes);
  };
  Configuration configuration;
  configuration.voters = draw();
  if (random.OneIn(2)) configuration.outgoing_voters = draw();
  return configuration;
}

// What "a majority" means, said once more and simply: more than half of each set that has members.
bool IsQuorum(const Configuration& configuration, const std::map<NodeId, bool>& yes) {
  for (const auto* voters : {&configuration.voters, &configuration.outgoing_voters}) {
    size_t count = 0;
    for (const Member& voter : *voters) count += yes.at(voter.node) ? 1 : 0;
    if (!voters->empty() && 2 * count <= voters->size()) return false;
  }
  return true;
}

uint64_t NaiveReached(const Configuration& configuration,
                      const std::map<NodeId, uint64_t>& reached) {
  uint64_t best = 0;
  std::vector<uint64_t> candidates = {kOfNobody};
  for (const auto& [node, value] : reached) candidates.push_back(value);
  for (uint64_t candidate : candidates) {
    std::map<NodeId, bool> yes;
    for (const auto& [node, value] : reached) yes[node] = value >= candidate;
    if (IsQuorum(configuration, yes)) best = std::max(best, candidate);
  }
  return best;
}

TEST(QuorumTest, ReachedIsTheLargestValueAQuorumHas) {
  for (uint64_t seed = 1; seed <= 5000; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    Configuration configuration = MakeRandomConfiguration(random);
    std::map<NodeId, uint64_t> reached;
    for (uint64_t node = 1; node <= 9; ++node) reached[NodeId{node}] = random.Below(12);
    auto lookup = [&reached](NodeId node) { return reached.at(node); };
    EXPECT_EQ(ReachedByQuorum(configuration, lookup), NaiveReached(configuration, reached));
    auto contact = [&reached](NodeId node) {
      return Instant{} + Milliseconds(static_cast<int64_t>(reached.at(node)));
    };
    uint64_t naive = NaiveReached(configuration, reached);
    EXPECT_EQ(QuorumContact(configuration, contact),
              naive == kOfNobody ? kDistantFuture
                                 : Instant{} + Milliseconds(static_cast<int64_t>(naive)));
  }
}

VoteResult NaiveCount(const Configuration& configuration,
                      const std::map<NodeId, std::optional<bool>>& votes) {
  std::vector<NodeId> missing;
  std::map<NodeId, bool> yes;
  for (const auto& [node, vote] : votes) {
    yes[node] = vote.value_or(false);
    if (!vote) missing.push_back(node);
  }
  bool can_win = false;
  bool can_lose = false;
  for (uint64_t answers = 0; answers < (uint64_t{1} << missing.size()); ++answers) {
    for (size_t i = 0; i < missing.size(); ++i) yes[missing[i]] = (answers >> i & 1) != 0;
    (IsQuorum(configuration, yes) ? can_win : can_lose) = true;
  }
  if (can_win && can_lose) return VoteResult::kPending;
  return can_win ? VoteResult::kWon : VoteResult::kLost;
}

TEST(QuorumTest, VotesAreDecidedWhenNoMissingAnswerCanChangeIt) {
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    Configuration configuration = MakeRandomConfiguration(random);
    std::map<NodeId, std::optional<bool>> votes;
    for (uint64_t node = 1; node <= 9; ++node) {
      auto& vote = votes[NodeId{node}];
      if (!random.OneIn(3)) vote = random.OneIn(2);
    }
    EXPECT_EQ(CountVotes(configuration, [&votes](NodeId node) { return votes.at(node); }),
              NaiveCount(configuration, votes));
  }
}

TEST(QuorumTest, SetsWithoutVotersAgreeToEverything) {
  Configuration nobody;
  EXPECT_EQ(ReachedByQuorum(nobody, [](NodeId) { return uint64_t{0}; }), kOfNobody);
  EXPECT_EQ(QuorumContact(nobody, [](NodeId) { return Instant{}; }), kDistantFuture);
  EXPECT_EQ(CountVotes(nobody, [](NodeId) { return std::optional<bool>(); }), VoteResult::kWon);
}

TEST(QuorumTest, EvenGroupsNeedMoreThanHalf) {
  std::map<NodeId, uint64_t> reached = {
      {NodeId{1}, 9}, {NodeId{2}, 7}, {NodeId{3}, 4}, {NodeId{4}, 2}};
  auto lookup = [&reached](NodeId node) { return reached.at(node); };
  EXPECT_EQ(ReachedByQuorum(MakeConfiguration({1, 2}), lookup), 7u);
  EXPECT_EQ(ReachedByQuorum(MakeConfiguration({1, 2, 3, 4}), lookup), 4u);
}

TEST(QuorumTest, WhileJointTheSlowerHalfDecides) {
  std::map<NodeId, uint64_t> reached = {
      {NodeId{1}, 9}, {NodeId{2}, 9}, {NodeId{3}, 1}, {NodeId{4}, 1}, {NodeId{5}, 5}};
  auto lookup = [&reached](NodeId node) { return reached.at(node); };
  Configuration joint = MakeConfiguration({1, 2, 3}, {3, 4, 5});
  EXPECT_EQ(ReachedByQuorum(joint, lookup), 1u);
  joint.outgoing_voters = MakeVoters({1, 4, 5});
  EXPECT_EQ(ReachedByQuorum(joint, lookup), 5u);
}

// What a rule means, said once more: `voters` without the evicted, of whom a majority, or `most`
// if that is less, decide; of votes all, if the rule says so. IsQuorum is the twin without one.
bool IsQuorumUnder(const QuorumRule& rule, bool of_votes, const Configuration& configuration,
                   const std::map<NodeId, bool>& yes) {
  for (const auto* voters : {&configuration.voters, &configuration.outgoing_voters}) {
    size_t counted = 0;
    size_t count = 0;
    for (const Member& voter : *voters) {
      if (std::count(rule.evicted.begin(), rule.evicted.end(), voter.node) > 0) continue;
      ++counted;
      count += yes.at(voter.node) ? 1 : 0;
    }
    const bool all = of_votes && rule.every_vote;
    if (counted > 0 && (all ? count < counted : 2 * count <= counted && count < rule.most)) {
      return false;
    }
  }
  return true;
}

TEST(QuorumTest, RulesChangeWhatTheySayAndNothingElse) {
  for (uint64_t seed = 1; seed <= 20000; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const Configuration configuration = MakeRandomConfiguration(random);
    std::map<NodeId, uint64_t> reached;
    std::vector<NodeId> evicted;
    for (uint64_t node = 1; node <= 9; ++node) {
      reached[NodeId{node}] = random.Below(3);
      if (random.OneIn(4)) evicted.push_back(NodeId{node});
    }
    QuorumRule rule;
    if (random.OneIn(2)) rule.evicted = evicted;
    if (random.OneIn(2)) rule.most = 1 + random.Below(6);
    rule.every_vote = random.OneIn(2);
    const auto least = [&](uint64_t value) {
      std::map<NodeId, bool> yes;
      for (const auto& [node, has] : reached) yes[node] = has >= value;
      return yes;
    };
    const uint64_t of_quorum = ReachedByQuorum(
        configuration, [&](NodeId node) { return reached.at(node); }, rule);
    for (uint64_t value : {uint64_t{1}, uint64_t{2}}) {
      EXPECT_EQ(of_quorum >= value, IsQuorumUnder(rule, false, configuration, least(value)));
    }
    const auto vote = [&](NodeId node) -> std::optional<bool> { return reached.at(node) > 0; };
    EXPECT_EQ(CountVotes(configuration, vote, rule) == VoteResult::kWon,
              IsQuorumUnder(rule, true, configuration, least(1)));
  }
}

TEST(QuorumTest, WithoutARuleAndUnderOneThatBindsNobodyTheArithmeticIsTheSame) {
  for (uint64_t seed = 1; seed <= 5000; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const Configuration configuration = MakeRandomConfiguration(random);
    std::map<NodeId, std::optional<bool>> votes;
    std::map<NodeId, uint64_t> reached;
    for (uint64_t node = 1; node <= 9; ++node) {
      votes[NodeId{node}] = random.OneIn(3) ? std::nullopt : std::optional(random.OneIn(2));
      reached[NodeId{node}] = random.Below(12);
    }
    const std::vector<NodeId> strangers = {NodeId{10}, NodeId{11}};
    QuorumRule rule;
    rule.evicted = strangers;
    rule.most = 5;  // a majority of nine
    const auto vote = [&](NodeId node) { return votes.at(node); };
    const auto value = [&](NodeId node) { return reached.at(node); };
    EXPECT_EQ(CountVotes(configuration, vote, rule), CountVotes(configuration, vote));
    EXPECT_EQ(CountVotes(configuration, vote, {}), NaiveCount(configuration, votes));
    EXPECT_EQ(ReachedByQuorum(configuration, value, rule), ReachedByQuorum(configuration, value));
    EXPECT_EQ(ReachedByQuorum(configuration, value, {}), NaiveReached(configuration, reached));
  }
}

TEST(QuorumTest, ResultsHaveNames) {
  EXPECT_STREQ(NameOf(VoteResult::kPending), "pending");
  EXPECT_STREQ(NameOf(VoteResult::kWon), "won");
  EXPECT_STREQ(NameOf(VoteResult::kLost), "lost");
}

TEST(QuorumTest, AllocatesNothingForNineVoters) {
  Configuration joint = MakeConfiguration({1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  int before = allocations;
  uint64_t reached = ReachedByQuorum(joint, [](NodeId node) { return ToInteger(node); });
  Instant contact = QuorumContact(joint, [](NodeId) { return Instant{}; });
  VoteResult votes = CountVotes(joint, [](NodeId) { return std::optional<bool>(true); });
  EXPECT_EQ(allocations, before);
  EXPECT_EQ(reached, 5u);
  EXPECT_EQ(contact, Instant{});
  EXPECT_EQ(votes, VoteResult::kWon);
}

}  // namespace
}  // namespace cairn
