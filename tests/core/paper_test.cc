// Figure 2 of the Raft paper (Ongaro and Ousterhout 2014): one test for each of its lines, in its
// order. Where this Raft does more than the paper (pre-vote, stickiness), the test says so. The
// properties of figure 3 are in paper_properties_test.cc.

#include <cstdint>
#include <set>
#include <vector>

#include "gtest/gtest.h"
#include "raft/core/raft.h"
#include "tests/core/raft_under_test.h"

namespace cairn {
namespace {

using Node = RaftUnderTest;

constexpr NodeId kNode1{1};
constexpr NodeId kNode2{2};
constexpr NodeId kNode3{3};

// Elapses until nobody can be taken for a live leader.
void ForgetLeader(Node& node) { node.Elapse(Seconds(1)); }

// Persistent state on all servers ----------------------------------------------------------------

TEST(PaperTest, TermAndVoteAreOnStableStorageBeforeTheVoteIsGiven) {
  Node node(3);
  node.Receive(2, VoteRequest{.term = 1, .last = {}, .campaign = 7});
  Effects effects = node.Take();
  ASSERT_EQ(effects.log_batches.size(), 1u);
  EXPECT_EQ(effects.log_batches[0].hard_state, (HardState{1, kNode2}));
  EXPECT_TRUE(effects.messages.empty());
  node.Sync();
  EXPECT_TRUE(Node::Only<VoteReply>(node.Take(), 2).granted);
}

TEST(PaperTest, EntriesAreOnStableStorageBeforeTheyAreAcknowledged) {
  Node node(3);
  node.Receive(2, MakeAppend(1, {}, {1, 1}));
  Effects effects = node.Take();
  ASSERT_EQ(effects.log_batches.size(), 1u);
  EXPECT_EQ(effects.log_batches[0].runs.size(), 1u);
  EXPECT_TRUE(effects.messages.empty());
  node.Sync();
  EXPECT_EQ(Node::Only<AppendReply>(node.Take(), 2).match, 2u);
}

// Else the node could be back in the old term after a power cut, and the old term's leader
// overwrite what the new one counts on.
TEST(PaperTest, TheTermIsOnStableStorageBeforeOldEntriesAreAcknowledgedInIt) {
  Node node(3, {1, 1}, {.term = 1});
  node.Receive(2, MakeAppend(2, {1, 1}, {1}));  // nothing to write but the term
  Effects effects = node.Take();
  ASSERT_EQ(effects.log_batches.size(), 1u);
  EXPECT_TRUE(Node::Sent<AppendReply>(effects).empty());
  node.Sync();
  EXPECT_EQ(Node::Only<AppendReply>(node.Take(), 2).match, 2u);
}

TEST(PaperTest, TermAndVoteSurviveARestart) {
  Node node(3, {1}, {.term = 4, .vote = kNode2});
  EXPECT_EQ(node.raft().term(), 4u);
  node.Receive(3, VoteRequest{.term = 4, .last = {9, 3}, .campaign = 7});
  EXPECT_FALSE(Node::Only<VoteReply>(node.Settle(), 3).granted);
  node.Receive(2, VoteRequest{.term = 4, .last = {9, 3}, .campaign = 8});
  EXPECT_TRUE(Node::Only<VoteReply>(node.Settle(), 2).granted);
}

// RequestVote RPC, receiver implementation -------------------------------------------------------

TEST(PaperTest, RequestVote1RefusesAnOlderTerm) {
  Node node(3, {}, {.term = 5});
  node.Receive(2, VoteRequest{.term = 4, .last = {9, 4}, .campaign = 7});
  VoteReply reply = Node::Only<VoteReply>(node.Settle(), 2);
  EXPECT_FALSE(reply.granted);
  EXPECT_EQ(reply.term, 5u);
  EXPECT_EQ(reply.campaign, 7u);
}

TEST(PaperTest, RequestVote2GrantsOneVoteATermFirstComeFirstServed) {
  Node node(3);
  node.Receive(2, VoteRequest{.term = 1, .last = {}, .campaign = 7});
  node.Receive(3, VoteRequest{.term = 1, .last = {}, .campaign = 8});
  Effects effects = node.Settle();
  EXPECT_TRUE(Node::Only<VoteReply>(effects, 2).granted);
  EXPECT_FALSE(Node::Only<VoteReply>(effects, 3).granted);
  // Asked again, it says the same: replies may be lost.
  node.Receive(2, VoteRequest{.term = 1, .last = {}, .campaign = 7});
  EXPECT_TRUE(Node::Only<VoteReply>(node.Settle(), 2).granted);
  EXPECT_EQ(node.raft().vote(), kNode2);
}

TEST(PaperTest, RequestVote2GrantsOnlyToLogsAtLeastAsUpToDate) {
  const struct {
    LogPosition candidate;
    bool granted;
  } kCases[] = {
      {{3, 2}, true},   // the same
      {{4, 2}, true},   // longer
      {{2, 2}, false},  // shorter
      {{1, 3}, true},   // a later last term, though shorter
      {{9, 1}, false},  // an earlier last term, though longer
  };
  for (const auto& test : kCases) {
    Node node(3, {1, 2, 2}, {.term = 3});
    node.Receive(2, VoteRequest{.term = 4, .last = test.candidate, .campaign = 7});
    EXPECT_EQ(Node::Only<VoteReply>(node.Settle(), 2).granted, test.granted)
        << ToString(test.candidate);
  }
}

// AppendEntries RPC, receiver implementation -----------------------------------------------------

TEST(PaperTest, AppendEntries1RefusesAnOlderTerm) {
  Node node(3, {1}, {.term = 5});
  node.Receive(2, MakeAppend(4, {1, 1}, {4}));
  Effects effects = node.Settle();
  AppendReply reply = Node::Only<AppendReply>(effects, 2);
  EXPECT_FALSE(reply.success);
  EXPECT_EQ(reply.term, 5u);
  EXPECT_TRUE(effects.log_batches.empty());
  EXPECT_EQ(node.raft().leader(), NodeId::kNone);
}

TEST(PaperTest, AppendEntries2RefusesWithoutTheEntryBefore) {
  Node node(3, {1, 1, 2}, {.term = 2});
  for (LogPosition missing : {LogPosition{4, 2}, LogPosition{3, 1}}) {
    node.Receive(2, MakeAppend(3, missing, {3}));
    AppendReply reply = Node::Only<AppendReply>(node.Settle(), 2);
    EXPECT_FALSE(reply.success);
    EXPECT_EQ(reply.refused_index, missing.index);
    EXPECT_EQ(node.raft().last(), (LogPosition{3, 2}));
  }
}

TEST(PaperTest, AppendEntries3DeletesAConflictingEntryAndAllThatFollow) {
  Node node(3, {1, 1, 2, 2, 2}, {.term = 2});
  node.Receive(2, MakeAppend(3, {2, 1}, {3}));
  Effects effects = node.Settle();
  ASSERT_EQ(effects.log_batches.size(), 1u);
  EXPECT_EQ(effects.log_batches[0].truncate_from, 3u);
  EXPECT_EQ(node.raft().last(), (LogPosition{3, 3}));
  EXPECT_EQ(node.raft().TermAt(4), 0u);
}

TEST(PaperTest, AppendEntries3DeletesNothingThatDoesNotConflict) {
  Node node(3, {1, 1, 2, 2, 2}, {.term = 2});
  node.Receive(2, MakeAppend(2, {2, 1}, {2, 2}));  // an old message, late
  Effects effects = node.Settle();
  EXPECT_TRUE(effects.log_batches.empty());
  EXPECT_EQ(node.raft().last(), (LogPosition{5, 2}));
  EXPECT_EQ(Node::Only<AppendReply>(effects, 2).match, 4u);
}

TEST(PaperTest, AppendEntries4AppendsWhatIsNotInTheLog) {
  Node node(3, {1, 1}, {.term = 1});
  node.Receive(2, MakeAppend(2, {1, 1}, {1, 2, 2}));
  Effects effects = node.Settle();
  ASSERT_EQ(effects.log_batches.size(), 1u);
  ASSERT_EQ(effects.log_batches[0].runs.size(), 1u);
  EXPECT_EQ(effects.log_batches[0].runs[0].first, (LogPosition{3, 2}));
  EXPECT_EQ(effects.log_batches[0].runs[0].last_index, 4u);
  EXPECT_EQ(Node::Sent<AppendReply>(effects).back().second.match, 4u);
}

TEST(PaperTest, AppendEntries5CommitsUpToTheLeadersCommitOrTheLastNewEntry) {
  Node behind(3, {1, 1, 1}, {.term = 1});
  behind.Receive(2, MakeAppend(1, {1, 1}, {1}, /*commit=*/9));
  behind.Settle();
  EXPECT_EQ(behind.raft().commit(), 2u) << "entry 3 may differ from the leader's";
  Node ahead(3, {1, 1, 1}, {.term = 1});
  ahead.Receive(2, MakeAppend(1, {1, 1}, {1, 1}, /*commit=*/2));
  ahead.Settle();
  EXPECT_EQ(ahead.raft().commit(), 2u);
}

// Rules for all servers --------------------------------------------------------------------------

TEST(PaperTest, AllServersApplyWhatIsCommitted) {
  Node node(3);
  node.Receive(2, MakeAppend(1, {}, {1, 1, 1}, /*commit=*/2));
  // This Raft applies what is also durable here.
  EXPECT_EQ(node.Take().apply_up_to, 0u);
  node.Sync();
  EXPECT_EQ(node.Take().apply_up_to, 2u);
}

TEST(PaperTest, AllServersAdoptALaterTermAndFollow) {
  const std::vector<MessageBody> kMessages = {
      VoteRequest{.term = 9, .last = {9, 8}, .campaign = 7},
      VoteReply{.term = 9, .granted = false, .campaign = 7},
      MakeAppend(9, {0, 0}, {9}),
      AppendReply{.term = 9},
      Heartbeat{.term = 9},
      HeartbeatReply{.term = 9},
      ReadIndexRequest{.term = 9, .request = 1},
      ReadIndexReply{.term = 9, .request = 1},
      PreVoteReply{.term = 9, .granted = false, .campaign = 7},
  };
  for (const MessageBody& body : kMessages) {
    SCOPED_TRACE(NameOf(body));
    Node follower(3);
    follower.Receive(2, body);
    EXPECT_EQ(follower.raft().term(), 9u);
    EXPECT_EQ(follower.raft().role(), Role::kFollower);

    Node candidate(3);
    candidate.Timeout();
    candidate.Receive(2, body);
    EXPECT_EQ(candidate.raft().term(), 9u);
    EXPECT_EQ(candidate.raft().role(), Role::kFollower);

    // A leader is not deposed by the request for a vote alone (thesis 4.2.3).
    if (std::holds_alternative<VoteRequest>(body)) continue;
    Node leader(3);
    leader.BecomeLeader();
    leader.Receive(2, body);
    EXPECT_EQ(leader.raft().term(), 9u);
    EXPECT_EQ(leader.raft().role(), Role::kFollower);
    EXPECT_EQ(leader.Take().leadership->role, Role::kFollower);
  }
}

TEST(PaperTest, PreVotesNeverRaiseATerm) {
  Node node(3);
  node.Receive(2, PreVoteRequest{.term = 9, .last = {9, 8}, .campaign = 7});
  EXPECT_TRUE(Node::Only<PreVoteReply>(node.Settle(), 2).granted);
  node.Receive(2, PreVoteReply{.term = 9, .granted = true, .campaign = 7});
  EXPECT_EQ(node.raft().term(), 0u);
}

// Rules for followers ----------------------------------------------------------------------------

TEST(PaperTest, FollowersAnswerCandidatesAndLeaders) {
  Node node(3);
  node.Receive(2, PreVoteRequest{.term = 1, .last = {}, .campaign = 6});
  Node::Only<PreVoteReply>(node.Settle(), 2);
  node.Receive(2, VoteRequest{.term = 1, .last = {}, .campaign = 7});
  Node::Only<VoteReply>(node.Settle(), 2);
  node.Receive(2, MakeAppend(1, {}, {1}));
  Node::Only<AppendReply>(node.Settle(), 2);
  node.Receive(2, Heartbeat{.term = 1, .commit = 1, .context = 5});
  EXPECT_EQ(Node::Only<HeartbeatReply>(node.Settle(), 2).context, 5u);
}

TEST(PaperTest, FollowersCampaignWhenTheElectionTimeoutElapses) {
  Node node(3);
  node.Receive(2, Heartbeat{.term = 1});
  Instant start = node.now();
  EXPECT_GE(node.raft().NextWakeup(), start + Seconds(1));
  EXPECT_LT(node.raft().NextWakeup(), start + Milliseconds(1500));
  node.Elapse(Milliseconds(999));
  node.Step(Tick());
  EXPECT_EQ(node.raft().role(), Role::kFollower);
  node.Timeout();
  // The pre-vote comes before the paper's candidacy (thesis 9.6).
  EXPECT_EQ(node.raft().role(), Role::kPreCandidate);
}

TEST(PaperTest, FailedCampaignsAreRepeatedSoonAndThenLessOften) {
  Node node(3);
  node.Timeout();
  for (Duration least :
       {Milliseconds(250), Milliseconds(500), Milliseconds(1000), Milliseconds(1000)}) {
    EXPECT_GE(node.raft().NextWakeup(), node.now() + least);
    EXPECT_LT(node.raft().NextWakeup(), node.now() + least + least / 2);
    node.Timeout();
    EXPECT_EQ(node.raft().role(), Role::kPreCandidate);
  }
  // A leader comes and goes.
  node.Receive(2, Heartbeat{.term = 1});
  EXPECT_GE(node.raft().NextWakeup(), node.now() + Milliseconds(1000));
  node.Timeout();
  EXPECT_LT(node.raft().NextWakeup(), node.now() + Milliseconds(375));
}

TEST(PaperTest, NobodyVotesForAnElectionTimeoutAfterItsStartUnlessItIsNew) {
  for (bool is_new : {false, true}) {
    Node node(3, {}, {.term = is_new ? Term{0} : Term{1}});
    node.Elapse(Milliseconds(-1));
    node.Receive(2, PreVoteRequest{.term = 2, .last = {5, 1}, .campaign = 4});
    EXPECT_EQ(Node::Only<PreVoteReply>(node.Settle(), 2).granted, is_new);
    node.Elapse(Milliseconds(1));
    node.Receive(2, PreVoteRequest{.term = 2, .last = {5, 1}, .campaign = 5});
    EXPECT_TRUE(Node::Only<PreVoteReply>(node.Settle(), 2).granted);
  }
}

TEST(PaperTest, OnlyANodeWhoseTermIsDurablePromisesToElectNobodyElse) {
  Node node(3);
  const Instant sent = node.now() - Milliseconds(7);
  node.Receive(2, Heartbeat{.term = 1, .sent = sent});
  HeartbeatReply reply = Node::Only<HeartbeatReply>(node.Take(), 2);
  EXPECT_EQ(reply.promise, Duration{});
  EXPECT_EQ(reply.sent, sent);
  EXPECT_EQ(reply.clock, node.now());
  node.Sync();
  node.Receive(2, Heartbeat{.term = 1});
  EXPECT_EQ(Node::Only<HeartbeatReply>(node.Take(), 2).promise, Milliseconds(1000));
}

TEST(PaperTest, FollowersWaitAfterHearingFromTheLeaderOrGivingAVote) {
  const std::vector<MessageBody> kMessages = {
      MakeAppend(1, {}, {1}),
      Heartbeat{.term = 1},
      VoteRequest{.term = 1, .last = {}, .campaign = 7},
  };
  for (const MessageBody& body : kMessages) {
    SCOPED_TRACE(NameOf(body));
    Node node(3);
    node.Elapse(Milliseconds(900));
    node.Receive(2, body);
    EXPECT_GE(node.raft().NextWakeup(), node.now() + Seconds(1));
  }
}

TEST(PaperTest, FollowersDoNotWaitLongerAfterRefusingAVote) {
  Node node(3, {1, 1}, {.term = 1});
  Instant deadline = node.raft().NextWakeup();
  node.Elapse(Milliseconds(900));
  node.Receive(2, VoteRequest{.term = 2, .last = {}, .campaign = 7});
  EXPECT_EQ(node.raft().NextWakeup(), deadline);
}

TEST(PaperTest, ElectionTimeoutsAreRandomized) {
  std::set<Instant> deadlines;
  Node node(3);
  for (int i = 0; i < 20; ++i) {
    node.Receive(2, Heartbeat{.term = 1});
    deadlines.insert(node.raft().NextWakeup());
  }
  EXPECT_GT(deadlines.size(), 15u);
}

// Rules for candidates ---------------------------------------------------------------------------

TEST(PaperTest, CandidatesRaiseTheirTermVoteForThemselvesAndAskTheOthers) {
  Node node(3, {1, 1}, {.term = 4, .vote = kNode3});
  Effects effects = node.Campaign();
  EXPECT_EQ(node.raft().role(), Role::kCandidate);
  EXPECT_EQ(node.raft().term(), 5u);
  EXPECT_EQ(node.raft().vote(), kNode1);
  EXPECT_EQ(effects.log_batches.at(0).hard_state, (HardState{5, kNode1}));
  for (uint64_t other : {2, 3}) {
    VoteRequest request = Node::Only<VoteRequest>(effects, other);
    EXPECT_EQ(request.term, 5u);
    EXPECT_EQ(request.last, (LogPosition{2, 1}));
  }
  // The election timer is reset: to a part of the timeout, as the first campaign is short.
  EXPECT_GE(node.raft().NextWakeup(), node.now() + Milliseconds(250));
  EXPECT_LT(node.raft().NextWakeup(), node.now() + Milliseconds(375));
}

TEST(PaperTest, CandidatesThatWinAMajorityLead) {
  Node node(5);
  node.Timeout();
  CampaignId pre_campaign = Node::CampaignOf(node.Settle());
  for (uint64_t other : {2, 3}) node.Receive(other, PreVoteReply{1, true, pre_campaign});
  CampaignId campaign = Node::CampaignOf(node.Settle());
  node.Receive(2, VoteReply{1, true, campaign});
  node.Receive(2, VoteReply{1, true, campaign});
  EXPECT_EQ(node.raft().role(), Role::kCandidate) << "the same vote twice";
  node.Receive(3, VoteReply{1, true, campaign + 1});
  EXPECT_EQ(node.raft().role(), Role::kCandidate) << "a vote for another campaign";
  node.Receive(4, VoteReply{1, false, campaign});
  EXPECT_EQ(node.raft().role(), Role::kCandidate);
  node.Receive(5, VoteReply{1, true, campaign});
  EXPECT_EQ(node.raft().role(), Role::kLeader);
}

TEST(PaperTest, CandidatesDoNotLeadBeforeTheirOwnVoteIsDurable) {
  Node node(3);
  node.Timeout();
  CampaignId pre_campaign = Node::CampaignOf(node.Settle());
  node.Receive(2, PreVoteReply{1, true, pre_campaign});
  EXPECT_TRUE(Node::Sent<VoteRequest>(node.Take()).empty());
  node.Sync();
  EXPECT_EQ(Node::Sent<VoteRequest>(node.Take()).size(), 2u);
}

// Also if the answers should come before, as those of a peer that guesses would.
TEST(PaperTest, VotesOfOthersDoNotReplaceTheOwnDurableOne) {
  Node twin(3);  // of the same seed, so it has the same campaign
  const CampaignId campaign = Node::CampaignOf(twin.Campaign());
  Node node(3);
  node.Timeout();
  const CampaignId pre_campaign = Node::CampaignOf(node.Settle());
  node.Receive(2, PreVoteReply{1, true, pre_campaign});
  node.Take();
  node.Receive(2, VoteReply{1, true, campaign});
  node.Receive(3, VoteReply{1, true, campaign});
  EXPECT_EQ(node.raft().role(), Role::kCandidate);
  node.Sync();
  EXPECT_EQ(node.raft().role(), Role::kLeader);
}

TEST(PaperTest, CandidatesFollowANewLeader) {
  for (const MessageBody& body :
       {MessageBody(MakeAppend(1, {}, {1})), MessageBody(Heartbeat{.term = 1})}) {
    SCOPED_TRACE(NameOf(body));
    Node node(3);
    node.Campaign();
    node.Receive(2, body);
    EXPECT_EQ(node.raft().role(), Role::kFollower);
    EXPECT_EQ(node.raft().leader(), kNode2);
    EXPECT_EQ(node.raft().term(), 1u);
  }
}

TEST(PaperTest, CandidatesBeginAnotherElectionWhenTheTimeoutElapses) {
  Node node(3);
  node.Campaign();
  node.Timeout();
  CampaignId campaign = Node::CampaignOf(node.Settle());
  EXPECT_EQ(node.raft().role(), Role::kPreCandidate);
  EXPECT_EQ(node.raft().term(), 1u);
  node.Receive(3, PreVoteReply{2, true, campaign});
  EXPECT_EQ(node.raft().role(), Role::kCandidate);
  EXPECT_EQ(node.raft().term(), 2u);
}

// Rules for leaders ------------------------------------------------------------------------------

TEST(PaperTest, LeadersShowThemselvesUponElectionAndInIdlePeriods) {
  Node node(3);
  Effects elected = node.Elect();
  for (uint64_t other : {2, 3}) Node::Only<AppendEntries>(elected, other);

  EXPECT_EQ(node.raft().NextWakeup(), node.now() + Milliseconds(100));
  node.Timeout();
  Effects idle = node.Settle();
  for (uint64_t other : {2, 3}) Node::Only<Heartbeat>(idle, other);
  EXPECT_EQ(node.raft().NextWakeup(), node.now() + Milliseconds(100));
}

TEST(PaperTest, LeadersBeginTheirTermWithANoOp) {
  Node node(3, {1}, {.term = 1});
  node.BecomeLeader();
  EXPECT_EQ(node.raft().last().term, node.raft().term());
  EXPECT_EQ(node.raft().commit(), node.raft().last().index);  // paper 8
}

TEST(PaperTest, LeadersAppendCommandsAndApplyThemOnceCommitted) {
  Node node(3);
  node.BecomeLeader();
  Index last = node.raft().last().index;
  node.Step(Propose{.payload = 77, .count = 2, .bytes = 10});
  Effects effects = node.Settle();
  ASSERT_EQ(effects.proposals.size(), 1u);
  EXPECT_TRUE(effects.proposals[0].accepted);
  EXPECT_EQ(effects.proposals[0].first, (LogPosition{last + 1, 1}));
  ASSERT_EQ(effects.log_batches.size(), 1u);
  EXPECT_EQ(effects.log_batches[0].runs.at(0).payload, 77u);
  EXPECT_EQ(effects.apply_up_to, 0u);
  node.Receive(2, AppendReply{.term = 1, .success = true, .match = last + 2});
  EXPECT_EQ(node.Settle().apply_up_to, last + 2);
}

TEST(PaperTest, OthersRefuseCommandsAndNameTheLeader) {
  Node node(3);
  node.Receive(2, Heartbeat{.term = 1});
  node.Step(Propose{.payload = 77, .count = 1, .bytes = 10});
  Effects effects = node.Settle();
  ASSERT_EQ(effects.proposals.size(), 1u);
  EXPECT_FALSE(effects.proposals[0].accepted);
  EXPECT_EQ(effects.proposals[0].leader, kNode2);
  EXPECT_TRUE(effects.log_batches.empty() || effects.log_batches[0].runs.empty());
}

TEST(PaperTest, LeadersSendWhatAFollowerLacksFromNextIndexOn) {
  Node node(3);
  node.BecomeLeader();
  LogPosition last = node.raft().last();
  node.Step(Propose{.payload = 77, .count = 3, .bytes = 10});
  Effects effects = node.Take();
  ASSERT_EQ(effects.send_entries.size(), 2u);
  for (const SendEntries& send : effects.send_entries) {
    EXPECT_EQ(send.previous, last);
    EXPECT_EQ(send.last, (LogPosition{last.index + 3, 1}));
    EXPECT_EQ(send.commit, last.index);
  }
}

TEST(PaperTest, LeadersAdvanceNextAndMatchOnSuccess) {
  Node node(3);
  node.BecomeLeader();
  Index last = node.raft().last().index;
  EXPECT_EQ(node.raft().Peer(kNode2)->match, last);
  EXPECT_EQ(node.raft().Peer(kNode2)->next, last + 1);
}

TEST(PaperTest, LeadersGoBackOnFailureAndRetry) {
  Node node(3, {1, 1, 2, 2}, {.term = 2});
  Effects elected = node.Elect();
  EXPECT_EQ(Node::Only<AppendEntries>(elected, 3).previous, (LogPosition{4, 2}));
  node.Receive(3, AppendReply{.term = 3, .hint = {3, 1}, .refused_index = 4});
  AppendEntries retry = Node::Only<AppendEntries>(node.Settle(), 3);
  // By whole terms: of term 2 the follower has nothing (paper 5.3 end).
  EXPECT_EQ(retry.previous, (LogPosition{2, 1}));
  EXPECT_EQ(retry.last_index(), node.raft().last().index);
}

TEST(PaperTest, LeadersCommitWhatAMajorityHasOfTheirOwnTerm) {
  Node node(5);
  node.BecomeLeader();
  Index last = node.raft().last().index;
  node.Step(Propose{.payload = 77, .count = 3, .bytes = 10});
  node.Settle();
  node.Receive(2, AppendReply{.term = 1, .success = true, .match = last + 3});
  EXPECT_EQ(node.raft().commit(), last) << "two of five";
  node.Receive(3, AppendReply{.term = 1, .success = true, .match = last + 2});
  EXPECT_EQ(node.raft().commit(), last + 2);
  node.Receive(4, AppendReply{.term = 1, .success = true, .match = last + 1});
  EXPECT_EQ(node.raft().commit(), last + 2);
}

TEST(PaperTest, LeadersDoNotCommitOlderTermsByCounting) {
  Node node(3, {1, 2}, {.term = 2});
  node.Elect();
  node.Receive(2, AppendReply{.term = 3, .success = true, .match = 2});
  EXPECT_EQ(node.raft().commit(), 0u) << "paper 5.4.2";
  node.Receive(2, AppendReply{.term = 3, .success = true, .match = 3});
  EXPECT_EQ(node.raft().commit(), 3u) << "what is before goes with it";
}

// Beyond the figure ------------------------------------------------------------------------------

TEST(PaperTest, AStaleLeaderLearnsOfTheNewOne) {
  Node node(3);
  node.BecomeLeader();
  node.Receive(3, MakeAppend(2, {}, {1, 1, 2}));
  EXPECT_EQ(node.raft().role(), Role::kFollower);
  EXPECT_EQ(node.raft().leader(), kNode3);
}

TEST(PaperTest, AStaleLeaderIsToldByWhomItSendsHeartbeats) {
  Node node(3, {1}, {.term = 5});
  node.Receive(2, Heartbeat{.term = 4, .commit = 1, .context = 9});
  HeartbeatReply reply = Node::Only<HeartbeatReply>(node.Settle(), 2);
  EXPECT_EQ(reply.term, 5u);
  EXPECT_EQ(reply.context, 0u);
  EXPECT_EQ(node.raft().leader(), NodeId::kNone);
  EXPECT_EQ(node.raft().commit(), 0u);
}

// A node that is no member is answered, and that is all.
TEST(PaperTest, RepliesOfStrangersChangeNothing) {
  Node node(3);
  node.BecomeLeader();
  node.Receive(9, HeartbeatReply{.term = 7});
  node.Receive(9, AppendReply{.term = 7, .success = true, .match = 1});
  node.Receive(9, VoteReply{.term = 7});
  node.Receive(9, ReadIndexRequest{.term = 7, .request = 1});
  EXPECT_EQ(node.raft().role(), Role::kLeader);
  EXPECT_EQ(node.raft().term(), 1u);
  EXPECT_TRUE(node.Settle().messages.empty());
}

TEST(PaperTest, NobodyHoldsWhatItsLeaderDoesNotHave) {
  Node node(3);
  node.BecomeLeader();
  const Index last = node.raft().last().index;
  for (uint64_t peer : {2, 3}) {
    node.Receive(peer, AppendReply{.term = 1, .success = true, .match = 100});
  }
  EXPECT_EQ(node.raft().commit(), last);
  EXPECT_EQ(node.raft().Peer(kNode2)->match, last);
}

// A damaged node may carry any term, and must not depose a leader by asking.
TEST(PaperTest, QuestionsAboutEntriesRaiseNoTerm) {
  Node node(3);
  node.BecomeLeader();
  node.Receive(2, TailQuery{.term = 7, .query = 5, .good = {1, 1}, .torn = {{1, 2}}});
  EXPECT_EQ(node.raft().role(), Role::kLeader);
  EXPECT_EQ(Node::Only<TailReply>(node.Settle(), 2).have_through, 2u);
  node.Receive(2, TailReply{.term = 7, .query = 5});
  EXPECT_EQ(node.raft().role(), Role::kLeader);
  EXPECT_EQ(node.raft().term(), 1u);
}

TEST(PaperTest, TwoLeadersOfOneTermAreASafetyViolation) {
  Node node(3);
  node.Receive(2, MakeAppend(1, {}, {1}));
  node.Receive(3, MakeAppend(1, {}, {1}));
  Effects effects = node.Settle();
  ASSERT_TRUE(effects.fence.has_value());
  EXPECT_EQ(effects.fence->reason, Fence::Reason::kSafetyViolation);
}

TEST(PaperTest, ACommittedEntryIsNeverOverwritten) {
  Node node(3);
  node.Receive(2, MakeAppend(1, {}, {1, 1}, /*commit=*/2));
  node.Settle();
  ForgetLeader(node);
  node.Receive(3, MakeAppend(2, {1, 1}, {2}));
  Effects effects = node.Settle();
  ASSERT_TRUE(effects.fence.has_value());
  EXPECT_EQ(effects.fence->reason, Fence::Reason::kCommittedConflict);
  EXPECT_EQ(node.raft().TermAt(2), 1u);
  // From here on it says nothing any more.
  node.Receive(3, VoteRequest{.term = 9, .last = {9, 9}, .campaign = 7});
  node.Receive(3, Heartbeat{.term = 9});
  EXPECT_TRUE(node.Settle().empty());
}

// A leader that builds on something else than what is committed here is not answered with a hint.
TEST(PaperTest, ALeaderMustHaveWhatIsCommitted) {
  Node node(3);
  node.Receive(2, MakeAppend(1, {}, {1, 1}, 2));
  node.Settle();
  node.Receive(3, MakeAppend(3, {2, 2}, {3}));
  Effects effects = node.Settle();
  ASSERT_TRUE(effects.fence.has_value());
  EXPECT_EQ(effects.fence->reason, Fence::Reason::kCommittedConflict);
  EXPECT_TRUE(Node::Sent<AppendReply>(effects).empty());
}

TEST(PaperTest, ALeaderThatStepsDownSaysNothingItHadNotSent) {
  Node node(3);
  node.BecomeLeader();
  node.Step(Propose{.payload = 77, .count = 1, .bytes = 10});
  node.Receive(2, Heartbeat{.term = 2});
  Effects effects = node.Take();
  EXPECT_TRUE(effects.send_entries.empty());
  EXPECT_TRUE(Node::Sent<Heartbeat>(effects).empty());
  // It was accepted; what becomes of it is the next leader's decision.
  EXPECT_TRUE(effects.proposals.at(0).accepted);
}

// A batch costs the same, however many entries it has.
TEST(PaperTest, ABatchOfManyEntriesMakesAsManyEffectsAsOne) {
  auto count = [](uint64_t entries) {
    Node node(3);
    node.BecomeLeader();
    node.Step(Propose{.payload = 77, .count = entries, .bytes = entries});
    Effects effects = node.Settle();
    node.Receive(2, AppendReply{.term = 1, .success = true, .match = node.raft().last().index});
    Effects committed = node.Settle();
    return std::vector<size_t>{effects.messages.size(),   effects.log_batches.size(),
                               effects.proposals.size(),  effects.log_batches[0].runs.size(),
                               committed.messages.size(), committed.log_batches.size()};
  };
  EXPECT_EQ(count(256), count(1));
}

// What is drained from a mailbox together is one log batch and one message a peer.
TEST(PaperTest, StepsMergeIntoOneBatch) {
  Node node(3);
  node.BecomeLeader();
  for (uint64_t i = 0; i < 50; ++i) node.Step(Propose{.payload = i, .count = 2, .bytes = 10});
  Effects effects = node.Take();
  EXPECT_EQ(effects.log_batches.size(), 1u);
  EXPECT_EQ(effects.log_batches[0].runs.size(), 50u);
  EXPECT_EQ(effects.send_entries.size(), 2u);
  EXPECT_EQ(effects.proposals.size(), 50u);
}

// A batch truncates before it appends, so what overwrites entries not yet taken is a batch of its
// own: the completion of the first one proves nothing of it.
TEST(PaperTest, OverwritingWhatWasNotTakenYetIsTheNextBatch) {
  Node node(3);
  node.Receive(2, MakeAppend(1, {}, {1, 1, 1}));
  node.Receive(3, MakeAppend(2, {1, 1}, {2}));
  Effects effects = node.Take();
  ASSERT_EQ(effects.log_batches.size(), 2u);
  EXPECT_EQ(effects.log_batches[0].truncate_from, std::nullopt);
  EXPECT_EQ(effects.log_batches[0].runs.back().last_index, 3u);
  EXPECT_EQ(effects.log_batches[1].truncate_from, 2u);
  EXPECT_EQ(effects.log_batches[1].runs.back().last_index, 2u);
  node.Step(LogSynced{effects.log_batches[0].ticket});
  EXPECT_EQ(node.raft().durable(), 1u);
  node.Sync();
  EXPECT_EQ(node.raft().durable(), 2u);
}

// What a voter held some time ago says nothing of what all voters together hold now.
TEST(PaperTest, OnlyAnswersToTheLastTailQueryDecide) {
  Node node(3, {1, 1, 1}, {.term = 1}, Index{3});
  auto ask = [&] {
    node.Timeout();
    return Node::Only<TailQuery>(node.Settle(), 2).query;
  };
  auto answer = [&](uint64_t voter, uint64_t query) {
    node.Receive(voter, TailReply{.term = 1, .query = query, .have_through = 2});
  };
  const uint64_t first = ask();
  answer(2, first);
  const uint64_t second = ask();
  answer(2, second);
  answer(3, first);
  EXPECT_EQ(node.raft().torn_from(), 3u);
  answer(3, second);
  EXPECT_EQ(node.raft().torn_from(), std::nullopt);
  EXPECT_EQ(node.raft().last(), (LogPosition{2, 1}));
}

}  // namespace
}  // namespace cairn
