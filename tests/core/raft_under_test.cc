#include "tests/core/raft_under_test.h"

#include <iterator>

#include "gtest/gtest.h"

namespace cairn {
namespace {

RaftOptions MakeOptions(Incarnation disk = Incarnation{1}, bool only_by_disk = false) {
  RaftOptions options;
  options.node = NodeId{1};
  options.incarnation = disk;
  options.only_by_disk = only_by_disk;
  options.seed = 1;
  return options;
}

template <typename T>
void MoveBehind(std::vector<T>& from, std::vector<T>& to) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

}  // namespace

RecoveredRaft Recovered(uint64_t size, const std::vector<Term>& terms, HardState hard_state,
                        std::optional<Index> torn_from) {
  RecoveredRaft recovered;
  recovered.torn_from = torn_from;
  recovered.hard_state = hard_state;
  for (uint64_t node = 1; node <= size; ++node) {
    recovered.base_configuration.voters.push_back({NodeId{node}, Incarnation{node}, "address"});
  }
  recovered.runs = MakeAppend(0, {}, terms).runs;
  return recovered;
}

AppendEntries MakeAppend(Term term, LogPosition previous, const std::vector<Term>& terms,
                         Index commit) {
  AppendEntries append;
  append.term = term;
  append.previous = previous;
  append.commit = commit;
  for (size_t i = 0; i < terms.size(); ++i) {
    if (append.runs.empty() || append.runs.back().term != terms[i]) {
      append.runs.push_back({terms[i], 0});
    }
    append.runs.back().last_index = previous.index + i + 1;
  }
  return append;
}

RaftUnderTest::RaftUnderTest(uint64_t size, std::vector<Term> terms, HardState hard_state,
                             std::optional<Index> torn_from)
    : RaftUnderTest(Recovered(size, terms, hard_state, torn_from)) {}

RaftUnderTest::RaftUnderTest(RecoveredRaft recovered, Incarnation disk, bool only_by_disk)
    : now_(Instant{} + Seconds(1000)),
      raft_(MakeOptions(disk, only_by_disk), std::move(recovered), now_, nullptr) {
  Elapse(MakeOptions().election_timeout);
}

void RaftUnderTest::Fail(const char* what) { ADD_FAILURE() << what; }

void RaftUnderTest::Step(Event event) {
  if (const auto* begun = std::get_if<BegunBehind>(&event)) invariants_.Told(begun->at);
  raft_.Step(now_, std::move(event));
  if (auto broken = invariants_.AfterStep(raft_)) ADD_FAILURE() << *broken;
}

void RaftUnderTest::Receive(uint64_t from, MessageBody body) {
  cairn::Receive receive;
  if (std::holds_alternative<AppendEntries>(body)) receive.payload = ++last_payload_;
  receive.message = {NodeId{from}, raft_.node(), std::move(body)};
  Step(std::move(receive));
}

void RaftUnderTest::Timeout() {
  now_ = std::max(now_, raft_.NextWakeup());
  Step(Tick());
}

void RaftUnderTest::Sync() {
  synced_ = written_;
  Step(LogSynced{written_});
}

Effects RaftUnderTest::Take() {
  Effects effects = raft_.TakeEffects();
  if (auto broken = invariants_.AfterEffects(raft_, effects)) ADD_FAILURE() << *broken;
  if (!effects.log_batches.empty()) written_ = effects.log_batches.back().ticket;
  return effects;
}

// The entries of the whole range that `send` asks for.
AppendEntries RaftUnderTest::Read(const SendEntries& send) const {
  std::vector<Term> terms;
  for (Index index = send.previous.index + 1; index <= send.last.index; ++index) {
    terms.push_back(raft_.TermAt(index));
  }
  AppendEntries append = MakeAppend(send.term, send.previous, terms, send.commit);
  append.acknowledged = send.acknowledged;
  return append;
}

Effects RaftUnderTest::Settle() {
  Effects all;
  for (;;) {
    Effects effects = Take();
    if (effects.empty() && written_ == synced_) return all;
    for (const SendEntries& send : effects.send_entries) {
      effects.messages.push_back({raft_.node(), send.to, Read(send)});
      Step(EntriesSent{send.to, send.request, send.last.index, 100});
    }
    MoveBehind(effects.messages, all.messages);
    MoveBehind(effects.log_batches, all.log_batches);
    MoveBehind(effects.proposals, all.proposals);
    MoveBehind(effects.reads, all.reads);
    if (effects.apply_up_to > 0) {
      all.apply_up_to = effects.apply_up_to;
      Step(Applied{effects.apply_up_to});
    }
    if (effects.leadership) all.leadership = effects.leadership;
    if (effects.fence) all.fence = effects.fence;
    if (written_ != synced_) Sync();
  }
}

CampaignId RaftUnderTest::CampaignOf(const Effects& effects) {
  for (const Message& message : effects.messages) {
    if (const auto* vote = std::get_if<VoteRequest>(&message.body)) return vote->campaign;
    if (const auto* pre_vote = std::get_if<PreVoteRequest>(&message.body)) {
      return pre_vote->campaign;
    }
  }
  Fail("no campaign");
  return 0;
}

std::vector<uint64_t> RaftUnderTest::Others() const {
  std::vector<uint64_t> others;
  for (NodeId node : raft_.configuration().Nodes()) {
    if (node != raft_.node()) others.push_back(ToInteger(node));
  }
  return others;
}

Effects RaftUnderTest::Campaign() {
  Timeout();
  const Effects asked = Settle();
  if (Sent<PreVoteRequest>(asked).empty()) return asked;  // alone, it has won them
  const CampaignId campaign = CampaignOf(asked);
  const Term next_term = raft_.term() + 1;
  for (uint64_t node : Others()) Receive(node, PreVoteReply{next_term, true, campaign});
  return Settle();
}

Effects RaftUnderTest::Elect() {
  const Effects asked = Campaign();
  if (raft_.role() == Role::kLeader) return asked;
  const CampaignId campaign = CampaignOf(asked);
  const Term term = raft_.term();
  for (uint64_t node : Others()) Receive(node, VoteReply{term, true, campaign});
  if (raft_.role() != Role::kLeader) Fail("it does not lead");
  return Settle();
}

void RaftUnderTest::BecomeLeader() {
  Elect();
  const Index last = raft_.last().index;
  for (uint64_t node : Others()) {
    Receive(node, AppendReply{.term = raft_.term(), .success = true, .match = last});
  }
  Settle();
}

}  // namespace cairn
