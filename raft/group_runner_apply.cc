// The part of GroupRunner that pauses applying and has a snapshot replayed.

#include <algorithm>
#include <memory>
#include <utility>

#include "raft/group_runner.h"

namespace cairn {
namespace {

// Calls `done` once: dropped unrun, as a task of a mailbox that is closed, it says so.
class Answer {
 public:
  explicit Answer(GroupRunner::ApplyDone done) : done_(std::move(done)) {}
  ~Answer() { Give(absl::UnavailableError("the group does not run")); }
  void Give(const absl::Status& status) {
    if (done_ != nullptr) std::exchange(done_, nullptr)(status);
  }

 private:
  GroupRunner::ApplyDone done_;
};

}  // namespace

void GroupRunner::PauseApply(ApplyDone done) {
  auto answer = std::make_shared<Answer>(std::move(done));
  if (const auto refusal = Refuses()) {
    return answer->Give(absl::FailedPreconditionError(NameOf(*refusal)));
  }
  mailbox_.PutTask([this, answer] {
    if (node_ == nullptr) return;
    node_->PauseApply(dependencies_.clock->Now(),
                      [answer](const absl::Status& status) { answer->Give(status); });
  });
}

void GroupRunner::ResumeApply() {
  mailbox_.PutTask([this] {
    if (node_ != nullptr) node_->ResumeApply(dependencies_.clock->Now());
  });
}

void GroupRunner::ReplaySnapshot(ApplyDone done) {
  auto answer = std::make_shared<Answer>(std::move(done));
  if (const auto refusal = Refuses()) {
    return answer->Give(absl::FailedPreconditionError(NameOf(*refusal)));
  }
  std::shared_ptr<const StoredSnapshot> last = mover_ == nullptr ? nullptr : mover_->last();
  if (last == nullptr) {
    return answer->Give(absl::FailedPreconditionError("no snapshot is kept here"));
  }
  mailbox_.PutTask([this, answer, last] {
    dependencies_.snapshots->Post([this, answer, last] {
      // All of it is read: the state there is must not give way to a damaged one.
      if (const absl::Status status = last->Verify(); !status.ok()) return answer->Give(status);
      mailbox_.PutTask([this, answer, last] {
        if (node_ == nullptr) return;
        node_->Replay(last, [answer](const absl::Status& status) { answer->Give(status); });
      });
    });
  });
}

void GroupRunner::Tail(TailRequest request) {
  using Why = TailRefused::Reason;
  if (const auto refusal = Refuses()) {
    const Why why = *refusal == ProposalNotApplied::Reason::kFenced      ? Why::kFenced
                    : *refusal == ProposalNotApplied::Reason::kNotFormed ? Why::kNotFormed
                                                                         : Why::kStopping;
    return request.Answer(TailRefused{why, NameOf(*refusal)});
  }
  // Dropped unrun, the request answers as it goes.
  mailbox_.PutTask([this, request = std::move(request)]() mutable {
    if (node_ != nullptr) waiting_.tails.Ask(std::move(request));
  });
}

void GroupRunner::DriveTails(Instant now) {
  if (waiting_.tails.empty()) return;
  if (node_->fenced()) {
    return waiting_.tails.RefuseAll({TailRefused::Reason::kFenced, "the node serves no more"});
  }
  const Raft& raft = node_->raft();
  // What is committed and durable here is in the store, and is never written over.
  for (TailRequest& due : waiting_.tails.TakeDue(std::min(raft.commit(), raft.durable()))) {
    auto read = [store = opened_.store, due = std::move(due)]() mutable { due.ReadFrom(*store); };
    if (dependencies_.reader == nullptr) {
      read();
    } else {
      dependencies_.reader->Post(std::move(read));
    }
  }
  waiting_.tails.Expire(now);
}

}  // namespace cairn
