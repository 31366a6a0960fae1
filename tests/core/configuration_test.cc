#include "raft/core/configuration.h"

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/coding.h"
#include "base/random.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

Member MakeMember(uint64_t node) {
  return {.node = NodeId{node},
          .incarnation = Incarnation{node * 1000 + 1},
          .address = "host-" + std::to_string(node) + ":7101"};
}

std::vector<Member> MakeMembers(const std::vector<uint64_t>& nodes) {
  std::vector<Member> members;
  for (uint64_t node : nodes) members.push_back(MakeMember(node));
  return members;
}

Configuration MakeConfiguration(const std::vector<uint64_t>& voters,
                                const std::vector<uint64_t>& outgoing_voters = {},
                                const std::vector<uint64_t>& learners = {}) {
  return {.voters = MakeMembers(voters),
          .outgoing_voters = MakeMembers(outgoing_voters),
          .learners = MakeMembers(learners)};
}

Configuration MakeRandomConfiguration(Random& random) {
  Configuration configuration;
  bool joint = random.OneIn(2);
  for (uint64_t node = 1; node <= 9; ++node) {
    Member member = MakeMember(node * (1 + random.Below(1 << 20) * 16));
    if (!configuration.voters.empty() && member.node <= configuration.voters.back().node) continue;
    if (!configuration.outgoing_voters.empty() &&
        member.node <= configuration.outgoing_voters.back().node) {
      continue;
    }
    if (!configuration.learners.empty() && member.node <= configuration.learners.back().node) {
      continue;
    }
    switch (random.Below(joint ? 4 : 2)) {
      case 0:
        configuration.voters.push_back(member);
        break;
      case 1:
        configuration.learners.push_back(member);
        break;
      case 2:
        configuration.outgoing_voters.push_back(member);
        break;
      case 3:
        configuration.voters.push_back(member);
        configuration.outgoing_voters.push_back(member);
        break;
    }
  }
  if (configuration.voters.empty()) configuration.voters.push_back(MakeMember(UINT64_MAX));
  if (random.OneIn(3)) {
    UnsafeRecoveries& recoveries = configuration.unsafe_recoveries;
    recoveries.count = 1 + random.Below(3);
    recoveries.at = {1 + random.Below(1000), random.Below(1000)};
    recoveries.asked = {static_cast<int64_t>(random.Below(1000)) - 500};
    recoveries.evicted_ever = {NodeId{2}, NodeId{7}};
    if (random.OneIn(2)) {
      recoveries.quorum = 1 + random.Below(4);
    } else {
      recoveries.evicted = {NodeId{2}, NodeId{7}};
    }
    if (random.OneIn(2)) {
      configuration.target = MembershipTarget{.voters = configuration.voters,
                                              .learners = {},
                                              .voters_before = MakeMembers({1}),
                                              .learners_before = {}};
    }
  }
  return configuration;
}

TEST(ConfigurationTest, TellsVotersLearnersAndStrangers) {
  Configuration configuration = MakeConfiguration({1, 2, 5}, {2, 3}, {4});
  EXPECT_TRUE(configuration.joint());
  for (uint64_t node : {1, 2, 3, 5}) EXPECT_TRUE(configuration.IsVoter(NodeId{node})) << node;
  EXPECT_FALSE(configuration.IsVoter(NodeId{4}));
  EXPECT_TRUE(configuration.IsMember(NodeId{4}));
  EXPECT_FALSE(configuration.IsMember(NodeId{6}));
  ASSERT_NE(configuration.Find(NodeId{3}), nullptr);
  EXPECT_EQ(configuration.Find(NodeId{3})->address, "host-3:7101");
  EXPECT_EQ(configuration.Find(NodeId{6}), nullptr);
  EXPECT_EQ(configuration.Nodes(),
            (std::vector<NodeId>{NodeId{1}, NodeId{2}, NodeId{3}, NodeId{4}, NodeId{5}}));
  EXPECT_FALSE(MakeConfiguration({1}).joint());
}

TEST(ConfigurationTest, PrintsItsNodes) {
  EXPECT_EQ(ToString(MakeConfiguration({1, 2, 3})), "voters=1,2,3");
  EXPECT_EQ(ToString(MakeConfiguration({1}, {}, {4, 5})), "voters=1 learners=4,5");
  EXPECT_EQ(ToString(MakeConfiguration({1, 2}, {2, 3}, {4})), "voters=1,2 outgoing=2,3 learners=4");
}

TEST(ConfigurationTest, EncodingIsFixed) {
  Configuration configuration;
  configuration.voters = {{.node = NodeId{1}, .incarnation = Incarnation{0x0203}, .address = "a"}};
  std::string expected("\x01", 1);           // version
  expected += std::string("\x01\0\0\0", 4);  // one voter
  expected += std::string("\x01\0\0\0\0\0\0\0", 8);
  expected += std::string("\x03\x02\0\0\0\0\0\0", 8);
  expected += std::string("\x01\0\0\0a", 5);
  expected += std::string(8, '\0');  // no outgoing voters, no learners
  EXPECT_EQ(EncodeConfiguration(configuration), expected);
}

TEST(ConfigurationTest, DecodesWhatItEncodes) {
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    Configuration configuration = MakeRandomConfiguration(random);
    auto decoded = DecodeConfiguration(EncodeConfiguration(configuration));
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(*decoded, configuration);
  }
}

TEST(ConfigurationTest, EveryCutEncodingIsDataLoss) {
  std::string bytes = EncodeConfiguration(MakeConfiguration({1, 2}, {1}, {3}));
  for (size_t length = 0; length < bytes.size(); ++length) {
    auto decoded = DecodeConfiguration(absl::string_view(bytes).substr(0, length));
    EXPECT_EQ(decoded.status().code(), absl::StatusCode::kDataLoss) << length;
  }
  auto longer = DecodeConfiguration(bytes + "x");
  EXPECT_EQ(longer.status(), absl::DataLossError("configuration entry: 1 bytes left over"));
}

TEST(ConfigurationTest, DamagedEncodingsAreDataLossOrAnotherConfiguration) {
  for (uint64_t seed = 1; seed <= 20000; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    std::string bytes = EncodeConfiguration(MakeRandomConfiguration(random));
    for (uint64_t i = 0; i <= random.Below(3); ++i) {
      bytes[random.Below(bytes.size())] = static_cast<char>(random.Below(256));
    }
    auto decoded = DecodeConfiguration(bytes);
    if (decoded.ok()) {
      EXPECT_EQ(EncodeConfiguration(*decoded), bytes);
    } else {
      EXPECT_EQ(decoded.status().code(), absl::StatusCode::kDataLoss);
    }
  }
}

TEST(ConfigurationTest, CountsAndLengthsAreNotTrusted) {
  std::string many("\x01\xff\xff\xff\xff", 5);
  EXPECT_EQ(DecodeConfiguration(many).status(),
            absl::DataLossError("configuration entry: cut short"));
  std::string long_address("\x01\x01\0\0\0", 5);
  long_address += std::string(16, '\x01') + std::string("\xff\xff\xff\xff", 4);
  EXPECT_EQ(DecodeConfiguration(long_address).status(),
            absl::DataLossError("configuration entry: cut short"));
}

// The bytes of lists that EncodeConfiguration would refuse.
std::string EncodeUnchecked(const std::vector<std::vector<uint64_t>>& lists, uint8_t version = 1) {
  std::string bytes;
  AppendLittleEndian(&bytes, version);
  for (const auto& list : lists) {
    AppendLittleEndian(&bytes, static_cast<uint32_t>(list.size()));
    for (uint64_t node : list) {
      AppendLittleEndian(&bytes, node);
      AppendLittleEndian(&bytes, uint64_t{7});
      AppendLengthPrefixed(&bytes, "address");
    }
  }
  return bytes;
}

TEST(ConfigurationTest, DecodeHoldsWhatTheHeaderSays) {
  const struct {
    std::vector<std::vector<uint64_t>> lists;
    std::string fault;
  } kCases[] = {
      {{{}, {}, {}}, "no voters"},
      {{{}, {1}, {}}, "no voters"},
      {{{0}, {}, {}}, "voters are not ordered by node"},
      {{{1, 1}, {}, {}}, "voters are not ordered by node"},
      {{{2, 1}, {}, {}}, "voters are not ordered by node"},
      {{{1}, {3, 2}, {}}, "outgoing voters are not ordered by node"},
      {{{1}, {}, {3, 2}}, "learners are not ordered by node"},
      {{{1}, {}, {1}}, "a learner is a voter, too"},
      {{{1}, {2}, {2}}, "a learner is a voter, too"},
  };
  for (const auto& test : kCases) {
    EXPECT_EQ(DecodeConfiguration(EncodeUnchecked(test.lists)).status(),
              absl::DataLossError("configuration entry: " + test.fault));
  }
  EXPECT_TRUE(DecodeConfiguration(EncodeUnchecked({{1, 2}, {2, 3}, {4}})).ok());
  EXPECT_EQ(DecodeConfiguration(EncodeUnchecked({{1}, {}, {}}, 6)).status(),
            absl::DataLossError("configuration entry: version 6 is not known"));
}

TEST(ConfigurationDeathTest, EncodeRefusesWhatDecodeWould) {
  EXPECT_DEATH(EncodeConfiguration({}), "no voters");
  EXPECT_DEATH(EncodeConfiguration(MakeConfiguration({2, 1})), "not ordered");
}

Configuration WithTarget() {
  Configuration configuration = MakeConfiguration({1, 2}, {}, {3});
  configuration.target = MembershipTarget{.voters = MakeMembers({1, 3}),
                                          .learners = MakeMembers({2}),
                                          .voters_before = MakeMembers({1, 2}),
                                          .learners_before = MakeMembers({4})};
  return configuration;
}

TEST(ConfigurationTest, CarriesItsTarget) {
  const Configuration configuration = WithTarget();
  const std::string bytes = EncodeConfiguration(configuration);
  EXPECT_EQ(bytes[0], 2) << "readers of before know version 1 only";
  auto decoded = DecodeConfiguration(bytes);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(*decoded, configuration);
  EXPECT_EQ(ToString(*decoded), "voters=1,2 learners=3 target=1,3 target_learners=2");
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(DecodeConfiguration(bytes.substr(0, size)).ok()) << size;
  }
  EXPECT_FALSE(DecodeConfiguration(bytes + "x").ok());
}

TEST(ConfigurationTest, WithoutATargetIsEncodedAsEver) {
  EXPECT_EQ(EncodeConfiguration(MakeConfiguration({1}))[0], 1);
}

TEST(ConfigurationTest, RefusesATargetThatIsNoConfiguration) {
  const std::vector<void (*)(MembershipTarget&)> kSpoilers = {
      [](MembershipTarget& t) { t.voters.clear(); },
      [](MembershipTarget& t) { t.voters_before.clear(); },
      [](MembershipTarget& t) {
        t.voters = MakeMembers({3, 1});
      },
      [](MembershipTarget& t) {
        t.learners = MakeMembers({2, 2});
      },
      [](MembershipTarget& t) { t.learners_before = MakeMembers({0}); },
      [](MembershipTarget& t) { t.learners = MakeMembers({3}); },
  };
  for (const auto& spoil : kSpoilers) {
    Configuration configuration = WithTarget();
    spoil(*configuration.target);
    EXPECT_EQ(Validate(configuration).code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(ConfigurationTest, UnsafeRecoveriesAreKept) {
  Configuration configuration = MakeConfiguration({2});
  configuration.unsafe_recoveries = {.count = 1,
                                     .evicted = {NodeId{1}, NodeId{3}},
                                     .quorum = 0,
                                     .at = {.index = 7, .term = 5},
                                     .asked = {-1},
                                     .evicted_ever = {NodeId{1}, NodeId{3}}};
  EXPECT_EQ(ToString(configuration), "voters=2 unsafe_recoveries=1");
  const std::string bytes = EncodeConfiguration(configuration);
  EXPECT_EQ(bytes[0], 3);
  auto decoded = DecodeConfiguration(bytes);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(*decoded, configuration);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(DecodeConfiguration(bytes.substr(0, size)).ok()) << size;
  }
  // A flag for the target that is neither.
  EXPECT_EQ(DecodeConfiguration(bytes.substr(0, bytes.size() - 1) + "\x02").status(),
            absl::DataLossError("configuration entry: 2 targets"));
}

TEST(ConfigurationTest, UnsafeRecoveriesThatMakeNoSense) {
  const UnsafeRecoveries good = {.count = 1,
                                 .evicted = {NodeId{1}, NodeId{3}},
                                 .quorum = 0,
                                 .at = {.index = 7, .term = 5},
                                 .asked = {},
                                 .evicted_ever = {NodeId{1}, NodeId{3}}};
  const std::vector<void (*)(UnsafeRecoveries&)> kSpoilers = {
      [](UnsafeRecoveries& r) { r.count = 0; },
      [](UnsafeRecoveries& r) { r.evicted.clear(); },
      [](UnsafeRecoveries& r) { r.quorum = 1; },
      [](UnsafeRecoveries& r) {
        r.evicted = {NodeId{3}, NodeId{1}};
      },
      [](UnsafeRecoveries& r) { r.evicted_ever = {NodeId{0}}; },
      [](UnsafeRecoveries& r) { r.at.index = 0; },
  };
  Configuration configuration = MakeConfiguration({2});
  configuration.unsafe_recoveries = good;
  EXPECT_TRUE(Validate(configuration).ok());
  for (size_t i = 0; i < kSpoilers.size(); ++i) {
    configuration.unsafe_recoveries = good;
    kSpoilers[i](configuration.unsafe_recoveries);
    EXPECT_FALSE(Validate(configuration).ok()) << i;
  }
}

TEST(ConfigurationTest, RemovedNodesAreKept) {
  Configuration configuration = MakeConfiguration({2});
  configuration.removed = {NodeId{7}, NodeId{1}};
  for (const bool target : {false, true}) {
    if (target) {
      configuration.target = MembershipTarget{.voters = MakeMembers({2, 3}),
                                              .learners = {},
                                              .voters_before = MakeMembers({2}),
                                              .learners_before = {}};
    }
    const std::string bytes = EncodeConfiguration(configuration);
    EXPECT_EQ(bytes[0], 4);
    auto decoded = DecodeConfiguration(bytes);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(*decoded, configuration);
    for (size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_FALSE(DecodeConfiguration(bytes.substr(0, size)).ok()) << size;
    }
  }
  configuration.removed = {NodeId{7}, NodeId{2}};
  EXPECT_FALSE(Validate(configuration).ok()) << "a member";
  configuration.removed = {NodeId{7}, NodeId{7}};
  EXPECT_FALSE(Validate(configuration).ok()) << "twice";
  configuration.removed = {NodeId::kNone};
  EXPECT_FALSE(Validate(configuration).ok()) << "nobody";
}

TEST(ConfigurationTest, WhoGoesIsRememberedUntilItIsBack) {
  Configuration before = MakeConfiguration({1, 2}, {2, 3}, {4});
  before.removed = {NodeId{9}, NodeId{8}};
  EXPECT_EQ(RemovedAfter(before, before), before.removed);
  EXPECT_EQ(RemovedAfter(before, MakeConfiguration({1, 2, 9})),
            (std::vector<NodeId>{NodeId{8}, NodeId{3}, NodeId{4}}));
  before.removed.clear();
  for (uint64_t node = 1; node <= kMaxRemoved; ++node) before.removed.push_back(NodeId{100 + node});
  const std::vector<NodeId> removed = RemovedAfter(before, MakeConfiguration({1, 2}));
  ASSERT_EQ(removed.size(), kMaxRemoved);
  EXPECT_EQ(removed.front(), NodeId{103}) << "the first to go are forgotten";
  EXPECT_EQ(removed.back(), NodeId{4});
}

TEST(ConfigurationTest, FormerDisksAreKept) {
  Configuration configuration = MakeConfiguration({2});
  configuration.former_disks = {{NodeId{7}, Incarnation{70}}, {NodeId{2}, Incarnation{20}}};
  for (const bool removed : {false, true}) {
    if (removed) configuration.removed = {NodeId{7}};
    const std::string bytes = EncodeConfiguration(configuration);
    EXPECT_EQ(bytes[0], 5);
    auto decoded = DecodeConfiguration(bytes);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(*decoded, configuration);
    for (size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_FALSE(DecodeConfiguration(bytes.substr(0, size)).ok()) << size;
    }
  }
  configuration.former_disks = {{NodeId{2}, MakeMember(2).incarnation}};
  EXPECT_FALSE(Validate(configuration).ok()) << "a member's";
  configuration.former_disks = {{NodeId{7}, Incarnation{70}}, {NodeId{7}, Incarnation{70}}};
  EXPECT_FALSE(Validate(configuration).ok()) << "twice";
  configuration.former_disks = {{NodeId{7}, Incarnation::kUnknown}};
  EXPECT_FALSE(Validate(configuration).ok()) << "none";
  configuration.former_disks = {{NodeId::kNone, Incarnation{70}}};
  EXPECT_FALSE(Validate(configuration).ok()) << "nobody's";
}

TEST(ConfigurationTest, TheDiskOfWhoGoesIsRememberedAlsoWhenItIsBackWithAnother) {
  const Configuration first = MakeConfiguration({1, 2}, {2, 3}, {4});
  EXPECT_EQ(FormerDisksAfter(first, first), std::vector<FormerDisk>());
  const FormerDisk of_three = {NodeId{3}, MakeMember(3).incarnation};
  const FormerDisk of_four = {NodeId{4}, MakeMember(4).incarnation};
  Configuration second = MakeConfiguration({1, 2});
  second.former_disks = FormerDisksAfter(first, second);
  EXPECT_EQ(second.former_disks, (std::vector<FormerDisk>{of_three, of_four}));
  Configuration third = MakeConfiguration({1, 2}, {}, {3, 4});
  third.learners[0].incarnation = Incarnation{77};
  EXPECT_EQ(FormerDisksAfter(second, third), std::vector<FormerDisk>{of_three})
      << "the other one is a member again";
  third.learners[0].incarnation = Incarnation::kUnknown;
  third.former_disks = {of_three};
  EXPECT_EQ(FormerDisksAfter(third, MakeConfiguration({1, 2}, {}, {4})), third.former_disks)
      << "nobody knows which one went";

  second.former_disks.clear();
  for (uint64_t disk = 1; disk <= kMaxFormerDisks; ++disk) {
    second.former_disks.push_back({NodeId{9}, Incarnation{disk}});
  }
  const std::vector<FormerDisk> former = FormerDisksAfter(second, MakeConfiguration({1}));
  ASSERT_EQ(former.size(), kMaxFormerDisks);
  EXPECT_EQ(former.front().incarnation, Incarnation{2}) << "the first to go are forgotten";
  EXPECT_EQ(former.back(), (FormerDisk{NodeId{2}, MakeMember(2).incarnation}));
}

}  // namespace
}  // namespace cairn
