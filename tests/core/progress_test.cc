#include "raft/core/progress.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

constexpr SendLimits kLimits{.messages = 4, .bytes = 100'000};
constexpr Duration kPatience = Milliseconds(1000);

Instant At(int64_t milliseconds) { return Instant{} + Milliseconds(milliseconds); }

// A progress that replicates from `next` on.
Progress MakeReplicating(Index next) {
  Progress progress(next, At(0));
  progress.OnRequested(1);
  progress.OnSent(1, next - 1, 0, At(0));
  progress.OnAck(next - 1, At(0));
  return progress;
}

void Send(Progress& progress, uint64_t request, Index last, size_t bytes, Instant now = At(0)) {
  progress.OnRequested(request);
  progress.OnSent(request, last, bytes, now);
}

TEST(ProgressTest, AProbingPeerHasOneMessageInFlight) {
  Progress progress(11, At(0));
  EXPECT_TRUE(progress.probing());
  EXPECT_TRUE(progress.CanSend(kLimits));
  progress.OnRequested(1);
  EXPECT_FALSE(progress.CanSend(kLimits));
  progress.OnSent(1, 12, 500, At(1));
  EXPECT_FALSE(progress.CanSend(kLimits));
  EXPECT_EQ(progress.next(), 11u);
  progress.OnHeartbeat(At(100), kPatience);
  EXPECT_TRUE(progress.CanSend(kLimits));
}

TEST(ProgressTest, ProbesAreSmall) {
  Progress progress(11, At(0));
  EXPECT_EQ(progress.FreeBytes({.messages = 4, .bytes = size_t{4} << 20}), size_t{64} << 10);
  EXPECT_EQ(progress.FreeBytes({.messages = 4, .bytes = 100}), 100u);
}

TEST(ProgressTest, AnAcknowledgedProbeBeginsReplication) {
  Progress progress(11, At(0));
  Send(progress, 1, 12, 500);
  EXPECT_TRUE(progress.OnAck(12, At(5)));
  EXPECT_FALSE(progress.probing());
  EXPECT_EQ(progress.match(), 12u);
  EXPECT_EQ(progress.next(), 13u);
}

// The peer has taken the probe, and its disk has not synced all of it yet.
TEST(ProgressTest, AProbeAcknowledgedInPartIsNotSentAgain) {
  Progress progress(11, At(0));
  Send(progress, 1, 20, 500);
  EXPECT_TRUE(progress.OnAck(10, At(5)));
  EXPECT_FALSE(progress.probing());
  EXPECT_EQ(progress.next(), 21u);
  EXPECT_EQ(progress.inflight_bytes(), 500u);
  EXPECT_TRUE(progress.OnAck(20, At(6)));
  EXPECT_EQ(progress.inflight_bytes(), 0u);
}

TEST(ProgressTest, AnAcknowledgementFromBeforeTheProbeSaysNothingOfIt) {
  Progress progress(11, At(0));
  Send(progress, 1, 20, 500);
  EXPECT_TRUE(progress.OnAck(7, At(5)));
  EXPECT_FALSE(progress.probing());
  EXPECT_EQ(progress.next(), 8u);
  EXPECT_EQ(progress.inflight_bytes(), 0u);
}

TEST(ProgressTest, ReplicationPipelinesUpToItsLimits) {
  Progress progress = MakeReplicating(11);
  Send(progress, 2, 15, 40'000);
  EXPECT_EQ(progress.next(), 16u);
  EXPECT_EQ(progress.FreeBytes(kLimits), 25'000u);
  Send(progress, 3, 20, 70'000);
  EXPECT_FALSE(progress.CanSend(kLimits));
  EXPECT_EQ(progress.inflight_bytes(), 110'000u);
  EXPECT_TRUE(progress.OnAck(15, At(1)));
  EXPECT_EQ(progress.inflight_bytes(), 70'000u);
  EXPECT_EQ(progress.inflight_messages(), 1u);
  EXPECT_EQ(progress.FreeBytes(kLimits), 25'000u);
  for (uint64_t i = 0; i < 3; ++i) Send(progress, 4 + i, 21 + i, 1);
  EXPECT_FALSE(progress.CanSend(kLimits));
  EXPECT_TRUE(progress.OnAck(23, At(2)));
  EXPECT_EQ(progress.inflight_messages(), 0u);
}

TEST(ProgressTest, OldAndRepeatedAcknowledgementsChangeNothing) {
  Progress progress = MakeReplicating(11);
  Send(progress, 2, 15, 100);
  Send(progress, 3, 20, 100);
  EXPECT_TRUE(progress.OnAck(15, At(1)));
  EXPECT_FALSE(progress.OnAck(15, At(2)));
  EXPECT_FALSE(progress.OnAck(12, At(2)));
  EXPECT_EQ(progress.match(), 15u);
  EXPECT_EQ(progress.next(), 21u);
  EXPECT_EQ(progress.inflight_messages(), 1u);
}

TEST(ProgressTest, ARefusedProbeGoesBackByTheHint) {
  // The leader's terms: 1 1 1 4 4 5 5 6 6 6 (paper figure 7), next one 11.
  Trail trail({}, {{1, 3}, {4, 5}, {5, 7}, {6, 10}});
  Progress progress(11, At(0));
  Send(progress, 1, 11, 10);
  // Follower (f): 1 1 1 2 2 2 3 3 3 3 3.
  EXPECT_TRUE(progress.OnRefused(10, {10, 3}, trail));
  EXPECT_EQ(progress.next(), 4u);
  EXPECT_TRUE(progress.probing());
  EXPECT_TRUE(progress.CanSend(kLimits));
}

TEST(ProgressTest, RefusalsOfWhatWasNotAskedChangeNothing) {
  Trail trail({}, {{1, 20}});
  Progress progress(11, At(0));
  Send(progress, 1, 11, 10);
  EXPECT_FALSE(progress.OnRefused(9, {2, 1}, trail));   // of an earlier probe
  EXPECT_FALSE(progress.OnRefused(11, {2, 1}, trail));  // never sent
  EXPECT_FALSE(progress.OnRefused(0, {0, 0}, trail));   // refused by nobody
  EXPECT_EQ(progress.next(), 11u);
  EXPECT_FALSE(progress.CanSend(kLimits));
  EXPECT_TRUE(progress.OnRefused(10, {7, 1}, trail));
  EXPECT_FALSE(progress.OnRefused(10, {7, 1}, trail));  // repeated
  EXPECT_EQ(progress.next(), 8u);
}

// A peer's disk lied, or the refusal is old: both are served by one probe.
TEST(ProgressTest, ARefusalOfWhatWasAcknowledgedIsProbed) {
  Trail trail({}, {{1, 20}});
  Progress progress = MakeReplicating(11);
  Send(progress, 2, 15, 10);
  EXPECT_TRUE(progress.OnAck(15, At(1)));
  EXPECT_TRUE(progress.OnRefused(15, {13, 1}, trail));
  EXPECT_TRUE(progress.probing());
  EXPECT_EQ(progress.match(), 13u);
  EXPECT_EQ(progress.next(), 14u);
  EXPECT_TRUE(progress.OnAck(15, At(2)));
  EXPECT_FALSE(progress.probing());
  EXPECT_EQ(progress.next(), 16u);
}

// The first of two pipelined messages is lost or late, so the second is refused.
TEST(ProgressTest, ARefusedPipelineIsProbedFromWhatIsKnown) {
  Trail trail({}, {{1, 30}});
  Progress progress = MakeReplicating(11);
  Send(progress, 2, 15, 10);
  Send(progress, 3, 20, 10);
  EXPECT_TRUE(progress.OnRefused(15, {10, 1}, trail));
  EXPECT_TRUE(progress.probing());
  EXPECT_EQ(progress.next(), 11u);
  EXPECT_EQ(progress.inflight_bytes(), 0u);
  // It was late: the peer held it after all.
  EXPECT_TRUE(progress.OnAck(15, At(1)));
  EXPECT_FALSE(progress.probing());
  EXPECT_EQ(progress.next(), 16u);
}

TEST(ProgressTest, AHintNeverGoesBelowWhatIsAcknowledged) {
  Trail trail({}, {{1, 30}});
  Progress progress = MakeReplicating(11);
  Send(progress, 2, 15, 10);
  EXPECT_TRUE(progress.OnRefused(14, {3, 1}, trail));
  EXPECT_EQ(progress.next(), 11u);
  EXPECT_EQ(progress.match(), 10u);
}

TEST(ProgressTest, AnUnreachablePeerIsProbedWithTheNextHeartbeat) {
  Progress progress = MakeReplicating(11);
  Send(progress, 2, 15, 10);
  progress.OnUnreachable();
  EXPECT_TRUE(progress.probing());
  EXPECT_EQ(progress.next(), 11u);
  EXPECT_FALSE(progress.CanSend(kLimits));
  progress.OnHeartbeat(At(100), kPatience);
  EXPECT_TRUE(progress.CanSend(kLimits));
  // A probe keeps its place.
  Progress probing(21, At(0));
  probing.OnUnreachable();
  EXPECT_EQ(probing.next(), 21u);
  EXPECT_FALSE(probing.CanSend(kLimits));
}

TEST(ProgressTest, SilenceIsProbed) {
  Progress progress = MakeReplicating(11);
  Send(progress, 2, 15, 10, At(500));
  Send(progress, 3, 20, 10, At(600));
  progress.OnHeartbeat(At(1500), kPatience);
  EXPECT_FALSE(progress.probing());
  EXPECT_TRUE(progress.OnAck(15, At(1501)));
  progress.OnHeartbeat(At(2501), kPatience);
  EXPECT_FALSE(progress.probing());
  progress.OnHeartbeat(At(2502), kPatience);
  EXPECT_TRUE(progress.probing());
  EXPECT_EQ(progress.next(), 16u);
  EXPECT_TRUE(progress.CanSend(kLimits));
}

TEST(ProgressTest, AnIdlePeerIsNotProbed) {
  Progress progress = MakeReplicating(11);
  progress.OnHeartbeat(At(100'000), kPatience);
  EXPECT_FALSE(progress.probing());
}

TEST(ProgressTest, NothingIsAskedTwiceAtOnce) {
  Trail trail({}, {{1, 30}});
  Progress progress = MakeReplicating(11);
  progress.OnRequested(2);
  progress.OnUnreachable();
  progress.OnHeartbeat(At(100), kPatience);
  EXPECT_FALSE(progress.CanSend(kLimits)) << "request 2 is on its way";
  progress.OnSent(1, 99, 10, At(100));
  progress.OnHeartbeat(At(100), kPatience);
  EXPECT_FALSE(progress.CanSend(kLimits)) << "another one was answered";
  progress.OnSent(2, 15, 10, At(101));
  progress.OnHeartbeat(At(200), kPatience);
  EXPECT_TRUE(progress.CanSend(kLimits));
}

TEST(ProgressTest, WhatWasSentFromAnotherPlaceDoesNotCount) {
  Trail trail({}, {{1, 30}});
  Progress progress(21, At(0));
  Send(progress, 1, 21, 10);
  progress.OnHeartbeat(At(100), kPatience);
  progress.OnRequested(2);
  EXPECT_TRUE(progress.OnRefused(20, {4, 1}, trail));
  progress.OnSent(2, 25, 10, At(101));
  EXPECT_EQ(progress.next(), 5u);
  EXPECT_TRUE(progress.CanSend(kLimits));
}

TEST(ProgressTest, WhatCouldNotBeSentIsTriedAtTheNextHeartbeat) {
  Progress progress = MakeReplicating(11);
  Send(progress, 2, 10, 0);
  EXPECT_EQ(progress.next(), 11u);
  EXPECT_EQ(progress.inflight_messages(), 0u);
  EXPECT_FALSE(progress.CanSend(kLimits));
  progress.OnHeartbeat(At(100), kPatience);
  EXPECT_TRUE(progress.CanSend(kLimits));
  EXPECT_FALSE(progress.probing());
}

TEST(ProgressTest, ContactIsTheLatestOne) {
  Progress progress(1, At(5));
  EXPECT_EQ(progress.last_contact(), At(5));
  progress.OnContact(At(9));
  progress.OnContact(At(7));
  EXPECT_EQ(progress.last_contact(), At(9));
}

// A leader's log and one peer's, and a network between them that loses, repeats and reorders.
class Pair {
 public:
  explicit Pair(uint64_t seed) : random_(seed), progress_(MakeLogs(), At(0)) {}

  void Step(bool network_is_kind) {
    kind_ = network_is_kind;
    now_ = now_ + Milliseconds(static_cast<int64_t>(random_.Below(20)));
    if (random_.OneIn(4)) leader_.Append(TermRun{kTerm, leader_.last().index + 1});
    if (random_.OneIn(5)) progress_.OnHeartbeat(now_, Milliseconds(300));
    if (!kind_ && random_.OneIn(40)) progress_.OnUnreachable();
    Request();
    CarryOut();
    Deliver();
    Answer();
    Check();
  }

  bool InStep() const { return progress_.match() == leader_.last().index; }

 private:
  static constexpr Term kTerm = 9;  // of the leader

  struct Append {
    LogPosition previous;
    std::vector<TermRun> runs;
  };
  struct Reply {
    bool success = false;
    Index match = 0;
    LogPosition hint;
    Index refused_index = 0;
  };
  struct Asked {
    uint64_t request = 0;
    LogPosition previous;
    Index last = 0;
  };

  // Two logs that part somewhere; gives the leader's next entry.
  Index MakeLogs() {
    for (Term term = 1; term < kTerm; ++term) {
      Index last = leader_.last().index + random_.Below(4);
      if (last > leader_.last().index) leader_.Append(TermRun{term, last});
    }
    Index shared = random_.Below(leader_.last().index + 1);
    peer_.Append(leader_.RunsBetween(1, shared));
    for (Term term = std::max<Term>(peer_.last().term, 1); term < kTerm; ++term) {
      // Not a term the leader has behind the place where they part.
      if (leader_.TermAt(shared + 1) == term || !random_.OneIn(3)) continue;
      if (std::any_of(leader_.runs().begin(), leader_.runs().end(),
                      [term](const TermRun& run) { return run.term == term; })) {
        continue;
      }
      peer_.Append(TermRun{term, peer_.last().index + 1 + random_.Below(3)});
    }
    Index next = leader_.last().index + 1;
    leader_.Append(TermRun{kTerm, next});
    return next;
  }

  void Request() {
    if (!progress_.CanSend(kLimits) || progress_.next() > leader_.last().index) return;
    ASSERT_FALSE(asked_.has_value()) << "two requests at once";
    Index previous = progress_.next() - 1;
    asked_ = {++last_request_, {previous, leader_.TermAt(previous)}, leader_.last().index};
    progress_.OnRequested(last_request_);
  }

  void CarryOut() {
    if (!asked_ || random_.OneIn(3)) return;
    Index previous = asked_->previous.index;
    Index last = previous + random_.Below(asked_->last - previous + 1);
    if (kind_) last = asked_->last;
    if (last > previous) {
      appends_.push_back({asked_->previous, leader_.RunsBetween(previous + 1, last)});
    }
    progress_.OnSent(asked_->request, last, 10 * (last - previous), now_);
    asked_.reset();
  }

  // Takes a message out, or repeats it, or loses it.
  template <typename T>
  std::optional<T> Draw(std::vector<T>& messages) {
    if (messages.empty() || random_.OneIn(2)) return std::nullopt;
    size_t i = kind_ ? 0 : random_.Below(messages.size());
    T message = messages[i];
    if (kind_ || !random_.OneIn(5)) {
      messages.erase(messages.begin() + static_cast<std::ptrdiff_t>(i));
    }
    if (!kind_ && random_.OneIn(5)) return std::nullopt;
    return message;
  }

  void Deliver() {
    std::optional<Append> append = Draw(appends_);
    if (!append) return;
    if (!peer_.Matches(append->previous)) {
      replies_.push_back(
          {false, 0, peer_.LastSharedWith(append->previous), append->previous.index});
      return;
    }
    if (auto first = peer_.FirstMissing(append->previous, append->runs)) {
      peer_.TruncateFrom(*first);
      Trail all(append->previous, append->runs);
      peer_.Append(all.RunsBetween(*first, all.last().index));
    }
    replies_.push_back({true, append->runs.back().last_index, {}, 0});
  }

  void Answer() {
    std::optional<Reply> reply = Draw(replies_);
    if (!reply) return;
    progress_.OnContact(now_);
    if (reply->success) {
      progress_.OnAck(reply->match, now_);
    } else {
      progress_.OnRefused(reply->refused_index, reply->hint, leader_);
    }
  }

  void Check() {
    ASSERT_LT(progress_.match(), progress_.next());
    ASSERT_LE(progress_.next(), leader_.last().index + 1);
    ASSERT_LE(progress_.inflight_messages(), kLimits.messages);
    ASSERT_TRUE(peer_.Matches({progress_.match(), leader_.TermAt(progress_.match())}));
    ASSERT_TRUE(!progress_.probing() || progress_.inflight_messages() == 0);
  }

  Random random_;
  Trail leader_;
  Trail peer_;
  Progress progress_;
  Instant now_ = At(0);
  bool kind_ = false;
  std::optional<Asked> asked_;
  uint64_t last_request_ = 0;
  std::vector<Append> appends_;
  std::vector<Reply> replies_;
};

TEST(ProgressTest, ComesInStepThroughAnyNetwork) {
  for (uint64_t seed = 1; seed <= 1000; ++seed) {
    SCOPED_TRACE(seed);
    Pair pair(seed);
    for (int step = 0; step < 150; ++step) {
      pair.Step(/*network_is_kind=*/false);
      if (HasFatalFailure()) return;
    }
    int steps = 0;
    while (!pair.InStep() && ++steps < 2000) {
      pair.Step(/*network_is_kind=*/true);
      if (HasFatalFailure()) return;
    }
    EXPECT_TRUE(pair.InStep());
  }
}

TEST(ProgressDeathTest, AtMostOneRequest) {
  Progress progress(1, At(0));
  progress.OnRequested(1);
  EXPECT_DEATH(progress.OnRequested(2), "check failed");
}

// Snapshots ---------------------------------------------------------------------------------------

TEST(ProgressTest, APeerThatNeedsASnapshotGetsNoEntriesAndOneOfferAHeartbeat) {
  Progress progress = MakeReplicating(5);
  progress.NeedSnapshot();
  EXPECT_TRUE(progress.snapshotting());
  EXPECT_FALSE(progress.CanSend(kLimits));
  EXPECT_TRUE(progress.TakeOffer());
  EXPECT_FALSE(progress.TakeOffer());
  progress.NeedSnapshot();  // as it does, as long as it is behind
  EXPECT_FALSE(progress.TakeOffer());
  progress.OnHeartbeat(At(100), kPatience);
  EXPECT_TRUE(progress.TakeOffer());
  EXPECT_FALSE(progress.CanSend(kLimits));
}

TEST(ProgressTest, TheAcknowledgementOfASnapshotBeginsReplication) {
  Progress progress = MakeReplicating(5);
  progress.NeedSnapshot();
  EXPECT_FALSE(progress.OnAck(4, At(1)));
  EXPECT_TRUE(progress.snapshotting());
  EXPECT_TRUE(progress.OnAck(40, At(2)));
  EXPECT_FALSE(progress.snapshotting());
  EXPECT_FALSE(progress.probing());
  EXPECT_EQ(progress.match(), 40u);
  EXPECT_EQ(progress.next(), 41u);
  EXPECT_TRUE(progress.CanSend(kLimits));
  EXPECT_FALSE(progress.TakeOffer());
}

TEST(ProgressTest, RefusalsAndLossesLeaveAPeerThatNeedsASnapshotAlone) {
  Progress progress = MakeReplicating(5);
  progress.NeedSnapshot();
  EXPECT_TRUE(progress.TakeOffer());
  EXPECT_FALSE(progress.OnRefused(3, {2, 1}, Trail({20, 2}, {{2, 30}})));
  progress.OnUnreachable();
  EXPECT_TRUE(progress.snapshotting());
  EXPECT_FALSE(progress.TakeOffer());
  EXPECT_EQ(progress.match(), 4u);
  EXPECT_EQ(progress.next(), 5u);
}

TEST(ProgressTest, EntriesOnTheirWayWhenASnapshotIsNeededCountForNothing) {
  Progress progress = MakeReplicating(5);
  progress.OnRequested(7);
  progress.NeedSnapshot();
  progress.OnSent(7, 9, 100, At(1));
  EXPECT_TRUE(progress.snapshotting());
  EXPECT_EQ(progress.next(), 5u);
  EXPECT_EQ(progress.inflight_messages(), 0u);
  progress.OnAck(20, At(2));
  EXPECT_TRUE(progress.CanSend(kLimits)) << "the request is answered";
}

// A log that ends before the leader's begins, and one that has another history at its base: both
// lead to a snapshot in as many refusals as the terms between need, never to a probe for ever.
TEST(ProgressTest, APeerThatSharesNothingWithTheLogComesBeforeItsBase) {
  const Trail trail({20, 3}, {{4, 30}});
  Progress shorter(31, At(0));
  Send(shorter, 1, 30, 100);
  EXPECT_TRUE(shorter.OnRefused(30, {7, 2}, trail));
  EXPECT_EQ(shorter.next(), 8u);

  Progress other(31, At(0));
  Send(other, 1, 30, 100);
  EXPECT_TRUE(other.OnRefused(30, {25, 2}, trail));
  EXPECT_EQ(other.next(), 21u);
  Send(other, 2, 30, 100);
  EXPECT_TRUE(other.OnRefused(20, {20, 2}, trail));
  EXPECT_LE(other.next(), trail.base().index);
}

}  // namespace
}  // namespace cairn
