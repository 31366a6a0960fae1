// AppendEntries at a follower (paper 5.3, figure 2), acknowledgements, and the leader's own
// appends.

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "raft/core/mutants.h"
#include "raft/core/state.h"

namespace cairn {
namespace {

// The term of the entry at `index`, which stands in `append`.
Term TermIn(const AppendEntries& append, Index index) {
  const auto run = std::find_if(append.runs.begin(), append.runs.end(),
                                [&](const TermRun& each) { return each.last_index >= index; });
  CAIRN_CHECK(run != append.runs.end() && index > append.previous.index);
  return run->term;
}

// The part of `runs` from `first` on; what stands before is dropped.
std::vector<TermRun> RunsFrom(Index first, std::vector<TermRun> runs) {
  std::erase_if(runs, [&](const TermRun& run) { return run.last_index < first; });
  return runs;
}

}  // namespace

void Raft::State::Handle(NodeId from, const AppendEntries& append, PayloadId payload) {
  if (append.runs.empty() || !FollowLeader(from) || !StillHas(from, append.acknowledged)) return;
  if (KeepsOffTheLog()) return;
  if (!MatchesPrevious(from, append)) return;
  // A probe behind a hole matches, and is answered by nothing that its leader does not know.
  AskForSnapshot(from, append.previous.index);
  if (const auto first = trail_.FirstMissing(append.previous, append.runs)) {
    if (!MakeRoom(*first, append)) return;
    AppendReceived(*first, append, payload);
  }
  auto& follower = std::get<Follower>(role_);
  const Index last = append.last_index();
  follower.verified = std::max(follower.verified, last);
  if (last <= follower.acknowledged) follower.answer_again = true;
  LearnCommit(std::min(append.commit, last));
}

// Unsure, and not told yet which entry makes it sure again.
bool Raft::State::KeepsOffTheLog() const {
  if (MutantEnabled(Mutant::kUnsureAcknowledges)) return false;
  return doubt_.rejoin.silent(ballot_.state.term);
}

// Whether this log has what the node acknowledged to the leader of its term. It was durable, no
// leader overwrites its own entries, and nothing of a log is given up that a leader still has: only
// a disk as it was some time ago lacks it, which has forgotten votes as well (fault catalogue D17).
bool Raft::State::StillHas(NodeId leader, LogPosition acknowledged) {
  if (unsure()) return true;
  // What was committed here was never anything else: of that leaders and logs may differ, disks
  // not.
  if (acknowledged.index <= commit_ || TermAt(acknowledged.index) == acknowledged.term) return true;
  // Where the log does not name this very disk, another one may have said it.
  const Member* self = membership_.in_force().Find(node());
  if (self == nullptr || self->incarnation != options_.incarnation) return true;
  RaiseFence(
      Fence::Reason::kRolledBack,
      absl::StrCat("node ", ToInteger(node()), " acknowledged entry ", ToString(acknowledged),
                   " to node ", ToInteger(leader), ", the leader of term ", ballot_.state.term,
                   ", and does not have it; its log ends at ", ToString(claimed_last())));
  return false;
}

// Receiver rule 2 of figure 2.
bool Raft::State::MatchesPrevious(NodeId from, const AppendEntries& append) {
  const LogPosition previous = append.previous;
  // What was compacted was committed, so every leader has it.
  if (previous.index < base().index || trail_.Matches(previous)) return true;
  if (previous.index <= commit_) {
    RaiseFence(Fence::Reason::kCommittedConflict,
               absl::StrCat(
                   "the leader of term ", append.term, " has ", ToString(previous), " where ",
                   ToString(LogPosition{previous.index, TermAt(previous.index)}), " is committed"));
    return false;
  }
  const LogPosition hint = trail_.LastSharedWith(previous);
  Trace("refuses entries behind ", ToString(previous), ": shares at most ", ToString(hint));
  Send(from,
       AppendReply{.term = ballot_.state.term, .hint = hint, .refused_index = previous.index});
  return false;
}

// Clears the place from `first` on, where entries of `append` are missing. False: what stands
// there is committed.
bool Raft::State::MakeRoom(Index first, const AppendEntries& append) {
  // The log can be cut behind an entry only whose hash is known. The leader sends it again.
  if (first <= trail_.last().index && trail_.holes().Contains(first - 1)) {
    Trace("cannot truncate from ", first, " yet: the entry before cannot be read");
    return false;
  }
  if (first > trail_.last().index) {
    if (!doubt_.torn.empty()) RewriteTornTail(append);
    return !fenced_;
  }
  if (first <= commit_) {
    RaiseFence(
        Fence::Reason::kCommittedConflict,
        absl::StrCat("the leader of term ", append.term, " overwrites ",
                     ToString(LogPosition{first, TermAt(first)}), ", committed up to ", commit_));
    return false;
  }
  Trace("truncates from ", ToString(LogPosition{first, TermAt(first)}), ": the leader has term ",
        TermIn(append, first));
  TruncateLog(first);
  return true;
}

// Entries come for the place of undecided ones. They are written again even where the terms are
// the same: the log store holds id records there and no entries.
void Raft::State::RewriteTornTail(const AppendEntries& append) {
  const Index applied = std::min(applied_, append.last_index());
  if (applied >= doubt_.torn.from() && TermIn(append, applied) != doubt_.torn.TermAt(applied)) {
    RaiseFence(Fence::Reason::kCommittedConflict,
               absl::StrCat("the leader of term ", append.term, " overwrites ",
                            ToString(LogPosition{applied, doubt_.torn.TermAt(applied)}),
                            ", applied up to ", applied_));
    return;
  }
  const Index compared = std::min(append.last_index(), doubt_.torn.last().index);
  TornTail left = doubt_.torn;
  left.Rewrite({compared, TermIn(append, compared)});
  Trace("writes undecided entries ", doubt_.torn.from(), "..", compared,
        " again: ", left.empty() ? "none is left" : absl::StrCat("left from ", left.from()));
  if (doubt_.torn.on_disk()) TruncateLog(doubt_.torn.from());
  doubt_.torn = std::move(left);
}

// The only place that truncates.
void Raft::State::TruncateLog(Index first_removed) {
  CAIRN_CHECK_GT(first_removed, commit_) << "committed entries are truncated nowhere";
  durability_.OnTruncate(batches_.Truncate(first_removed), first_removed);
  trail_.TruncateFrom(first_removed);
  doubt_.torn.Forget(first_removed);
  if (MutantEnabled(Mutant::kConfigurationStays)) return;
  // What this node has applied was committed; the log may have lost it, or hold it torn.
  const Index kept = membership_.committed(0).first.index;
  if (membership_.Truncate(std::max(first_removed, kept + 1))) {
    Trace("configuration back to ", ToString(membership_.position()), ": ",
          ToString(membership_.in_force()));
  }
}

// Takes the entries of `append` from `first` on, which is behind the last one.
void Raft::State::AppendReceived(Index first, const AppendEntries& append, PayloadId payload) {
  CAIRN_CHECK_EQ(first, trail_.last().index + 1);
  const Index last = append.last_index();
  const Ticket ticket = batches_.Append({.source = AppendRun::Source::kReceived,
                                         .payload = payload,
                                         .first = {first, TermIn(append, first)},
                                         .last_index = last});
  trail_.Append(RunsFrom(first, append.runs));
  durability_.OnAppend(ticket, last);
  for (const auto& [at, configuration] : append.configurations) {
    if (at.index < first || at.index <= membership_.position().index) continue;
    Trace("configuration ", ToString(at), ": ", ToString(configuration));
    membership_.Append(at, configuration);
  }
}

void Raft::State::LearnCommit(Index commit) {
  commit_ = std::max(commit_, std::min(commit, trail_.last().index));
}

// How far this log is known to equal the leader's and to survive a power cut.
Index Raft::State::AckableIndex(const Follower& follower) const {
  if (MutantEnabled(Mutant::kAckBeforeSync)) return follower.verified;
  return std::min(follower.verified, durable());
}

// One acknowledgement, of the highest index, however many appends and completions came in.
void Raft::State::TakeAcknowledgement(Follower& follower) {
  // Between a reset of the log and its sync there is nothing to say.
  if (durable() < base().index) return;
  const Index match = AckableIndex(follower);
  if (match <= follower.acknowledged && !follower.answer_again) return;
  follower.acknowledged = std::max(follower.acknowledged, match);
  follower.answer_again = false;
  SendAfter(ballot_.ticket, follower.leader,
            AppendReply{.term = ballot_.state.term, .success = true, .match = match});
}

// Appends `count` entries of this leader's term. Returns the position of the first.
LogPosition Raft::State::AppendOwn(AppendRun run, uint64_t count) {
  const Term term = ballot_.state.term;
  run.first = {trail_.last().index + 1, term};
  run.last_index = trail_.last().index + count;
  const LogPosition first = run.first;
  const Index last = run.last_index;
  if (run.configuration) {
    Trace("configuration ", ToString(first), ": ", ToString(*run.configuration));
    membership_.Append(first, *run.configuration);
  }
  durability_.OnAppend(batches_.Append(std::move(run)), last);
  trail_.Append({term, last});
  return first;
}

}  // namespace cairn
