// Logs that begin behind snapshots, snapshots that cannot be read, and entries that cannot be read
// or that others have only in a snapshot: every way of it, on three nodes (fault catalogue 6.5,
// "Snapshots", and rule 2: IN_SNAPSHOT).

#include <algorithm>
#include <cstddef>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "gtest/gtest.h"
#include "tests/core/recovery/damaged_group.h"
#include "tests/core/recovery/disk_sets.h"

namespace cairn {
namespace {

// The oracle --------------------------------------------------------------------------------------

struct Ruling {
  bool recovers = true;
  size_t keeps = 0;  // so many entries at least
};

// Of logs that are prefixes of one, by the catalogue's words.
class Rules {
 public:
  explicit Rules(const DamagedDisks& disks) : disks_(disks), quorum_(disks.size() / 2 + 1) {
    for (const DamagedDisk& disk : disks) {
      const size_t state = disk.state_lost ? 0 : std::max(disk.applied, disk.compacted);
      state_ = std::max(state_, state);
      committed_ = std::max({committed_, state, disk.compacted});
    }
  }

  // What is in a state was committed: a quorum held it, and its claims are there.
  bool CanBe() const {
    return committed_ == 0 ||
           Count([this](const DamagedDisk& disk) { return disk.size() >= committed_; }) >= quorum_;
  }

  Ruling Decide() const {
    // Whoever lacks what a state has takes a snapshot of it.
    Ruling ruling = {.keeps = state_};
    for (size_t at = state_;; ++at) {
      const size_t claims = Count([at](const DamagedDisk& disk) { return disk.size() > at; });
      if (claims == 0) return ruling;
      if (!Had(at)) {
        // "All copies lost: if some node's durable applied state >= i, snapshot from it. If not,
        // HALTED on every node."
        ruling.recovers = at >= committed_ && (AllTorn(at) || claims < quorum_);
        return ruling;
      }
      if (claims >= quorum_) ruling.keeps = at + 1;
    }
  }

 private:
  template <typename Predicate>
  size_t Count(Predicate predicate) const {
    return static_cast<size_t>(std::count_if(disks_.begin(), disks_.end(), predicate));
  }
  bool Had(size_t at) const {
    return Count([at](const DamagedDisk& disk) {
             return disk.size() > at && at >= disk.compacted && disk.good[at];
           }) > 0;
  }
  bool AllTorn(size_t at) const {
    return Count([at](const DamagedDisk& disk) {
             return disk.size() > at && !(disk.torn && at >= disk.bad_end());
           }) == 0;
  }

  const DamagedDisks& disks_;
  const size_t quorum_;
  size_t state_ = 0;      // the most that a state has which can be read
  size_t committed_ = 0;  // known to be
};

// The code ----------------------------------------------------------------------------------------

struct Tally {
  size_t recovered = 0;
  size_t stayed_down = 0;
};

void Check(const DamagedDisks& disks, Tally& tally, Random* luck = nullptr) {
  const Rules rules(disks);
  if (!rules.CanBe()) return;
  const Ruling ruling = rules.Decide();
  DamagedGroup group(disks, {VotersUpTo(disks.size())}, luck);
  const bool recovers = group.Recovers(ruling.recovers ? Seconds(60) : Seconds(10));
  ASSERT_EQ(group.violation(), "") << Describe(disks);
  ASSERT_EQ(recovers, ruling.recovers) << Describe(disks);
  if (recovers) {
    const auto longest =
        std::max_element(disks.begin(), disks.end(),
                         [](const auto& a, const auto& b) { return a.size() < b.size(); });
    ASSERT_TRUE(group.Keeps(*longest, ruling.keeps)) << Describe(disks);
  }
  ++(recovers ? tally.recovered : tally.stayed_down);
}

enum class States { kCompacted, kAhead };

// Every prefix of this log, of which a front is in a snapshot, which can be read or not, or in a
// state that is ahead of the log's beginning; each entry behind it good or bad.
std::vector<DamagedDisk> DisksOf(const std::vector<Term>& terms, States states, bool torn) {
  std::vector<DamagedDisk> disks;
  for (size_t length = 0; length <= terms.size(); ++length) {
    for (DamagedDisk disk :
         DamageOf({terms.begin(), terms.begin() + static_cast<std::ptrdiff_t>(length)})) {
      if (disk.torn && !torn) continue;
      for (disk.compacted = 0; disk.compacted <= length; ++disk.compacted) {
        // Of what is not there any more, there is one way.
        if (disk.compacted > 0 && !disk.good[disk.compacted - 1]) break;
        disk.state_lost = false;
        const size_t most = states == States::kAhead ? length : disk.compacted;
        for (disk.applied = disk.compacted; disk.applied <= most; ++disk.applied) {
          disks.push_back(disk);
        }
        disk.applied = 0;
        disk.state_lost = disk.compacted > 0;
        if (disk.state_lost) disks.push_back(disk);
      }
    }
  }
  return disks;
}

Tally CheckAll(const std::vector<DamagedDisk>& disks) {
  Random random(1);
  Tally tally;
  ForEachGroup(disks, 3, random, [&](const DamagedDisks& group) {
    Check(group, tally);
    return !testing::Test::HasFatalFailure();
  });
  return tally;
}

TEST(SnapshotRecoveryTest, ThreeEntriesAndTornTails) {
  const Tally tally = CheckAll(DisksOf({1, 2, 2}, States::kCompacted, true));
  EXPECT_EQ(tally.recovered, 13'796u);
  EXPECT_EQ(tally.stayed_down, 10'400u);
}

TEST(SnapshotRecoveryTest, FourEntries) {
  const Tally tally = CheckAll(DisksOf({1, 2, 2, 3}, States::kCompacted, false));
  EXPECT_EQ(tally.recovered, 54'523u);
  EXPECT_EQ(tally.stayed_down, 41'881u);
}

TEST(SnapshotRecoveryTest, ThreeEntriesAndStatesAheadOfTheLogs) {
  const Tally tally = CheckAll(DisksOf({1, 2, 2}, States::kAhead, false));
  EXPECT_EQ(tally.recovered, 80'173u);
  EXPECT_EQ(tally.stayed_down, 11'849u);
}

// Repairs come one by one, and offers are lost.
TEST(SnapshotRecoveryTest, MoreNodesRepairedOneByOne) {
  std::vector<DamagedDisk> disks = DisksOf({1, 2, 2, 3}, States::kCompacted, true);
  for (const DamagedDisk& disk : DisksOf({1, 2, 2, 3}, States::kAhead, false)) {
    disks.push_back(disk);
  }
  Random random(1);
  Tally tally;
  for (int round = 0; round < 5'000; ++round) {
    DamagedDisks group;
    for (size_t nodes = 3 + 2 * random.Below(2); group.size() < nodes;) {
      group.push_back(disks[random.Below(disks.size())]);
    }
    Check(group, tally, &random);
    ASSERT_FALSE(HasFatalFailure()) << "round " << round;
  }
  EXPECT_GT(tally.recovered, 500u);
  EXPECT_GT(tally.stayed_down, 500u);
}

}  // namespace
}  // namespace cairn
