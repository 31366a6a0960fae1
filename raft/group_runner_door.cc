// The part of GroupRunner that is asked, by any thread, whether there is room and whom the group
// listens to.

#include "raft/group_runner.h"
#include "raft/peers/introduction.h"
#include "raft/sender_check.h"

namespace cairn {

absl::Status GroupRunner::Vet(const Envelope& envelope) const {
  MutexLock lock(mutex_);
  const Configuration& configuration = status_.configuration;
  if (configuration.voters.empty()) return absl::OkStatus();  // nothing is published yet
  const bool successor =
      HasAnotherDisk(envelope, configuration) &&
      shown_.successors.Has(envelope.from, configuration.Find(envelope.from)->incarnation,
                            SenderIn(envelope), KnownCommit());
  absl::Status status =
      cairn::Vet(envelope, configuration, status_.term, status_.leader, successor);
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

// Up to where this node knows who the members are, or 0.
Index GroupRunner::KnownCommit() const {
  // Of what it has lost with its state it knows that it was committed, and not what it said.
  const bool in_log = status_.configuration_index >= status_.first_index;
  const bool knows =
      status_.configuration_index > 0 && (in_log || status_.state != NodeState::kRepairing);
  return knows ? status_.commit_index : 0;
}

bool GroupRunner::Believes(NodeId from, const Introduction& introduction) {
  MutexLock lock(mutex_);
  const bool committed = status_.configuration_index <= status_.commit_index;
  const bool news =
      MayBeNews(introduction, KnownCommit(),
                committed ? LogPosition{status_.configuration_index, status_.configuration_term}
                          : LogPosition{});
  if (!news) return false;
  const Member* member = status_.configuration.Find(from);
  return member == nullptr || shown_.successors.Believe(from, member->incarnation, introduction);
}

bool GroupRunner::HasRoom() const {
  return dependencies_.log_writer->has_room() && !shown_.machine_full;
}

}  // namespace cairn
