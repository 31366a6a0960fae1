#include "tests/sim/log_model.h"

#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace cairn::sim {
namespace {

constexpr NodeId kOne = static_cast<NodeId>(1);

EntryId Id(Term term, uint64_t hash) { return {term, {hash, hash}}; }

LogChange Entries(Index first, std::vector<EntryId> entries) {
  LogChange change;
  change.first = first;
  change.entries = std::move(entries);
  return change;
}

LogChange Overwrite(Index from, std::vector<EntryId> entries) {
  LogChange change = Entries(from, std::move(entries));
  change.truncate_from = from;
  return change;
}

TEST(LogModelTest, DurableOnceSynced) {
  LogModel log;
  log.Append(Entries(1, {Id(1, 1), Id(1, 2)}));
  EXPECT_EQ(log.live().last(), 2u);
  EXPECT_EQ(log.durable_floor(), 0u);
  log.Synced(1);
  EXPECT_EQ(log.durable_floor(), 2u);
  EXPECT_EQ(*log.durable().Find(2), Id(1, 2));
}

TEST(LogModelTest, PendingTruncationLowersTheFloor) {
  LogModel log;
  log.Append(Entries(1, {Id(1, 1), Id(1, 2)}));
  log.Synced(1);
  log.Append(Overwrite(2, {Id(2, 9)}));
  log.Append(Overwrite(2, {Id(1, 2)}));  // the first one again
  EXPECT_EQ(*log.durable().Find(2), *log.live().Find(2));
  EXPECT_EQ(log.durable_floor(), 1u);
  log.Synced(3);
  EXPECT_EQ(log.durable_floor(), 2u);
}

TEST(LogModelTest, AResetThatIsNotSyncedMayBeMissing) {
  LogModel log;
  log.Append(Entries(1, {Id(1, 1)}));
  log.Synced(1);
  LogChange reset;
  reset.reset_to = 5;
  log.Append(reset);
  EXPECT_EQ(log.durable_floor(), 5u);
  EXPECT_EQ(log.least_last(), 1u);
  log.Synced(2);
  EXPECT_EQ(log.least_last(), 5u);
}

TEST(LogModelTest, PowerCutLeavesAPrefixOfTheChanges) {
  LogModel log;
  log.Append(Entries(1, {Id(1, 1), Id(1, 2)}));
  log.Synced(1);
  LogChange change = Overwrite(2, {Id(2, 3), Id(2, 4)});
  change.hard_state = {2, kOne};
  log.Append(change);
  auto fits = [&](HardState hard_state, std::vector<EntryId> entries) {
    return log.WhyNotAfterPowerCut(LogImage(hard_state, 0, std::move(entries))).empty();
  };
  EXPECT_TRUE(fits({}, {Id(1, 1), Id(1, 2)}));
  EXPECT_TRUE(fits({2, kOne}, {Id(1, 1), Id(1, 2)}));
  EXPECT_TRUE(fits({2, kOne}, {Id(1, 1)}));
  EXPECT_TRUE(fits({2, kOne}, {Id(1, 1), Id(2, 3)}));
  EXPECT_TRUE(fits({2, kOne}, {Id(1, 1), Id(2, 3), Id(2, 4)}));
  EXPECT_FALSE(fits({3, kOne}, {Id(1, 1)}));
  EXPECT_FALSE(fits({}, {}));
  EXPECT_FALSE(fits({}, {Id(1, 1), Id(1, 5)}));
}

TEST(LogModelTest, DroppedPrefixMovesTheBase) {
  LogModel log;
  log.Append(Entries(1, {Id(1, 1), Id(1, 2), Id(1, 3)}));
  LogChange drop;
  drop.drop_up_to = 2;
  log.Append(drop);
  log.Synced(2);
  EXPECT_EQ(log.durable().base(), 2u);
  EXPECT_EQ(log.durable().Find(2), nullptr);
  EXPECT_EQ(*log.durable().Find(3), Id(1, 3));
}

TEST(LogModelTest, AgreedPrefix) {
  std::vector<EntryId> long_log, short_log;
  for (uint64_t i = 1; i <= 40; ++i) long_log.push_back(Id(1, i));
  for (size_t agreed = 0; agreed <= 20; ++agreed) {
    short_log.assign(long_log.begin(), long_log.begin() + static_cast<std::ptrdiff_t>(agreed));
    LogImage a({}, 0, long_log);
    EXPECT_EQ(AgreedPrefix(a, LogImage({}, 0, short_log)), agreed);
    for (uint64_t i = 0; i < 5; ++i) short_log.push_back(Id(2, 1000 + i));
    EXPECT_EQ(AgreedPrefix(a, LogImage({}, 0, short_log)), agreed);
    EXPECT_EQ(AgreedPrefix(LogImage({}, 0, short_log), a), agreed);
  }
}

}  // namespace
}  // namespace cairn::sim
