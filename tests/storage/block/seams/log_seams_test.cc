// Where the spans of a group's log meet: what stands behind a break is given up, and what stands
// before it is a log.

#include "storage/block/seams/log_seams.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/coding.h"
#include "gtest/gtest.h"
#include "storage/block/span_index.h"
#include "storage/block/written_log.h"
#include "tests/storage/block/log_driver.h"

namespace cairn {
namespace {

EntryHash Hash(uint64_t n) { return {.high = 7, .low = n}; }

class LogSeamsTest : public testing::Test {
 protected:
  // Entries first..last of `term`, in block `block`; the hash of entry i is that of i.
  void Add(uint64_t block, Index first, Index last, Term term) {
    Span span = {.block = block,
                 .first = first,
                 .last = last,
                 .previous_hash = Hash(first - 1),
                 .last_hash = Hash(last),
                 .open = false,
                 .marks = {{.first = first}},
                 .term_runs = {{term, last}},
                 .configurations = {}};
    log_.AddSpan(std::move(span));
    log_.last = {last, term};
    log_.last_hash = Hash(last);
  }
  std::optional<LogBreak> Join() {
    const auto read = [&](const Span&, Index index) -> std::optional<RecordRun> {
      ++reads_;
      const auto found = entries_.find(index);
      return found == entries_.end() ? std::nullopt : std::optional(found->second);
    };
    LearnSeams(read, log_);
    return LoseBehindBreak(read, log_);
  }

  BlockUsage usage_;
  WrittenLog log_{&usage_};
  std::map<Index, RecordRun> entries_;
  int reads_ = 0;
};

TEST_F(LogSeamsTest, OneLogIsLeftAlone) {
  log_.base_hash = Hash(0);
  Add(1, 1, 10, 1);
  Add(2, 11, 20, 2);
  log_.commit = 20;
  EXPECT_EQ(Join(), std::nullopt);
  EXPECT_FALSE(log_.hard_state_lost);
  EXPECT_EQ(log_.commit, 20u);
  EXPECT_EQ(log_.last.index, 20u);
  EXPECT_EQ(reads_, 0);
}

TEST_F(LogSeamsTest, EntriesOfUnknownTermsEndIt) {
  log_.base_hash = Hash(0);
  Add(1, 1, 10, 1);
  Add(3, 21, 30, 2);
  log_.commit = 30;  // of 9 and 10 others may have been, in their places
  log_.spans.FillGaps(log_.bounds());
  EXPECT_EQ(Join(), (LogBreak{11, 30, "are in no block"}));
  EXPECT_TRUE(log_.hard_state_lost);
  EXPECT_EQ(log_.last, (LogPosition{10, 1}));
  EXPECT_EQ(log_.last_hash, Hash(10));
  EXPECT_EQ(log_.commit, 0u);
  EXPECT_EQ(usage_.Of(3), BlockUsage::Usage());
}

// Each entry that is missing is told, but not more than 2^20 of them: those behind are given up.
TEST_F(LogSeamsTest, AGapThatIsTooLargeEndsIt) {
  for (const Index missing : {Index{1} << 20, (Index{1} << 20) + 1}) {
    SCOPED_TRACE(missing);
    log_.spans.TruncateFrom(1);
    log_.base_hash = Hash(0);
    Add(1, 1, 10, 1);
    Add(3, 11 + missing, 20 + missing, 1);
    log_.spans.FillGaps(log_.bounds());
    const std::optional<LogBreak> lost = Join();
    EXPECT_EQ(lost.has_value(), missing > Index{1} << 20);
    EXPECT_EQ(log_.last.index, lost ? 10 : 20 + missing);
    EXPECT_EQ(log_.hard_state_lost, lost.has_value());
  }
}

TEST_F(LogSeamsTest, WhatFollowsAnotherEntryEndsIt) {
  log_.base_hash = Hash(0);
  Add(1, 1, 10, 1);
  log_.spans.TruncateFrom(8);
  Add(3, 8, 12, 2);
  // Nobody knows the hash of 7 any more, and of what stands there it is another one.
  ModelLog model;
  for (int i = 1; i <= 7; ++i) {
    model.entries.push_back(MakeRun(kGroupA, model, 1, {std::to_string(i)}));
  }
  entries_.emplace(7, model.entries.back());
  EXPECT_EQ(Join(), (LogBreak{8, 12, "do not continue the log before them"}));
  EXPECT_EQ(log_.last, (LogPosition{7, 1}));
  EXPECT_EQ(log_.last_hash, model.last_hash());
}

// It ends behind an entry whose hash is known.
TEST_F(LogSeamsTest, WhatCannotBeReadIsGivenUpToo) {
  log_.base_hash = Hash(0);
  Add(1, 1, 10, 1);
  log_.spans.TruncateFrom(8);
  Add(3, 8, 12, 2);
  ModelLog model;
  for (int i = 1; i <= 5; ++i) {
    model.entries.push_back(MakeRun(kGroupA, model, 1, {std::to_string(i)}));
  }
  entries_.emplace(5, model.entries.back());
  EXPECT_EQ(Join(), (LogBreak{6, 12, "do not continue the log before them"}));
  EXPECT_EQ(log_.last, (LogPosition{5, 1}));
}

// As a footer names entries that are in no block: each of them is told.
TEST_F(LogSeamsTest, AGapInAFooterIsNoLarger) {
  const auto is_sound = [](Index missing, bool copied) {
    const Span gap = {.block = 0,
                      .first = 11,
                      .last = 10 + missing,
                      .previous_hash = Hash(10),
                      .last_hash = Hash(10 + missing),
                      .open = false,
                      .copied = copied,
                      .marks = {{.first = 11}},
                      .term_runs = {{2, 10 + missing}},
                      .configurations = {}};
    std::string bytes;
    EncodeSpan(&bytes, gap);
    Decoder decoder(bytes);
    Span decoded;
    return DecodeSpan(decoder, &decoded) && decoded == gap;
  };
  EXPECT_TRUE(is_sound(1, true));
  EXPECT_TRUE(is_sound(Index{1} << 20, true));
  EXPECT_FALSE(is_sound((Index{1} << 20) + 1, true));
  EXPECT_FALSE(is_sound(Index{1} << 60, true));
  EXPECT_FALSE(is_sound(1, false)) << "what is behind it would be gone";
}

// A term has one entry at an index, always behind the same ones: nobody need read it.
TEST_F(LogSeamsTest, OneTermIsOneLog) {
  log_.base_hash = Hash(0);
  Add(1, 1, 10, 2);
  log_.spans.TruncateFrom(8);
  Add(3, 8, 12, 2);
  EXPECT_EQ(Join(), std::nullopt);
  EXPECT_EQ(reads_, 1);
  EXPECT_EQ(log_.last.index, 12u);
}

TEST_F(LogSeamsTest, WithAnotherBaseNothingIsLeft) {
  log_.base = {5, 3};
  log_.base_hash = Hash(1005);
  Add(1, 6, 10, 4);
  EXPECT_EQ(Join(), (LogBreak{6, 10, "do not continue the log before them"}));
  EXPECT_EQ(log_.last, log_.base);
  EXPECT_EQ(log_.last_hash, log_.base_hash);
}

}  // namespace
}  // namespace cairn
