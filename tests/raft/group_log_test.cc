#include "raft/group_log.h"

#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "raft/core/configuration.h"
#include "tests/raft/call_log.h"
#include "tests/raft/fake_log_disk.h"
#include "tests/raft/records.h"

namespace cairn {
namespace {

constexpr WallTime kTime{5'000};

class GroupLogTest : public ::testing::Test {
 protected:
  GroupLog Open() {
    OpenedLog opened = disk_.OpenGroup(kTestGroup).value();
    store_ = opened.store;
    return GroupLog(kTestGroup, store_, opened.recovered, 0);
  }
  static LogBatch Batch(Ticket ticket, std::vector<AppendRun> runs) {
    LogBatch batch;
    batch.ticket = ticket;
    batch.runs = std::move(runs);
    return batch;
  }
  static AppendRun Noop(Index index, Term term) {
    return {AppendRun::Source::kNoop, 0, {index, term}, index, {}};
  }
  PayloadId Received(std::vector<RecordRun> runs) { return payloads_.Add({std::move(runs), {}}); }
  static std::string Shape(const LogAppend& append) {
    std::string shape;
    if (append.truncate_from.has_value()) shape += "cut " + std::to_string(*append.truncate_from);
    for (const RecordRun& run : append.runs) {
      shape += " " + ToString(run.first()) + ".." + ToString(run.last());
    }
    return shape;
  }

  FakeLogDisk disk_;
  LogStore* store_ = nullptr;
  Payloads payloads_;
  CallLog log_;
};

TEST_F(GroupLogTest, StampsProposalsNoopsAndConfigurations) {
  GroupLog log = Open();
  Configuration configuration;
  configuration.voters = {{NodeId{1}, Incarnation{11}, "a"}};
  Payload payload;
  payload.proposals.push_back(log_.Request("a", 2));
  payload.proposals.push_back(log_.Request("b", 1));
  PayloadId id = payloads_.Add(std::move(payload));
  AppendRun configure = {AppendRun::Source::kConfiguration, 0, {1, 3}, 1, configuration};
  AppendRun propose = {AppendRun::Source::kProposals, id, {3, 3}, 5, {}};
  LogBatch batch = Batch(1, {configure, Noop(2, 3), propose});
  batch.hard_state = HardState{3, NodeId{1}};
  batch.commit = 9;
  absl::StatusOr<LogAppend> append = log.Append(batch, payloads_, kTime);
  ASSERT_TRUE(append.ok()) << append.status();
  EXPECT_EQ(Shape(*append), " 1/3..1/3 2/3..2/3 3/3..5/3");
  EXPECT_EQ(append->hard_state, (HardState{3, NodeId{1}}));
  EXPECT_EQ(append->commit, 9u);
  EXPECT_EQ(append->runs[0][0].type(), EntryType::kConfiguration);
  EXPECT_EQ(append->runs[2][1].Payload(append->runs[2].bytes()).view(), "a1");
  EXPECT_EQ(append->runs[2][2].Payload(append->runs[2].bytes()).view(), "b0");
  EXPECT_EQ(append->runs[2][0].timestamp(), kTime);
  // It can be written, and read before it is.
  EXPECT_EQ(log.Read(1, 5, 10'000)->size(), 3u);
  EXPECT_TRUE(store_->Append(*append).ok());
  EXPECT_EQ(log.HashAt(5).value(), store_->HashAt(5).value());
  payloads_.ForEachProposal([](ProposalRequest& request) {
    request.span.Answer(NotApplied(ProposalNotApplied::Reason::kStopping));
  });
}

TEST_F(GroupLogTest, TakesTheAskedPartOfWhatWasReceived) {
  GroupLog log = Open();
  RecordRun run = MakeRun({}, {}, {1, 1, 2});
  RecordRun more = MakeRunBehind(run, {2, 2});
  ASSERT_TRUE(
      log.Append(
             Batch(1, {{AppendRun::Source::kReceived, Received({run.Slice(1, 2)}), {1, 1}, 2, {}}}),
             payloads_, kTime)
          .ok());
  absl::StatusOr<LogAppend> append =
      log.Append(Batch(2, {{AppendRun::Source::kReceived, Received({run, more}), {3, 2}, 4, {}}}),
                 payloads_, kTime);
  ASSERT_TRUE(append.ok());
  EXPECT_EQ(Shape(*append), " 3/2..3/2 4/2..4/2");
  EXPECT_EQ(log.last_index(), 4u);
}

TEST_F(GroupLogTest, AnEntryOfAnotherHistoryIsASafetyViolation) {
  GroupLog log = Open();
  ASSERT_TRUE(log.Append(Batch(1, {Noop(1, 1)}), payloads_, kTime).ok());
  RecordRun other = MakeRun({1, 1}, EntryHash{1, 1}, {1});
  absl::Status status =
      log.Append(Batch(2, {{AppendRun::Source::kReceived, Received({other}), {2, 1}, 2, {}}}),
                 payloads_, kTime)
          .status();
  EXPECT_TRUE(absl::IsInternal(status));
  EXPECT_EQ(std::string(status.message()).substr(0, 16), "safety violation");
  EXPECT_EQ(log.last_index(), 1u);
}

// The store still has the old entries when the new ones are read.
TEST_F(GroupLogTest, ReadsNeverSeeWhatWasTruncated) {
  GroupLog log = Open();
  RecordRun old = MakeRun({}, {}, {1, 1, 1, 1}, "old ");
  LogAppend append =
      log.Append(Batch(1, {{AppendRun::Source::kReceived, Received({old}), {1, 1}, 4, {}}}),
                 payloads_, kTime)
          .value();
  ASSERT_TRUE(store_->Append(append).ok());
  log.Written(1);
  EXPECT_EQ(log.first_cached(), 5u);
  RecordRun fresh = MakeRun({2, 1}, old[1].hash(), {2}, "new ");
  LogBatch batch = Batch(2, {{AppendRun::Source::kReceived, Received({fresh}), {3, 2}, 3, {}}});
  batch.truncate_from = 3;
  append = log.Append(batch, payloads_, kTime).value();
  EXPECT_EQ(Shape(append), "cut 3 3/2..3/2");
  EXPECT_EQ(log.Read(1, 9, 100'000)->back().last(), (LogPosition{2, 1}));
  EXPECT_EQ(log.Read(3, 9, 100'000)->back().last(), (LogPosition{3, 2}));
  EXPECT_TRUE(absl::IsOutOfRange(log.Read(4, 9, 100'000).status()));
  EXPECT_EQ(log.HashAt(3).value(), fresh.last_hash());
  EXPECT_EQ(log.HashAt(2).value(), old[1].hash());
  EXPECT_TRUE(absl::IsOutOfRange(log.HashAt(4).status()));
  // And truncated again, with nothing behind.
  LogBatch cut = Batch(3, {});
  cut.truncate_from = 2;
  append = log.Append(cut, payloads_, kTime).value();
  EXPECT_EQ(log.last_index(), 1u);
  EXPECT_EQ(log.HashAt(1).value(), old[0].hash());
  append = log.Append(Batch(4, {Noop(2, 3)}), payloads_, kTime).value();
  EXPECT_EQ(append.runs[0].previous_hash(), old[0].hash());
}

TEST_F(GroupLogTest, GoesOnFromWhatWasRecovered) {
  {
    GroupLog log = Open();
    LogAppend append = log.Append(Batch(1, {Noop(1, 1), Noop(2, 2)}), payloads_, kTime).value();
    ASSERT_TRUE(store_->Append(append).ok());
  }
  GroupLog log = Open();
  EXPECT_EQ(log.last_index(), 2u);
  EXPECT_EQ(log.last_timestamp(), kTime);
  EXPECT_EQ(log.first_cached(), 3u);
  LogAppend append = log.Append(Batch(1, {Noop(3, 3)}), payloads_, WallTime{4}).value();
  EXPECT_EQ(append.runs[0].previous_hash(), store_->HashAt(2).value());
  EXPECT_EQ(log.last_timestamp(), kTime);
  EXPECT_EQ(log.Read(1, 3, 10'000)->back().last().index, 2u);
  EXPECT_EQ(log.Read(3, 3, 10'000)->back().last().index, 3u);
}

TEST_F(GroupLogTest, GoesOnBehindASnapshot) {
  GroupLog log = Open();
  ASSERT_TRUE(log.Append(Batch(1, {Noop(1, 1), Noop(2, 1)}), payloads_, kTime).ok());
  EntryHash hash = {.high = 4, .low = 20};
  LogBatch reset = Batch(2, {Noop(21, 6)});
  reset.reset_to = LogReset{{20, 5}, hash};
  absl::StatusOr<LogAppend> append = log.Append(reset, payloads_, kTime);
  ASSERT_TRUE(append.ok()) << append.status();
  EXPECT_EQ(append->runs[0].previous_hash(), hash);
  EXPECT_EQ(log.last_index(), 21u);
  EXPECT_EQ(log.first_cached(), 21u) << "the old entries are gone";
}

}  // namespace
}  // namespace cairn
