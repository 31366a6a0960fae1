#include "raft/sender_check.h"

#include "gtest/gtest.h"

namespace cairn {
namespace {

using Reason = IdentityRefusal::Reason;

const LocalIdentity kSelf{ClusterId{{1, 2}}, NodeId{2}, Incarnation{22}};

Envelope Frame(EnvelopeBody body) {
  Envelope envelope;
  envelope.cluster = kSelf.cluster;
  envelope.group = GroupId{1};
  envelope.from = NodeId{1};
  envelope.to = NodeId{2};
  envelope.from_incarnation = Incarnation{11};
  envelope.body = std::move(body);
  return envelope;
}

Configuration Members() {
  Configuration configuration;
  configuration.voters = {{NodeId{1}, Incarnation{11}, "a"}, {NodeId{2}, Incarnation{22}, "b"}};
  configuration.learners = {{NodeId{3}, Incarnation::kUnknown, "c"}};
  return configuration;
}

TEST(SenderCheckTest, FramesForUsPass) {
  EXPECT_FALSE(CheckAddress(Frame(MessageBody(Heartbeat{})), kSelf).has_value());
}

TEST(SenderCheckTest, OtherClustersNodesAndVersionsAreRefusedNamingBothSides) {
  Envelope envelope = Frame(MessageBody(Heartbeat{}));
  envelope.cluster.bytes[0] = 9;
  auto refusal = CheckAddress(envelope, kSelf);
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->reason, Reason::kClusterMismatch);
  EXPECT_NE(refusal->message.find(ToString(envelope.cluster)), std::string::npos);
  EXPECT_NE(refusal->message.find(ToString(kSelf.cluster)), std::string::npos);

  envelope = Frame(MessageBody(Heartbeat{}));
  envelope.to = NodeId{5};
  refusal = CheckAddress(envelope, kSelf);
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->reason, Reason::kWrongNode);
  EXPECT_EQ(refusal->message, "this is node 2, the frame is for node 5");

  envelope = Frame(MessageBody(Heartbeat{}));
  envelope.version = kProtocolVersion + 1;
  refusal = CheckAddress(envelope, kSelf);
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->reason, Reason::kVersion);
}

TEST(SenderCheckTest, AnotherDataDirectoryUnderAMembersId) {
  Envelope envelope = Frame(MessageBody(VoteReply{}));
  EXPECT_FALSE(CheckSender(envelope, Members()).has_value());
  envelope.from_incarnation = Incarnation{12};
  auto refusal = CheckSender(envelope, Members());
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->reason, Reason::kMemberAmnesia);
  EXPECT_NE(refusal->message.find("incarnation 11"), std::string::npos);
  EXPECT_NE(refusal->message.find("incarnation 12"), std::string::npos);
}

// Two members that refuse each other would do nothing else.
TEST(SenderCheckTest, ARefusalIsNotRefused) {
  Envelope envelope = Frame(IdentityRefusal{Reason::kMemberAmnesia, "you are another one"});
  envelope.from_incarnation = Incarnation{12};
  EXPECT_FALSE(CheckSender(envelope, Members()).has_value());
}

TEST(SenderCheckTest, MembersNotYetSeenMayComeWithAnyDisk) {
  Envelope envelope = Frame(MessageBody(AppendReply{}));
  envelope.from = NodeId{3};
  EXPECT_FALSE(CheckSender(envelope, Members()).has_value());
}

// A lagging member must be able to vote for a node its configuration does not know.
TEST(SenderCheckTest, StrangersAreAnsweredButDoNotPropose) {
  Envelope envelope = Frame(MessageBody(VoteRequest{}));
  envelope.from = NodeId{9};
  EXPECT_FALSE(CheckSender(envelope, Members()).has_value());
  envelope.body = ForwardedProposals{};
  auto refusal = CheckSender(envelope, Members());
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->reason, Reason::kUnknownMember);
}

}  // namespace
}  // namespace cairn
