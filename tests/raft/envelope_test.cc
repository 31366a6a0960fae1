#include "raft/envelope.h"

#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "raft/core/configuration.h"

namespace cairn {
namespace {

constexpr GroupId kGroup{7};

Envelope Frame(EnvelopeBody body) {
  Envelope envelope;
  envelope.group = kGroup;
  envelope.from = NodeId{1};
  envelope.to = NodeId{2};
  envelope.from_incarnation = Incarnation{11};
  envelope.body = std::move(body);
  return envelope;
}

RecordRun Records(LogPosition previous, EntryHash previous_hash, std::vector<Term> terms,
                  GroupId group = kGroup) {
  RecordRunBuilder builder(group, previous, previous_hash);
  for (Term term : terms) {
    builder.Add(PreparedEntry::Make(EntryType::kCommand, "command"), term, WallTime{1});
  }
  return std::move(builder).Build();
}

Envelope Append(Term term, LogPosition previous, std::vector<RecordRun> entries) {
  AppendEntries append;
  append.term = term;
  append.previous = previous;
  Envelope envelope = Frame(MessageBody(append));
  envelope.entries = std::move(entries);
  return envelope;
}

void ExpectInvalid(const Envelope& envelope, const std::string& begin) {
  absl::Status status = Validate(envelope);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_EQ(std::string(status.message()).substr(0, begin.size()), begin);
}

TEST(EnvelopeTest, HonestMessagesPass) {
  std::vector<MessageBody> bodies = {
      PreVoteRequest{1, {}, 5},
      PreVoteReply{0, false, 5},
      PreVoteReply{3, true, 5},
      VoteRequest{4, {9, 3}, 5},
      VoteReply{4, true, 5},
      AppendReply{4, true, 9, {}, 0},
      AppendReply{4, false, 0, {7, 2}, 9},
      Heartbeat{4, 9, 1},
      HeartbeatReply{4, 1},
      ReadIndexRequest{4, 1},
      ReadIndexReply{4, 1, true, 9},
      TailQuery{4, 1, {9, 3}, {{3, 10}, {4, 12}}},
      TailReply{4, 1, 11, 9},
      RejoinRequest{4, 1},
      RejoinReply{4, 1, 9},
      TailReply{0, 1, 9, 0},  // of a member that has not been in an election
  };
  for (const MessageBody& body : bodies) {
    EXPECT_TRUE(Validate(Frame(body)).ok()) << NameOf(body) << ": " << Validate(Frame(body));
  }
  RecordRun first = Records({9, 3}, {1, 2}, {3, 3, 4});
  RecordRun second = Records(first.last(), first.last_hash(), {4, 5});
  EXPECT_TRUE(Validate(Append(5, {9, 3}, {first, second})).ok());
  EXPECT_TRUE(Validate(Append(5, {}, {Records({}, {}, {1})})).ok());
}

TEST(EnvelopeTest, TermsAndIndexesOutOfRange) {
  for (Term term : {kMaxTerm + 1, ~Term{0}}) {
    ExpectInvalid(Frame(MessageBody(Heartbeat{term, 0, 0})), "TERM_RANGE");
    ExpectInvalid(Frame(MessageBody(VoteRequest{term, {1, 1}, 0})), "TERM_RANGE");
    ExpectInvalid(Frame(MessageBody(PreVoteReply{term, false, 0})), "TERM_RANGE");
    ExpectInvalid(Frame(MessageBody(AppendReply{2, false, 0, {1, term}, 1})), "TERM_RANGE");
    ForwardedProposals forwarded;
    forwarded.term = term;
    forwarded.request = 1;
    forwarded.entries.push_back(PreparedEntry::Make(EntryType::kCommand, ""));
    ExpectInvalid(Frame(std::move(forwarded)), "TERM_RANGE");
  }
  for (Index index : {kMaxIndex + 1, ~Index{0}}) {
    ExpectInvalid(Frame(MessageBody(Heartbeat{2, index, 0})), "TERM_RANGE: commit");
    ExpectInvalid(Frame(MessageBody(AppendReply{2, true, index, {}, 0})), "TERM_RANGE: match");
    ExpectInvalid(Frame(MessageBody(AppendReply{2, false, 0, {}, index})), "TERM_RANGE: refused");
    ExpectInvalid(Frame(MessageBody(VoteRequest{2, {index, 1}, 0})), "TERM_RANGE: last");
    ExpectInvalid(Frame(MessageBody(ReadIndexReply{2, 1, true, index})), "TERM_RANGE: index");
    ExpectInvalid(Frame(MessageBody(TailReply{2, 1, index, 0})), "TERM_RANGE: have_through");
    ExpectInvalid(Frame(MessageBody(RejoinReply{2, 1, index})), "TERM_RANGE: barrier");
    ExpectInvalid(Frame(MessageBody(TailQuery{2, 1, {}, {{1, index}}})), "a run ends");
    ExpectInvalid(Append(2, {index, 1}, {Records({1, 1}, {}, {1})}), "TERM_RANGE: previous");
  }
}

TEST(EnvelopeTest, TermZeroFromALeaderAndLastTermsAboveTheTerm) {
  ExpectInvalid(Frame(MessageBody(Heartbeat{0, 0, 0})), "TERM_RANGE");
  ExpectInvalid(Frame(MessageBody(AppendReply{0, true, 1, {}, 0})), "TERM_RANGE");
  ExpectInvalid(Frame(MessageBody(PreVoteReply{0, true, 0})), "TERM_RANGE");
  ExpectInvalid(Append(0, {}, {Records({}, {}, {1})}), "TERM_RANGE");
  ExpectInvalid(Frame(MessageBody(VoteRequest{3, {9, 3}, 0})), "the last term");
  ExpectInvalid(Frame(MessageBody(VoteRequest{3, {9, 4}, 0})), "the last term");
  ExpectInvalid(Frame(MessageBody(PreVoteRequest{3, {9, 4}, 0})), "the last term");
  ExpectInvalid(Frame(MessageBody(VoteRequest{3, {0, 1}, 0})), "last is 0/1");
  ExpectInvalid(Frame(MessageBody(VoteRequest{3, {1, 0}, 0})), "last is 1/0");
}

TEST(EnvelopeTest, EntriesThatDoNotFollow) {
  RecordRun run = Records({9, 3}, {1, 2}, {3, 4});
  ExpectInvalid(Append(5, {8, 3}, {run}), "entry 10/3 does not follow 8/3");
  ExpectInvalid(Append(5, {10, 3}, {run}), "entry 10/3 does not follow 10/3");
  ExpectInvalid(Append(5, {9, 4}, {run}), "entry 10/3 does not follow 9/4");
  ExpectInvalid(Append(3, {9, 3}, {run}), "entry 11/4 in a message of term 3");
  ExpectInvalid(Append(2, {9, 3}, {run}), "the previous term");
  ExpectInvalid(Append(5, {9, 3}, {}), "an append without entries");
  ExpectInvalid(Append(5, {9, 3}, {RecordRun()}), "an empty run");
  ExpectInvalid(Append(5, {9, 3}, {run, run}), "entry 10/3 does not follow 11/4");
  ExpectInvalid(Append(5, {9, 3}, {run, Records({12, 4}, run.last_hash(), {4})}), "entry 13/4");
  ExpectInvalid(Append(5, {9, 3}, {run, Records(run.last(), {5, 5}, {4})}),
                "entry 12/4 has another entry before it");
  ExpectInvalid(Append(5, {9, 3}, {Records({9, 3}, {1, 2}, {3}, GroupId{8})}),
                "entries of another");
  Envelope heartbeat = Frame(MessageBody(Heartbeat{5, 0, 0}));
  heartbeat.entries = {run};
  ExpectInvalid(heartbeat, "entries without an append");
  Envelope hello = Frame(IdentityRefusal{});
  hello.entries = {run};
  ExpectInvalid(hello, "entries without an append");
}

TEST(EnvelopeTest, AnnouncedRunsMustBeThoseOfTheEntries) {
  Envelope envelope = Append(5, {9, 3}, {Records({9, 3}, {1, 2}, {3, 4})});
  AppendEntries& append = std::get<AppendEntries>(std::get<MessageBody>(envelope.body));
  append.runs = {{3, 10}, {4, 11}};
  EXPECT_TRUE(Validate(envelope).ok());
  append.runs = {{3, 10}, {4, 12}};
  ExpectInvalid(envelope, "the entries are not the announced ones");
}

TEST(EnvelopeTest, TailQueriesMustGrow) {
  ExpectInvalid(Frame(MessageBody(TailQuery{4, 1, {9, 3}, {}})), "a tail query");
  ExpectInvalid(Frame(MessageBody(RejoinRequest{4, 0})), "a question without a number");
  ExpectInvalid(Frame(MessageBody(RejoinReply{4, 1, 0})), "an answer to no question");
  ExpectInvalid(Frame(MessageBody(RejoinReply{4, 0, 9})), "an answer to no question");
  ExpectInvalid(Frame(MessageBody(TailQuery{4, 1, {9, 3}, {{3, 9}}})), "a run ends");
  ExpectInvalid(Frame(MessageBody(TailQuery{4, 1, {9, 3}, {{2, 10}}})), "a run of term 2");
  ExpectInvalid(Frame(MessageBody(TailQuery{4, 1, {9, 3}, {{4, 10}, {3, 11}}})), "a run of term 3");
  ExpectInvalid(Frame(MessageBody(TailQuery{4, 1, {9, 3}, {{4, 10}, {5, 10}}})), "a run ends");
}

TEST(EnvelopeTest, EnvelopesNameTheirNodes) {
  Envelope envelope = Frame(MessageBody(Heartbeat{1, 0, 0}));
  envelope.from = NodeId::kNone;
  ExpectInvalid(envelope, "an envelope without a node");
  envelope.from = envelope.to;
  ExpectInvalid(envelope, "an envelope to its sender");
  envelope = Frame(MessageBody(Heartbeat{1, 0, 0}));
  envelope.from_incarnation = Incarnation::kUnknown;
  ExpectInvalid(envelope, "an envelope without an incarnation");
  envelope = Frame(MessageBody(Heartbeat{1, 0, 0}));
  envelope.group = GroupId::kNone;
  ExpectInvalid(envelope, "an envelope without a group");
}

TEST(EnvelopeTest, OtherBodies) {
  ForwardedProposals forwarded;
  forwarded.term = 1;
  forwarded.request = 1;
  ExpectInvalid(Frame(forwarded), "0 forwarded entries");
  forwarded.entries.push_back(PreparedEntry::Make(EntryType::kCommand, "x"));
  EXPECT_TRUE(Validate(Frame(forwarded)).ok());
  forwarded.request = 0;
  ExpectInvalid(Frame(forwarded), "a forwarded request 0");
  forwarded.request = 1;
  forwarded.entries.push_back(PreparedEntry::Make(EntryType::kConfiguration, "x"));
  ExpectInvalid(Frame(forwarded), "a forwarded entry that no client can propose");
  ExpectInvalid(Frame(ForwardedResults{}), "no results");
  ExpectInvalid(Frame(Hello{}), "a hello without members");
  Hello hello;
  hello.members.voters = {{NodeId{1}, Incarnation::kUnknown, "a"}};
  Envelope envelope = Frame(hello);
  envelope.group = GroupId::kNone;
  EXPECT_TRUE(Validate(envelope).ok());
  hello.formed = true;
  ExpectInvalid(Frame(hello), "a formed cluster with a member of unknown incarnation");
}

TEST(EnvelopeTest, DescribesTheEntries) {
  Configuration configuration;
  configuration.voters = {{NodeId{1}, Incarnation{11}, "a"}, {NodeId{2}, Incarnation{12}, "b"}};
  RecordRunBuilder builder(kGroup, {9, 3}, {});
  builder.Add(PreparedEntry::Make(EntryType::kCommand, "x"), 3, WallTime{1});
  builder.Add(PreparedEntry::Make(EntryType::kConfiguration, EncodeConfiguration(configuration)), 4,
              WallTime{1});
  RecordRun first = std::move(builder).Build();
  RecordRun second = Records(first.last(), first.last_hash(), {4, 5});
  Envelope envelope = Append(5, {9, 3}, {first, second});
  AppendEntries& append = std::get<AppendEntries>(std::get<MessageBody>(envelope.body));
  ASSERT_TRUE(DescribeEntries(append, envelope.entries).ok());
  EXPECT_EQ(append.runs, (std::vector<TermRun>{{3, 10}, {4, 12}, {5, 13}}));
  ASSERT_EQ(append.configurations.size(), 1u);
  EXPECT_EQ(append.configurations[0].first, (LogPosition{11, 4}));
  EXPECT_EQ(append.configurations[0].second, configuration);
  EXPECT_TRUE(Validate(envelope).ok());

  RecordRunBuilder broken(kGroup, {9, 3}, {});
  broken.Add(PreparedEntry::Make(EntryType::kConfiguration, "nonsense"), 4, WallTime{1});
  EXPECT_TRUE(absl::IsInvalidArgument(DescribeEntries(append, {std::move(broken).Build()})));
}

TEST(EnvelopeTest, BulkHasItsOwnLane) {
  EXPECT_EQ(LaneOf(Frame(MessageBody(Heartbeat{1, 0, 0}))), Lane::kControl);
  EXPECT_EQ(LaneOf(Frame(MessageBody(AppendReply{}))), Lane::kControl);
  EXPECT_EQ(LaneOf(Frame(Hello{})), Lane::kControl);
  EXPECT_EQ(LaneOf(Append(1, {}, {})), Lane::kAppend);
  EXPECT_EQ(LaneOf(Frame(ForwardedProposals{})), Lane::kAppend);
  EXPECT_EQ(LaneOf(Frame(ForwardedResults{})), Lane::kAppend);
  EXPECT_EQ(LaneOf(Frame(SnapshotOffer{})), Lane::kSnapshot);
  EXPECT_EQ(LaneOf(Frame(SnapshotRequest{})), Lane::kSnapshot);
  EXPECT_EQ(LaneOf(Frame(SnapshotPiece{})), Lane::kSnapshot);
}

// Fault catalogue 5.2, row 21: sizes and places that are none.
TEST(EnvelopeTest, SnapshotsOnTheirWay) {
  SnapshotOffer offer = {4, ContentIdOf("x"), {100, 3}, 500};
  EXPECT_TRUE(Validate(Frame(offer)).ok());
  offer.position = {0, 0};
  ExpectInvalid(Frame(offer), "a snapshot at 0/0 in term 4");
  offer.position = {100, 5};
  ExpectInvalid(Frame(offer), "a snapshot at 100/5 in term 4");
  offer.position = {100, 3};
  for (uint64_t bytes : {uint64_t{0}, kMaxManifestBytes + 1, uint64_t{1} << 63}) {
    offer.manifest_bytes = bytes;
    ExpectInvalid(Frame(offer), "a snapshot with a manifest of");
  }
  SnapshotRequest request = {ContentIdOf("x"), 3, 0, kSnapshotPieceBytes};
  EXPECT_TRUE(Validate(Frame(request)).ok());
  request.bytes = kSnapshotPieceBytes + 1;
  ExpectInvalid(Frame(request), "a piece of");
  request.bytes = 0;
  ExpectInvalid(Frame(request), "a piece of 0 bytes");
  request = {ContentIdOf("x"), 3, ~uint64_t{0}, 10};
  ExpectInvalid(Frame(request), "a piece of 10 bytes");
  SnapshotPiece piece = {ContentIdOf("x"), 3, 0, "bytes", false};
  EXPECT_TRUE(Validate(Frame(piece)).ok());
  piece.gone = true;
  ExpectInvalid(Frame(piece), "a piece that is gone and here");
  piece.bytes.clear();
  EXPECT_TRUE(Validate(Frame(piece)).ok());
  piece.gone = false;
  ExpectInvalid(Frame(piece), "a piece of 0 bytes");
}

}  // namespace
}  // namespace cairn
