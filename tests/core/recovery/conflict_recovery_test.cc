// Logs that end in different entries, as leaders that were cut off leave them, some of which cannot
// be read: every way of it, on three nodes. What was not committed stops nobody, and no entry is
// taken for another one at its index (fault catalogue 6.5).

#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "base/types.h"
#include "gtest/gtest.h"
#include "tests/core/recovery/damaged_group.h"
#include "tests/core/recovery/disk_sets.h"

namespace cairn {
namespace {

bool Holds(const DamagedDisk& disk, size_t at, Term term) {
  return disk.size() > at && disk.terms[at] == term;
}

// One leader a term, whose log only grows (paper 5.2, 5.3): what stands up to an entry of a term in
// one log and in another is the same, as far as both go.
bool MayBeAtOnce(const DamagedDisks& disks) {
  std::map<Term, std::vector<Term>> leaders;
  for (const DamagedDisk& disk : disks) {
    for (size_t at = 0; at < disk.size(); ++at) {
      std::vector<Term>& log = leaders[disk.terms[at]];
      const size_t both = std::min(log.size(), at + 1);
      if (!std::equal(log.begin(), log.begin() + static_cast<std::ptrdiff_t>(both),
                      disk.terms.begin())) {
        return false;
      }
      const auto end = disk.terms.begin() + static_cast<std::ptrdiff_t>(at) + 1;
      if (log.size() < at + 1) log.assign(disk.terms.begin(), end);
    }
  }
  return true;
}

// The oracle --------------------------------------------------------------------------------------

enum class Fate { kStaysDown, kEither, kRecovers };

class Rules {
 public:
  explicit Rules(const DamagedDisks& disks) : disks_(disks), quorum_(disks.size() / 2 + 1) {}

  // "Any up-to-date node may lead, even with faulty entries, but must fix them"; who cannot steps
  // down, "so a better-placed node may try" (6.2, 6.5).
  Fate Decide() const {
    Fate fate = Fate::kStaysDown;
    for (const DamagedDisk& disk : disks_) {
      const std::optional<size_t> left = LeftToServe(disk);
      if (!left || !MayLead(disk, disk.size())) continue;
      // Here nobody leads with entries that he cannot read, and what he discards he claims no more.
      // Then an older entry may look as if it had been committed: in doubt it is not given up.
      fate = MayLead(disk, *left) ? Fate::kRecovers : std::max(fate, Fate::kEither);
      if (fate == Fate::kRecovers) return fate;
    }
    return fate;
  }
  // Whether entry `at` of `disk`, which somebody can read, may have been committed, by a leader of
  // its own term: a quorum claims it, and no later leader was without it (paper 5.4.3).
  bool MayBeCommitted(const DamagedDisk& disk, size_t at) const {
    const Term term = disk.terms[at];
    return Had(at, term) &&
           Count([&](const DamagedDisk& each) { return Holds(each, at, term); }) >= quorum_ &&
           Count([&](const DamagedDisk& each) {
             return !Holds(each, at, term) && each.size() > 0 && each.terms.back() > term;
           }) == 0;
  }

 private:
  template <typename Predicate>
  size_t Count(Predicate predicate) const {
    return static_cast<size_t>(std::count_if(disks_.begin(), disks_.end(), predicate));
  }
  bool Had(size_t at, Term term) const {
    return Count([&](const DamagedDisk& each) { return Holds(each, at, term) && each.good[at]; }) >
           0;
  }
  // "Election comparison uses ids, so FAULTY entries count as present." Of the first `count`.
  static std::pair<Term, size_t> LastOf(const DamagedDisk& disk, size_t count) {
    return {count == 0 ? 0 : disk.terms[count - 1], count};
  }
  bool MayLead(const DamagedDisk& disk, size_t count) const {
    return 1 + Count([&](const DamagedDisk& each) {
             return &each != &disk && LastOf(each, each.size()) <= LastOf(disk, count);
           }) >=
           quorum_;
  }
  // So many of its entries are there when it has repaired, or discarded, what it cannot read;
  // nullopt: it can do neither.
  std::optional<size_t> LeftToServe(const DamagedDisk& disk) const {
    for (size_t at = 0; at < disk.size(); ++at) {
      const Term term = disk.terms[at];
      if (Had(at, term)) continue;
      // DONT_HAVE: "its log at i ends earlier or holds a different (term, checksum)".
      const size_t claims = Count([&](const DamagedDisk& each) { return Holds(each, at, term); });
      const size_t torn = Count([&](const DamagedDisk& each) {
        return Holds(each, at, term) && each.torn && at >= each.bad_end();
      });
      if (claims < quorum_ || torn == claims) return at;
      return std::nullopt;
    }
    return disk.size();
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

void Check(const DamagedDisks& disks, Tally& tally) {
  if (!MayBeAtOnce(disks)) return;
  const Rules rules(disks);
  const Fate fate = rules.Decide();
  DamagedGroup group(disks, {VotersUpTo(disks.size())});
  const bool recovers = group.Recovers(fate == Fate::kRecovers ? Seconds(60) : Seconds(10));
  ASSERT_EQ(group.violation(), "") << Describe(disks);
  if (fate != Fate::kEither) {
    ASSERT_EQ(recovers, fate == Fate::kRecovers) << Describe(disks);
  }
  for (const DamagedDisk& disk : disks) {
    for (size_t at = 0; recovers && at < disk.size(); ++at) {
      if (!rules.MayBeCommitted(disk, at)) continue;
      ASSERT_TRUE(group.Keeps(disk, at + 1)) << Describe(disks);
    }
  }
  ++(fate == Fate::kEither ? tally.either : recovers ? tally.recovered : tally.stayed_down);
}

// All logs of at most `entries` entries of the terms up to `terms`, with all damage to them.
std::vector<DamagedDisk> DisksOf(size_t entries, Term terms) {
  std::vector<std::vector<Term>> logs = {{}};
  for (size_t i = 0; i < logs.size(); ++i) {
    if (logs[i].size() == entries) continue;
    for (Term term = logs[i].empty() ? 1 : logs[i].back(); term <= terms; ++term) {
      std::vector<Term> longer = logs[i];
      longer.push_back(term);
      logs.push_back(std::move(longer));
    }
  }
  std::vector<DamagedDisk> disks;
  for (const std::vector<Term>& log : logs) {
    for (DamagedDisk& disk : DamageOf(log)) disks.push_back(std::move(disk));
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

TEST(ConflictRecoveryTest, ThreeEntriesOfTwoTerms) {
  const Tally tally = CheckAll(DisksOf(3, 2));
  EXPECT_EQ(tally.recovered, 17'032u);
  EXPECT_EQ(tally.stayed_down, 8'890u);
  EXPECT_EQ(tally.either, 2'840u);
}

TEST(ConflictRecoveryTest, TwoEntriesOfThreeTerms) {
  const Tally tally = CheckAll(DisksOf(2, 3));
  EXPECT_EQ(tally.recovered, 6'129u);
  EXPECT_EQ(tally.stayed_down, 1'717u);
  EXPECT_EQ(tally.either, 1'611u);
}

// Repairs come at once: whoever waits for them longer than others wait for him comes too late.
TEST(ConflictRecoveryTest, MoreTermsAndNodes) {
  const std::vector<DamagedDisk> disks = DisksOf(3, 3);
  Random random(1);
  Tally tally;
  for (int round = 0; round < 5'000; ++round) {
    DamagedDisks group;
    for (size_t nodes = 3 + 2 * random.Below(2); group.size() < nodes;) {
      group.push_back(disks[random.Below(disks.size())]);
    }
    Check(group, tally);
    ASSERT_FALSE(HasFatalFailure()) << "round " << round;
  }
  EXPECT_GT(tally.recovered, 100u);
  EXPECT_GT(tally.stayed_down, 50u);
}

}  // namespace
}  // namespace cairn
