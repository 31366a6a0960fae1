#include "raft/group.h"

#include <optional>
#include <utility>

#include "base/check.h"
#include "base/mutex.h"
#include "raft/group_runner.h"

namespace cairn {
namespace {

// Where a callback leaves its result for who waits. Shared by both, as either may go first.
template <typename Result>
class ResultSlot {
 public:
  void Fill(Result result) {
    MutexLock lock(mutex_);
    result_ = std::move(result);
    filled_.NotifyAll();
  }
  Result Take() {
    MutexLock lock(mutex_);
    while (!result_.has_value()) filled_.Wait(mutex_);
    return *std::move(result_);
  }

 private:
  Mutex mutex_;
  CondVar filled_;
  std::optional<Result> result_ CAIRN_GUARDED_BY(mutex_);
};

template <typename Result>
class PendingResult final : public Pending<Result> {
 public:
  absl::AnyInvocable<void(Result)> Callback() {
    return [slot = slot_](Result result) { slot->Fill(std::move(result)); };
  }
  Result Wait() override {
    CAIRN_CHECK(slot_ != nullptr) << "waited for twice";
    return std::exchange(slot_, nullptr)->Take();
  }

 private:
  std::shared_ptr<ResultSlot<Result>> slot_ = std::make_shared<ResultSlot<Result>>();
};

}  // namespace

Group::Group(std::shared_ptr<GroupRunner> runner) : runner_(std::move(runner)) {}

void Group::Propose(std::string command, ProposeOptions options, ProposalCallback done) {
  runner_->Propose(EntryType::kCommand, std::move(command), options, std::move(done));
}

std::unique_ptr<Pending<ProposalResult>> Group::Propose(std::string command,
                                                        ProposeOptions options) {
  auto pending = std::make_unique<PendingResult<ProposalResult>>();
  Propose(std::move(command), std::move(options), pending->Callback());
  return pending;
}

void Group::Propose(PreparedEntry entry, ProposeOptions options, ProposalCallback done) {
  runner_->Propose(std::move(entry), options, std::move(done));
}

void Group::OpenSession(std::string client_name, ProposeOptions options, ProposalCallback done) {
  options.session = {};
  runner_->Propose(EntryType::kOpenSession, std::move(client_name), options, std::move(done));
}

void Group::CloseSession(uint64_t session, ProposeOptions options, ProposalCallback done) {
  options.session = {session, 0};
  runner_->Propose(EntryType::kCloseSession, "", options, std::move(done));
}

void Group::ProposeBatch(std::vector<PreparedEntry> entries, ProposeOptions options,
                         BatchCallback done) {
  runner_->ProposeBatch(std::move(entries), options, std::move(done));
}

void Group::BeginRead(const ReadOptions& options, ReadCallback done) {
  runner_->BeginRead(options, std::move(done));
}

void Group::Linearize(std::optional<Instant> deadline, ReadCallback done) {
  BeginRead({.deadline = deadline}, std::move(done));
}

std::unique_ptr<Pending<ReadResult>> Group::Linearize(std::optional<Instant> deadline) {
  auto pending = std::make_unique<PendingResult<ReadResult>>();
  Linearize(deadline, pending->Callback());
  return pending;
}

void Group::ChangeMembership(DeclaredMembers members, Instant deadline, ControlCallback done,
                             Index based_on) {
  runner_->Control(MembershipRequest{std::move(members), based_on}, deadline, std::move(done));
}

void Group::CancelMembership(Instant deadline, ControlCallback done) {
  runner_->Control(CancelRequest{}, deadline, std::move(done));
}

void Group::TransferLeadership(NodeId target, Instant deadline, ControlCallback done) {
  runner_->Control(TransferRequest{target}, deadline, std::move(done));
}

void Group::Campaign(ControlCallback done) {
  runner_->Control(CampaignRequest{}, kDistantFuture, std::move(done));
}

void Group::StepDown(ControlCallback done) {
  runner_->Control(StepDownRequest{}, kDistantFuture, std::move(done));
}

void Group::RecoverUnsafely(UnsafeRecoveryRequest request, ControlCallback done) {
  runner_->Control(std::move(request), kDistantFuture, std::move(done));
}

void Group::Snapshot(absl::AnyInvocable<void(const absl::StatusOr<LogPosition>&)> done) {
  runner_->Snapshot(std::move(done));
}

bool Group::AbortSnapshot() { return runner_->AbortSnapshot(); }

void Group::Tail(Index first, size_t max_bytes, std::optional<Instant> deadline,
                 TailCallback done) {
  runner_->Tail(TailRequest(first, max_bytes, deadline, std::move(done)));
}

void Group::PauseApply(ApplyDone done) { runner_->PauseApply(std::move(done)); }

void Group::ResumeApply() { runner_->ResumeApply(); }

void Group::ReplaySnapshot(ApplyDone done) { runner_->ReplaySnapshot(std::move(done)); }

GroupStatus Group::Status() const { return runner_->Status(); }

void Group::WatchLeadership(absl::AnyInvocable<void(const GroupStatus&)> changed) {
  runner_->Watch(std::move(changed));
}

}  // namespace cairn
