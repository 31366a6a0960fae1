// The part of Node that applies: whether it does, has it done again, and how far it is.

#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "raft/node.h"

namespace cairn {

void Node::PauseApply(Instant now, ApplyFeed::Done done) {
  if (fenced_)
    return done(absl::FailedPreconditionError("this member does not take part any more"));
  if (raft_.role() == Role::kLeader) {
    return done(
        absl::FailedPreconditionError("this member leads, and a leader answers with what it "
                                      "applies: hand leadership over first"));
  }
  // Who leads applies what it acknowledges, so it must not come to lead meanwhile.
  raft_.Step(now, HoldCandidacy{true});
  feed_.Pause(std::move(done));
}

void Node::ResumeApply(Instant now) {
  if (fenced_ || !feed_.paused()) return;
  raft_.Step(now, HoldCandidacy{false});
  feed_.Resume();
}

void Node::Replay(std::shared_ptr<const StoredSnapshot> snapshot, ApplyFeed::Done done) {
  const Index index = snapshot->position().index;
  if (fenced_)
    return done(absl::FailedPreconditionError("this member does not take part any more"));
  if (feed_.replays_from()) return done(absl::FailedPreconditionError("a replay is under way"));
  if (index < raft_.base().index) {
    return done(absl::FailedPreconditionError(
        absl::StrCat("the log begins behind ", raft_.base().index, ", the last snapshot is of ",
                     index, ": nothing has what stands between them")));
  }
  if (index > dependencies_.applier->applied()) {
    return done(absl::FailedPreconditionError(
        absl::StrCat("the snapshot of ", index, " is still being installed")));
  }
  feed_.Replay(std::move(snapshot), std::move(done));
}

// The log was kept from there on, and what is safe of the state outside it counts from there again.
void Node::Replayed(Index from) {
  if (dependencies_.applier->replica().durable()) compaction_.DurableAgain(from);
  feed_.ReplayEnded(absl::OkStatus());
}

bool Node::serving_leader() const {
  return !fenced_ && raft_.leads_with_commit() &&
         raft_.TermAt(dependencies_.applier->applied()) == raft_.term();
}

// The answer comes when what it names is applied here, which is what there is to know.
void Node::AskHowFar(Instant now) {
  if (!watches_.catch_up.wants_to_ask() || raft_.leader() == NodeId::kNone) return;
  watches_.catch_up.Asked();
  std::vector<ReadRequest> requests(1);
  requests[0].done = [this, term = raft_.term()](const ReadResult& result) {
    const auto* ready = std::get_if<ReadReady>(&result);
    if (ready == nullptr) return watches_.catch_up.OnNoAnswer();
    watches_.catch_up.OnAnswer(term, ready->index);
  };
  raft_.Step(now, ReadBarrier{.read = reads_.Ask(now, std::move(requests)), .lease = false});
}

const CatchUp& Node::LookAtCatchUp() {
  const Index commit = raft_.commit();
  watches_.catch_up.Look({.term = raft_.term(),
                          .commit = commit,
                          .commit_term = raft_.TermAt(commit),
                          .applied = dependencies_.applier->shown(),
                          .leader_known = raft_.leader() != NodeId::kNone,
                          .leads = raft_.role() == Role::kLeader,
                          .paused = feed_.paused()});
  return watches_.catch_up;
}

bool Node::NoteApplied(Instant now) {
  // Reads wait for what the state shows, which may lag behind, and go back.
  reads_.Applied(dependencies_.applier->shown());
  feed_.NoteApplied();
  const Index applied = dependencies_.applier->applied();
  if (applied <= raft_.applied()) return false;
  raft_.Step(now, Applied{applied});
  return true;
}

}  // namespace cairn
