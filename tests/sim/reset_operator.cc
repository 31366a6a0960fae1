#include "tests/sim/reset_operator.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/sim/sub_seed.h"

namespace cairn::sim {

ResetOperator::ResetOperator(SimCluster& cluster, Calls& calls)
    : cluster_(cluster),
      calls_(calls),
      timeout_(cluster.plan().group.election_timeout),
      random_(SubSeed(cluster.plan().seed, "resets of learners")) {}

void ResetOperator::Start() {
  if (cluster_.plan().operations.changes > 0 && random_.OneIn(3)) Run();
}

Duration ResetOperator::UpTo(Duration longest) {
  return Nanoseconds(
      static_cast<int64_t>(random_.Below(static_cast<uint64_t>(longest.nanoseconds) + 1)));
}

void ResetOperator::Run() {
  cluster_.world().events.After(UpTo(timeout_ * 3), [this] {
    if (stopped_) return;
    TryReset(static_cast<GroupId>(1 + random_.Below(cluster_.plan().groups)));
    Run();
  });
}

void ResetOperator::TryReset(GroupId group) {
  Referee& referee = *cluster_.referees().at(group);
  const Configuration& members = referee.ledger().configuration();
  SimNode* leader = cluster_.Leader(group);
  if (leader == nullptr || members.joint() || members.target || members.learners.empty()) return;
  if (referee.resets().under_way() || leader->group(group)->Status().configuration_index !=
                                          referee.ledger().configuration_index()) {
    return;
  }
  const Member& learner = members.learners[random_.Below(members.learners.size())];
  SimNode& node = cluster_.node(learner.node);
  if (node.group(group) != nullptr && node.MayJoin()) Reset(group, node);
}

void ResetOperator::Reset(GroupId group, SimNode& node) {
  Referee& referee = *cluster_.referees().at(group);
  referee.resets().Begin(node.id());
  if (random_.OneIn(3)) {
    node.PowerCutAtAccess(1 + random_.Below(30), CrashPolicy::kRandomSubset);
  }
  const Duration absence = UpTo(timeout_);
  node.ResetGroup(group, [this, absence, group, &node, &referee,
                          open = std::make_shared<Calls::Open>(calls_.Begin(node.id()))](
                             const absl::Status& status) {
    if (!open->Answered()) return;
    // What a disk that fails leaves of it, the next start finds.
    if (absl::IsInternal(status)) return;
    if (!status.ok()) {
      cluster_.world().counters.Count("reset of a learner refused");
      return referee.resets().Refused(node.id());
    }
    referee.CheckMayReset(node.id());
    node.GroupEnded(group);
    cluster_.world().events.After(absence, [&node, group, life = node.life()] {
      if (node.life() == life) node.OpenClosed(group);
    });
  });
  Feed(group, node, ++begun_[group]);
}

void ResetOperator::Feed(GroupId group, SimNode& node, uint64_t number) {
  cluster_.world().events.After(UpTo(timeout_ * 2), [this, group, &node, number] {
    Resets& resets = cluster_.referees().at(group)->resets();
    // Also behind Stop: who was reset is to come to the state of the others.
    if (number != begun_[group]) return;
    if (!node.MayJoin()) return resets.End(node.id());
    if (!resets.under_way()) return;  // it was refused, or has not happened
    if (!resets.MayBeGone(node.id())) Declare(group, node);
    Feed(group, node, number);
  });
}

void ResetOperator::Declare(GroupId group, SimNode& node) {
  Referee& referee = *cluster_.referees().at(group);
  const Configuration& now = referee.ledger().configuration();
  const Incarnation fresh = referee.resets().incarnation(node.id());
  SimNode* leader = cluster_.Leader(group);
  if (fresh == Incarnation::kUnknown || leader == nullptr || now.joint() || now.target) return;
  const Member* known = now.Find(node.id());
  if (known != nullptr && known->incarnation == fresh) {
    cluster_.world().counters.Count("learner was reset and is a member again");
    return referee.resets().End(node.id());
  }
  DeclaredMembers members = {now.voters, now.learners};
  if (known != nullptr) {
    std::erase_if(members.learners,
                  [&node](const Member& member) { return member.node == node.id(); });
  } else {
    members.learners.push_back(
        {node.id(), fresh, absl::StrCat("node", ToInteger(node.id()), ":1")});
  }
  calls_.Declare(group, leader->id(), {std::move(members), 0}, "", leader->Now() + timeout_);
}

}  // namespace cairn::sim
