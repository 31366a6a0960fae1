// Entries in doubt: the questions of a node that cannot read what it claims, and the answers. See
// torn_tail.h and entry_query.h.
//
// Neither message changes anybody's term. The asker may carry a term that a stable leader does
// not know, and must not depose it for being damaged; and what the answer says of entries holds
// in any term, because an entry that was committed before the question stays committed.

#include <algorithm>
#include <optional>
#include <set>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "raft/core/mutants.h"
#include "raft/core/quorum.h"
#include "raft/core/state.h"

namespace cairn {
namespace {

// So many times in a row, an election timeout apart, all have said that they lack an entry that may
// have been committed, and nobody led in between: it is given up for lost. Each other member has
// campaigned by then, if it may.
constexpr size_t kLostAfterRounds = 3;

}  // namespace

// The first entry that must be decided: a hole that the state machine needs, or the torn tail.
std::optional<EntryQuery::Doubt> Raft::State::InDoubt() const {
  // Who counts may not be known before the state is there again.
  if (doubt_.state_lost) return std::nullopt;
  // Nor may anything be given up before the leader has said what stands there.
  if (unsure()) return std::nullopt;
  EntryQuery::Doubt doubt = {.self = node(),
                             .votes = membership_.in_force().IsVoter(node()),
                             .last = claimed_last().index,
                             .known_commit = std::max(commit_, applied_)};
  if (const Index hole = HoleToApply(); hole != 0) {
    doubt.first = hole;
  } else if (!doubt_.torn.empty()) {
    doubt.first = doubt_.torn.from();
    doubt.torn = true;
  } else {
    return std::nullopt;
  }
  return doubt;
}

// By the configuration that was in force where the entry was appended, or by a later one of this
// log: one before that never counts it. Of a joint one both halves (thesis 4.3).
bool Raft::State::CouldCommit(const EntryQuery::Claims& claims, Index index) const {
  const auto by_half = [&](const std::vector<Member>& voters) {
    bool all_torn = true;
    const auto vote = [&](NodeId voter) {
      const bool faulty = claims.faulty.contains(voter);
      all_torn = all_torn && !faulty;
      const bool denies = MutantEnabled(Mutant::kOneDenialFewer) && voter == node();
      return std::optional<bool>(!denies && (faulty || claims.torn.contains(voter)));
    };
    Configuration half;
    half.voters = voters;
    return cairn::CountVotes(half, vote, Rule()) == VoteResult::kWon && !all_torn;
  };
  return membership_.AnyFrom(index, [&](const Configuration& configuration) {
    return by_half(configuration.voters) &&
           (!configuration.joint() || by_half(configuration.outgoing_voters));
  });
}

std::optional<Raft::State::Asked> Raft::State::ToAsk() const {
  const std::optional<EntryQuery::Doubt> doubt = InDoubt();
  if (!doubt) return std::nullopt;
  return Asked{.first = {doubt->first, TermAt(doubt->first)},
               .torn = doubt->torn,
               .committed = doubt->known_commit >= doubt->first,
               .members = membership_.position(),
               .leader = leader()};
}

void Raft::State::QueryDoubt() {
  const std::optional<EntryQuery::Doubt> doubt = InDoubt();
  std::optional<Asked> asked = ToAsk();
  if (asked != doubt_.asked) doubt_.lost_by = {};
  doubt_.asked = std::move(asked);
  if (!doubt) return;
  doubt_.query.Start(random_.Next() | 1);
  doubt_.holders.Next();
  const std::vector<NodeId> members = OtherMembers(membership_.in_force(), node());
  if (members.empty()) return DecideDoubt();
  Trace("asks who holds entries ", doubt->first, "..", doubt->last);
  std::vector<TermRun> shape;
  if (doubt->first <= trail_.last().index) {
    shape = trail_.RunsBetween(doubt->first, trail_.last().index);
  }
  for (const TermRun& run : doubt_.torn.runs()) {
    if (!shape.empty() && shape.back().term == run.term) shape.pop_back();
    shape.push_back(run);
  }
  for (const NodeId member : members) {
    Send(member, TailQuery{.term = ballot_.state.term,
                           .query = doubt_.query.id(),
                           .good = {doubt->first - 1, TermAt(doubt->first - 1)},
                           .torn = shape});
  }
  DecideDoubt();  // of the only voter
}

void Raft::State::Handle(NodeId from, const TailQuery& query) {
  const Index held = HeldOf(query);
  // What the state machine has applied was committed, also where the log has lost it. But where
  // this log has another entry than the asker, what is committed there is not the asker's.
  const bool differs = held < trail_.last().index;
  TailReply reply = {
      .term = ballot_.state.term,
      .query = query.query,
      .have_through = held,
      .known_commit = differs ? std::min(held, commit_) : std::max(commit_, applied_)};
  const Index hole = trail_.holes().FirstFrom(query.good.index + 1);
  if (hole != 0 && hole <= held) {
    reply.have_through = hole - 1;
    reply.faulty_from = hole;
    if (applied_ >= hole) reply.in_state = applied_;
  }
  reply.claimed_through = std::max(held, TornOf(query));
  if (reply.claimed_through > held) {
    reply.torn_from = std::max(doubt_.torn.from(), query.good.index + 1);
  }
  if (unsure() && !MutantEnabled(Mutant::kUnsureDenies)) {
    // What it lacks it may have held: it must not be counted among those that never had it. But who
    // has all of it can hand it on.
    if (query.torn.empty() || reply.have_through < query.torn.back().last_index) return;
    reply.known_commit = 0;
  }
  Trace("tells ", ToInteger(from), ": holds through ", reply.have_through, ", commit ",
        reply.known_commit,
        reply.faulty_from == 0 ? "" : absl::StrCat(", cannot read ", reply.faulty_from),
        reply.in_state == 0 ? "" : absl::StrCat(", applied ", reply.in_state));
  Send(from, reply);
}

// The last of the asked entries that is in this log; its own torn ones are not, holes are. Entries
// not durable here count as held: their leader may still count the asker's old acknowledgement, and
// the asker, told that nobody holds them, would forget what then becomes committed. If they are
// lost after all, the asker's next question finds out.
Index Raft::State::HeldOf(const TailQuery& query) const {
  for (auto run = query.torn.rbegin(); run != query.torn.rend(); ++run) {
    const Index before =
        std::next(run) == query.torn.rend() ? query.good.index : std::next(run)->last_index;
    // The last own entry that could be of this run; equal logs up to it if it is (paper 5.3).
    const LogPosition shared = trail_.LastSharedWith({run->last_index, run->term});
    if (shared.index > before && shared.term == run->term) return shared.index;
    // What was compacted here was committed: held, for all the asker may conclude.
    if (base().index > before) return std::min(base().index, run->last_index);
  }
  return query.good.index;
}

// The last of the asked entries that is in this node's torn tail, 0 if there is none.
Index Raft::State::TornOf(const TailQuery& query) const {
  Index last = 0;
  Index begin = query.good.index + 1;
  for (const TermRun& asked : query.torn) {
    Index own_begin = doubt_.torn.empty() ? 0 : doubt_.torn.from();
    for (const TermRun& own : doubt_.torn.runs()) {
      // Equal terms at one index: the very entries that are asked for (paper 5.3).
      const Index shared = std::min(own.last_index, asked.last_index);
      if (own.term == asked.term && shared >= std::max(begin, own_begin)) last = shared;
      own_begin = own.last_index + 1;
    }
    begin = asked.last_index + 1;
  }
  return last;
}

void Raft::State::Handle(NodeId from, const TailReply& reply) {
  if (doubt_.query.id() == 0 || reply.query != doubt_.query.id()) return;
  doubt_.query.Answer(from, reply);
  DecideDoubt();
  AskHolder();
}

// Who was asked in vain may have compacted them, and is passed over until all who hold them were.
void Raft::State::TornHolders::Next() {
  if (asked != NodeId::kNone) {
    failed.insert(asked);
  } else if (passed_over) {
    failed.clear();
  }
  asked = NodeId::kNone;
  passed_over = false;
}

NodeId Raft::State::TornHolders::Choose(const std::map<NodeId, TailReply>& answers, Index last) {
  if (asked != NodeId::kNone) return NodeId::kNone;
  for (const auto& [node, answer] : answers) {
    if (answer.have_through < last) continue;
    if (!failed.contains(node)) return asked = node;
    passed_over = true;
  }
  return NodeId::kNone;
}

void Raft::State::AskHolder() {
  const std::optional<EntryQuery::Doubt> doubt = fenced_ ? std::nullopt : InDoubt();
  if (!doubt || !doubt->torn) return;
  const NodeId holder = doubt_.holders.Choose(doubt_.query.answers(), doubt->last);
  if (holder == NodeId::kNone) return;
  Trace("asks ", ToInteger(holder), " for undecided entries ", doubt->first, "..", doubt->last);
  effects_.ask_torn = AskTorn{.to = holder,
                              .request = doubt_.query.id(),
                              .first = doubt->first,
                              .runs = doubt_.torn.runs()};
}

// torn_tail.h says why they may be taken.
void Raft::State::On(const TornEntriesGiven& given) {
  CAIRN_CHECK(!given.runs.empty());
  const std::optional<EntryQuery::Doubt> doubt = InDoubt();
  if (!doubt || !doubt->torn || given.from != doubt_.holders.asked) return;
  if (given.request != doubt_.query.id() || given.previous.index + 1 != doubt->first) return;
  // The log can be cut behind an entry only whose hash is known.
  if (trail_.holes().Contains(given.previous.index)) return;
  const Index last = given.runs.back().last_index;
  const bool same = trail_.Matches(given.previous) && doubt_.torn.runs() == given.runs;
  if (!same && !MutantEnabled(Mutant::kTakesOthers)) {
    Trace("does not take entries of ", ToInteger(given.from), ": they are not the undecided ones");
    return;
  }
  Trace("takes entries ", doubt->first, "..", last, " of ", ToInteger(given.from));
  const AppendEntries append = {
      .previous = given.previous, .runs = given.runs, .configurations = given.configurations};
  RewriteTornTail(append);
  AppendReceived(doubt->first, append, given.payload);
  // As if they had been read at the start: what is applied was committed.
  LearnCommit(applied_);
  doubt_.holders = {};
}

// After every step, so that a doubt that was over in between is never taken for the same one. While
// it lasts this node acknowledges nothing from its first entry on; so what was answered to the
// question is true of all that it ever acknowledged.
void Raft::State::ForgetAnswers() {
  const bool same = ToAsk() == doubt_.asked || MutantEnabled(Mutant::kAnswersKept);
  if (doubt_.query.id() != 0 && !same) doubt_.query.Start(0);
  if (!same) doubt_.lost_by = {};
  if (effects_.ask_torn && effects_.ask_torn->request != doubt_.query.id()) {
    effects_.ask_torn.reset();
  }
  ForgetNowhere();
}

void Raft::State::DecideDoubt() {
  const std::optional<EntryQuery::Doubt> doubt = InDoubt();
  if (!doubt || doubt_.query.id() == 0) return;
  const std::vector<NodeId> voters = OtherVoters(membership_.in_force(), node());
  std::vector<NodeId> learners = OtherMembers(membership_.in_force(), node());
  std::erase_if(learners, [this](NodeId member) { return membership_.in_force().IsVoter(member); });
  const auto verdict = doubt_.query.Decide(
      *doubt, voters, learners,
      [this](const EntryQuery::Claims& claims, Index index) { return CouldCommit(claims, index); });
  if (const auto* lost = std::get_if<EntryQuery::Lost>(&verdict)) {
    const bool known = lost->known_commit >= lost->first;
    // Those who claim it are a majority; but a later leader's entries may stand in its place, and
    // then it was not committed. Whoever has them wins an election, and overwrites it here. Only
    // questions that all have answered count: the others' time begins when they are there.
    doubt_.lost_by.insert(doubt_.query.id());
    if (!known && !voters.empty() && doubt_.lost_by.size() < kLostAfterRounds) return;
    RaiseFence(Fence::Reason::kDataLoss,
               absl::StrCat("entries ", lost->first, "..", lost->last, " are held by no member; ",
                            known ? "committed up to " : "they may be committed, known up to ",
                            lost->known_commit));
  } else if (const auto* drop = std::get_if<EntryQuery::Drop>(&verdict)) {
    // The log can be cut behind an entry only whose hash is known.
    if (trail_.holes().Contains(drop->first - 1)) return;
    Trace("drops undecided entries ", drop->first, "..", doubt->last, ": no voter holds them");
    // Until what is left in front of a torn tail is decided, its end is forgotten in memory; a
    // restart finds it again, and asks again.
    if (!doubt->torn || (doubt_.torn.on_disk() && drop->first == doubt_.torn.from())) {
      TruncateLog(drop->first);
    } else {
      doubt_.torn.Forget(drop->first);
    }
  }
}

}  // namespace cairn
