#include "raft/snapshots/snapshot_sender.h"

#include <memory>
#include <optional>

#include "gtest/gtest.h"
#include "tests/raft/snapshots/snapshot_transfer.h"

namespace cairn {
namespace {

constexpr Instant kNow = Instant{} + Seconds(100);

std::shared_ptr<ServedContent> Snapshot(Index index) {
  return std::make_shared<ServedContent>(SnapshotTransfer::Head(index),
                                         TestContent::Files{{"cairn", "archive"}});
}

SnapshotRequest Request(const ServedSnapshot& snapshot, uint32_t file, uint64_t offset,
                        uint32_t bytes) {
  return {SnapshotIdOf(snapshot.encoded()), file, offset, bytes};
}

TEST(SnapshotSenderTest, OffersTheLastOneFromWhichTheLogGoesOn) {
  SnapshotSender sender;
  EXPECT_EQ(sender.Offer(3, 0, kNow), std::nullopt);
  auto snapshot = Snapshot(10);
  sender.Serve(snapshot, kNow);
  std::optional<SnapshotOffer> offer = sender.Offer(3, 10, kNow);
  ASSERT_TRUE(offer.has_value());
  EXPECT_EQ(offer->term, 3u);
  EXPECT_EQ(offer->position, (LogPosition{10, 2}));
  EXPECT_EQ(offer->id, SnapshotIdOf(snapshot->encoded()));
  EXPECT_EQ(offer->manifest_bytes, snapshot->encoded().size());
  EXPECT_EQ(sender.Offer(3, 11, kNow), std::nullopt) << "the log begins behind it";
}

TEST(SnapshotSenderTest, GivesPiecesOfTheLastTwo) {
  SnapshotSender sender;
  auto first = Snapshot(10), second = Snapshot(20), third = Snapshot(30);
  for (const auto& each : {first, second}) sender.Serve(each, kNow);
  EXPECT_EQ(sender.Answer(Request(*first, 0, 2, 3), kNow).bytes, "chi");
  sender.Serve(third, kNow);
  EXPECT_TRUE(sender.Answer(Request(*first, 0, 2, 3), kNow).gone);
  EXPECT_FALSE(sender.Answer(Request(*second, 0, 2, 3), kNow).gone);
  SnapshotPiece manifest = sender.Answer(Request(*third, kManifestPart, 4, 8), kNow);
  EXPECT_EQ(manifest.bytes, third->encoded().substr(4, 8));
}

// Gaps, files that are not there, the end: they are answered, and hurt nobody.
TEST(SnapshotSenderTest, RequestsBeyondWhatThereIs) {
  SnapshotSender sender;
  auto snapshot = Snapshot(10);
  sender.Serve(snapshot, kNow);
  for (SnapshotRequest request :
       {Request(*snapshot, 0, 5, 100), Request(*snapshot, 0, uint64_t{1} << 62, 1),
        Request(*snapshot, 9, 0, 1), Request(*snapshot, kManifestPart, 1 << 20, 5)}) {
    EXPECT_TRUE(sender.Answer(request, kNow).gone);
  }
  EXPECT_FALSE(sender.Answer(Request(*snapshot, 0, 0, 7), kNow).gone);
}

TEST(SnapshotSenderTest, LetsGoOfWhatNobodyAsksFor) {
  SnapshotSender sender;
  auto snapshot = Snapshot(10);
  sender.Serve(snapshot, kNow);
  EXPECT_EQ(sender.Wanted(kNow), std::nullopt);
  sender.Answer(Request(*snapshot, 0, 0, 7), kNow + Seconds(20));
  EXPECT_EQ(sender.Wanted(kNow + Seconds(25)), 10u);
  EXPECT_EQ(sender.Wanted(kNow + Seconds(26)), std::nullopt);
  sender.Expire(kNow + Seconds(40));
  EXPECT_FALSE(sender.empty());
  sender.Expire(kNow + Seconds(51));
  EXPECT_TRUE(sender.empty());
  EXPECT_EQ(snapshot.use_count(), 1);
}

}  // namespace
}  // namespace cairn
