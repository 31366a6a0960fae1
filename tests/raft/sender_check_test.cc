#include "raft/sender_check.h"

#include <optional>
#include <string>
#include <variant>

#include "absl/strings/cord.h"
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

TEST(SenderCheckTest, ASuccessorIsNotRefusedForItsDisk) {
  Envelope envelope = Frame(MessageBody(Heartbeat{.term = 3}));
  EXPECT_FALSE(HasAnotherDisk(envelope, Members()));
  envelope.from_incarnation = Incarnation{12};
  EXPECT_TRUE(HasAnotherDisk(envelope, Members()));
  EXPECT_FALSE(CheckSender(envelope, Members(), true).has_value());
  EXPECT_TRUE(Vet(envelope, Members(), 3, NodeId::kNone, true).ok());
  EXPECT_FALSE(Vet(envelope, Members(), 3, NodeId{2}, true).ok()) << "a second leader";
  // What counts as the member's is not for it to say.
  EXPECT_FALSE(MayStrangerSay(MessageBody(VoteReply{})));
  EXPECT_FALSE(MayStrangerSay(MessageBody(AppendReply{})));
  EXPECT_FALSE(MayStrangerSay(MessageBody(HeartbeatReply{})));
  EXPECT_FALSE(MayStrangerSay(MessageBody(PreVoteReply{})));
  EXPECT_FALSE(MayStrangerSay(MessageBody(TailReply{})));
  EXPECT_FALSE(MayStrangerSay(MessageBody(VoteRequest{.forced = true})));
  envelope.from = NodeId{3};
  EXPECT_FALSE(HasAnotherDisk(envelope, Members())) << "the log does not say which";
  envelope.from = NodeId{9};
  EXPECT_FALSE(HasAnotherDisk(envelope, Members())) << "a stranger";
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

// Node 1 is a member by what is committed; this node's log, which goes further, does not say so.
TEST(SenderCheckTest, StrangersMayAskForEntries) {
  EXPECT_TRUE(MayStrangerSay(EntryRequest{}));
  EXPECT_TRUE(MayStrangerSay(EntryReply{}));
  EXPECT_FALSE(MayStrangerSay(ForwardedProposals{}));
}

// Fault catalogue 5.2, row 13.
TEST(SenderCheckTest, TermsNobodyCanHaveReached) {
  constexpr Term kJump = Term{1} << 40;
  Envelope envelope = Frame(MessageBody(Heartbeat{.term = 7 + kJump}));
  EXPECT_TRUE(CheckTermJump(envelope, 7).ok());
  absl::Status status = CheckTermJump(envelope, 6);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message().substr(0, 11), "TERM_RANGE:");
  EXPECT_EQ(Vet(envelope, Members(), 6, NodeId::kNone), status);
  const Envelope request = Frame(EntryRequest{1, {}, 5, 1, kJump + 7});
  EXPECT_TRUE(CheckTermJump(request, 7).ok());
  EXPECT_FALSE(CheckTermJump(request, 6).ok());
  EXPECT_TRUE(CheckTermJump(Frame(ForwardedProposals{kMaxTerm, 1, 1, {}}), 1).ok())
      << "no term that anybody adopts";
  envelope = Frame(SnapshotOffer{7 + kJump, {}, {}, 0});
  EXPECT_TRUE(CheckTermJump(envelope, 7).ok());
  EXPECT_FALSE(CheckTermJump(envelope, 6).ok()) << "who has lost its state adopts it";
}

// Fault catalogue 5.2, rows 10 and 12.
// Fault catalogue 5.2, row 15.
TEST(SenderCheckTest, ATermHasOneLeader) {
  const NodeId leader{3};
  for (const MessageBody& body :
       {MessageBody(Heartbeat{.term = 4}), MessageBody(AppendEntries{.term = 4}),
        MessageBody(TimeoutNow{.term = 4})}) {
    absl::Status status = CheckLeader(Frame(body), 4, leader);
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_EQ(status.message(),
              "SAFETY_VIOLATION: node 1 says that it leads term 4 of group 1, which node 3 leads");
    EXPECT_EQ(Vet(Frame(body), Members(), 4, leader), status);
    EXPECT_TRUE(CheckLeader(Frame(body), 4, NodeId{1}).ok());
    EXPECT_TRUE(CheckLeader(Frame(body), 4, NodeId::kNone).ok()) << "it may be the one";
    EXPECT_TRUE(CheckLeader(Frame(body), 5, leader).ok()) << "it is told that its term is over";
    EXPECT_TRUE(CheckLeader(Frame(body), 3, leader).ok()) << "of the next term";
  }
  EXPECT_TRUE(CheckLeader(Frame(MessageBody(VoteRequest{.term = 4})), 4, leader).ok());
}

TEST(SenderCheckTest, VetTellsWhoSpeaksUnderAMembersId) {
  Envelope envelope = Frame(MessageBody(Heartbeat{.term = 3}));
  EXPECT_TRUE(Vet(envelope, Members(), 3, NodeId::kNone).ok());
  envelope.from_incarnation = Incarnation{12};
  absl::Status status = Vet(envelope, Members(), 3, NodeId::kNone);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.message().substr(0, 15), "MEMBER_AMNESIA:");
  envelope.from_incarnation = Incarnation{22};  // of node 2
  status = Vet(envelope, Members(), 3, NodeId::kNone);
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(status.message().substr(0, 42), "SENDER_MISMATCH: node 2 speaks as node 1: ");
  envelope.body = Hello{};
  EXPECT_TRUE(Vet(envelope, Members(), 3, NodeId::kNone).ok())
      << "a wiped node has to learn what it is";
  envelope = Frame(MessageBody(VoteRequest{.term = 3}));
  envelope.from = NodeId{9};
  EXPECT_TRUE(Vet(envelope, Members(), 3, NodeId::kNone).ok())
      << "membership is the leader's to know";
}

// Fault catalogue 5.2, row 12.
TEST(SenderCheckTest, WhoWasRemovedAndAsksForVotesIsTold) {
  Configuration configuration = Members();
  configuration.removed = {NodeId{9}};
  const MembersKnown known = {.self = Incarnation{22},
                              .term = 4,
                              .configuration = configuration,
                              .at = {.index = 10, .term = 3},
                              .last = {.index = 12, .term = 4}};
  for (const LogPosition last : {LogPosition{9, 3}, LogPosition{40, 3}, LogPosition{12, 4}}) {
    for (const MessageBody& body : {MessageBody(PreVoteRequest{.term = 5, .last = last}),
                                    MessageBody(VoteRequest{.term = 5, .last = last})}) {
      Envelope envelope = Frame(body);
      EXPECT_TRUE(CheckRemoved(envelope, known).ok()) << "a member";
      envelope.from = NodeId{8};
      EXPECT_TRUE(CheckRemoved(envelope, known).ok()) << "perhaps a new member";
      envelope.from = NodeId{9};
      const absl::Status refusal = CheckRemoved(envelope, known);
      EXPECT_TRUE(IsRemoval(refusal));
      EXPECT_EQ(refusal.code(), absl::StatusCode::kFailedPrecondition);
      EXPECT_EQ(refusal.message(),
                "MEMBER_REMOVED: node 9 is no member of group 1 any more, by configuration 10/3");

      const auto said = [&](absl::string_view name) {
        return std::string(refusal.GetPayload(name).value_or(absl::Cord()));
      };
      std::optional<Envelope> notice = RemovalOf(envelope, said);
      ASSERT_TRUE(notice.has_value());
      EXPECT_EQ(notice->from, NodeId{2});
      EXPECT_EQ(notice->to, NodeId{9});
      EXPECT_EQ(notice->group, GroupId{1});
      EXPECT_EQ(SenderIn(*notice), Incarnation{22});
      const auto& removed = std::get<RemovedNotice>(std::get<MessageBody>(notice->body));
      EXPECT_EQ(removed.at, known.at);
      EXPECT_EQ(removed.term, 4u);
    }
  }
  // What it holds may make it a member again.
  Envelope envelope = Frame(MessageBody(VoteRequest{.term = 5, .last = {13, 4}}));
  envelope.from = NodeId{9};
  EXPECT_TRUE(CheckRemoved(envelope, known).ok());
  envelope.body = MessageBody(Heartbeat{.term = 5});
  EXPECT_TRUE(CheckRemoved(envelope, known).ok());
  EXPECT_FALSE(RemovalOf(envelope, [](absl::string_view) { return std::string(); }).has_value());
  EXPECT_FALSE(RemovalOf(envelope, [](absl::string_view) { return std::string("9x"); }));
}

}  // namespace
}  // namespace cairn
