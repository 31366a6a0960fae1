#include "tests/sim/apply_operator.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/sim/sub_seed.h"

namespace cairn::sim {

ApplyOperator::ApplyOperator(SimCluster& cluster, Calls& calls)
    : cluster_(cluster),
      calls_(calls),
      options_(cluster.plan().applying),
      random_(SubSeed(cluster.plan().seed, "apply operator")) {}

void ApplyOperator::Start() {
  if (options_.total() > 0) Run();
}

void ApplyOperator::Stop() {
  stopped_ = true;
  for (const auto& node : cluster_.nodes()) {
    for (const auto& [group, referee] : cluster_.referees()) Resume(group, *node);
  }
}

Duration ApplyOperator::UpTo(Duration longest) {
  return Nanoseconds(
      static_cast<int64_t>(random_.Below(static_cast<uint64_t>(longest.nanoseconds) + 1)));
}

void ApplyOperator::Run() {
  cluster_.world().events.After(UpTo(options_.longest_think), [this] {
    if (stopped_) return;
    const auto group = static_cast<GroupId>(1 + random_.Below(cluster_.plan().groups));
    SimNode& node = cluster_.AnyPresent(random_);
    if (random_.Below(options_.total()) < options_.pauses) {
      Pause(group, node);
    } else {
      Replay(group, node);
    }
    Run();
  });
}

void ApplyOperator::Pause(GroupId group, SimNode& node) {
  Group* handle = node.group(group);
  if (handle == nullptr) return;
  auto told = [this, group, &node, before = resumed_[{group, node.id()}],
               open = calls_.Begin(node.id())](absl::Status status) mutable {
    if (!open.Answered()) return;
    // It may be told of after it has ended.
    const bool goes_on = resumed_[{group, node.id()}] > before;
    Counters& counters = cluster_.world().counters;
    const Group* still_open = node.group(group);
    if (still_open == nullptr) return;
    const GroupStatus now = still_open->Status();
    cluster_.world().log.Add(node.id(), "paused", {ToInteger(group), status.ok()}, [&] {
      return absl::StrCat("g", ToInteger(group), " at ", now.applied_index, ": ",
                          status.ToString());
    });
    if (!status.ok()) {
      return counters.Count(absl::IsCancelled(status) ? "pause ended before it began"
                                                      : "pause refused");
    }
    if (goes_on) return counters.Count("pause told of after its end");
    counters.Count("applying paused");
    Referee& referee = *cluster_.referees().at(group);
    referee.states().Paused(node.id());
    referee.candidacy().Paused(node.id(), now.term);
  };
  handle->PauseApply(std::move(told));
  // Often before it is told of the pause.
  const Duration length = random_.OneIn(6) ? Duration{} : UpTo(options_.longest_pause);
  cluster_.world().events.After(length, [this, group, &node, life = node.life()] {
    if (!stopped_ && node.life() == life) Resume(group, node);
  });
}

void ApplyOperator::Resume(GroupId group, SimNode& node) {
  Group* handle = node.group(group);
  if (handle == nullptr) return;
  Referee& referee = *cluster_.referees().at(group);
  if (referee.states().paused(node.id())) {
    const GroupStatus status = handle->Status();
    cluster_.world().log.Add(node.id(), "resumed", {ToInteger(group), status.commit_index});
    if (status.commit_index > status.applied_index) {
      cluster_.world().counters.Count("applying went on up to what was committed meanwhile");
    }
  }
  ++resumed_[{group, node.id()}];
  referee.states().Resumed(node.id());
  referee.candidacy().Resumed(node.id());
  handle->ResumeApply();
}

void ApplyOperator::Replay(GroupId group, SimNode& node) {
  Group* handle = node.group(group);
  if (handle == nullptr) return;
  StateChecker& states = cluster_.referees().at(group)->states();
  states.ReplayAsked(node.id());
  auto told = [this, group, &states, id = node.id(),
               open = calls_.Begin(node.id())](absl::Status status) mutable {
    if (!open.Answered()) return;
    states.ReplayTold(id);
    cluster_.world().log.Add(id, "replayed", {ToInteger(group), status.ok()},
                             [&] { return status.ToString(); });
    cluster_.world().counters.Count(status.ok() ? "snapshot replayed" : "replay refused");
    if (!absl::IsDataLoss(status) || cluster_.node(id).disk().rotten()) return;
    cluster_.world().violations.Report("nothing but damage loses a snapshot",
                                       absl::StrCat("n", ToInteger(id), ": ", status.ToString()));
  };
  handle->ReplaySnapshot(std::move(told));
}

}  // namespace cairn::sim
