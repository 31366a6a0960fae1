// Reads on other threads, beside what the writer does.

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "tests/storage/log_store_contract.h"

namespace cairn {
namespace {

constexpr GroupId kGroup = GroupId::kDefault;

// Calls `read` on some threads, at least once each, until destroyed.
class Readers {
 public:
  explicit Readers(std::function<void(Random&)> read) {
    for (uint64_t i = 0; i < 3; ++i) {
      threads_.emplace_back([this, read, i] {
        Random random(i);
        do {
          read(random);
        } while (!stop_);
      });
    }
  }
  ~Readers() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  std::atomic<bool> stop_ = false;
  std::vector<std::thread> threads_;
};

TEST_P(LogStoreContract, ReadsRunBesideAppends) {
  constexpr int kBatches = 200;
  LogTwin twin(kGroup);
  std::vector<RecordRun> batches;
  for (int i = 0; i < kBatches; ++i) {
    batches.push_back(twin.AddRun(1, {std::string(static_cast<size_t>(i), 'x'), "y"}));
  }
  LogStore& log = store();
  {
    const Readers readers([&](Random& random) {
      const Index last = log.last().index;
      EXPECT_EQ(log.HashAt(last).value(), twin.HashAt(last));
      if (last == 0) return;
      const Index first = 1 + random.Below(last);
      const auto runs = log.Read(first, last, static_cast<size_t>(random.Below(5'000)));
      ASSERT_TRUE(runs.ok()) << runs.status();
      Index next = first;
      for (const RecordRun& run : *runs) {
        for (size_t i = 0; i < run.size(); ++i) EXPECT_EQ(run[i].bytes(), twin.At(next++).record);
      }
      EXPECT_GT(next, first);
    });
    for (const RecordRun& batch : batches) {
      Append({batch});
      Sync();
    }
  }
  ExpectHolds(twin);
}

// A reader gets the old entry, the new one, or none, never something in between.
TEST_P(LogStoreContract, ReadsRunBesideTruncations) {
  LogTwin twin(kGroup);
  Append({twin.AddRun(1, std::vector<std::string>(20, std::string(300, 'x')))});
  LogStore& log = store();
  LogTwin written = twin;
  {
    const Readers readers([&](Random& random) {
      const Index index = 1 + random.Below(20);
      const auto runs = log.Read(index, index, 1);
      if (absl::IsOutOfRange(runs.status())) {
        EXPECT_GT(index, 10u);
        return;
      }
      ASSERT_TRUE(runs.ok()) << runs.status();
      ASSERT_EQ(runs->size(), 1u);
      EXPECT_EQ((*runs)[0].first().index, index);
      EXPECT_TRUE(RecordRun::Parse(kGroup, (*runs)[0].bytes()).ok());
      EXPECT_EQ(log.HashAt(10).value(), twin.HashAt(10));
    });
    for (Term term = 2; term < 150; ++term) {
      LogAppend append;
      append.truncate_from = 11 + term % 7;
      written.TruncateFrom(*append.truncate_from);
      if (term % 3 != 0) {
        append.runs = {written.AddRun(term, std::vector<std::string>(5, std::to_string(term)))};
      }
      Append(append);
      if (term % 5 == 0) Sync();
    }
  }
  ExpectHolds(written);
}

TEST_P(LogStoreContract, ReadsRunBesideDroppedPrefixes) {
  LogTwin twin(kGroup);
  for (int i = 0; i < 100; ++i) Append({twin.AddRun(1, {"a", "b", "c", std::string(500, 'd')})});
  LogStore& log = store();
  {
    const Readers readers([&](Random& random) {
      const Index index = 1 + random.Below(400);
      const auto runs = log.Read(index, 400, 2'000);
      if (absl::IsOutOfRange(runs.status())) {
        EXPECT_LE(index, log.base().index);
        return;
      }
      ASSERT_TRUE(runs.ok()) << runs.status();
      EXPECT_EQ((*runs)[0][0].bytes(), twin.At(index).record);
    });
    for (Index up_to = 5; up_to < 400; up_to += 5) {
      ASSERT_TRUE(log.DropPrefix(up_to).ok());
      twin.base = up_to;
      Sync();
    }
  }
  ExpectHolds(twin);
}

}  // namespace
}  // namespace cairn
