// The part of GroupRunner that is asked, by any thread, how it is and whom the group listens to.

#include <algorithm>

#include "raft/group_runner.h"
#include "raft/peers/introduction.h"
#include "raft/sender_check.h"

namespace cairn {

absl::Status GroupRunner::Vet(const Envelope& envelope) const {
  MutexLock lock(mutex_);
  const Configuration& configuration = status_.configuration;
  if (configuration.voters.empty()) return absl::OkStatus();  // nothing is published yet
  absl::Status status = cairn::Vet(envelope, configuration, status_.term, status_.leader);
  // What is not committed may be undone.
  if (!status.ok() || status_.configuration_index > status_.commit_index) return status;
  return CheckRemoved(envelope, {.self = settings_.self.incarnation,
                                 .term = status_.term,
                                 .configuration = configuration,
                                 .at = {status_.configuration_index, status_.configuration_term},
                                 .last = {status_.last_index, status_.last_term}});
}

GroupRunner::Acquaintance GroupRunner::Knows(NodeId node) const {
  MutexLock lock(mutex_);
  if (status_.configuration.IsMember(node)) return Acquaintance::kMember;
  return status_.configuration.WasRemoved(node) ? Acquaintance::kRemoved : Acquaintance::kStranger;
}

bool GroupRunner::Believes(const Introduction& introduction) const {
  MutexLock lock(mutex_);
  const bool committed = status_.configuration_index <= status_.commit_index;
  return MayBeNews(introduction, status_.commit_index,
                   committed ? LogPosition{status_.configuration_index, status_.configuration_term}
                             : LogPosition{});
}

bool GroupRunner::HasRoom() const {
  return dependencies_.log_writer->has_room() && !shown_.machine_full;
}

GroupStatus GroupRunner::Status() const {
  MutexLock lock(mutex_);
  GroupStatus status = status_;
  status.disk_full = !HasRoom();
  if (status.disk_full && status.state == NodeState::kServing) {
    status.state = NodeState::kDegraded;
    status.reason = "the disk is full: no entries are taken until there is room";
  }
  if (applier_ != nullptr) {
    status.applied_index = applier_->applied();
    status.processed_index = applier_->shown();
    status.replaying = applier_->replaying();
    status.sessions = applier_->sessions();
    // What is applied is committed; a snapshot may have brought the state ahead of the log.
    status.commit_index = std::max(status.commit_index, status.applied_index);
    status.last_index = std::max(status.last_index, status.commit_index);
    if (mover_ != nullptr) status.snapshot_index = mover_->position().index;
  }
  return status;
}

}  // namespace cairn
