#include "raft/snapshots/snapshot_mover.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/delay_window.h"
#include "gtest/gtest.h"
#include "tests/raft/fake_log_disk.h"
#include "tests/raft/manual_executor.h"
#include "tests/raft/records.h"
#include "tests/raft/snapshots/snapshot_transfer.h"

namespace cairn {
namespace {

constexpr NodeId kPeer{2};

// What the mover sends.
class Outbox final : public Transport {
 public:
  void SetPeer(NodeId, const std::string&) override {}
  void Send(Envelope envelope) override { sent_.push_back(std::move(envelope)); }
  void Start(Receiver) override {}
  void Stop() override {}
  std::vector<Envelope> Take() { return std::exchange(sent_, {}); }

 private:
  std::vector<Envelope> sent_;
};

// One file; each read calls a function first.
class WatchedSource final : public SnapshotSource {
 public:
  WatchedSource(std::string bytes, std::function<void()> on_read)
      : bytes_(std::move(bytes)),
        files_({{.name = "state", .bytes = bytes_.size()}}),
        on_read_(std::move(on_read)) {}
  const std::vector<SnapshotFile>& files() const override { return files_; }
  absl::StatusOr<std::string> Read(size_t, uint64_t offset, size_t bytes) const override {
    if (on_read_ != nullptr) on_read_();
    return bytes_.substr(offset, bytes);
  }

 private:
  const std::string bytes_;
  const std::vector<SnapshotFile> files_;
  const std::function<void()> on_read_;
};

// A node whose log has 30 entries, and a member that gives it its snapshot.
class SnapshotMoverTest : public testing::Test {
 protected:
  SnapshotMoverTest() {
    LogAppend append;
    append.runs = {MakeRun({}, {}, std::vector<Term>(30, 2))};
    EXPECT_TRUE(log_.Append(append).ok());
    SnapshotMover::Parts parts;
    parts.group = GroupId{1};
    parts.clock = &world_;
    parts.transport = &outbox_;
    parts.log = &log_;
    parts.executor = &executor_;
    parts.budget = &budget_;
    parts.log_sink = &NullLogSink();
    parts.metrics = &metrics_;
    SnapshotMover::Events events;
    events.freeze = [] {};
    events.taken = [this](const absl::StatusOr<LogPosition>& taken) { taken_ = taken; };
    events.received = [this](Term, std::shared_ptr<const StoredSnapshot> snapshot) {
      received_ = std::move(snapshot);
    };
    mover_ = std::make_shared<SnapshotMover>(
        parts, SnapshotStore::Open(&files_, "/snapshots", ClusterId(), GroupId{1}).value(),
        std::move(events));
  }

  // The peer's snapshot at this entry.
  void Serve(Index index) {
    sender_.Serve(std::make_shared<ServedContent>(SnapshotTransfer::Head(index), kTheirs),
                  world_.Now());
  }
  void Offer() {
    const std::optional<SnapshotOffer> offer = sender_.Offer(2, 0, world_.Now());
    ASSERT_TRUE(offer.has_value());
    mover_->TakeOffer(kPeer, *offer);
  }
  // The peer answers up to so many requests.
  void Answer(int limit) {
    world_.RunReady();
    for (std::vector<Envelope> sent = outbox_.Take(); !sent.empty(); sent = outbox_.Take()) {
      for (Envelope& envelope : sent) {
        const auto* request = std::get_if<SnapshotRequest>(&envelope.body);
        if (request == nullptr || limit-- <= 0) continue;
        Envelope piece;
        piece.from = kPeer;
        piece.body = sender_.Answer(*request, world_.Now());
        mover_->Deliver(std::move(piece));
      }
      world_.RunReady();
    }
  }
  // The peer answers at once, but this node comes to it later. Gives how many bytes it asks for
  // then.
  size_t AnswerAll(Duration later) {
    Busy(later);
    for (const Envelope& envelope : std::exchange(asked_, {})) {
      Envelope piece;
      piece.from = kPeer;
      piece.body = sender_.Answer(std::get<SnapshotRequest>(envelope.body), world_.Now());
      mover_->Deliver(std::move(piece));
    }
    world_.RunFor(later);
    asked_ = outbox_.Take();
    size_t bytes = 0;
    for (const Envelope& envelope : asked_) bytes += std::get<SnapshotRequest>(envelope.body).bytes;
    return bytes;
  }
  void Save(Index index, std::function<void()> on_read = nullptr) {
    FrozenState frozen;
    frozen.position = {index, 2};
    frozen.archive = "archive";
    frozen.machine = std::make_unique<WatchedSource>(kOurs, std::move(on_read));
    mover_->Take(std::move(frozen));
  }
  // The mover's thread has something else to do.
  void Busy(Duration time) {
    executor_.Post([this, time] { world_.SpendHere(time); });
    world_.RunReady();
  }
  // The peer asks for the first bytes of the manifest of what is offered to it.
  void Ask(const SnapshotOffer& offer, uint64_t offset) {
    Envelope envelope;
    envelope.from = kPeer;
    envelope.body = SnapshotRequest{offer.id, kManifestPart, offset, 10};
    mover_->Deliver(std::move(envelope));
  }
  // What was sent is one piece, and says so.
  void ExpectHeld(Duration held) {
    const std::vector<Envelope> sent = outbox_.Take();
    ASSERT_EQ(sent.size(), 1u);
    const auto* piece = std::get_if<SnapshotPiece>(&sent[0].body);
    ASSERT_NE(piece, nullptr);
    EXPECT_FALSE(piece->gone);
    EXPECT_EQ(piece->held.nanoseconds, held.nanoseconds);
  }
  std::vector<std::string> Names() { return files_.List("/snapshots").value(); }
  // The last one is whole, and nothing else is left on the disk.
  void ExpectLast(Index index, const std::string& state) {
    const std::shared_ptr<const StoredSnapshot> last = mover_->last();
    ASSERT_NE(last, nullptr);
    EXPECT_EQ(last->position().index, index);
    EXPECT_TRUE(last->Verify().ok()) << last->Verify();
    const SnapshotManifest& manifest = last->manifest();
    EXPECT_EQ(last->Read(manifest.files.size() - 1, 0, state.size()).value(), state);
    received_.reset();
    EXPECT_EQ(Names().size(), 1 + manifest.files.size());
  }

  const std::string kOurs = std::string(100'000, 'o');
  const TestContent::Files kTheirs = {{"cairn", "archive"}, {"state", std::string(300'000, 't')}};
  ManualWorld world_;
  ManualExecutor executor_{&world_};
  SimulatedFileSystem files_;
  FakeLogStore log_;
  Outbox outbox_;
  std::vector<Envelope> asked_;  // to be answered by AnswerAll
  ByteBudget budget_{100};       // what this node gives is limited; not what it gets
  GroupMetrics metrics_;
  SnapshotSender sender_;
  std::optional<absl::StatusOr<LogPosition>> taken_;
  std::shared_ptr<const StoredSnapshot> received_;
  std::shared_ptr<SnapshotMover> mover_;
};

// The leader's snapshot comes while this node writes its own: nothing of it is written before that
// one is whole, and then it takes its place.
TEST_F(SnapshotMoverTest, WhatComesWhileOneIsWrittenWaits) {
  Serve(20);
  std::vector<std::vector<std::string>> seen;
  Save(10, [&] {
    seen.push_back(Names());
    Offer();
    seen.push_back(Names());
    EXPECT_TRUE(outbox_.Take().empty()) << "asks for none of it";
    EXPECT_EQ(mover_->last(), nullptr);
  });
  executor_.Post([&] { ExpectLast(10, kOurs); });
  ASSERT_TRUE(world_.RunOne());
  ASSERT_GE(seen.size(), 2u);
  for (const auto& names : seen) EXPECT_EQ(names, seen.front());
  EXPECT_EQ(taken_.value().value().index, 10u);
  Answer(1000);
  ASSERT_NE(received_, nullptr);
  ExpectLast(20, kTheirs.back().second);
}

// One is written between two pieces of what comes: each of them is whole, and the later one stays.
TEST_F(SnapshotMoverTest, OneIsWrittenWhileAnotherComes) {
  Serve(20);
  Offer();
  Answer(3);
  ASSERT_EQ(received_, nullptr);
  Save(10);
  world_.RunReady();
  EXPECT_EQ(taken_.value().value().index, 10u);
  ASSERT_EQ(mover_->last()->position().index, 10u);
  EXPECT_TRUE(mover_->last()->Verify().ok());
  world_.RunFor(Seconds(5));  // what was not answered is asked for again
  Offer();
  Answer(1000);
  ASSERT_NE(received_, nullptr);
  ExpectLast(20, kTheirs.back().second);
}

// The one that comes is the older one by the time it is there.
TEST_F(SnapshotMoverTest, WhatIsOvertakenIsDropped) {
  Serve(20);
  Offer();
  Answer(3);
  Save(25);
  world_.RunFor(Seconds(5));
  Offer();
  Answer(1000);
  ASSERT_NE(received_, nullptr);
  EXPECT_EQ(received_->position().index, 25u) << "its own is as good";
  world_.RunFor(Seconds(600));
  ExpectLast(25, kOurs);
}

// The receiver is told how long this node was busy; not what its limit of bytes a second held back,
// which is a queue of what was asked for.
TEST_F(SnapshotMoverTest, APieceSaysHowLongItsSenderWasBusy) {
  Save(10);
  world_.RunReady();
  mover_->Offer({.to = kPeer, .term = 2});
  world_.RunReady();
  const std::vector<Envelope> sent = outbox_.Take();
  ASSERT_EQ(sent.size(), 1u);
  const SnapshotOffer offer = std::get<SnapshotOffer>(sent[0].body);
  Ask(offer, 0);
  world_.RunReady();
  ExpectHeld(Duration());

  Busy(Milliseconds(300));
  Ask(offer, 10);
  world_.RunFor(Milliseconds(300));
  ExpectHeld(Milliseconds(300));

  world_.RunFor(Seconds(1));
  budget_.Take(world_.Now(), 50);  // half a second's
  Ask(offer, 20);
  world_.RunFor(Milliseconds(400));
  Busy(Milliseconds(300));
  world_.RunFor(Milliseconds(299));
  EXPECT_TRUE(outbox_.Take().empty());
  world_.RunFor(Milliseconds(1));
  ExpectHeld(Milliseconds(200));
}

// What waits for this node's own thread has crossed the link: the window stays as it is.
TEST_F(SnapshotMoverTest, APieceThatWaitsHereIsNotLate) {
  Serve(20);
  Offer();
  world_.RunReady();
  asked_ = outbox_.Take();
  for (int i = 0; i < 2; ++i) AnswerAll(Duration());
  const size_t before = AnswerAll(Duration());
  EXPECT_GT(before, DelayWindow::kFirst);
  EXPECT_GE(AnswerAll(Milliseconds(300)), before);
}

}  // namespace
}  // namespace cairn
