#include "raft/mailbox.h"

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/raft/records.h"

namespace cairn {
namespace {

Envelope Control() {
  Envelope envelope;
  envelope.body = MessageBody(Heartbeat{1, 0, 0});
  return envelope;
}

Envelope Bulk(size_t bytes) {
  Envelope envelope;
  envelope.body = MessageBody(AppendEntries{});
  envelope.entries = {MakeRun({}, {}, {1}, std::string(bytes, 'x'))};
  return envelope;
}

class MailboxTest : public ::testing::Test {
 protected:
  Mailbox Make(Mailbox::Limits limits) {
    return Mailbox(limits, [this](Mailbox::Where where) {
      ++wakes_;
      where_ = where;
    });
  }

  ProposalRequest Request() {
    auto call = std::make_shared<ProposalCall>([this](const ProposalResult&) { ++answers_; },
                                               ProposeOptions(), nullptr, 0);
    ProposalRequest request;
    request.entries.push_back(PreparedEntry::Make(EntryType::kCommand, "x"));
    request.span = {std::move(call), 0, 1};
    return request;
  }

  int wakes_ = 0;
  Mailbox::Where where_ = Mailbox::Where::kElsewhere;  // of the last wake
  int answers_ = 0;
};

TEST_F(MailboxTest, WakesOnceUntilDrained) {
  Mailbox mailbox = Make({});
  EXPECT_TRUE(mailbox.PutEnvelope(Control()));
  mailbox.PutSynced(3);
  mailbox.PutSynced(2);
  mailbox.PutApplied(7);
  mailbox.PutLost(NodeId{2});
  mailbox.PutLost(NodeId{2});
  EXPECT_EQ(wakes_, 1);
  MailboxContents contents;
  mailbox.Drain(&contents);
  EXPECT_EQ(contents.envelopes.size(), 1u);
  EXPECT_EQ(contents.synced, 3u);
  EXPECT_EQ(contents.applied, 7u);
  EXPECT_EQ(contents.lost, std::vector<NodeId>{NodeId{2}});
  EXPECT_TRUE(contents.log_status.ok());
  mailbox.PutLogFailure(absl::InternalError("first"));
  mailbox.PutLogFailure(absl::InternalError("second"));
  EXPECT_EQ(wakes_, 2);
  mailbox.Drain(&contents);
  EXPECT_TRUE(contents.envelopes.empty());
  EXPECT_EQ(contents.synced, 0u);
  EXPECT_EQ(contents.applied, 0u);
  EXPECT_EQ(contents.log_status.message(), "first");
}

TEST_F(MailboxTest, BulkDoesNotTakeTheRoomOfControl) {
  Mailbox::Limits limits;
  limits.control_envelopes = 2;
  limits.bulk_bytes = 2000;
  Mailbox mailbox = Make(limits);
  EXPECT_TRUE(mailbox.PutEnvelope(Bulk(3000)));  // one always fits
  EXPECT_FALSE(mailbox.PutEnvelope(Bulk(1)));
  EXPECT_TRUE(mailbox.PutEnvelope(Control()));
  EXPECT_TRUE(mailbox.PutEnvelope(Control()));
  EXPECT_FALSE(mailbox.PutEnvelope(Control()));
  MailboxContents contents;
  mailbox.Drain(&contents);
  EXPECT_EQ(contents.envelopes.size(), 3u);
  EXPECT_TRUE(mailbox.PutEnvelope(Bulk(1)));
  EXPECT_TRUE(mailbox.PutEnvelope(Control()));
}

TEST_F(MailboxTest, ReadsAreBounded) {
  Mailbox::Limits limits;
  limits.reads = 1;
  Mailbox mailbox = Make(limits);
  ReadRequest read;
  EXPECT_EQ(mailbox.PutRead(read), Mailbox::ReadFate::kTaken);
  EXPECT_EQ(mailbox.PutRead(read), Mailbox::ReadFate::kFull);
  mailbox.Close();
  EXPECT_EQ(mailbox.PutRead(read), Mailbox::ReadFate::kClosed);
}

TEST_F(MailboxTest, AClosedMailboxTakesNothingAndWakesNobody) {
  Mailbox mailbox = Make({});
  ProposalRequest taken = Request();
  EXPECT_TRUE(mailbox.PutProposal(taken));
  MailboxContents rest = mailbox.Close();
  ASSERT_EQ(rest.proposals.size(), 1u);
  rest.proposals[0].span.Answer(NotApplied(ProposalNotApplied::Reason::kStopping));
  ProposalRequest late = Request();
  EXPECT_FALSE(mailbox.PutProposal(late));
  late.span.Answer(NotApplied(ProposalNotApplied::Reason::kStopping));
  EXPECT_FALSE(mailbox.PutEnvelope(Control()));
  EXPECT_FALSE(mailbox.PutTask([] {}));
  mailbox.PutSynced(1);
  EXPECT_EQ(wakes_, 1);
  EXPECT_EQ(answers_, 2);
}

// The program's threads are not borrowed: it may hold a lock that a callback wants.
TEST_F(MailboxTest, OnlyMessagesAndSyncsMayBeHandledWhereTheyCome) {
  Mailbox mailbox = Make({});
  MailboxContents contents;
  auto where_after = [&](auto put) {
    put();
    mailbox.Drain(&contents);
    for (ProposalRequest& taken : contents.proposals) {
      taken.span.Answer(NotApplied(ProposalNotApplied::Reason::kStopping));
    }
    return where_;
  };
  using Where = Mailbox::Where;
  EXPECT_EQ(where_after([&] { mailbox.PutEnvelope(Control()); }), Where::kHere);
  ProposalRequest request = Request();
  EXPECT_EQ(where_after([&] { mailbox.PutProposal(request); }), Where::kElsewhere);
  EXPECT_EQ(where_after([&] { mailbox.PutSynced(1); }), Where::kHere);
  ReadRequest read;
  EXPECT_EQ(where_after([&] { mailbox.PutRead(read); }), Where::kElsewhere);
  EXPECT_EQ(where_after([&] { mailbox.PutSynced(2); }), Where::kHere);
  EXPECT_EQ(where_after([&] { mailbox.PutTask([] {}); }), Where::kElsewhere);
  EXPECT_EQ(wakes_, 6);
}

TEST_F(MailboxTest, NothingIsLostBetweenThreads) {
  constexpr int kThreads = 4;
  constexpr int kEach = 2000;
  Mutex mutex;
  CondVar woken;
  bool wake = false;
  Mailbox mailbox(Mailbox::Limits(), [&](Mailbox::Where) {
    MutexLock lock(mutex);
    wake = true;
    woken.NotifyOne();
  });
  std::vector<std::thread> producers;
  for (int i = 0; i < kThreads; ++i) {
    producers.emplace_back([&] {
      for (int j = 0; j < kEach; ++j) EXPECT_TRUE(mailbox.PutTask([] {}));
    });
  }
  size_t seen = 0;
  MailboxContents contents;
  while (seen < size_t{kThreads} * kEach) {
    {
      MutexLock lock(mutex);
      while (!wake) woken.Wait(mutex);
      wake = false;
    }
    mailbox.Drain(&contents);
    // Perhaps nothing: drained between a put and its wake.
    seen += contents.tasks.size();
  }
  for (std::thread& producer : producers) producer.join();
  EXPECT_EQ(seen, size_t{kThreads} * kEach);
}

}  // namespace
}  // namespace cairn
