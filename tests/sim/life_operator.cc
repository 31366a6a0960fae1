#include "tests/sim/life_operator.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/sim/sub_seed.h"

namespace cairn::sim {

LifeOperator::LifeOperator(SimCluster& cluster, Calls& calls)
    : cluster_(cluster),
      calls_(calls),
      options_(cluster.plan().lives),
      random_(SubSeed(cluster.plan().seed, "life operator")),
      resets_(SubSeed(cluster.plan().seed, "resets")) {}

void LifeOperator::Start() {
  if (options_.closes) Run();
  if (options_.doomed == GroupId::kNone) return;
  for (const auto& node : cluster_.nodes()) {
    const Duration when = options_.doomed_at + UpTo(options_.longest_absence);
    cluster_.world().events.After(when, [this, &node] { Delete(*node); });
  }
}

void LifeOperator::Stop() {
  stopped_ = true;
  for (const auto& node : cluster_.nodes()) node->OpenAllClosed();
}

Duration LifeOperator::UpTo(Duration longest) {
  return Nanoseconds(
      static_cast<int64_t>(random_.Below(static_cast<uint64_t>(longest.nanoseconds) + 1)));
}

void LifeOperator::Run() {
  cluster_.world().events.After(UpTo(options_.longest_think), [this] {
    if (stopped_) return;
    const auto group = static_cast<GroupId>(1 + random_.Below(cluster_.plan().groups));
    SimNode* leader = cluster_.Leader(group);
    SimNode& node = leader != nullptr && random_.OneIn(3) ? *leader : cluster_.AnyPresent(random_);
    if (node.group(group) != nullptr) {
      ResetVoter(group, node);
      Close(group, node);
    }
    Run();
  });
}

void LifeOperator::Close(GroupId group, SimNode& node) {
  const Instant deadline = node.Now() + UpTo(options_.longest_absence);
  const Duration absence = UpTo(options_.longest_absence);
  node.CloseGroup(
      group, deadline,
      [this, absence, &node, open = std::make_shared<Calls::Open>(calls_.Begin(node.id())),
       group](const absl::Status& status) {
        if (!open->Answered()) return;
        Counters& counters = cluster_.world().counters;
        if (!status.ok()) return counters.Count("group not closed");
        counters.Count("group closed");
        node.GroupEnded(group);
        if (stopped_) return node.OpenClosed(group);
        cluster_.world().events.After(absence, [&node, group, life = node.life()] {
          if (node.life() == life) node.OpenClosed(group);
        });
      });
}

// What the group has acknowledged may rest on it.
void LifeOperator::ResetVoter(GroupId group, SimNode& node) {
  if (cluster_.plan().operations.changes > 0 || group == options_.doomed) return;
  if (!resets_.OneIn(2)) return;
  node.ResetGroup(
      group, [this, &node, group, open = std::make_shared<Calls::Open>(calls_.Begin(node.id()))](
                 const absl::Status& status) {
        if (!open->Answered()) return;
        World& world = cluster_.world();
        if (!status.ok()) return world.counters.Count("reset of a voter refused");
        world.violations.Report("no voter is reset",
                                absl::StrCat("g", ToInteger(group), ", n", ToInteger(node.id())));
      });
}

// Until it is told that the group is gone: calls end with their processes.
void LifeOperator::Delete(SimNode& node) {
  if (stopped_) return;
  const GroupId group = options_.doomed;
  const Duration timeout = cluster_.plan().group.election_timeout;
  if (!node.running() || node.exiting()) {
    cluster_.world().events.After(timeout, [this, &node] { Delete(node); });
    return;
  }
  cluster_.referees().at(group)->Deleting(node.id());
  if (random_.OneIn(2)) node.PowerCutAtAccess(1 + random_.Below(30), CrashPolicy::kRandomSubset);
  node.DeleteGroup(
      group, node.Now() + UpTo(timeout),
      [this, &node, timeout,
       open = std::make_shared<Calls::Open>(calls_.Begin(node.id()))](const absl::Status& status) {
        if (open->Answered() && status.ok()) return Deleted(node);
        cluster_.world().counters.Count("deletion to be done again");
        cluster_.world().events.After(timeout, [this, &node] { Delete(node); });
      });
}

void LifeOperator::Deleted(SimNode& node) {
  const GroupId group = options_.doomed;
  cluster_.world().counters.Count("group deleted");
  node.GroupDeleted(group);
  if (stopped_ || !random_.OneIn(2)) return;
  cluster_.world().events.After(UpTo(options_.longest_absence), [this, group, &node] {
    if (stopped_ || !node.running()) return;
    node.OpenDeleted(group);
  });
}

}  // namespace cairn::sim
