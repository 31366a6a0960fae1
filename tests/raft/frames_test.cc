#include "raft/frames.h"

#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "tests/raft/records.h"

namespace cairn {
namespace {

TEST(FramesTest, OneFrameWhereAllFits) {
  RecordRun first = MakeRun({4, 1}, {}, {1, 2});
  RecordRun second = MakeRunBehind(first, {2});
  std::vector<EntryFrame> frames = CutFrames({4, 1}, {first, second}, 10'000);
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].previous, (LogPosition{4, 1}));
  EXPECT_EQ(frames[0].last(), (LogPosition{7, 2}));
  EXPECT_EQ(frames[0].bytes, first.byte_size() + second.byte_size());
  EXPECT_EQ(frames[0].entries.size(), 2u);
}

TEST(FramesTest, NothingGivesNoFrame) { EXPECT_TRUE(CutFrames({4, 1}, {}, 100).empty()); }

TEST(FramesTest, PiecesFollowEachOtherAndKeepTheLimit) {
  Random random(3);
  for (int round = 0; round < 200; ++round) {
    std::vector<RecordRun> runs;
    LogPosition previous{random.Below(5), 0};
    if (previous.index > 0) previous.term = 1;
    RecordRun last = MakeRun(previous, {}, {1}, std::string(random.Below(900), 'x'));
    runs.push_back(last);
    for (uint64_t i = random.Below(5); i > 0; --i) {
      last = MakeRunBehind(last, std::vector<Term>(1 + random.Below(4), i > 2 ? 1 : 2),
                           std::string(random.Below(900), 'x'));
      if (last.last().term == 2) i = 1;
      runs.push_back(last);
    }
    size_t limit = 100 + random.Below(2000);
    std::vector<EntryFrame> frames = CutFrames(previous, runs, limit);
    std::string sent;
    size_t count = 0;
    for (const EntryFrame& frame : frames) {
      ASSERT_EQ(frame.previous, previous);
      size_t bytes = 0;
      size_t entries = 0;
      for (const RecordRun& run : frame.entries) {
        ASSERT_EQ(run.first().index, previous.index + 1);
        previous = run.last();
        bytes += run.byte_size();
        entries += run.size();
        sent += std::string(run.bytes().view());
      }
      ASSERT_EQ(frame.bytes, bytes);
      ASSERT_TRUE(bytes <= limit || entries == 1);
      count += entries;
    }
    std::string all;
    for (const RecordRun& run : runs) all += std::string(run.bytes().view());
    ASSERT_EQ(sent, all);
    ASSERT_EQ(previous, last.last());
    ASSERT_GE(count, frames.size());
  }
}

}  // namespace
}  // namespace cairn
