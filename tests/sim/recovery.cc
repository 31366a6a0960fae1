#include "tests/sim/recovery.h"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "raft/snapshots/piece_asks.h"
#include "raft/snapshots/snapshot_receiver.h"
#include "tests/sim/list_machine.h"

namespace cairn::sim {
namespace {

// Bits: many of them hit what is not in use any more.
constexpr int kRottenAtRest = 8;
constexpr uint64_t kCommitsToCount = 5;

class Recovery {
 public:
  Recovery(SimCluster& cluster, Calls& calls, const TailFollowers& tails)
      : cluster_(cluster),
        world_(cluster.world()),
        plan_(cluster.plan()),
        calls_(calls),
        tails_(tails),
        groups_(cluster.LastingGroups()) {}

  void Run() {
    cluster_.Heal();
    // Nodes open what was closed, as soon as it is.
    Require("a group does not get open again", Timeout() * 10, [this] {
      const std::vector<SimNode*> whole = cluster_.Whole();
      return std::all_of(whole.begin(), whole.end(), [this](SimNode* node) {
        return std::all_of(groups_.begin(), groups_.end(), [node](GroupId group) {
          return !node->running() || node->group(group) != nullptr;
        });
      });
    });
    for (GroupId group : groups_) {
      if (cluster_.CanDecide(group, cluster_.Whole())) continue;
      world_.counters.Count("no liveness: too few nodes are whole");
      return;
    }
    auto led = [this] {
      return std::all_of(groups_.begin(), groups_.end(),
                         [this](GroupId group) { return cluster_.Leader(group) != nullptr; });
    };
    if (!RunFor(Timeout() * 10, led) && TornTailWaits()) {
      world_.counters.Count("no liveness: a torn tail waits for a member that is gone");
      return;
    }
    Require("no leader", Duration{}, led);
    for (GroupId group : groups_) {
      Referee& referee = *cluster_.referees().at(group);
      // First a command of the leader's term: until then it may have a change under way that the
      // ledger does not know to be committed.
      AppendLast(group);
      FinishChange(group);
      TakeOutReset(group);
      Require("members do not come to the same state",
              Timeout() * 20 + TakesNoSnapshot() + AsksAgain(),
              [this, group] { return Converged(group); });
      const std::vector<SimNode*> healthy = cluster_.Healthy(group);
      for (SimNode* node : healthy) referee.clients().CheckNothingLost(node->id());
      for (SimNode* node : healthy) ReadLast(group, node->id());
      Require("a tail does not come to the end", Timeout() * 20,
              [this, group] { return tails_.HaveAll(group); });
      CheckAtRest(group);
      CheckMessages(group);
    }
    if (!world_.violations.any()) CheckScrubbed();
  }

 private:
  bool RunFor(Duration length, const std::function<bool()>& done) {
    return world_.RunFor(length, done);
  }
  void Require(const char* what, Duration length, const std::function<bool()>& done) {
    world_.Require(what, length, done, [this] { return DescribeNodes(); });
  }

  // Whose disk failed under a snapshot takes none for some time.
  Duration TakesNoSnapshot() const {
    const bool some = world_.counters.Get("snapshot not taken: its disk failed") > 0;
    return some ? SnapshotReceiver::kIdle : Duration{};
  }

  std::string DescribeNodes() {
    std::string text;
    for (const auto& node : cluster_.nodes()) {
      absl::StrAppend(&text, " n", ToInteger(node->id()), ":");
      if (!node->running()) absl::StrAppend(&text, " down ", node->halted().ToString());
      for (auto& [group, referee] : cluster_.referees()) {
        Group* handle = node->group(group);
        if (handle == nullptr) continue;
        GroupStatus status = handle->Status();
        absl::StrAppend(&text, " ", NameOf(status.role), " of term ", status.term, " log ",
                        status.last_index, " durable ", status.durable_index, " commit ",
                        status.commit_index, " applied ", status.applied_index, " ",
                        NameOf(status.state), " ", status.reason);
      }
    }
    return text;
  }

  // The longest time this takes on any node's clock, in virtual time.
  Duration OnAnyClock(Duration length) const {
    int64_t slowest = 1000;
    for (const NodeOptions& node : plan_.nodes) {
      slowest = std::min(slowest, node.clock_rate_per_mille);
    }
    return length * 1000 / slowest;
  }
  Duration Timeout() const { return OnAnyClock(plan_.group.election_timeout); }
  // All that a member asked for of a snapshot may have been lost just before the faults ended.
  Duration AsksAgain() const { return OnAnyClock(PieceAsks::kLongestPatience); }

  // Nobody reads anything: what has rotted in sealed blocks is healed by the scrub alone.
  void CheckScrubbed() {
    if (plan_.scrub.bytes_per_second > 0 && plan_.weight(FaultKind::kRot) > 0) {
      SimNode& node = cluster_.node(plan_.rotting());
      for (int i = 0; node.running() && i < kRottenAtRest; ++i) {
        node.disk().Rot(SimDisk::Rotten::kSealedEntries);
      }
    }
    std::map<SimNode*, uint64_t> rounds;
    for (const auto& node : cluster_.nodes()) {
      if (const auto progress = node->scrub()) rounds[node.get()] = progress->rounds + 2;
    }
    if (rounds.empty()) return;
    Require("the scrub does not get round", plan_.scrub.period * 4 + Seconds(20), [&rounds] {
      return std::all_of(rounds.begin(), rounds.end(), [](const auto& each) {
        const auto progress = each.first->scrub();
        return !progress || progress->rounds >= each.second;
      });
    });
    RunFor(Timeout() * 4, [] { return false; });
    for (const auto& [node, wanted] : rounds) {
      const auto progress = node->scrub();
      if (!progress) continue;
      if (progress->damaged > 0) world_.counters.Count("scrub found bad entries");
      if (progress->repaired > 0) world_.counters.Count("entries found by the scrub were repaired");
      if (progress->healed > 0) world_.counters.Count("scrub wrote a copy again");
      if (!ServesAllGroups(*node)) continue;
      const std::string rot = node->disk().RotInSealedBlocks();
      if (rot.empty()) continue;
      world_.violations.Report("rot in sealed blocks is healed",
                               absl::StrCat("n", ToInteger(node->id()), ":", rot));
    }
  }

  bool ServesAllGroups(SimNode& node) {
    for (GroupId group : groups_) {
      Group* handle = node.group(group);
      if (handle == nullptr || handle->Status().state != NodeState::kServing) return false;
    }
    return true;
  }

  // A change under way comes to its end where all it needs is there. Otherwise it is cancelled.
  void FinishChange(GroupId group) {
    const Ledger& ledger = cluster_.referees().at(group)->ledger();
    auto idle = [&ledger] {
      return !ledger.configuration().joint() && !ledger.configuration().target;
    };
    if (RunFor(Timeout() * 15 + AsksAgain(), idle) || world_.violations.any()) return;
    const Configuration configuration = ledger.configuration();
    const std::vector<SimNode*> whole = cluster_.Whole();
    auto is_whole = [&](const Member& member) {
      return std::any_of(whole.begin(), whole.end(),
                         [&](SimNode* node) { return node->id() == member.node; }) &&
             !WasReset(group, member);
    };
    const std::vector<Member>& target =
        configuration.target ? configuration.target->voters : configuration.voters;
    if (configuration.joint() || std::all_of(target.begin(), target.end(), is_whole)) {
      return Require("a change does not come to its end", Duration{}, idle);
    }
    world_.counters.Count("change cancelled at the end");
    Repeat("a change cannot be cancelled", [this, group](std::function<void(bool)> done) {
      SimNode* leader = cluster_.Leader(group);
      if (leader == nullptr) return done(false);
      calls_.Control(group, leader->id(), CancelRequest{}, leader->Now() + Timeout(),
                     [done = std::move(done)](const ControlResult& result) {
                       done(std::holds_alternative<ControlDone>(result));
                     });
    });
    Require("a cancelled change stays", Timeout() * 10, idle);
  }

  // It is named with a disk that is gone.
  bool WasReset(GroupId group, const Member& member) {
    const Incarnation now = cluster_.referees().at(group)->resets().incarnation(member.node);
    return now != Incarnation::kUnknown && member.incarnation != now;
  }

  // Whoever reset a learner has not come to declare it anew.
  void TakeOutReset(GroupId group) {
    const Configuration& now = cluster_.referees().at(group)->ledger().configuration();
    const auto was_reset = [&](const Member& member) { return WasReset(group, member); };
    if (std::none_of(now.learners.begin(), now.learners.end(), was_reset)) return;
    DeclaredMembers members = {now.voters, now.learners};
    std::erase_if(members.learners, was_reset);
    const Instant give_up = world_.events.now() + Timeout() * 30;
    const auto is_out = [&] {
      const Configuration& then = cluster_.referees().at(group)->ledger().configuration();
      return then.learners.size() == members.learners.size() && !then.target;
    };
    while (!world_.violations.any() && !is_out() && world_.events.now() < give_up) {
      if (SimNode* leader = cluster_.Leader(group); leader != nullptr) {
        calls_.Declare(group, leader->id(), {members, 0}, "", leader->Now() + Timeout());
      }
      RunFor(Timeout() * 2, is_out);
    }
    Require("a learner that was reset cannot be removed", Duration{}, is_out);
    world_.counters.Count("learner that was reset is taken out");
  }

  // Members that cannot tell whether their last entries were acknowledged, since another one is
  // gone for good, and without whom there is no quorum (docs/decisions.md, "Torn tails").
  bool TornTailWaits() {
    for (GroupId group : groups_) {
      std::vector<SimNode*> sure = cluster_.Whole();
      if (sure.size() == cluster_.Present().size()) continue;
      std::erase_if(sure, [group](SimNode* node) {
        Group* handle = node->group(group);
        return handle == nullptr || handle->Status().state == NodeState::kRepairing;
      });
      if (!cluster_.CanDecide(group, sure)) return true;
    }
    return false;
  }

  // What a call that is made until it succeeds has come to; outlives the call.
  struct Attempts {
    bool done = false;
    bool waiting = false;
  };

  // Repeats `call` until it says true to what it is given, a heartbeat after each failure.
  void Repeat(const char* what, const std::function<void(std::function<void(bool)>)>& call) {
    auto attempts = std::make_shared<Attempts>();
    // A voter may need a snapshot first; of one under way a piece was lost, or it came from nobody
    // who has it any more.
    const Duration snapshot = SnapshotReceiver::kIdle + TakesNoSnapshot();
    Require(what, Timeout() * 10 + snapshot, [this, attempts, &call] {
      if (attempts->done || attempts->waiting) return attempts->done;
      attempts->waiting = true;
      // May be told by the end of a process, when this object is gone.
      call([&events = world_.events, pause = plan_.group.heartbeat_interval, attempts](bool done) {
        attempts->done |= done;
        events.After(pause, [attempts] { attempts->waiting = false; });
      });
      return attempts->done;
    });
  }

  // One more command, through any member.
  void AppendLast(GroupId group) {
    Repeat("no new command is acknowledged", [this, group](std::function<void(bool)> done) {
      std::vector<SimNode*> healthy = cluster_.Healthy(group);
      CommandId id = calls_.NewCommand();
      SimNode* node = healthy[id % healthy.size()];
      calls_.Propose(group, node->id(), id, MakeCommand(id, "the last one"), {},
                     [done = std::move(done)](ProposalResult result) {
                       done(std::holds_alternative<ProposalApplied>(result));
                     });
    });
  }

  // A few more commands, one after the other, through the leader: what the members say to each
  // other for that, on a network that loses nothing, is bounded.
  void CheckMessages(GroupId group) {
    SimNode* leader = cluster_.Leader(group);
    if (world_.violations.any() || leader == nullptr) return;
    Referee& referee = *cluster_.referees().at(group);
    const Term term = referee.ledger().last_term();
    const Instant start = world_.events.now();
    const uint64_t before = referee.bounds().messages();
    for (uint64_t i = 0; i < kCommitsToCount; ++i) {
      auto applied = std::make_shared<std::optional<bool>>();
      const CommandId id = calls_.NewCommand();
      calls_.Propose(group, leader->id(), id, MakeCommand(id, "one of a few"), {},
                     [applied](const ProposalResult& result) {
                       *applied = std::holds_alternative<ProposalApplied>(result);
                     });
      Require("a command is not answered", Timeout() * 10,
              [&applied] { return applied->has_value(); });
      if (world_.violations.any() || !**applied) return;
    }
    if (referee.ledger().last_term() != term) return;
    world_.counters.Count("messages per commit counted");
    referee.bounds().Committed({.commits = kCommitsToCount,
                                .peers = referee.ledger().configuration().Nodes().size() - 1,
                                .messages = referee.bounds().messages() - before,
                                .took = world_.events.now() - start});
  }

  bool Converged(GroupId group) {
    Referee& referee = *cluster_.referees().at(group);
    for (SimNode* node : cluster_.Healthy(group)) {
      if (referee.states().applied(node->id()) < referee.ledger().commit()) return false;
    }
    return true;
  }

  void ReadLast(GroupId group, NodeId node) {
    Repeat("a read is not answered", [this, group, node](std::function<void(bool)> done) {
      calls_.Read(group, node, ReadOptions(), calls_.ReadHorizon(group), std::move(done));
    });
  }

  // Nobody asks for anything: a heartbeat or two later all is written and acknowledged, and the
  // status, which is a little old, says so. A member that has only just come gets what it lacks.
  void CheckAtRest(GroupId group) {
    RunFor(Timeout() * 2 + Milliseconds(200), [] { return false; });
    for (SimNode* node : cluster_.Healthy(group)) {
      Referee& referee = *cluster_.referees().at(group);
      RunFor(Timeout() * 4, [&] {
        const GroupStatus status = node->group(group)->Status();
        return BoundsChecker::NothingUnderWay(status) && referee.membership().IsInForce(status) &&
               status.durable_index == status.last_index;
      });
      const GroupStatus status = node->group(group)->Status();
      referee.bounds().ShownAtRest(node->id(), status);
      referee.membership().ShownAtRest(node->id(), status);
    }
  }

  SimCluster& cluster_;
  World& world_;
  const FaultPlan& plan_;
  Calls& calls_;
  const TailFollowers& tails_;
  const std::vector<GroupId> groups_;
};

}  // namespace

void Recover(SimCluster& cluster, Calls& calls, const TailFollowers& tails) {
  Recovery(cluster, calls, tails).Run();
}

}  // namespace cairn::sim
