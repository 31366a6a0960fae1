#include "tests/sim/operator.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "tests/sim/sub_seed.h"

namespace cairn::sim {
namespace {

// More voters than this at a time only cost time.
constexpr size_t kMostVoters = 5;

bool Names(const std::vector<Member>& members, NodeId node) {
  return std::any_of(members.begin(), members.end(),
                     [node](const Member& member) { return member.node == node; });
}

}  // namespace

Operator::Operator(SimCluster& cluster, Calls& calls)
    : cluster_(cluster),
      calls_(calls),
      options_(cluster.plan().operations),
      random_(SubSeed(cluster.plan().seed, "operator")) {}

void Operator::Start() {
  if (options_.total() == 0) return;
  Run();
  if (options_.changes == 0) return;
  for (const auto& [group, referee] : cluster_.referees()) {
    referee->ObserveLeaders([this, group = group](NodeId leader) { OnLeader(group, leader); });
  }
}

// A leader is often asked before it has committed anything.
void Operator::OnLeader(GroupId group, NodeId leader) {
  if (stopped_ || !random_.OneIn(3)) return;
  const int64_t longest = cluster_.plan().network.longest_delay.nanoseconds + 1;
  const auto wait = static_cast<int64_t>(random_.Below(static_cast<uint64_t>(longest)));
  cluster_.world().events.After(Nanoseconds(wait), [this, group, leader] {
    if (!stopped_) Declare(group, cluster_.node(leader));
  });
}

void Operator::Run() {
  const uint64_t bound = static_cast<uint64_t>(options_.longest_think.nanoseconds) + 1;
  const Duration think = Nanoseconds(static_cast<int64_t>(random_.Below(bound)));
  cluster_.world().events.After(think, [this] {
    if (stopped_) return;
    if (cluster_.EverLed()) Act(static_cast<GroupId>(1 + random_.Below(cluster_.plan().groups)));
    Run();
  });
}

void Operator::Act(GroupId group) {
  SimNode& any = cluster_.AnyPresent(random_);
  if (random_.OneIn(4)) Tend(any);
  SimNode* leader = cluster_.Leader(group);
  SimNode& asked = leader == nullptr || random_.OneIn(8) ? any : *leader;
  uint64_t drawn = random_.Below(options_.total());
  auto chosen = [&drawn](uint64_t weight) {
    if (drawn < weight) return true;
    drawn -= weight;
    return false;
  };
  if (chosen(options_.changes)) return Declare(group, asked);
  if (chosen(options_.cancels)) return Cancel(group, asked);
  if (chosen(options_.transfers)) return Transfer(group, asked);
  if (chosen(options_.campaigns)) {
    return calls_.Control(group, any.id(), CampaignRequest{}, Deadline(any), [this](auto result) {
      const bool done = std::holds_alternative<ControlDone>(result);
      cluster_.world().counters.Count(done ? "campaign answered: done" : "campaign refused");
    });
  }
  if (chosen(options_.step_downs)) {
    return calls_.Control(group, asked.id(), StepDownRequest{}, Deadline(asked),
                          [this](auto result) {
                            const bool done = std::holds_alternative<ControlDone>(result);
                            cluster_.world().counters.Count(done ? "leader stepped down when asked"
                                                                 : "step-down refused");
                          });
  }
  calls_.Snapshot(group, any.id());
}

Instant Operator::Deadline(SimNode& node) {
  const int64_t timeouts = static_cast<int64_t>(1 + random_.Below(4));
  return node.Now() + cluster_.plan().group.election_timeout * timeouts;
}

NodeId Operator::AnyOf(const std::vector<Member>& members) {
  return members.empty() ? NodeId::kNone : members[random_.Below(members.size())].node;
}

NodeId Operator::AnyId() { return static_cast<NodeId>(random_.Below(cluster_.size() + 2)); }

// Leadership --------------------------------------------------------------------------------------

void Operator::Transfer(GroupId group, SimNode& node) {
  NodeId target = NodeId::kNone;  // the best voter
  Group* handle = node.group(group);
  if (handle != nullptr && random_.OneIn(2)) target = AnyOf(handle->Status().configuration.voters);
  if (random_.OneIn(6)) target = AnyId();
  calls_.Control(
      group, node.id(), TransferRequest{target}, Deadline(node),
      [this, group, target, asked = node.id()](ControlResult result) {
        Counters& counters = cluster_.world().counters;
        const auto* done = std::get_if<ControlDone>(&result);
        if (done == nullptr) {
          const auto& refused = std::get<ControlRefused>(result);
          return counters.Count(absl::StrCat("transfer answered: ", NameOf(refused.reason)));
        }
        counters.Count("transfer answered: done");
        const Ledger& ledger = cluster_.referees().at(group)->ledger();
        if ((target == NodeId::kNone || done->leader == target) && ledger.EverLed(done->leader)) {
          return;
        }
        cluster_.world().violations.Report(
            "answers are true",
            absl::StrCat("n", ToInteger(asked), " says that n", ToInteger(done->leader),
                         " leads, asked for n", ToInteger(target)));
      });
}

// Membership --------------------------------------------------------------------------------------

void Operator::Cancel(GroupId group, SimNode& node) {
  calls_.Control(group, node.id(), CancelRequest{}, Deadline(node), [this](ControlResult result) {
    const auto* refused = std::get_if<ControlRefused>(&result);
    cluster_.world().counters.Count(
        absl::StrCat("cancel answered: ", refused == nullptr ? "done" : NameOf(refused->reason)));
  });
}

void Operator::Declare(GroupId group, SimNode& node) {
  Group* handle = node.group(group);
  // Who is being reset must not become a voter meanwhile.
  if (handle == nullptr || cluster_.referees().at(group)->resets().under_way()) return;
  const GroupStatus status = handle->Status();
  if (status.configuration.voters.empty()) return;
  std::string tag;
  MembershipRequest request = {Draw({group, status.configuration, status.leader}, &tag), 0};
  if (random_.OneIn(2)) request.based_on = status.configuration_index;
  calls_.Declare(group, node.id(), std::move(request), tag, Deadline(node));
  // Somebody changes their mind.
  if (options_.cancels == 0 || !random_.OneIn(3)) return;
  const Duration soon = cluster_.plan().group.election_timeout / 8;
  cluster_.world().events.After(soon, [this, group, &node] {
    if (!stopped_) Cancel(group, node);
  });
}

DeclaredMembers Operator::Draw(const Current& now, std::string* tag) {
  const Configuration& current = now.configuration;
  const bool further = current.target && random_.OneIn(2);
  DeclaredMembers members = further
                                ? DeclaredMembers{current.target->voters, current.target->learners}
                                : DeclaredMembers{current.voters, current.learners};
  for (uint64_t edits = random_.OneIn(4) ? 2 : 1; edits > 0; --edits) {
    Edit(members, now);
  }
  if (random_.OneIn(30)) members.voters.clear();
  if (random_.OneIn(30) && !members.voters.empty()) members.voters.push_back(members.voters[0]);
  // A new address, for its own sake or that of a new node. Nobody else uses it.
  std::vector<Member*> all;
  for (auto* list : {&members.voters, &members.learners}) {
    for (Member& member : *list) all.push_back(&member);
  }
  std::vector<Member*> fresh;
  for (Member* member : all) {
    if (!current.IsMember(member->node)) fresh.push_back(member);
  }
  if (fresh.empty() && random_.OneIn(6)) fresh = all;
  if (!fresh.empty()) {
    Member& member = *fresh[random_.Below(fresh.size())];
    *tag = absl::StrCat("node", ToInteger(member.node), ":", 2 + calls_.requests());
    member.address = *tag;
  }
  return members;
}

void Operator::Edit(DeclaredMembers& members, const Current& current) {
  auto add = [&](std::vector<Member>& list) {
    if (std::optional<Member> fresh = TakeNew(members, current)) list.push_back(*fresh);
  };
  switch (random_.Below(10)) {
    case 0:
      return add(members.learners);
    case 1:
      if (members.voters.size() < kMostVoters) add(members.voters);
      return;
    case 2:  // promote
      if (members.learners.empty()) return add(members.learners);
      members.voters.push_back(members.learners.back());
      members.learners.pop_back();
      return;
    case 3:
      if (MayShrink(members)) Drop(members.voters, AnyOf(members.voters));
      return;
    case 4:
      if (MayShrink(members)) Drop(members.voters, current.leader);
      return;
    case 5:
      return Drop(members.learners, AnyOf(members.learners));
    case 6:
      return Replace(members, current, 1);
    case 7:
      return Replace(members, current, 2 + random_.Below(2));
    case 8: {  // a voter stays as a learner
      if (!MayShrink(members)) return;
      const size_t place = random_.Below(members.voters.size());
      members.learners.push_back(members.voters[place]);
      members.voters.erase(members.voters.begin() + static_cast<std::ptrdiff_t>(place));
      return;
    }
    default:
      return Shuffle(members, current);
  }
}

void Operator::Replace(DeclaredMembers& members, const Current& current, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    std::optional<Member> fresh;
    if (!members.learners.empty()) {
      fresh = members.learners.back();
      members.learners.pop_back();
    } else {
      fresh = TakeNew(members, current);
    }
    if (!fresh) return;
    const NodeId gone = AnyOf(members.voters);
    members.voters.push_back(*fresh);
    if (members.voters.size() > options_.least_voters) Drop(members.voters, gone);
  }
}

// Everybody there is becomes anything.
void Operator::Shuffle(DeclaredMembers& members, const Current& current) {
  std::vector<Member> all = members.voters;
  all.insert(all.end(), members.learners.begin(), members.learners.end());
  if (std::optional<Member> fresh = TakeNew(members, current)) all.push_back(*fresh);
  DeclaredMembers drawn;
  for (const Member& member : all) {
    const uint64_t kind = random_.Below(6);
    if (kind < 4 && drawn.voters.size() < kMostVoters) drawn.voters.push_back(member);
    if (kind == 4) drawn.learners.push_back(member);
  }
  if (drawn.voters.size() >= options_.least_voters) members = std::move(drawn);
}

void Operator::Drop(std::vector<Member>& members, NodeId node) {
  std::erase_if(members, [node](const Member& member) { return member.node == node; });
}

bool Operator::MayShrink(const DeclaredMembers& members) const {
  return members.voters.size() > options_.least_voters;
}

// A node that was never a member of this group: one that waits to be, or is in others, or one that
// starts now.
std::optional<Member> Operator::TakeNew(const DeclaredMembers& members, const Current& current) {
  const MembershipChecker& checker = cluster_.referees().at(current.group)->membership();
  for (const auto& node : cluster_.nodes()) {
    const NodeId id = node->id();
    if (checker.EverMember(id) || current.configuration.IsMember(id) || !node->MayJoin()) continue;
    if (Names(members.voters, id) || Names(members.learners, id)) continue;
    if (!node->present()) {
      node->Join(current.configuration);
      cluster_.world().counters.Count("node started to join");
    }
    // An operator may not know which disk it is.
    const Incarnation disk = random_.OneIn(4) ? Incarnation::kUnknown : node->incarnation();
    return Member{id, disk, absl::StrCat("node", ToInteger(id), ":1")};
  }
  return std::nullopt;
}

void Operator::Tend(SimNode& node) {
  if (!cluster_.HasLeft(node.id())) return;
  Counters& counters = cluster_.world().counters;
  switch (random_.Below(6)) {
    case 0:
      if (node.running()) node.Shutdown();
      return;
    case 1:
      counters.Count("removed node taken away");
      return node.Retire();
    default:
      if (node.running()) return;
      counters.Count("removed node came back");
      return node.Start();
  }
}

}  // namespace cairn::sim
