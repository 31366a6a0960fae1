#include "raft/cache/log_cache.h"

#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "tests/raft/records.h"

namespace cairn {
namespace {

std::vector<std::string> Bodies(const std::vector<RecordRun>& runs) {
  std::vector<std::string> bodies;
  for (const RecordRun& run : runs) {
    for (size_t i = 0; i < run.size(); ++i) {
      bodies.push_back(std::string(run[i].Payload(run.bytes()).view()));
    }
  }
  return bodies;
}

TEST(LogCacheTest, ReadsWhatWasAppended) {
  LogCache cache(1000);
  RecordRun first = MakeRun({4, 1}, {1, 1}, {1, 1});
  RecordRun second = MakeRunBehind(first, {2, 2, 2});
  cache.Append(first, 1);
  cache.Append(second, 2);
  EXPECT_EQ(cache.first(), 5u);
  EXPECT_EQ(
      Bodies(cache.Read(5, 9, 10'000)),
      (std::vector<std::string>{"command 5", "command 6", "command 7", "command 8", "command 9"}));
  EXPECT_EQ(Bodies(cache.Read(6, 7, 10'000)), (std::vector<std::string>{"command 6", "command 7"}));
  EXPECT_EQ(Bodies(cache.Read(8, 100, 10'000)),
            (std::vector<std::string>{"command 8", "command 9"}));
  EXPECT_TRUE(cache.Read(4, 9, 10'000).empty());
  EXPECT_TRUE(cache.Read(10, 10, 10'000).empty());
  EXPECT_TRUE(cache.Read(7, 6, 10'000).empty());
  EXPECT_EQ(cache.HashAt(5), first[0].hash());
  EXPECT_EQ(cache.HashAt(6), first.last_hash());
  EXPECT_EQ(cache.HashAt(9), second.last_hash());
  EXPECT_EQ(cache.HashAt(4), std::nullopt);
  EXPECT_EQ(cache.HashAt(10), std::nullopt);
}

TEST(LogCacheTest, BytesLimitAReadToAtLeastOneEntry) {
  LogCache cache(1000);
  RecordRun first = MakeRun({}, {}, {1, 1, 1});
  RecordRun second = MakeRunBehind(first, {1, 1});
  cache.Append(first, 1);
  cache.Append(second, 2);
  size_t one = first[0].bytes().size();
  EXPECT_EQ(Bodies(cache.Read(1, 5, 0)).size(), 1u);
  EXPECT_EQ(Bodies(cache.Read(1, 5, one - 1)).size(), 1u);
  EXPECT_EQ(Bodies(cache.Read(1, 5, 2 * one - 1)).size(), 1u);
  EXPECT_EQ(Bodies(cache.Read(1, 5, 2 * one)).size(), 2u);
  EXPECT_EQ(Bodies(cache.Read(1, 5, 3 * one)).size(), 3u);
  EXPECT_EQ(Bodies(cache.Read(1, 5, 4 * one - 1)).size(), 3u);
  EXPECT_EQ(Bodies(cache.Read(1, 5, 4 * one)).size(), 4u);
  EXPECT_EQ(Bodies(cache.Read(2, 5, 100 * one)).size(), 4u);
}

TEST(LogCacheTest, FindsEachOfManyRuns) {
  LogCache cache(1'000'000);
  std::vector<RecordRun> runs = {MakeRun({}, {}, {1, 1})};
  while (runs.size() < 100) runs.push_back(MakeRunBehind(runs.back(), {1, 1}));
  for (const RecordRun& run : runs) cache.Append(run, 1);
  for (Index index = 1; index <= 200; ++index) {
    const std::vector<RecordRun> read = cache.Read(index, index, 1000);
    ASSERT_EQ(read.size(), 1u) << index;
    EXPECT_EQ(read[0].first().index, index);
    EXPECT_EQ(read[0].last_hash(), runs[(index - 1) / 2].At(index).hash());
  }
  EXPECT_TRUE(cache.Read(201, 201, 1000).empty());
}

TEST(LogCacheTest, ForgetsNothingThatIsNotInTheStore) {
  LogCache cache(0);
  RecordRun first = MakeRun({}, {}, {1, 1});
  cache.Append(first, 1);
  RecordRun second = MakeRunBehind(first, {1});
  cache.Append(second, 2);
  EXPECT_EQ(cache.first(), 1u);
  cache.Written(1);
  EXPECT_EQ(cache.first(), 3u);
  cache.Written(2);
  EXPECT_TRUE(cache.empty());
  EXPECT_EQ(cache.bytes(), 0u);
}

TEST(LogCacheTest, KeepsTheTailWithinItsBytes) {
  RecordRun run = MakeRun({}, {}, {1});
  LogCache cache(3 * run.byte_size() + 2);
  cache.Append(run, 1);
  for (Ticket ticket = 2; ticket <= 10; ++ticket) {
    run = MakeRunBehind(run, {1});
    cache.Append(run, ticket);
    cache.Written(ticket);
  }
  EXPECT_EQ(cache.first(), 8u);
  EXPECT_LE(cache.bytes(), 3 * run.byte_size() + 2);
}

TEST(LogCacheTest, KeepsNoMoreThanItsShare) {
  CacheShare share(4 * CacheShare::kLeastBytes);
  EXPECT_EQ(share.bytes_of_each(), 4 * CacheShare::kLeastBytes);
  LogCache cache(8 * CacheShare::kLeastBytes, &share);
  RecordRun run = MakeRun({}, {}, {1});
  Ticket ticket = 1;
  const auto grow = [&] {
    for (size_t bytes = 0; bytes < 8 * CacheShare::kLeastBytes; bytes += run.byte_size()) {
      cache.Append(run, ticket);
      cache.Written(ticket++);
      run = MakeRunBehind(run, {1});
    }
  };
  grow();
  EXPECT_LE(cache.bytes(), 4 * CacheShare::kLeastBytes);
  EXPECT_GT(cache.bytes(), 3 * CacheShare::kLeastBytes);
  // More groups, and each has less; but what is not written yet stays.
  share.SetGroups(2);
  cache.Written(ticket);
  EXPECT_LE(cache.bytes(), 2 * CacheShare::kLeastBytes);
  EXPECT_GT(cache.bytes(), CacheShare::kLeastBytes);
  share.SetGroups(1000);
  EXPECT_EQ(share.bytes_of_each(), CacheShare::kLeastBytes);
  grow();
  EXPECT_LE(cache.bytes(), CacheShare::kLeastBytes);
  share.SetGroups(0);
  EXPECT_EQ(share.bytes_of_each(), 4 * CacheShare::kLeastBytes);
}

TEST(LogCacheTest, TruncatesWithinARunAndAcrossRuns) {
  LogCache cache(10'000);
  RecordRun first = MakeRun({}, {}, {1, 1, 1});
  RecordRun second = MakeRunBehind(first, {1, 1});
  cache.Append(first, 1);
  cache.Append(second, 2);
  cache.Truncate(3);
  EXPECT_EQ(cache.bytes(), first[0].bytes().size() + first[1].bytes().size());
  EXPECT_EQ(cache.HashAt(3), std::nullopt);
  EXPECT_EQ(cache.HashAt(2), first[1].hash());
  RecordRun other = MakeRun({2, 1}, first[1].hash(), {2, 2}, "other ");
  cache.Append(other, 3);
  EXPECT_EQ(Bodies(cache.Read(2, 9, 10'000)),
            (std::vector<std::string>{"command 2", "other 3", "other 4"}));
  cache.Truncate(1);
  EXPECT_TRUE(cache.empty());
  EXPECT_EQ(cache.bytes(), 0u);
  // Truncated below what was cached: the cache starts anew.
  cache.Append(MakeRun({7, 2}, {}, {3}), 4);
  EXPECT_EQ(cache.first(), 8u);
}

TEST(LogCacheTest, AgreesWithANaiveLog) {
  Random random(5);
  LogCache cache(600);
  std::vector<RecordRun> log;  // one entry each
  std::vector<Ticket> tickets;
  Ticket ticket = 0;
  Ticket written = 0;
  for (int step = 0; step < 5000; ++step) {
    uint64_t dice = random.Below(10);
    if (dice < 5) {
      ++ticket;
      std::vector<Term> terms(1 + random.Below(4), ticket);
      LogPosition previous = log.empty() ? LogPosition{} : log.back().last();
      RecordRun run = MakeRun(previous, log.empty() ? EntryHash{} : log.back().last_hash(), terms);
      for (Index i = run.first().index; i <= run.last().index; ++i) {
        log.push_back(run.Slice(i, i));
        tickets.push_back(ticket);
      }
      cache.Append(run, ticket);
    } else if (dice == 5 && !log.empty()) {
      Index from = log.size() - random.Below(std::min<size_t>(log.size(), 6));
      log.resize(from - 1);
      tickets.resize(from - 1);
      cache.Truncate(from);
    } else if (dice < 8 && written < ticket) {
      cache.Written(written += 1 + random.Below(ticket - written));
    } else if (!log.empty()) {
      Index first = log.size() - random.Below(std::min<size_t>(log.size(), 12));
      size_t bytes = random.Below(800);
      std::vector<RecordRun> read = cache.Read(first, log.size(), bytes);
      bool unwritten = tickets[first - 1] > written;
      ASSERT_TRUE(!read.empty() || !unwritten) << "step " << step;
      Index index = first;
      size_t total = 0;
      for (const RecordRun& run : read) {
        for (size_t i = 0; i < run.size(); ++i, ++index) {
          ASSERT_EQ(run[i].bytes(), log[index - 1][0].bytes());
          total += run[i].bytes().size();
        }
      }
      if (read.empty()) continue;
      ASSERT_TRUE(total <= bytes || index == first + 1);
      ASSERT_TRUE(index > log.size() || total + log[index - 1].byte_size() > bytes);
      ASSERT_EQ(cache.HashAt(first), log[first - 1].last_hash());
    }
  }
}

}  // namespace
}  // namespace cairn
