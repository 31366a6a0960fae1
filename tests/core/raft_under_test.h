// RaftUnderTest: one Raft, to whom the test is the clock, the disk and the other members.

#ifndef TESTS_CORE_RAFT_UNDER_TEST_H_
#define TESTS_CORE_RAFT_UNDER_TEST_H_

#include <cstdint>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "base/time.h"
#include "base/types.h"
#include "raft/core/invariants.h"
#include "raft/core/raft.h"

namespace cairn {

// Node 1 of a group of voters 1..size. Every step and all effects pass the invariant checker, which
// fails the test.
class RaftUnderTest {
 public:
  // `terms` are those of the entries it finds on its disk, torn from `torn_from` on. It started an
  // election timeout ago, so that it votes.
  explicit RaftUnderTest(uint64_t size, std::vector<Term> terms = {}, HardState hard_state = {},
                         std::optional<Index> torn_from = {});
  // It starts from this; of the disk that the configurations name for it, or of another one.
  explicit RaftUnderTest(RecoveredRaft recovered, Incarnation disk = Incarnation{1},
                         bool only_by_disk = false);

  const Raft& raft() const { return raft_; }
  Instant now() const { return now_; }
  void Elapse(Duration duration) { now_ = now_ + duration; }

  void Step(Event event);
  void Receive(uint64_t from, MessageBody body);
  // Time passes until the next timer, which fires.
  void Timeout();
  // Its disk completes all that Take() has given out.
  void Sync();

  // What it wants now. SendEntries effects are left to the test.
  Effects Take();
  // Takes effects, lets the disk complete, and so on until nothing is left. Entries to send are
  // sent whole and become AppendEntries. What it gives has all messages and log batches together.
  Effects Settle();

  // Its election timeout elapses and everybody grants it a pre-vote. Gives what it does then.
  Effects Campaign();
  // And a vote. Gives what it does as a new leader.
  Effects Elect();
  // And everybody acknowledges its first entries. Nothing is left to say.
  void BecomeLeader();
  // The campaign it is on; its requests must just have been taken.
  static CampaignId CampaignOf(const Effects& effects);

  // The messages of one kind in `effects`, with their receivers.
  template <typename Body>
  static std::vector<std::pair<NodeId, Body>> Sent(const Effects& effects) {
    std::vector<std::pair<NodeId, Body>> sent;
    for (const Message& message : effects.messages) {
      if (const auto* body = std::get_if<Body>(&message.body)) sent.emplace_back(message.to, *body);
    }
    return sent;
  }
  // The one message of this kind to `to`; fails the test if there is not exactly one.
  template <typename Body>
  static Body Only(const Effects& effects, uint64_t to) {
    std::optional<Body> only;
    for (const auto& [receiver, body] : Sent<Body>(effects)) {
      if (receiver != NodeId{to}) continue;
      if (only) Fail("more than one such message");
      only = body;
    }
    if (!only) Fail("no such message");
    return only.value_or(Body());
  }

 private:
  static void Fail(const char* what);
  std::vector<uint64_t> Others() const;
  AppendEntries Read(const SendEntries& send) const;

  Instant now_;
  Raft raft_;
  InvariantChecker invariants_;
  Ticket written_ = 0;
  Ticket synced_ = 0;
  PayloadId last_payload_ = 0;
};

// What such a node finds: voters 1..size, each with the disk of its own number, and these entries.
RecoveredRaft Recovered(uint64_t size, const std::vector<Term>& terms, HardState hard_state = {},
                        std::optional<Index> torn_from = {});

// An append of entries with `terms` behind `previous`.
AppendEntries MakeAppend(Term term, LogPosition previous, const std::vector<Term>& terms,
                         Index commit = 0);

}  // namespace cairn

#endif  // TESTS_CORE_RAFT_UNDER_TEST_H_
