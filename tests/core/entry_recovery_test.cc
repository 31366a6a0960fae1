// Every way in which the disks of a group can have lost entries, at once: the
// group recovers where the model says that it can, and stops where it cannot,
// and never forgets what was committed (fault catalogue 6.7; CTRL's figures: 4
// entries on 3 nodes, 2,401 recover and 1,695 halt).
// Members that cannot tell what they have promised, snapshots and conflicting
// tails: tests/core/recovery.

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "raft/core/quorum.h"
#include "tests/core/recovery/damaged_group.h"

namespace cairn {
namespace {

// Whether these nodes are a majority, of both halves of a joint configuration.
bool Decide(const Configuration& configuration, const std::vector<NodeId>& nodes) {
  const auto vote = [&](NodeId voter) {
    return std::optional<bool>(std::find(nodes.begin(), nodes.end(), voter) != nodes.end());
  };
  return CountVotes(configuration, vote) == VoteResult::kWon;
}

// The model
// --------------------------------------------------------------------------------------

// What must come of these disks: the first index that is lost for good, or 0;
// and up to where all must be kept, since a quorum has acknowledged it for all
// anybody knows.
struct Fate {
  bool halts = false;
  bool open = false;  // it may halt or not
  Index keeps = kModelBase;
};

// Whether those who claim an entry could have committed it, and not all of a majority that takes
// may only have been cut off by a power cut.
bool MayBeCommitted(const Configuration& configuration, const std::vector<NodeId>& claims,
                    const std::vector<NodeId>& faulty) {
  const auto by_half = [&](const std::vector<Member>& voters) {
    Configuration half;
    half.voters = voters;
    return voters.empty() ||
           (Decide(half, claims) && std::any_of(faulty.begin(), faulty.end(),
                                                [&](NodeId node) { return half.IsVoter(node); }));
  };
  return by_half(configuration.voters) && by_half(configuration.outgoing_voters);
}

// Of disks whose logs are prefixes of one. What stands before a joint configuration can have been
// committed by the one before it alone, what stands there and behind it by both majorities only;
// but who cannot read a joint configuration knows of the one before it only.
Fate FateOf(const DamagedDisks& disks, const ModelMembers& members) {
  Fate fate;
  for (size_t at = 0;; ++at) {
    const Index index = kModelBase + 1 + at;
    const Configuration& known = index <= members.joint_at ? members.base : members.joint;
    std::vector<NodeId> claims, faulty;
    size_t good = 0, good_voters = 0;
    for (size_t i = 0; i < disks.size(); ++i) {
      const DamagedDisk& disk = disks[i];
      if (at >= disk.terms.size()) continue;
      claims.push_back(NodeId{i + 1});
      if (disk.good[at]) ++good;
      if (disk.good[at] && known.IsVoter(claims.back())) ++good_voters;
      const bool at_the_end = std::none_of(disk.good.begin() + static_cast<std::ptrdiff_t>(at),
                                           disk.good.end(), [](bool is_good) { return is_good; });
      if (!disk.good[at] && !(disk.torn && at_the_end)) faulty.push_back(claims.back());
    }
    if (claims.empty()) return fate;
    const bool needed = MayBeCommitted(known, claims, faulty);
    if (good == 0) {
      fate.halts = needed;  // else it is dropped
      return fate;
    }
    // No learner is waited for, and one may be asked in time.
    fate.open = good_voters == 0 && !needed;
    if (fate.open) return fate;
    if (Decide(index < members.joint_at ? members.base : members.joint, claims)) fate.keeps = index;
  }
}

struct Tally {
  size_t recovered = 0;
  size_t halted = 0;
};

// Counts `times` cases that differ in the nodes' numbers only.
void Check(const DamagedDisks& disks, const ModelMembers& members, Tally& tally,
           Random* luck = nullptr, size_t times = 1) {
  const Fate fate = FateOf(disks, members);
  DamagedGroup group(disks, members, luck);
  const bool recovers = group.Recovers(fate.halts || fate.open ? Seconds(10) : Seconds(60));
  ASSERT_EQ(group.violation(), "") << Describe(disks);
  ASSERT_TRUE(fate.open || recovers == !fate.halts) << Describe(disks);
  if (recovers) {
    const auto longest = std::max_element(
        disks.begin(), disks.end(),
        [](const DamagedDisk& a, const DamagedDisk& b) { return a.terms.size() < b.terms.size(); });
    ASSERT_TRUE(group.Keeps(*longest, fate.keeps - kModelBase)) << Describe(disks);
  }
  (recovers ? tally.recovered : tally.halted) += times;
}

// Every subset of `entries` entries on `nodes` nodes is bad.
Tally CheckAllSubsets(size_t entries, size_t nodes) {
  Tally tally;
  for (size_t set = 0; set < size_t{1} << (entries * nodes); ++set) {
    DamagedDisks disks(nodes);
    for (size_t node = 0; node < nodes; ++node) {
      for (size_t entry = 0; entry < entries; ++entry) {
        disks[node].terms.push_back(1);
        disks[node].good.push_back((set >> (node * entries + entry) & 1) == 0);
      }
    }
    Check(disks, {VotersUpTo(nodes)}, tally);
    if (testing::Test::HasFatalFailure()) return tally;
  }
  return tally;
}

TEST(EntryRecoveryTest, FourEntriesOnThreeNodes) {
  const Tally tally = CheckAllSubsets(4, 3);
  EXPECT_EQ(tally.recovered, 2401u);
  EXPECT_EQ(tally.halted, 1695u);
}

TEST(EntryRecoveryTest, ThreeEntriesOnFiveNodes) {
  const Tally tally = CheckAllSubsets(3, 5);
  // Each entry is somewhere in 31 of 32 ways.
  EXPECT_EQ(tally.recovered, 31u * 31 * 31);
  EXPECT_EQ(tally.halted, 32768u - 31 * 31 * 31);
}

// 1,048,576 ways. Which node has lost what changes nothing but the order of
// events, so of the ways that differ in that alone one is tried, drawn.
TEST(EntryRecoveryTest, FourEntriesOnFiveNodes) {
  constexpr size_t kEntries = 4;
  constexpr size_t kSets = size_t{1} << kEntries;
  Random random(1);
  Tally tally;
  size_t tried = 0;
  // Each way as what the nodes have lost, in order.
  std::vector<size_t> lost(5, 0);
  for (;;) {
    std::vector<size_t> shuffled = lost;
    for (size_t i = 1; i < shuffled.size(); ++i)
      std::swap(shuffled[i], shuffled[random.Below(i + 1)]);
    size_t times = 120, equal = 1;
    for (size_t i = 1; i < lost.size(); ++i) {
      equal = lost[i] == lost[i - 1] ? equal + 1 : 1;
      times /= equal;
    }
    DamagedDisks disks(lost.size());
    for (size_t node = 0; node < disks.size(); ++node) {
      disks[node].terms.assign(kEntries, 1);
      for (size_t entry = 0; entry < kEntries; ++entry) {
        disks[node].good.push_back((shuffled[node] >> entry & 1) == 0);
      }
    }
    Check(disks, {VotersUpTo(disks.size())}, tally, nullptr, times);
    ASSERT_FALSE(HasFatalFailure());
    ++tried;
    // The next one in order.
    size_t last = lost.size();
    while (last > 0 && lost[last - 1] == kSets - 1) --last;
    if (last == 0) break;
    std::fill(lost.begin() + static_cast<std::ptrdiff_t>(last) - 1, lost.end(), lost[last - 1] + 1);
  }
  EXPECT_EQ(tried, 15'504u);
  EXPECT_EQ(tally.recovered, 923'521u);
  EXPECT_EQ(tally.halted, 125'055u);
}

// Logs of every length, of several terms, each entry good or bad, and what is
// bad at the end of a log torn or not.
DamagedDisks DrawDisks(Random& random, size_t nodes, const std::vector<Term>& terms) {
  DamagedDisks disks(nodes);
  for (DamagedDisk& disk : disks) {
    const size_t length = random.Below(terms.size() + 1);
    disk.terms.assign(terms.begin(), terms.begin() + static_cast<std::ptrdiff_t>(length));
    for (size_t at = 0; at < length; ++at) disk.good.push_back(!random.OneIn(3));
    disk.torn = random.OneIn(3);
  }
  return disks;
}

TEST(EntryRecoveryTest, LaggingLogsAndTornTails) {
  Random random(1);
  Tally tally;
  const std::vector<Term> terms = {1, 2, 2, 3};
  for (int round = 0; round < 20'000; ++round) {
    const DamagedDisks disks = DrawDisks(random, random.OneIn(4) ? 5 : 3, terms);
    Check(disks, {VotersUpTo(disks.size())}, tally, random.OneIn(2) ? &random : nullptr);
    ASSERT_FALSE(HasFatalFailure()) << "round " << round;
  }
  EXPECT_GT(tally.recovered, 1000u);
  EXPECT_GT(tally.halted, 1000u);
}

// Some of them never campaign. So who has torn what they alone hold may be the only one to lead.
TEST(EntryRecoveryTest, TornTailsAndObservers) {
  Random random(3);
  Tally tally;
  const std::vector<Term> terms = {1, 2, 2, 3};
  for (int round = 0; round < 10'000; ++round) {
    const size_t nodes = random.OneIn(4) ? 5 : 3;
    DamagedDisks disks = DrawDisks(random, nodes, terms);
    for (DamagedDisk& disk : disks) disk.torn = disk.torn || random.OneIn(2);
    ModelMembers members = {VotersUpTo(nodes)};
    while (members.observers.size() < (nodes - 1) / 2) {
      members.observers.insert(NodeId{1 + random.Below(nodes)});
    }
    Check(disks, members, tally, random.OneIn(2) ? &random : nullptr);
    ASSERT_FALSE(HasFatalFailure()) << "round " << round;
  }
  EXPECT_GT(tally.recovered, 1000u);
  EXPECT_GT(tally.halted, 500u);
}

// What was answered about the first doubts is no answer to later ones.
TEST(EntryRecoveryTest, SecondDoubts) {
  Random random(2);
  size_t asked = 0;
  for (int round = 0; round < 2'000; ++round) {
    DamagedDisks disks(random.OneIn(4) ? 5 : 3);
    for (DamagedDisk& disk : disks) {
      disk.terms.assign(1 + random.Below(3), 1);
      for (size_t at = 0; at < disk.terms.size(); ++at) disk.good.push_back(!random.OneIn(3));
      disk.torn = random.OneIn(2);
    }
    const ModelMembers members = {VotersUpTo(disks.size())};
    const Fate fate = FateOf(disks, members);
    if (fate.halts || fate.open) continue;
    DamagedGroup group(disks, members);
    ASSERT_TRUE(group.Recovers(Seconds(60))) << Describe(disks);
    asked += group.DamageAgain();
    ASSERT_EQ(group.violation(), "") << Describe(disks);
    ASSERT_TRUE(group.Recovers(Seconds(60))) << Describe(disks);
    ASSERT_EQ(group.violation(), "") << Describe(disks);
  }
  EXPECT_GT(asked, 100u);
}

// From the first voters to the second ones.
struct Change {
  std::vector<uint64_t> from;
  std::vector<uint64_t> to;
};
const std::vector<Change>& Changes() {
  static const auto* const changes = new std::vector<Change>{
      {{1, 2, 3}, {1, 4, 5}}, {{1, 2, 3}, {2, 3, 4}}, {{1, 2, 3}, {4, 5}},       {{1}, {1, 2, 3}},
      {{1, 2, 3}, {3}},       {{1, 2}, {3, 4, 5}},    {{1, 2, 3, 4}, {1, 2, 5}},
  };
  return *changes;
}

ModelMembers MembersIn(const Change& change, Index joint_at) {
  const auto voters_of = [](const std::vector<uint64_t>& ids) {
    std::vector<Member> voters;
    for (const uint64_t id : ids) {
      voters.push_back({NodeId{id}, Incarnation::kUnknown, absl::StrCat("n", id)});
    }
    return voters;
  };
  ModelMembers members;
  members.joint_at = joint_at;
  members.base.voters = members.joint.outgoing_voters = voters_of(change.from);
  members.joint.voters = voters_of(change.to);
  // Who is to vote learns first.
  for (const Member& member : members.joint.voters) {
    if (!members.base.IsVoter(member.node)) members.base.learners.push_back(member);
  }
  return members;
}

// Two entries behind a joint configuration that all have committed: all
// subsets.
TEST(EntryRecoveryTest, TwoEntriesOfAJointConfiguration) {
  Tally tally;
  for (const Change& change : Changes()) {
    const ModelMembers in_log = MembersIn(change, kMaxIndex);
    const ModelMembers members = {.base = in_log.joint};
    const size_t nodes = members.base.Nodes().size();
    for (size_t set = 0; set < size_t{1} << (2 * nodes); ++set) {
      DamagedDisks disks(nodes);
      for (size_t bit = 0; bit < 2 * nodes; ++bit) {
        disks[bit / 2].terms.push_back(1);
        disks[bit / 2].good.push_back((set >> bit & 1) == 0);
      }
      Check(disks, members, tally);
      ASSERT_FALSE(HasFatalFailure()) << ToString(members.base);
    }
  }
  EXPECT_GT(tally.recovered, 1000u);
  EXPECT_GT(tally.halted, 100u);
}

// Logs of every length and of several terms, in which some entry is a joint
// configuration, or that begin behind one.
TEST(EntryRecoveryTest, LaggingLogsWithAJointConfiguration) {
  Random random(1);
  Tally tally;
  const std::vector<Term> terms = {1, 2, 2, 3};
  for (int round = 0; round < 20'000; ++round) {
    const Change& change = Changes()[random.Below(Changes().size())];
    const Index joint_at = kModelBase + random.Below(terms.size() + 1);
    ModelMembers members = MembersIn(change, joint_at);
    if (joint_at == kModelBase) members = {.base = members.joint};
    const DamagedDisks disks = DrawDisks(random, members.base.Nodes().size(), terms);
    Check(disks, members, tally, random.OneIn(2) ? &random : nullptr);
    ASSERT_FALSE(HasFatalFailure())
        << "round " << round << ", joint at " << joint_at << ": " << ToString(members.joint);
  }
  EXPECT_GT(tally.recovered, 1000u);
  EXPECT_GT(tally.halted, 1000u);
}

}  // namespace
}  // namespace cairn
