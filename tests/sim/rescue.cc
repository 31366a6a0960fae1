#include "tests/sim/rescue.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "tests/sim/sub_seed.h"

namespace cairn::sim {
namespace {

constexpr GroupId kGroup = GroupId::kDefault;

}  // namespace

class Rescue::Rescuer {
 public:
  Rescuer(SimCluster& cluster, Calls& calls, TailFollowers& tails)
      : cluster_(cluster),
        world_(cluster.world()),
        plan_(cluster.plan()),
        calls_(calls),
        tails_(tails),
        referee_(*cluster.referees().at(kGroup)),
        random_(SubSeed(cluster.plan().seed, "rescue")) {
    const size_t most = plan_.members - 1;
    const size_t least = plan_.members - plan_.members / 2;
    const size_t lost = least + random_.Below(most - least + 1);
    while (lost_.size() < lost) lost_.insert(NodeId{1 + random_.Below(plan_.members)});
  }

  // For the last while those who will be left hear nothing of the others, who go on.
  void Start() {
    const Duration while_cut_off = plan_.group.election_timeout * 6;
    if (random_.OneIn(4) || while_cut_off > plan_.under_fire) return;
    world_.events.After(plan_.under_fire - while_cut_off, [this] {
      for (const auto& node : cluster_.nodes()) {
        if (lost_.contains(node->id())) continue;
        for (NodeId lost : lost_) {
          cluster_.network().Block(lost, node->id());
          cluster_.network().Block(node->id(), lost);
        }
      }
    });
  }

  bool Run() {
    LoseMajority();
    cluster_.Heal();
    // Whoever led has noticed by then, and nothing is under way any more.
    world_.RunFor(Timeout() * 5, [] { return false; });
    if (world_.violations.any()) return false;
    if (std::any_of(survivors_.begin(), survivors_.end(), [](SimNode* node) {
          Group* handle = node->group(kGroup);
          return handle == nullptr || handle->Status().state == NodeState::kRepairing ||
                 handle->Status().configuration_index == 0;
        })) {
      world_.counters.Count("no rescue: a survivor cannot tell what it holds");
      return false;
    }
    AskTooMuch();
    SimNode& best = Best();
    const LogImage held = referee_.ledger().log(best.id()).live();
    AgreeOnLoss(best);
    Overrule();
    CheckKept(held);
    if (plan_.rescue == RescueKind::kQuorum) Declare(survivor_members(), "cannot remove the lost");
    Join();
    ReturnSome();
    return !world_.violations.any();
  }

 private:
  Duration Timeout() const {
    int64_t slowest = 1000;
    for (const NodeOptions& node : plan_.nodes) {
      slowest = std::min(slowest, node.clock_rate_per_mille);
    }
    return plan_.group.election_timeout * 1000 / slowest;
  }

  void Require(const char* what, Duration length, const std::function<bool()>& done) {
    world_.Require(what, length, done, [this] {
      std::string text;
      for (SimNode* node : survivors_) {
        Group* handle = node->group(kGroup);
        if (handle == nullptr) continue;
        const GroupStatus status = handle->Status();
        absl::StrAppend(&text, " n", ToInteger(node->id()), " ", NameOf(status.role), " of term ",
                        status.term, ", log ", status.last_index, ", commit ", status.commit_index,
                        ", ", ToString(status.configuration), ", ", status.reason);
      }
      return text;
    });
  }

  void LoseMajority() {
    for (NodeId id : cluster_.Present()) {
      SimNode& node = cluster_.node(id);
      if (lost_.contains(id)) {
        node.Retire();
      } else {
        survivors_.push_back(&node);
      }
    }
    world_.log.Add(NodeId::kNone, "majority lost", {lost_.size()});
  }

  // While a majority is left nobody may be overruled.
  void AskTooMuch() {
    const size_t minority = (plan_.members - 1) / 2;
    if (minority == 0) return;
    SimNode& asked = *survivors_[random_.Below(survivors_.size())];
    UnsafeRecoveryRequest request;
    for (NodeId node : lost_) {
      if (request.evicted.size() < minority) request.evicted.push_back(node);
    }
    auto told = std::make_shared<bool>(false);
    calls_.Control(kGroup, asked.id(), request, asked.Now() + Timeout(),
                   [this, told](const ControlResult& result) {
                     *told = true;
                     const auto* refused = std::get_if<ControlRefused>(&result);
                     if (refused == nullptr) {
                       world_.violations.Report("nothing is overruled while a majority is left",
                                                "an eviction of fewer is done");
                     } else if (refused->reason == ControlRefused::Reason::kNotLost) {
                       world_.counters.Count("unsafe recovery refused: a majority is left");
                     }
                   });
    Require("an operator is not answered", Timeout() * 2, [told] { return *told; });
  }

  // By the rule of elections (paper 5.4.1).
  SimNode& Best() {
    return **std::max_element(survivors_.begin(), survivors_.end(), [](SimNode* a, SimNode* b) {
      const GroupStatus one = a->group(kGroup)->Status();
      const GroupStatus other = b->group(kGroup)->Status();
      return std::tie(one.last_term, one.last_index) < std::tie(other.last_term, other.last_index);
    });
  }

  void AgreeOnLoss(SimNode& best) {
    Ledger::Override rule;
    if (plan_.rescue == RescueKind::kEvict) {
      rule.evicted = lost_;
    } else {
      rule.quorum = survivors_.size();
    }
    referee_.Rescue(best.id(), lost_, std::move(rule));
    tails_.ForgetBehind(referee_.ledger().commit());
    world_.log.Add(best.id(), "rescue", {referee_.ledger().commit()});
  }

  // Until one leads, all of them are told, again and again.
  void Overrule() {
    const std::vector<NodeId> lost(lost_.begin(), lost_.end());
    const Instant give_up = world_.events.now() + Timeout() * 60;
    auto leads = [this] { return cluster_.Leader(kGroup) != nullptr && Forced(); };
    while (!world_.violations.any() && !leads() && world_.events.now() < give_up) {
      for (SimNode* node : survivors_) {
        UnsafeRecoveryRequest request;
        if (plan_.rescue == RescueKind::kEvict) {
          request.evicted = lost;
        } else {
          request.quorum = survivors_.size();
        }
        calls_.Control(kGroup, node->id(), std::move(request), node->Now() + Timeout(),
                       [this](const ControlResult& result) {
                         const auto* refused = std::get_if<ControlRefused>(&result);
                         world_.counters.Count(
                             absl::StrCat("unsafe recovery answered: ",
                                          refused == nullptr ? "done" : NameOf(refused->reason)));
                       });
      }
      world_.RunFor(Timeout() * 4, leads);
    }
    Require("no leader comes of an unsafe recovery", Duration{}, leads);
  }

  bool Forced() const { return referee_.ledger().configuration().unsafe_recoveries.count > 0; }

  // Whatever the survivor with the furthest log held is committed now.
  void CheckKept(const LogImage& held) {
    const Ledger& ledger = referee_.ledger();
    for (Index index = held.base() + 1; index <= held.last(); ++index) {
      if (world_.violations.any()) return;
      if (index <= ledger.commit() && ledger.Committed(index) == *held.Find(index)) continue;
      world_.violations.Report(
          "what a survivor holds is kept",
          absl::StrCat("entry ", index, " of ", held.last(), " is not committed"));
    }
  }

  DeclaredMembers survivor_members() {
    DeclaredMembers members;
    for (const Member& voter : referee_.ledger().configuration().voters) {
      if (!lost_.contains(voter.node)) members.voters.push_back(voter);
    }
    return members;
  }

  // An ordinary change, at the leader, as often as it takes.
  void Declare(const DeclaredMembers& members, const char* what) {
    auto is_there = [this, &members] {
      const Configuration& now = referee_.ledger().configuration();
      return !now.joint() && !now.target && SameNodes(now.voters, members.voters);
    };
    const Instant give_up = world_.events.now() + Timeout() * 60;
    while (!world_.violations.any() && !is_there() && world_.events.now() < give_up) {
      if (SimNode* leader = cluster_.Leader(kGroup); leader != nullptr) {
        calls_.Declare(kGroup, leader->id(), {members, 0}, "", leader->Now() + Timeout());
      }
      world_.RunFor(Timeout() * 4, is_there);
    }
    Require(what, Duration{}, is_there);
  }

  void Join() {
    if (world_.violations.any()) return;
    SimNode& fresh = cluster_.node(static_cast<NodeId>(plan_.nodes.size()));
    fresh.Join(referee_.ledger().configuration());
    DeclaredMembers members = survivor_members();
    members.voters.push_back(
        {fresh.id(), fresh.incarnation(), absl::StrCat("node", ToInteger(fresh.id()), ":1")});
    Declare(members, "nobody can be added after an unsafe recovery");
    Require(
        "a new member does not show that there was an unsafe recovery", Timeout() * 10, [&fresh] {
          Group* handle = fresh.group(kGroup);
          return handle != nullptr && handle->Status().configuration.unsafe_recoveries.count == 1;
        });
    world_.counters.Count("member joined after an unsafe recovery");
  }

  // Of those who were lost, so few that they cannot elect one of them by what they know.
  void ReturnSome() {
    if (world_.violations.any()) return;
    const size_t most = std::min(lost_.size(), plan_.members / 2);
    const size_t count = 1 + random_.Below(most);
    std::vector<SimNode*> back;
    for (NodeId node : lost_) {
      if (back.size() < count) back.push_back(&cluster_.node(node));
    }
    for (SimNode* node : back) node->Return();
    Require("a lost member that comes back is not told", Timeout() * 30, [&back] {
      return std::all_of(back.begin(), back.end(),
                         [](SimNode* node) { return node->told_off() > 0; });
    });
    for (SimNode* node : back) node->Retire();
  }

  SimCluster& cluster_;
  World& world_;
  const FaultPlan& plan_;
  Calls& calls_;
  TailFollowers& tails_;
  Referee& referee_;
  Random random_;
  std::set<NodeId> lost_;
  std::vector<SimNode*> survivors_;
};

Rescue::Rescue(SimCluster& cluster, Calls& calls, TailFollowers& tails)
    : rescuer_(std::make_unique<Rescuer>(cluster, calls, tails)) {}
Rescue::~Rescue() = default;
void Rescue::Start() { rescuer_->Start(); }
bool Rescue::Run() { return rescuer_->Run(); }

}  // namespace cairn::sim
