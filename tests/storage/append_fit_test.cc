#include "storage/append_fit.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "tests/storage/log_twin.h"

namespace cairn {
namespace {

// Entries 1 to 6 of terms 1 1 2 2 4 4, of which the log holds those behind 2.
class AppendFitTest : public testing::Test {
 protected:
  AppendFitTest() {
    for (Term term : {1, 1, 2, 2, 4, 4}) log_.Add(term, "an entry");
  }

  // What CheckFits says; empty if it fits.
  std::string Judge(const LogAppend& append) const {
    const Index end = EndFor(extent_, append);
    EXPECT_GE(end, extent_.base);
    EXPECT_LE(end, extent_.last);
    const absl::Status status = CheckFits(extent_, append, log_.HashAt(end), [this](Index index) {
      EXPECT_GE(index, extent_.base);
      EXPECT_LE(index, extent_.last);
      return log_.PositionAt(index).term;
    });
    EXPECT_TRUE(status.ok() || absl::IsFailedPrecondition(status)) << status;
    return std::string(status.message());
  }

  // The log cut to `last`, for runs that follow it.
  LogTwin Cut(Index last) const {
    LogTwin twin = log_;
    twin.TruncateFrom(last + 1);
    return twin;
  }

  // A run of two entries behind entry `last` of the log.
  LogAppend RunBehind(Index last, Term term) const {
    LogAppend append;
    append.runs = {Cut(last).AddRun(term, {"one", "two"})};
    return append;
  }

  LogTwin log_{GroupId::kDefault};
  const LogExtent extent_ = {GroupId::kDefault, 2, 6};
};

TEST_F(AppendFitTest, WithoutEntriesAnythingFitsThatKeepsTheBase) {
  LogAppend append;
  append.hard_state = HardState{9, NodeId{1}};
  append.commit = 100;
  EXPECT_EQ(Judge(append), "");
  EXPECT_EQ(EndFor(extent_, append), 6u);
  for (const Index from : {3, 6, 7, 100}) {
    append.truncate_from = from;
    EXPECT_EQ(Judge(append), "") << from;
    EXPECT_EQ(EndFor(extent_, append), std::min<Index>(from - 1, 6)) << from;
  }
  for (const Index from : {0, 1, 2}) {
    append.truncate_from = from;
    EXPECT_EQ(Judge(append),
              "truncate from " + std::to_string(from) + ": the log begins behind it");
    EXPECT_EQ(EndFor(extent_, append), 2u);
  }
}

TEST_F(AppendFitTest, AtTheEndTheTermMayStayOrGrow) {
  EXPECT_EQ(Judge(RunBehind(6, 4)), "");
  EXPECT_EQ(Judge(RunBehind(6, 9)), "");
  LogTwin other(GroupId::kDefault);
  for (int i = 0; i < 6; ++i) other.Add(3, "of another history");
  LogAppend lower;
  lower.runs = {other.Add(3, "a lower term")};
  EXPECT_TRUE(absl::StrContains(Judge(lower), "the entry before it has a higher term"));
}

TEST_F(AppendFitTest, OverEntriesTheTermHasToGrow) {
  EXPECT_EQ(Judge(RunBehind(4, 5)), "");
  EXPECT_EQ(EndFor(extent_, RunBehind(4, 5)), 4u);
  EXPECT_EQ(Judge(RunBehind(2, 3)), "");  // over all of it
  EXPECT_TRUE(absl::StrContains(Judge(RunBehind(4, 4)), "the entry there has no lower term"));
  LogAppend cut_first = RunBehind(4, 4);
  cut_first.truncate_from = 5;
  EXPECT_EQ(Judge(cut_first), "");
  cut_first.truncate_from = 6;  // 5 stays
  EXPECT_TRUE(absl::StrContains(Judge(cut_first), "the entry there has no lower term"));
}

TEST_F(AppendFitTest, NothingBeforeTheBaseAndNoHole) {
  EXPECT_TRUE(absl::StrContains(Judge(RunBehind(1, 9)), "the log begins behind it"));
  EXPECT_TRUE(absl::StrContains(Judge(RunBehind(0, 9)), "the log begins behind it"));
  LogAppend hole = RunBehind(6, 9);
  hole.truncate_from = 6;
  EXPECT_TRUE(absl::StrContains(Judge(hole), "the log ends at 5"));
}

TEST_F(AppendFitTest, ARunFollowsTheVeryEntryBeforeIt) {
  LogTwin other = Cut(3);
  other.Add(2, "another 4");
  LogAppend append;
  append.runs = {other.Add(5, "5")};
  EXPECT_TRUE(absl::StrContains(Judge(append), "it follows another entry"));
}

TEST_F(AppendFitTest, RunsFollowEachOther) {
  LogTwin next = log_;
  const RecordRun seven = next.Add(4, "7");
  const RecordRun eight = next.Add(5, "8");
  const RecordRun nine = next.Add(5, "9");
  LogAppend append;
  append.runs = {RecordRun(), seven, RecordRun(), eight, nine};
  EXPECT_EQ(Judge(append), "");
  for (const std::vector<RecordRun>& runs :
       {std::vector<RecordRun>{seven, nine}, {seven, seven}, {seven, eight, seven}}) {
    append.runs = runs;
    EXPECT_TRUE(absl::StrContains(Judge(append), "it does not follow the run before it"));
  }
  LogTwin sibling = log_;
  sibling.Add(4, "another 7");
  append.runs = {seven, sibling.Add(5, "8")};
  EXPECT_TRUE(absl::StrContains(Judge(append), "it does not follow the run before it"));
}

// They are hashed outside of the store's lock, by CheckHeaders alone.
TEST_F(AppendFitTest, HeadersOfAllRunsAreChecked) {
  LogTwin next = log_;
  const RecordRun seven = next.Add(4, "7");
  const RecordRun eight = next.AddRun(4, {"8", "9"});
  EXPECT_TRUE(CheckHeaders(std::vector<RecordRun>{}).ok());
  EXPECT_TRUE(CheckHeaders({RecordRun(), seven, RecordRun(), eight}).ok());
}

TEST_F(AppendFitTest, NoEntriesOfAnotherGroup) {
  LogTwin other(GroupId{2});
  for (int i = 0; i < 6; ++i) other.Add(4, "x");
  LogAppend append;
  append.runs = {other.Add(4, "x")};
  EXPECT_TRUE(absl::StrContains(Judge(append), "it is of another group"));
}

}  // namespace
}  // namespace cairn
