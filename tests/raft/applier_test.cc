#include "raft/applier.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "storage/simulated_file_system.h"
#include "storage/snapshot_store.h"
#include "tests/raft/call_log.h"
#include "tests/raft/fake_log_disk.h"
#include "tests/raft/manual_executor.h"
#include "tests/raft/records.h"
#include "tests/storage/snapshot_content.h"

namespace cairn {
namespace {

using Strings = std::vector<std::string>;

class CountingMachine final : public StateMachine {
 public:
  explicit CountingMachine(std::vector<Index>* applied, LogPosition* restored = nullptr)
      : applied_(applied), restored_(restored) {}
  absl::StatusOr<LogPosition> Open(const OpenContext& context) override {
    log_ = context.log;
    return LogPosition{};
  }
  void Apply(ApplyBatch& batch) override {
    for (ApplyEntry& entry : batch) {
      applied_->push_back(entry.position().index);
      // What is being applied counts as not applied yet.
      EXPECT_TRUE(absl::IsOutOfRange(log_->Read(entry.position().index, kMaxIndex, 1).status()));
    }
  }
  absl::Status Restore(const SnapshotReader& snapshot, LogPosition position) override {
    EXPECT_EQ(snapshot.files().size(), 1u) << "the archive is not the machine's";
    EXPECT_EQ(snapshot.Read(0, 0, 1).value(), "x");
    *restored_ = position;
    return absl::OkStatus();
  }
  const LogReader* log() const { return log_; }

 private:
  std::vector<Index>* const applied_;
  LogPosition* const restored_;
  const LogReader* log_ = nullptr;
};

class ApplierTest : public ::testing::Test {
 protected:
  void Make(bool on_runner) {
    auto machine = std::make_unique<CountingMachine>(&applied_, &restored_);
    machine_ = machine.get();
    Applier::Events events;
    events.applied = [this](Index index) { told_.push_back(index); };
    events.failed = [this](const absl::Status& status) { failure_ = status; };
    applier_ = std::make_unique<Applier>(std::make_unique<Replica>(std::move(machine), 10), store_,
                                         &executor_, on_runner, std::move(events));
    ASSERT_TRUE(applier_->Open({.group = kTestGroup}).ok());
  }
  // `count` more entries in the store, with `bytes` of payload each; gives them.
  RecordRun Grow(size_t count, size_t bytes = 1, Term term = 1) {
    std::vector<Term> terms(count, term);
    RecordRun run = MakeRun(last_, last_hash_, terms, std::string(bytes, 'x'));
    last_ = run.last();
    last_hash_ = run.last_hash();
    LogAppend append;
    append.runs = {run};
    EXPECT_TRUE(store_->Append(append).ok());
    return run;
  }
  static ApplyWork Work(const RecordRun& run, std::vector<PlacedSpan> spans = {}) {
    return {run.first().index, run.last().index, {run}, std::move(spans)};
  }

  ManualWorld world_;
  ManualExecutor executor_{&world_};
  FakeLogDisk disk_;
  LogStore* store_ = disk_.OpenGroup(kTestGroup).value().store;
  LogPosition last_;
  EntryHash last_hash_;
  std::vector<Index> applied_;
  LogPosition restored_;
  std::vector<Index> told_;
  absl::Status failure_;
  CallLog log_;
  CountingMachine* machine_ = nullptr;
  std::unique_ptr<Applier> applier_;
};

TEST_F(ApplierTest, AppliesOnItsOwnSequenceInOrder) {
  Make(false);
  applier_->Submit(Work(Grow(2)));
  applier_->Submit(Work(Grow(1)));
  EXPECT_EQ(applier_->applied(), 0u);
  world_.RunReady();
  EXPECT_EQ(applied_, (std::vector<Index>{1, 2, 3}));
  EXPECT_EQ(told_, (std::vector<Index>{2, 3}));
  EXPECT_EQ(applier_->applied(), 3u);
}

TEST_F(ApplierTest, OnTheRunnersSequenceItAppliesAtOnce) {
  Make(true);
  applier_->Submit(Work(Grow(2), {{{1, 1}, log_.Span("a", 2), {}}}));
  EXPECT_EQ(log_.Take(), (Strings{"a[0]: applied 1/1", "a[1]: applied 2/1"}));
  EXPECT_EQ(told_, std::vector<Index>{});
  EXPECT_EQ(world_.ready(), 0u);
}

TEST_F(ApplierTest, ALongLogIsReadInPieces) {
  Make(true);
  Grow(30, 100'000);
  std::vector<PlacedSpan> spans;
  spans.push_back({{5, 1}, log_.Span("a", 20), {}});
  applier_->Submit({1, 30, {}, std::move(spans)});
  EXPECT_EQ(applier_->applied(), 10u);  // a piece of 1 MiB, at once
  RecordRun more = Grow(1);
  applier_->Submit(Work(more, {{{31, 1}, log_.Span("b", 1), {}}}));
  EXPECT_EQ(applier_->applied(), 10u);  // behind the rest
  EXPECT_TRUE(world_.RunOne());
  EXPECT_EQ(applier_->applied(), 20u);
  EXPECT_EQ(told_, std::vector<Index>{20});
  EXPECT_EQ(log_.Take().size(), 16u);
  world_.RunReady();
  EXPECT_EQ(applier_->applied(), 31u);
  EXPECT_EQ(log_.Take().size(), 5u);
  EXPECT_EQ(applied_.size(), 31u);
}

TEST_F(ApplierTest, AnotherTermInItsPlaceMeansSurelyNotApplied) {
  Make(true);
  RecordRun first = Grow(2, 1, 1);
  RecordRun second = Grow(2, 1, 3);
  std::vector<PlacedSpan> spans;
  spans.push_back({{1, 1}, log_.Span("a", 4), {}});
  applier_->Submit({1, 4, {first, second}, std::move(spans)});
  EXPECT_EQ(log_.Take(), (Strings{"a[0]: applied 1/1", "a[1]: applied 2/1", "a[2]: NOT_LEADER",
                                  "a[3]: NOT_LEADER"}));
}

TEST_F(ApplierTest, TheQueueIsBounded) {
  Make(false);
  EXPECT_FALSE(applier_->full());
  for (int i = 0; i < 16; ++i) applier_->Submit(Work(Grow(1, Applier::kPieceBytes)));
  EXPECT_TRUE(applier_->full());
  world_.RunOne();
  EXPECT_FALSE(applier_->full());
  world_.RunReady();
}

TEST_F(ApplierTest, AnUnreadableEntryIsFinal) {
  Make(false);
  Grow(3);
  disk_.store(kTestGroup).Damage(2);
  applier_->Submit({1, 3, {}, {}});
  std::vector<PlacedSpan> spans;
  spans.push_back({{4, 1}, log_.Span("a", 1), {}});
  applier_->Submit(Work(Grow(1), std::move(spans)));
  world_.RunReady();
  EXPECT_EQ(applied_, std::vector<Index>{1});
  EXPECT_TRUE(absl::IsDataLoss(failure_));
}

// Nothing behind it will ever be applied, so nobody has to wait for the host to stop.
TEST_F(ApplierTest, WhoWaitsBehindAnUnreadableEntryIsToldAtOnce) {
  Make(false);
  Grow(3);
  disk_.store(kTestGroup).Damage(2);
  std::vector<PlacedSpan> spans;
  spans.push_back({{1, 1}, log_.Span("a", 3), {}});
  applier_->Submit({1, 3, {}, std::move(spans)});
  std::vector<PlacedSpan> more;
  more.push_back({{4, 1}, log_.Span("b", 1), {}});
  applier_->Submit(Work(Grow(1), std::move(more)));
  world_.RunReady();
  EXPECT_EQ(log_.Take(), (Strings{"a[0]: applied 1/1", "a[1]: unknown 2/1", "a[2]: unknown 3/1",
                                  "b[0]: unknown 4/1"}));
  std::vector<PlacedSpan> late;
  late.push_back({{5, 1}, log_.Span("c", 1), {}});
  applier_->Submit(Work(Grow(1), std::move(late)));
  world_.RunReady();
  EXPECT_EQ(log_.Take(), Strings{"c[0]: unknown 5/1"});
}

TEST_F(ApplierTest, WhoWaitsAtTheEndIsToldThatNobodyKnows) {
  Make(false);
  Grow(30, 100'000);
  std::vector<PlacedSpan> spans;
  spans.push_back({{9, 1}, log_.Span("a", 3), {}});
  applier_->Submit({1, 30, {}, std::move(spans)});
  std::vector<PlacedSpan> more;
  more.push_back({{31, 1}, log_.Span("b", 1), {}});
  applier_->Submit(Work(Grow(1), std::move(more)));
  world_.RunOne();
  log_.Take();
  applier_->GiveUp("stopped");
  EXPECT_EQ(log_.Take(), (Strings{"a[2]: unknown 11/1", "b[0]: unknown 31/1"}));
}

TEST_F(ApplierTest, MachinesReadTheAppliedLogOnly) {
  Make(true);
  Grow(5);
  applier_->Submit({1, 3, {}, {}});
  absl::StatusOr<std::vector<RecordRun>> read = machine_->log()->Read(2, 5, 1'000'000);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->back().last().index, 3u);
  EXPECT_TRUE(absl::IsOutOfRange(machine_->log()->Read(4, 5, 1'000'000).status()));
}

// Entries wait to be read when the log gives way to a snapshot: they are gone, which is no damage.
// Who waits for them hears that nobody knows, and all goes on from the snapshot.
TEST_F(ApplierTest, ASnapshotTakesThePlaceOfWhatCannotBeReadAnyMore) {
  Make(false);
  Grow(8);
  disk_.store(kTestGroup).Damage(3);
  std::vector<PlacedSpan> spans;
  spans.push_back({{5, 1}, log_.Span("a", 2), {}});
  applier_->Submit({1, 6, {}, std::move(spans)});
  std::vector<PlacedSpan> more;
  more.push_back({{7, 1}, log_.Span("b", 1), {}});
  applier_->Submit({7, 8, {}, std::move(more)});
  applier_->ExpectRestore();
  world_.RunReady();
  EXPECT_EQ(applier_->applied(), 2u);
  EXPECT_EQ(log_.Take(), (Strings{"a[0]: unknown 5/1", "a[1]: unknown 6/1", "b[0]: unknown 7/1"}));
  EXPECT_TRUE(failure_.ok()) << failure_;

  SimulatedFileSystem file_system;
  auto snapshots = SnapshotStore::Open(&file_system, "/snapshots", ClusterId(), kTestGroup).value();
  SnapshotManifest head;
  head.position = {20, 1};
  TestContent content(
      {{kArchiveFile, Replica(std::make_unique<CountingMachine>(&applied_), 10).Save()},
       {"state", "x"}});
  ApplyWork restore;
  restore.first = restore.last = 20;
  restore.restore = snapshots->Save(head, content, [] { return false; }).value();
  applier_->Submit(std::move(restore));
  applier_->Submit(Work(MakeRun({20, 1}, {}, {1, 1})));
  world_.RunReady();
  EXPECT_EQ(restored_, (LogPosition{20, 1}));
  EXPECT_EQ(applied_, (std::vector<Index>{1, 2, 21, 22}));
  EXPECT_EQ(applier_->applied(), 22u);
  EXPECT_TRUE(failure_.ok()) << failure_;
}

// Without that the same is damage.
TEST_F(ApplierTest, AnUnreadableEntryIsDamageWhereNoSnapshotComes) {
  Make(false);
  Grow(8);
  disk_.store(kTestGroup).Damage(3);
  applier_->Submit({1, 6, {}, {}});
  world_.RunReady();
  EXPECT_TRUE(absl::IsDataLoss(failure_));
}

}  // namespace
}  // namespace cairn
