#include "service/frame_queue.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "raft/sender_check.h"
#include "service/frame_reader.h"
#include "service/wire/wire.h"
#include "storage/record.h"
#include "tests/service/random_envelope.h"

namespace cairn {
namespace {

std::string ParcelOf(const Envelope& envelope) {
  v1::Parcel parcel;
  WriteParcel(envelope, &parcel);
  return parcel.SerializeAsString();
}

Envelope AppendOf(size_t payload_bytes) {
  Random random(4);
  Envelope envelope = RandomEnvelope(random, 4);
  RecordRunBuilder builder(envelope.group, {5, 2}, {});
  builder.Add(PreparedEntry::Make(EntryType::kCommand, std::string(payload_bytes, 'x')), 2, {});
  envelope.entries = {std::move(builder).Build()};
  envelope.body = MessageBody(AppendEntries{3, {5, 2}, {}, {}, 0});
  return envelope;
}

Listener ListenerOfNode2() {
  Listener listener;
  listener.cluster.bytes.fill(7);
  listener.node = NodeId{2};
  // Node 4 is a stranger once it has introduced itself.
  listener.knows = [](NodeId node, const std::vector<Introduction>* introductions) {
    if (node == NodeId{1}) return Standing::kPeer;
    const bool introduced = introductions == nullptr || !introductions->empty();
    return node == NodeId{4} && introduced ? Standing::kStranger : Standing::kUnknown;
  };
  return listener;
}

TEST(FrameQueueTest, BoundsAreAtLeastTheBytes) {
  Random random(8);
  for (int round = 0; round < 3000; ++round) {
    Envelope envelope = RandomEnvelope(random, random.Below(kEnvelopeKinds));
    ASSERT_GE(ParcelBytesBound(envelope), ParcelOf(envelope).size()) << envelope.body.index();
  }
}

// Whatever is queued comes out in order at the other end, in frames of bounded size.
TEST(FrameQueueTest, ReaderGetsWhatTheQueueTook) {
  const uint64_t seed = 5;
  Random random(seed);
  Listener listener = ListenerOfNode2();
  FrameQueue queues[kLanes];
  FrameReader readers[kLanes] = {FrameReader(listener), FrameReader(listener),
                                 FrameReader(listener)};
  std::vector<std::string> sent[kLanes], received[kLanes];
  for (int round = 0; round < 3000; ++round) {
    Envelope envelope = random.OneIn(100) ? AppendOf(random.Below(300'000))
                                          : RandomEnvelope(random, random.Below(kEnvelopeKinds));
    auto lane = static_cast<size_t>(LaneOf(envelope));
    sent[lane].push_back(ParcelOf(envelope));
    ASSERT_TRUE(queues[lane].Push(std::move(envelope), SIZE_MAX));
    if (!random.OneIn(20) && round < 2999) continue;
    for (size_t l = 0; l < kLanes; ++l) {
      while (!queues[l].empty()) {
        v1::Frame frame;
        const size_t most = random.OneIn(2) ? kMaxFrameBytes : 1 + random.Below(20'000);
        const size_t bytes = queues[l].Next(&frame, most);
        ASSERT_GT(bytes, 0U);
        ASSERT_LE(frame.ByteSizeLong(), bytes + 256);
        // One parcel goes whole where its bound is above that, and it is not.
        if (frame.parcels_size() != 1) {
          ASSERT_LE(bytes, most);
        }
        ASSERT_LE(frame.ByteSizeLong(), most + 256);
        auto error = readers[l].Read(std::move(frame), [&](Envelope envelope_read) {
          received[l].push_back(ParcelOf(envelope_read));
        });
        ASSERT_FALSE(error.has_value()) << error->message << " seed " << seed;
      }
    }
  }
  for (size_t l = 0; l < kLanes; ++l) {
    EXPECT_FALSE(sent[l].empty());
    EXPECT_EQ(received[l], sent[l]);
  }
}

TEST(FrameQueueTest, SmallEnvelopesShareAFrame) {
  Random random(1);
  FrameQueue queue;
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(queue.Push(RandomEnvelope(random, 6), SIZE_MAX));
  v1::Frame frame;
  queue.Next(&frame);
  EXPECT_EQ(frame.parcels_size(), 100);
  EXPECT_TRUE(queue.empty());
}

TEST(FrameQueueTest, WhatDoesNotFitIsDroppedAndTheOldestKept) {
  FrameQueue queue;
  EXPECT_TRUE(queue.Push(AppendOf(5000), 1000));
  EXPECT_FALSE(queue.Push(AppendOf(1), 1000));
  v1::Frame frame;
  queue.Next(&frame);
  EXPECT_GT(frame.ByteSizeLong(), 5000u);
  EXPECT_TRUE(queue.empty());
  EXPECT_TRUE(queue.Push(AppendOf(1), 1000));
}

class FrameReaderTest : public testing::Test {
 protected:
  // Reason with which `frame` is refused, empty if it is not.
  std::string Reason(v1::Frame frame) {
    auto error = reader_.Read(std::move(frame), [this](Envelope) { ++taken_; });
    return error ? error->reason : "";
  }
  v1::Frame Heartbeat() {
    v1::Frame frame;
    FrameQueue queue;
    queue.Push(RandomEnvelope(random_, 6), SIZE_MAX);
    queue.Next(&frame);
    return frame;
  }

  Random random_{3};
  Listener listener_ = ListenerOfNode2();
  FrameReader reader_{listener_};
  int taken_ = 0;
};

TEST_F(FrameReaderTest, RefusesStrangers) {
  v1::Frame frame = Heartbeat();
  frame.set_cluster_id(std::string(16, 'x'));
  EXPECT_EQ(Reason(frame), "CLUSTER_MISMATCH");
  frame = Heartbeat();
  frame.set_to(3);
  EXPECT_EQ(Reason(frame), "WRONG_NODE");
  frame = Heartbeat();
  frame.set_from(9);
  EXPECT_EQ(Reason(frame), "UNKNOWN_PEER");
  frame = Heartbeat();
  frame.set_from(2);
  EXPECT_EQ(Reason(frame), "UNKNOWN_PEER");
  frame = Heartbeat();
  frame.set_version(kProtocolVersion + 1);
  frame.set_newest_version(kProtocolVersion + 1);
  EXPECT_EQ(Reason(frame), "VERSION_MISMATCH");
  EXPECT_EQ(taken_, 0);
}

TEST_F(FrameReaderTest, ACallBelongsToOneSender) {
  listener_.knows = [](NodeId, const std::vector<Introduction>*) { return Standing::kPeer; };
  EXPECT_EQ(Reason(Heartbeat()), "");
  v1::Frame frame = Heartbeat();
  frame.set_from(3);
  EXPECT_EQ(Reason(frame), "SENDER_MISMATCH");
  frame = Heartbeat();
  frame.set_from_incarnation(1);
  EXPECT_EQ(Reason(frame), "SENDER_MISMATCH");
  frame = Heartbeat();
  frame.set_lane(v1::FRAME_LANE_APPEND);
  EXPECT_EQ(Reason(frame), "SENDER_MISMATCH");
  EXPECT_EQ(taken_, 1);
}

// A group's member on another disk than the group knows may be known by now, but says so only in
// the first frame of a call. Other groups' parcels on the call are taken.
TEST_F(FrameReaderTest, WhoIsRefusedByAGroupCallsAnewAfterAWhile) {
  listener_.knows = [](NodeId, const std::vector<Introduction>*) { return Standing::kPeer; };
  listener_.vet = [](const Envelope& envelope) {
    return envelope.group_incarnation == Incarnation::kUnknown
               ? absl::OkStatus()
               : absl::FailedPreconditionError("MEMBER_AMNESIA: another disk");
  };
  const auto of_disk = [this](uint64_t group_incarnation) {
    v1::Frame frame = Heartbeat();
    frame.mutable_parcels(0)->set_group_incarnation(group_incarnation);
    return frame;
  };
  int frames = 0;
  std::string reason;
  for (; reason.empty() && frames < 100; ++frames) {
    EXPECT_EQ(Reason(of_disk(0)), "");
    reason = Reason(of_disk(7));
  }
  EXPECT_EQ(reason, "GREET_AGAIN");
  EXPECT_EQ(frames, 16);
  EXPECT_EQ(taken_, 16);
}

TEST_F(FrameReaderTest, RefusesImpossibleTermsAndFrames) {
  v1::Frame frame = Heartbeat();
  frame.mutable_parcels(0)->mutable_heartbeat()->set_term(UINT64_MAX);
  EXPECT_EQ(Reason(frame), "TERM_RANGE");
  frame = Heartbeat();
  frame.add_parcels();
  EXPECT_EQ(Reason(frame), "BAD_FRAME");
  EXPECT_EQ(taken_, 1);  // the parcel before the bad one
  frame = Heartbeat();
  frame.set_fragment("x");
  EXPECT_EQ(Reason(frame), "BAD_FRAME");
  frame = Heartbeat();
  frame.clear_parcels();
  frame.set_fragment("\xff\xff\xff");
  frame.set_fragment_ends(true);
  EXPECT_EQ(Reason(frame), "BAD_FRAME");
  frame.clear_fragment();
  EXPECT_EQ(Reason(frame), "BAD_FRAME");
}

v1::Frame Greeting(uint64_t from, const std::vector<Introduction>& introductions) {
  Random random(9);
  Envelope envelope = RandomEnvelope(random, 6);
  envelope.from = NodeId{from};
  v1::Frame frame;
  WriteIdentity(envelope, &frame);
  WriteIntroductions(introductions, &frame);
  return frame;
}

TEST_F(FrameReaderTest, StrangersIntroduceThemselvesAndMayNotSayEverything) {
  const std::vector<Introduction> introductions = {{GroupId{1}, {9, 3}, "somewhere:1"}};
  EXPECT_EQ(Reason(Greeting(4, {})), "UNKNOWN_PEER");
  EXPECT_EQ(Reason(Greeting(9, introductions)), "UNKNOWN_PEER");
  EXPECT_EQ(Reason(Greeting(2, introductions)), "UNKNOWN_PEER") << "the receiver itself";
  EXPECT_EQ(Reason(Greeting(4, introductions)), "");
  for (size_t kind = 0; kind < kEnvelopeKinds; ++kind) {
    Envelope envelope = RandomEnvelope(random_, kind);
    if (LaneOf(envelope) != Lane::kControl) continue;
    envelope.from = NodeId{4};
    const bool fit = MayStrangerSay(envelope.body);
    FrameQueue queue;
    v1::Frame frame;
    queue.Push(std::move(envelope), SIZE_MAX);
    queue.Next(&frame);
    taken_ = 0;
    EXPECT_EQ(Reason(frame), "");
    EXPECT_EQ(taken_, fit ? 1 : 0) << frame.ShortDebugString();
  }
}

TEST_F(FrameReaderTest, RefusesIntroductionsThatNobodyWrites) {
  const Introduction good = {GroupId{1}, {9, 3}, "somewhere:1"};
  v1::Frame frame = Greeting(4, {good});
  frame.mutable_introductions(0)->set_group(0);
  EXPECT_EQ(Reason(frame), "BAD_FRAME");
  frame = Greeting(4, {good});
  frame.mutable_introductions(0)->mutable_configuration()->set_index(0);
  EXPECT_EQ(Reason(frame), "TERM_RANGE");
  frame.mutable_introductions(0)->mutable_configuration()->set_index(UINT64_MAX);
  EXPECT_EQ(Reason(frame), "TERM_RANGE");
  frame = Greeting(4, {good});
  frame.mutable_introductions(0)->set_address(std::string(kMaxAddressBytes + 1, 'a'));
  EXPECT_EQ(Reason(frame), "BAD_FRAME");
  frame = Greeting(4, std::vector<Introduction>(100, good));
  EXPECT_EQ(frame.introductions_size(), static_cast<int>(kMaxIntroductions));
  *frame.add_introductions() = frame.introductions(0);
  EXPECT_EQ(Reason(frame), "BAD_FRAME");
  EXPECT_TRUE(Greeting(4, {{}, {GroupId{1}, {9, 3}, ""}}).introductions().empty());
}

TEST_F(FrameReaderTest, AsksTheHostLast) {
  listener_.vet = [](const Envelope& envelope) {
    return absl::FailedPreconditionError(
        absl::StrCat("MEMBER_AMNESIA: node ", ToInteger(envelope.from), ": a new disk"));
  };
  v1::Frame bad = Heartbeat();
  bad.mutable_parcels(0)->mutable_heartbeat()->set_term(UINT64_MAX);
  EXPECT_EQ(Reason(bad), "TERM_RANGE");
  v1::Frame greeting = Heartbeat();
  greeting.clear_parcels();
  EXPECT_EQ(Reason(greeting), "");
  auto error = reader_.Read(Heartbeat(), [this](Envelope) { ++taken_; });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code, absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(error->reason, "MEMBER_AMNESIA");
  EXPECT_EQ(error->message, "MEMBER_AMNESIA: node 1: a new disk");
  EXPECT_EQ(taken_, 0);
}

}  // namespace
}  // namespace cairn
