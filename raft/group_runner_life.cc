// The part of GroupRunner that leaves a host which goes on.

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "raft/group_runner.h"

namespace cairn {
namespace {

// How often it is looked whether the last call has been answered.
constexpr Duration kDrainInterval = Milliseconds(5);

}  // namespace

// The host keeps a group that leaves; tasks that outlive both do nothing.
Task GroupRunner::WhileAlive(Task task) {
  return [weak = weak_from_this(), task = std::move(task)]() mutable {
    if (const std::shared_ptr<GroupRunner> self = weak.lock(); self != nullptr) task();
  };
}

void GroupRunner::Leave(Instant deadline, Task quiet, Task ended) {
  StopCalls();
  PostTo(dependencies_.runner,
         WhileAlive([this, deadline, quiet = std::move(quiet), ended = std::move(ended)]() mutable {
           AwaitCalls(deadline, std::move(quiet), std::move(ended));
         }));
}

// The host may be ending its sequences.
void GroupRunner::PostTo(Executor* sequence, Task task) {
  dependencies_.posts->Through([&] { sequence->Post(std::move(task)); });
}

void GroupRunner::AwaitCalls(Instant deadline, Task quiet, Task ended) {
  const Instant now = dependencies_.clock->Now();
  if (budget_.calls() > 0 && now < deadline) {
    const Instant next = std::min(deadline, now + kDrainInterval);
    return dependencies_.runner->PostAt(next, WhileAlive([this, deadline, quiet = std::move(quiet),
                                                          ended = std::move(ended)]() mutable {
                                          AwaitCalls(deadline, std::move(quiet), std::move(ended));
                                        }));
  }
  quiet();
  End(std::move(ended));
}

// Nothing is put into the mailbox any more, and the node does nothing; then what it wrote becomes
// durable, and the log writer forgets this group.
void GroupRunner::End(Task ended) {
  Close();
  turns_.ended = true;
  if (!log_client_) return EndTasks(std::move(ended));
  Task then =
      WhileAlive([this, ended = std::move(ended)]() mutable { EndTasks(std::move(ended)); });
  dependencies_.log_writer->Leave(
      *log_client_, [then = std::move(then)](const absl::Status&) mutable { then(); });
}

// Goes through every sequence on which a task of this group may be, so that none is behind it; the
// runner last, which gave them work.
void GroupRunner::EndTasks(Task ended) {
  Task next = WhileAlive([this, ended = std::move(ended)]() mutable {
    PostTo(dependencies_.runner, WhileAlive([this, ended = std::move(ended)]() mutable {
             EndHere();
             ended();
           }));
  });
  if (mover_ != nullptr) {
    next = WhileAlive([this, then = std::move(next)]() mutable {
      dependencies_.posts->Through([&] { mover_->End(std::move(then)); });
    });
  }
  if (dependencies_.reader != nullptr) {
    next = WhileAlive([this, then = std::move(next)]() mutable {
      PostTo(dependencies_.reader, std::move(then));
    });
  }
  if (applier_ == nullptr) return next();
  applier_->Stop();
  Executor* applier =
      dependencies_.applier == nullptr ? dependencies_.runner : dependencies_.applier;
  PostTo(applier, std::move(next));
}

void GroupRunner::EndHere() {
  Finish();
  contents_.Clear();
  node_.reset();
  if (applier_ != nullptr) applier_->CloseMachine();
  if (opened_.store != nullptr) dependencies_.log_disk->CloseGroup(settings_.group);
  opened_ = OpenedLog();
  MutexLock lock(mutex_);
  status_.role = Role::kFollower;
  status_.leader = NodeId::kNone;
  status_.serving_leader = false;
  status_.peers.clear();
  status_.state = NodeState::kHalted;
  status_.reason = "the group is closed on this node";
}

void GroupRunner::EndUnlessVoter(absl::AnyInvocable<void(const absl::Status&)> done) {
  // Dropped unrun, the task answers as it goes.
  struct Answer {
    void Give(const absl::Status& status) { std::exchange(done, nullptr)(status); }
    ~Answer() {
      if (done != nullptr) Give(absl::UnavailableError("the group is being closed"));
    }
    absl::AnyInvocable<void(const absl::Status&)> done;
  };
  auto answer = std::make_shared<Answer>();
  answer->done = std::move(done);
  mailbox_.PutTask([this, answer] {
    if (node_ == nullptr) {
      return answer->Give(absl::FailedPreconditionError(
          "nobody can tell here whether this member votes: remove it from the group, then delete "
          "the group on this node"));
    }
    const Raft& raft = node_->raft();
    const NodeId self = settings_.self.node;
    if (raft.configuration().IsVoter(self) || raft.committed_configuration().IsVoter(self)) {
      return answer->Give(absl::FailedPreconditionError(
          "this member is a voter, and what the group has acknowledged may rest on it: demote it "
          "to a learner or remove it first"));
    }
    const auto without_disk = [self](const Configuration& members) {
      const Member* named = members.Find(self);
      return named != nullptr && named->incarnation == Incarnation::kUnknown;
    };
    if (without_disk(raft.configuration()) || without_disk(raft.committed_configuration())) {
      return answer->Give(absl::FailedPreconditionError(absl::StrCat(
          "the members name this one without its disk, so what is fed anew would pass for what it "
          "was: declare it with incarnation ",
          ToInteger(settings_.self.incarnation), ", or remove it first")));
    }
    // At once, or it could become one.
    StopCalls();
    turns_.ended = true;
    answer->Give(absl::OkStatus());
  });
}

void GroupRunner::Watch(Watcher watcher) {
  auto shared = std::make_shared<Watcher>(std::move(watcher));
  mailbox_.PutTask([this, shared] {
    waiting_.watchers.push_back(std::move(*shared));
    waiting_.watchers.back()(Status());
  });
}

}  // namespace cairn
