// Members that cannot tell what they have promised (raft/core/rejoin.h), and entries that others
// cannot read: every way of it, on a few nodes. The group recovers where the fault catalogue's
// rules (6.3 to 6.5) let it, stays down where they do not, and never forgets what may have been
// committed.
//
// What an unsure member holds is what it had at some time; it may have had, and acknowledged, more.

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "gtest/gtest.h"
#include "tests/core/recovery/damaged_group.h"
#include "tests/core/recovery/disk_sets.h"

namespace cairn {
namespace {

// The oracle --------------------------------------------------------------------------------------

enum class Fate { kRecovers, kStaysDown, kEither };
struct Ruling {
  Fate fate = Fate::kRecovers;
  size_t keeps = 0;  // so many entries at least
};

// Of logs that are prefixes of one, by the catalogue's words.
class Rules {
 public:
  explicit Rules(const DamagedDisks& disks) : disks_(disks), quorum_(disks.size() / 2 + 1) {}

  Ruling Decide() const {
    Ruling ruling;
    const size_t sure = Count([](const DamagedDisk& disk) { return !disk.unsure; });
    // "If fewer than a quorum are un-fenced the cluster stays down by design" (6.4). Two of three
    // that are unsure at once stay down, whatever stands in the logs: together they may have
    // committed what neither of them knows any more, and elected whom neither remembers.
    if (sure < quorum_) return {.fate = Fate::kStaysDown};
    for (size_t at = 0;; ++at) {
      // What no sure one claims, a quorum denies.
      if (Count([at](const DamagedDisk& disk) { return !disk.unsure && disk.size() > at; }) == 0) {
        return ruling;
      }
      ruling.fate = FateOf(at, sure);
      if (ruling.fate != Fate::kRecovers) return ruling;
      if (!Had(at)) return ruling;  // discarded, and all after
      if (disks_.size() - Denials(at) >= quorum_) ruling.keeps = at + 1;
    }
  }

 private:
  template <typename Predicate>
  size_t Count(Predicate predicate) const {
    return static_cast<size_t>(std::count_if(disks_.begin(), disks_.end(), predicate));
  }
  // HAVE: also of one that is unsure. What has index, term and checksum is the entry.
  bool Had(size_t at) const {
    return Count([at](const DamagedDisk& disk) { return disk.size() > at && disk.good[at]; }) > 0;
  }
  // DONT_HAVE: "never when FENCED".
  size_t Denials(size_t at) const {
    return Count([at](const DamagedDisk& disk) { return !disk.unsure && disk.size() <= at; });
  }
  // 6.5, the leader's rules 1, 3, 3b and 4.
  Fate FateOf(size_t at, size_t sure) const {
    if (Had(at)) return Fate::kRecovers;
    const bool all_torn = Count([at](const DamagedDisk& disk) {
                            return disk.size() > at && !(disk.torn && at >= disk.bad_end());
                          }) == 0;
    if (sure == disks_.size() && all_torn) return Fate::kRecovers;
    if (disks_.size() - Denials(at) >= quorum_) return Fate::kStaysDown;
    // Cairn waits for the answers of all before it discards (docs/decisions.md, "Holes", b). That
    // is no matter where those who deny the entry elect one of them; of an even number they may be
    // one too few.
    return sure == disks_.size() || Denials(at) >= quorum_ ? Fate::kRecovers : Fate::kEither;
  }

  const DamagedDisks& disks_;
  const size_t quorum_;
};

// The code ----------------------------------------------------------------------------------------

struct Tally {
  size_t recovered = 0;
  size_t stayed_down = 0;
  size_t either = 0;
};

void Check(const DamagedDisks& disks, Tally& tally, Random* luck = nullptr) {
  const Ruling ruling = Rules(disks).Decide();
  DamagedGroup group(disks, {VotersUpTo(disks.size())}, luck);
  const bool recovers = group.Recovers(ruling.fate == Fate::kRecovers ? Seconds(60) : Seconds(10));
  ASSERT_EQ(group.violation(), "") << Describe(disks);
  if (ruling.fate != Fate::kEither) {
    ASSERT_EQ(recovers, ruling.fate == Fate::kRecovers) << Describe(disks);
  }
  if (recovers) {
    const auto longest =
        std::max_element(disks.begin(), disks.end(),
                         [](const auto& a, const auto& b) { return a.size() < b.size(); });
    ASSERT_TRUE(group.Keeps(*longest, ruling.keeps)) << Describe(disks);
  }
  ++(ruling.fate == Fate::kEither ? tally.either : recovers ? tally.recovered : tally.stayed_down);
}

// Every prefix of this log, each entry of it good or bad, sure and unsure.
std::vector<DamagedDisk> DisksOf(const std::vector<Term>& terms) {
  std::vector<DamagedDisk> disks;
  for (size_t length = 0; length <= terms.size(); ++length) {
    for (DamagedDisk disk :
         DamageOf({terms.begin(), terms.begin() + static_cast<std::ptrdiff_t>(length)})) {
      disks.push_back(disk);
      disk.unsure = true;
      disks.push_back(disk);
    }
  }
  return disks;
}

Tally CheckAll(const std::vector<Term>& terms, size_t nodes) {
  Random random(nodes);
  Tally tally;
  ForEachGroup(DisksOf(terms), nodes, random, [&](const DamagedDisks& disks) {
    Check(disks, tally);
    return !testing::Test::HasFatalFailure();
  });
  return tally;
}

TEST(UnsureRecoveryTest, ThreeEntriesOnThreeNodes) {
  const Tally tally = CheckAll({1, 2, 2}, 3);
  EXPECT_EQ(tally.recovered, 3349u);
  EXPECT_EQ(tally.stayed_down, 11831u);
  EXPECT_EQ(tally.either, 0u);
}

TEST(UnsureRecoveryTest, TwoEntriesOnTwoNodes) {
  const Tally tally = CheckAll({1, 2}, 2);
  EXPECT_EQ(tally.recovered, 38u);
  EXPECT_EQ(tally.stayed_down, 172u);
}

TEST(UnsureRecoveryTest, TwoEntriesOnFourNodes) {
  const Tally tally = CheckAll({1, 2}, 4);
  EXPECT_EQ(tally.recovered, 1733u);
  EXPECT_EQ(tally.stayed_down, 6832u);
  EXPECT_EQ(tally.either, 290u);
}

TEST(UnsureRecoveryTest, TwoEntriesOnFiveNodes) {
  const Tally tally = CheckAll({1, 2}, 5);
  EXPECT_EQ(tally.recovered, 14096u);
  EXPECT_EQ(tally.stayed_down, 28408u);
  EXPECT_EQ(tally.either, 0u);
}

// Repairs come one by one, and answers are lost.
TEST(UnsureRecoveryTest, MoreEntriesRepairedOneByOne) {
  const std::vector<DamagedDisk> disks = DisksOf({1, 2, 2, 3});
  Random random(1);
  Tally tally;
  for (int round = 0; round < 5'000; ++round) {
    DamagedDisks group;
    for (size_t nodes = 3 + random.Below(3); group.size() < nodes;) {
      group.push_back(disks[random.Below(disks.size())]);
    }
    Check(group, tally, &random);
    ASSERT_FALSE(HasFatalFailure()) << "round " << round;
  }
  EXPECT_GT(tally.recovered, 500u);
  EXPECT_GT(tally.stayed_down, 1000u);
}

}  // namespace
}  // namespace cairn
