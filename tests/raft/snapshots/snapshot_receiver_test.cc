#include "raft/snapshots/snapshot_receiver.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "raft/state_machine.h"
#include "tests/raft/manual_executor.h"
#include "tests/raft/snapshots/snapshot_transfer.h"

namespace cairn {
namespace {

TestContent::Files Content(size_t chunks, char tail = 'x') {
  TestContent::Files files = {{"cairn", "archive"}, {"empty", ""}, {"state", ""}};
  for (size_t i = 0; i < chunks; ++i) {
    files[2].second += std::string(kChunkBytes - 1, static_cast<char>('a' + i % 20));
    files[2].second += static_cast<char>(i);
  }
  files[2].second += tail;
  return files;
}

uint64_t BytesOf(const TestContent::Files& files) {
  uint64_t bytes = 0;
  for (const auto& [name, content] : files) bytes += content.size();
  return bytes;
}

void ExpectReceived(const SnapshotTransfer& transfer, Index index,
                    const TestContent::Files& files) {
  ASSERT_TRUE(transfer.received.has_value());
  const StoredSnapshot& snapshot = *transfer.received->snapshot;
  EXPECT_EQ(transfer.received->term, 5u);
  EXPECT_EQ(snapshot.position().index, index);
  EXPECT_TRUE(snapshot.Verify().ok());
  EXPECT_TRUE(snapshot.Read(2, 0, files[2].second.size()).value() == files[2].second);
}

// The sender is told of nothing else.
void ExpectTold(const SnapshotTransfer& transfer, SnapshotAnswer::Verdict verdict) {
  const std::vector<std::pair<NodeId, SnapshotAnswer>> answers = transfer.receiver->TakeAnswers();
  ASSERT_FALSE(answers.empty());
  for (const auto& [to, answer] : answers) {
    EXPECT_EQ(to, SnapshotTransfer::kLeader);
    EXPECT_EQ(answer.verdict, verdict);
  }
}

TEST(SnapshotReceiverTest, PullsWhatIsOffered) {
  SnapshotTransfer transfer;
  const TestContent::Files files = Content(9);
  transfer.Serve(100, files);
  ASSERT_TRUE(transfer.Run(Seconds(10)));
  ExpectReceived(transfer, 100, files);
  EXPECT_FALSE(transfer.receiver->active());
  EXPECT_TRUE(transfer.receiver->TakeAnswers().empty());
  EXPECT_EQ(transfer.receiver->figures().bytes - BytesOf(files),
            transfer.received->snapshot->encoded().size());
}

// Fault catalogue S2.
TEST(SnapshotReceiverTest, LostPiecesComeAgain) {
  SnapshotTransfer transfer;
  Random random(7);
  transfer.lose = [&] { return random.OneIn(10); };
  const TestContent::Files files = Content(20);
  transfer.Serve(100, files);
  ASSERT_TRUE(transfer.Run(Seconds(60)));
  ExpectReceived(transfer, 100, files);
}

// The promise of issue 3: interrupted every second, it moves at most 1.05 times its bytes.
TEST(SnapshotReceiverTest, InterruptionsCostLittle) {
  for (const int mib_per_second : {16, 8, 4, 2, 1}) {
    SCOPED_TRACE(mib_per_second);
    SnapshotTransfer transfer;
    transfer.bytes_per_second = mib_per_second * (1 << 20);
    const TestContent::Files files = Content(static_cast<size_t>(16 * mib_per_second));
    transfer.Serve(100, files);
    int interruptions = 0;
    Random random(5);  // a second on average: the pieces of a link fit into it somehow
    while (!transfer.Run(Milliseconds(static_cast<int64_t>(800 + random.Below(400))))) {
      ASSERT_LT(++interruptions, 60);
      transfer.RestartReceiver();
    }
    ExpectReceived(transfer, 100, files);
    EXPECT_GE(interruptions, 3);
    const double times =
        static_cast<double>(transfer.bytes_sent) / static_cast<double>(BytesOf(files));
    EXPECT_LE(times, 1.05) << interruptions << " interruptions";
    EXPECT_LE(transfer.manifest_pieces_sent, 1 + 4 * mib_per_second);
    RecordProperty(absl::StrCat("moved_percent_at_", mib_per_second, "_mib_per_second"),
                   static_cast<int>(times * 100));
  }
}

// A chunk takes longer than there is time: it comes all the same.
TEST(SnapshotReceiverTest, AChunkThatTakesLongerThanAProcessLivesComes) {
  SnapshotTransfer transfer;
  transfer.bytes_per_second = 128 << 10;
  const TestContent::Files files = Content(8);
  transfer.Serve(100, files);
  Random random(6);
  uint64_t interruptions = 0;
  while (!transfer.Run(Milliseconds(static_cast<int64_t>(800 + random.Below(400))))) {
    ASSERT_LT(++interruptions, 60u);
    transfer.RestartReceiver();
  }
  ExpectReceived(transfer, 100, files);
  EXPECT_GE(interruptions, 16u);
  EXPECT_LE(static_cast<double>(transfer.bytes_sent), 1.05 * static_cast<double>(BytesOf(files)));
}

// What the process before kept is not what it wrote: the chunk comes anew, and nobody is blamed.
TEST(SnapshotReceiverTest, KeptPiecesThatAreNotRightComeAgain) {
  SnapshotTransfer transfer;
  transfer.bytes_per_second = 256 << 10;
  const TestContent::Files files = Content(4);
  transfer.Serve(100, files);
  ASSERT_FALSE(transfer.Run(Milliseconds(700)));
  transfer.RestartReceiver();
  int rotten = 0;
  const std::vector<std::string> names = transfer.file_system.List("/snapshots").value();
  for (const std::string& name : names) {
    if (!absl::EndsWith(name, ".2")) continue;
    auto file =
        transfer.file_system
            .Open(absl::StrCat("/snapshots/", name), {.mode = FileSystem::OpenMode::kReadWrite})
            .value();
    ASSERT_GE(file->Size().value(), 2 * kSnapshotPieceBytes);
    ASSERT_LT(file->Size().value(), kChunkBytes);
    ASSERT_TRUE(file->Write(kSnapshotPieceBytes + 5, "rot").ok());
    ++rotten;
  }
  ASSERT_EQ(rotten, 1);
  ASSERT_TRUE(transfer.Run(Seconds(30)));
  ExpectReceived(transfer, 100, files);
  EXPECT_EQ(transfer.receiver->figures().refused, 0u);
}

// Pieces that are only slow are not asked for again: repeated, they would fill the link and be late
// the more. 128 KiB a second are fault catalogue N5's 1 Mbit/s.
TEST(SnapshotReceiverTest, ASlowLinkCarriesEachPieceOnce) {
  for (const double kib_per_second : {16384.0, 1024.0, 512.0, 256.0, 128.0}) {
    SCOPED_TRACE(kib_per_second);
    SnapshotTransfer transfer;
    transfer.bytes_per_second = kib_per_second * 1024;
    const TestContent::Files files = Content(24);
    transfer.Serve(100, files);
    ASSERT_TRUE(transfer.Run(Seconds(60)));
    ExpectReceived(transfer, 100, files);
    EXPECT_LE(static_cast<double>(transfer.bytes_sent), 1.05 * static_cast<double>(BytesOf(files)));
  }
}

// A sender that is busy now and then, as one thread of a busy machine is, and far away, so that a
// window that was made smaller would stay so for long.
TEST(SnapshotReceiverTest, ABusySenderIsNoSlowLink) {
  SnapshotTransfer transfer;
  transfer.delay = Milliseconds(180);
  const TestContent::Files files = Content(64);
  transfer.Serve(100, files);
  const Instant start = transfer.now;
  // For the last 400 ms of each second.
  transfer.busy = [&] {
    const Duration phase = {(transfer.now - start).nanoseconds % Seconds(1).nanoseconds};
    return phase < Milliseconds(600) ? Duration() : Seconds(1) - phase;
  };
  ASSERT_TRUE(transfer.Run(Seconds(600)));
  ExpectReceived(transfer, 100, files);
  EXPECT_LE(transfer.now - start, Seconds(8)) << "or its window was made smaller";
}

// A link that becomes slow under way, and loses some.
TEST(SnapshotReceiverTest, ALinkThatSlowsDownIsNotFilledWithRepeats) {
  SnapshotTransfer transfer;
  Random random(11);
  transfer.lose = [&] { return random.OneIn(50); };
  const TestContent::Files files = Content(64);
  transfer.Serve(100, files);
  EXPECT_FALSE(transfer.Run(Milliseconds(300)));
  transfer.bytes_per_second = 256 << 10;
  ASSERT_TRUE(transfer.Run(Seconds(120)));
  ExpectReceived(transfer, 100, files);
  EXPECT_LE(static_cast<double>(transfer.bytes_sent), 1.2 * static_cast<double>(BytesOf(files)));
}

// Fault catalogue S1: another leader goes on with the same snapshot, or with another one that has
// chunks in common.
TEST(SnapshotReceiverTest, AnotherLeaderGoesOn) {
  SnapshotTransfer transfer;
  const TestContent::Files files = Content(64);
  transfer.Serve(100, files);
  EXPECT_FALSE(transfer.Run(Milliseconds(500)));
  const uint64_t before = transfer.bytes_sent;
  EXPECT_GT(before, uint64_t{6} << 20);
  transfer.from = NodeId{2};
  EXPECT_FALSE(transfer.Run(Milliseconds(200)));
  // The next leader has taken its own, later.
  transfer.from = NodeId{3};
  transfer.sender = std::make_unique<SnapshotSender>();
  const TestContent::Files later = Content(80, 'y');
  transfer.Serve(120, later);
  ASSERT_TRUE(transfer.Run(Seconds(20)));
  ExpectReceived(transfer, 120, later);
  EXPECT_LT(transfer.bytes_sent, BytesOf(later) + (uint64_t{4} << 20));
}

TEST(SnapshotReceiverTest, ASnapshotThatIsGoneIsNotWaitedFor) {
  SnapshotTransfer transfer;
  transfer.Serve(100, Content(64));
  EXPECT_FALSE(transfer.Run(Milliseconds(300)));
  transfer.sender = std::make_unique<SnapshotSender>();
  const TestContent::Files later = Content(10, 'y');
  transfer.Serve(200, later);
  ASSERT_TRUE(transfer.Run(Seconds(3)));
  ExpectReceived(transfer, 200, later);
}

// One in quick succession (fault catalogue S3): the one under way ends first.
TEST(SnapshotReceiverTest, ALaterOfferWaitsWhileTheFirstComesOn) {
  SnapshotTransfer transfer;
  const TestContent::Files first = Content(32);
  transfer.Serve(100, first);
  EXPECT_FALSE(transfer.Run(Milliseconds(200)));
  transfer.Serve(101, Content(32, 'y'));
  ASSERT_TRUE(transfer.Run(Seconds(10)));
  ExpectReceived(transfer, 100, first);
  ExpectTold(transfer, SnapshotAnswer::Verdict::kBusy);
}

// Fault catalogue 5.2, row 20: a sender whose chunks are not what it says is given up, and told of.
TEST(SnapshotReceiverTest, WrongChunksAreNotTaken) {
  SnapshotTransfer transfer;
  const std::shared_ptr<ServedContent> served = transfer.Serve(100, Content(8));
  served->lying = true;
  EXPECT_FALSE(transfer.Run(Seconds(2)));
  EXPECT_GE(transfer.receiver->figures().refused, 3u);
  EXPECT_FALSE(transfer.receiver->TakeComplaints().empty());
  ExpectTold(transfer, SnapshotAnswer::Verdict::kDataLoss);
  EXPECT_EQ(transfer.store->last(), nullptr);
  served->lying = false;
  ASSERT_TRUE(transfer.Run(Seconds(10)));
  ExpectReceived(transfer, 100, Content(8));
}

// Row 21: pieces of another snapshot, of no chunk, at no piece's place, too long, too short.
TEST(SnapshotReceiverTest, PiecesNobodyAskedForChangeNothing) {
  SnapshotTransfer transfer;
  const TestContent::Files files = Content(8);
  const std::shared_ptr<ServedContent> served = transfer.Serve(100, files);
  const ContentId id = SnapshotIdOf(served->encoded());
  EXPECT_FALSE(transfer.Run(Milliseconds(30)));
  ASSERT_TRUE(transfer.receiver->active());
  const SnapshotReceiver::Figures before = transfer.receiver->figures();
  const std::string bytes(kSnapshotPieceBytes, 'z');
  for (SnapshotPiece piece :
       {SnapshotPiece{ContentIdOf("other"), 2, 0, bytes, false},
        SnapshotPiece{id, 2, uint64_t{1} << 60, bytes, false},
        SnapshotPiece{id, 77, 0, bytes, false}, SnapshotPiece{id, kManifestPart, 0, "x", false},
        SnapshotPiece{id, 2, 3 * kChunkBytes + 1, bytes, false},
        SnapshotPiece{id, 2, 3 * kChunkBytes, "short", false}}) {
    transfer.receiver->TakePiece(SnapshotTransfer::kLeader, std::move(piece), transfer.now);
  }
  EXPECT_EQ(transfer.receiver->figures().bytes, before.bytes);
  ASSERT_TRUE(transfer.Run(Seconds(10)));
  ExpectReceived(transfer, 100, files);
}

// Row 22: what stands still ends, and its memory goes; its chunks stay.
TEST(SnapshotReceiverTest, AnIdleTransferEnds) {
  SnapshotTransfer transfer;
  transfer.Serve(100, Content(64));
  EXPECT_FALSE(transfer.Run(Seconds(1)));
  transfer.receiver->Expire(transfer.now + Seconds(29));
  EXPECT_TRUE(transfer.receiver->active());
  transfer.receiver->Expire(transfer.now + Seconds(31));
  EXPECT_FALSE(transfer.receiver->active());
  ASSERT_TRUE(transfer.Run(Seconds(20)));
  EXPECT_LT(transfer.bytes_sent, BytesOf(Content(64)) + (uint64_t{2} << 20));
}

// Fault catalogue S4: nothing is half published, and the disk is left alone for a while.
TEST(SnapshotReceiverTest, AFullDiskIsGivenItsSpaceBack) {
  SnapshotTransfer transfer;
  transfer.file_system.set_capacity_bytes(uint64_t{5} << 20);
  const TestContent::Files files = Content(64);
  transfer.Serve(100, files);
  EXPECT_FALSE(transfer.Run(Seconds(10)));
  const uint64_t sent = transfer.bytes_sent;
  EXPECT_LT(sent, uint64_t{8} << 20) << "it does not try over and over";
  EXPECT_FALSE(transfer.receiver->TakeComplaints().empty());
  ExpectTold(transfer, SnapshotAnswer::Verdict::kNoSpace);
  EXPECT_TRUE(transfer.file_system.List("/snapshots")->empty());
  transfer.file_system.set_capacity_bytes(UINT64_MAX);
  ASSERT_TRUE(transfer.Run(Seconds(60)));
  ExpectReceived(transfer, 100, files);
}

TEST(SnapshotReceiverTest, WhatIsHereAlreadyIsGivenAtOnce) {
  SnapshotTransfer transfer;
  const TestContent::Files files = Content(4);
  transfer.Serve(100, files);
  ASSERT_TRUE(transfer.Run(Seconds(10)));
  const uint64_t sent = transfer.bytes_sent;
  transfer.RestartReceiver();  // the node did not come to take it
  ASSERT_TRUE(transfer.Run(Seconds(10)));
  ExpectReceived(transfer, 100, files);
  EXPECT_LT(transfer.bytes_sent, sent + 1000) << "only the manifest came again";
}

// Found by the simulator: the snapshot received took the place of the later one, up to which this
// node had let go of its log.
TEST(SnapshotReceiverTest, ALaterSnapshotOfThisNodeIsKept) {
  SnapshotTransfer transfer;
  transfer.Serve(100, Content(30));
  EXPECT_FALSE(transfer.Run(Milliseconds(300)));
  EXPECT_TRUE(transfer.receiver->active());
  const TestContent::Files own = Content(2);
  ASSERT_TRUE(
      transfer.store->Save(SnapshotTransfer::Head(110), TestContent(own), [] { return false; })
          .ok());
  ASSERT_TRUE(transfer.Run(Seconds(10)));
  ExpectReceived(transfer, 110, own);
  transfer.RestartReceiver();
  EXPECT_EQ(transfer.store->last()->position().index, 110u);
  EXPECT_EQ(transfer.file_system.List("/snapshots")->size(), 1 + own.size());
}

// A patch whose manifest is here, and that waits to be compared with what this node has.
class PatchTest : public testing::Test {
 protected:
  // Without the archive, as the machine has its files.
  class Own final : public SnapshotSource {
   public:
    explicit Own(const TestContent::Files& files) : files_(files.begin() + 1, files.end()) {
      for (const auto& [name, content] : files_) listed_.push_back({name, content.size()});
    }
    const std::vector<SnapshotFile>& files() const override { return listed_; }
    absl::StatusOr<std::string> Read(size_t file, uint64_t offset, size_t bytes) const override {
      ++reads;
      return files_[file].second.substr(offset, bytes);
    }
    mutable int reads = 0;

   private:
    const TestContent::Files files_;
    std::vector<SnapshotFile> listed_;
  };

  PatchTest() {
    transfer_.Serve(100, files_);
    Offer();
    Pull();
    EXPECT_TRUE(transfer_.receiver->awaits_compare());
    EXPECT_EQ(transfer_.receiver->TakeCompareAt(), (LogPosition{100, 2}));
  }
  void Offer() {
    const std::optional<SnapshotOffer> offer = transfer_.sender->Offer(5, 0, transfer_.now);
    ASSERT_TRUE(offer.has_value());
    transfer_.receiver->TakePatchOffer(SnapshotTransfer::kLeader, *offer, transfer_.now);
  }
  // Gives what is asked for.
  void Pull() {
    for (auto requests = transfer_.receiver->TakeRequests(); !requests.empty();
         requests = transfer_.receiver->TakeRequests()) {
      for (const auto& [to, request] : requests) {
        transfer_.receiver->TakePiece(to, transfer_.sender->Answer(request, transfer_.now),
                                      transfer_.now);
      }
    }
  }
  void Compare(const Own& own, bool aborted) {
    transfer_.receiver->Compare(&own, ManualWorld(), [aborted] { return aborted; });
  }

  SnapshotTransfer transfer_;
  const TestContent::Files files_ = Content(5);
};

TEST_F(PatchTest, OnlyWhatDiffersComes) {
  TestContent::Files damaged = files_;
  damaged[2].second[2 * kChunkBytes] ^= 1;
  const Own own(damaged);
  Compare(own, /*aborted=*/false);
  EXPECT_FALSE(transfer_.receiver->awaits_compare());
  EXPECT_EQ(own.reads, 6);
  Pull();
  const std::shared_ptr<IncomingSnapshot> patch = transfer_.receiver->TakePatch();
  ASSERT_NE(patch, nullptr);
  EXPECT_TRUE(patch->IsHere({2, 2}));
  EXPECT_FALSE(patch->IsHere({2, 1}));
}

TEST_F(PatchTest, AComparisonEndsInTheMiddle) {
  const Own own(files_);
  Compare(own, /*aborted=*/true);
  EXPECT_EQ(own.reads, 0);
  EXPECT_TRUE(transfer_.receiver->awaits_compare()) << "nothing has come of it";
  EXPECT_TRUE(transfer_.receiver->TakeRequests().empty());
  EXPECT_EQ(transfer_.receiver->TakePatch(), nullptr);
}

TEST_F(PatchTest, WhatIsForgottenIsNotWaitedFor) {
  transfer_.now = transfer_.now + SnapshotReceiver::kIdle + Seconds(1);
  transfer_.receiver->Expire(transfer_.now);
  EXPECT_FALSE(transfer_.receiver->awaits_compare());
}

TEST_F(PatchTest, WhatGaveWayIsNotWaitedFor) {
  transfer_.now = transfer_.now + Seconds(5);
  transfer_.Serve(110, Content(6));
  Offer();
  EXPECT_FALSE(transfer_.receiver->awaits_compare()) << "the manifest of the next is on its way";
  Pull();
  EXPECT_TRUE(transfer_.receiver->awaits_compare());
  EXPECT_EQ(transfer_.receiver->TakeCompareAt(), (LogPosition{110, 2}));
}

}  // namespace
}  // namespace cairn
