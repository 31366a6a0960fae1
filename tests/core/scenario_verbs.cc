#include "tests/core/scenario_verbs.h"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "raft/core/options.h"
#include "tests/core/scenario_script.h"

namespace cairn {
namespace {

using Lines = std::vector<std::string>;

// A handler takes its arguments, asks Finish(), acts. What it gives is printed behind what
// happened.
using Handler = absl::StatusOr<Lines> (*)(ScenarioArguments& arguments, ScenarioCluster& cluster);

constexpr uint64_t kAll = std::numeric_limits<uint64_t>::max();

Member MakeMember(uint64_t node) {
  return {.node = NodeId{node},
          .incarnation = Incarnation{100 + node},
          .address = absl::StrCat("n", node)};
}

std::vector<Member> MakeMembers(const std::vector<uint64_t>& nodes) {
  std::vector<Member> members;
  for (uint64_t node : nodes) members.push_back(MakeMember(node));
  return members;
}

// voters=1,2 [outgoing=1,2] [learners=3]
Configuration TakeConfiguration(ScenarioArguments& arguments) {
  return {.voters = MakeMembers(arguments.Numbers("voters")),
          .outgoing_voters = MakeMembers(arguments.Numbers("outgoing")),
          .learners = MakeMembers(arguments.Numbers("learners"))};
}

NodeId TakeNode(ScenarioArguments& arguments, ScenarioCluster& cluster, const std::string& key) {
  NodeId node = arguments.Node(key);
  if (!cluster.Exists(node)) arguments.Fail(absl::StrCat("no node ", ToInteger(node)));
  return node;
}

NodeId TakeNodeThatIs(bool up, ScenarioArguments& arguments, ScenarioCluster& cluster) {
  NodeId node = TakeNode(arguments, cluster, "node");
  if (cluster.Exists(node) && cluster.IsUp(node) != up) {
    arguments.Fail(absl::StrCat("node ", ToInteger(node), up ? " is down" : " is up"));
  }
  return node;
}

NodeId TakeUp(ScenarioArguments& arguments, ScenarioCluster& cluster) {
  return TakeNodeThatIs(true, arguments, cluster);
}

NodeId TakeDown(ScenarioArguments& arguments, ScenarioCluster& cluster) {
  return TakeNodeThatIs(false, arguments, cluster);
}

// [from=N] [to=N] [type=NAME]
MessageFilter TakeFilter(ScenarioArguments& arguments) {
  return {.from = arguments.OptionalNode("from"),
          .to = arguments.OptionalNode("to"),
          .type = arguments.OptionalText("type")};
}

Duration TakeMilliseconds(ScenarioArguments& arguments) {
  return Milliseconds(static_cast<int64_t>(arguments.Number("ms")));
}

// Time -------------------------------------------------------------------------------------------

// tick ms=N [node=N]: time passes, then all nodes, or the one named, look at the clock once.
absl::StatusOr<Lines> Tick(ScenarioArguments& arguments, ScenarioCluster& cluster) {
  Duration duration = TakeMilliseconds(arguments);
  std::optional<NodeId> only = arguments.OptionalNode("node");
  if (only && (!cluster.Exists(*only) || !cluster.IsUp(*only))) arguments.Fail("no such node");
  if (absl::Status status = arguments.Finish(); !status.ok()) return status;
  cluster.Advance(duration);
  for (NodeId node : cluster.nodes()) {
    if (cluster.IsUp(node) && (!only || *only == node)) cluster.Tick(node);
  }
  return Lines();
}

// run ms=N: time passes, timers fire as they are due, and all settles in between.
absl::StatusOr<Lines> Run(ScenarioArguments& arguments, ScenarioCluster& cluster) {
  Duration duration = TakeMilliseconds(arguments);
  if (absl::Status status = arguments.Finish(); !status.ok()) return status;
  cluster.Run(duration);
  return Lines();
}

// timeout node=N: time passes until the node's next timer, and only this node notices.
absl::StatusOr<Lines> Timeout(ScenarioArguments& arguments, ScenarioCluster& cluster) {
  NodeId node = TakeUp(arguments, cluster);
  if (absl::Status status = arguments.Finish(); !status.ok()) return status;
  cluster.Timeout(node);
  return Lines();
}

// settle: messages arrive and disks sync until there is nothing to do at this instant.
absl::StatusOr<Lines> Settle(ScenarioArguments& arguments, ScenarioCluster& cluster) {
  if (absl::Status status = arguments.Finish(); !status.ok()) return status;
  cluster.Settle();
  return Lines();
}

// Nodes and disks --------------------------------------------------------------------------------

// disk node=N terms=1,1,2 [term=T] [vote=N] [torn_from=I] [unsure=1] [configuration=I voters=...]:
// what is on the disk of a node that has not run yet, or that its disk has gone back to. Entries of
// one index and term are the same entry everywhere.
absl::StatusOr<Lines> Disk(ScenarioArguments& arguments, ScenarioCluster& cluster) {
  NodeId node = TakeDown(arguments, cluster);
  std::vector<uint64_t> terms = arguments.Numbers("terms");
  Term last_term = terms.empty() ? 0 : terms.back();
  HardState hard_state{.term = arguments.Number("term", last_term),
                       .vote = NodeId{arguments.Number("vote", 0)}};
  Index torn_from = arguments.Number("torn_from", 0);
  bool unsure = arguments.Number("unsure", 0) != 0;
  Index configured = arguments.Number("configuration", 0);
  Configuration configuration = TakeConfiguration(arguments);
  if (torn_from > terms.size()) arguments.Fail("torn_from is behind the log");
  if (configured > terms.size()) arguments.Fail("configuration is behind the log");
  if (absl::Status status = arguments.Finish(); !status.ok()) return status;

  SimulatedDisk::Write write{
      .ticket = 1, .hard_state = hard_state, .first = terms.empty() ? 0u : 1u};
  for (size_t i = 0; i < terms.size(); ++i) {
    uint64_t value = (uint64_t{1} << 60) + ((i + 1) << 30) + terms[i];
    write.entries.push_back({.term = terms[i], .value = value, .bytes = 100});
    if (i + 1 == configured) write.entries.back().configuration = configuration;
  }
  SimulatedDisk& disk = cluster.disk(node);
  if (!disk.durable().entries.empty()) write.truncate_from = 1;
  disk.Append(std::move(write));
  disk.Sync(1);
  cluster.AdoptDisk(node);
  if (torn_from > 0) disk.Tear(torn_from);
  if (unsure) disk.BeUnsure();
  return Lines();
}

// start [node=N]: the node, or all that are down, start from their disks.
absl::StatusOr<Lines> Start(ScenarioArguments& arguments, ScenarioCluster& cluster) {
  std::optional<NodeId> only = arguments.OptionalNode("node");
  if (only && (!cluster.Exists(*only) || cluster.IsUp(*only))) arguments.Fail("no such node down");
  if (absl::Status status = arguments.Finish(); !status.ok()) return status;
  for (NodeId node : cluster.nodes()) {
    if (!cluster.IsUp(node) && (!only || *only == node)) cluster.Start(node);
  }
  return Lines();
}

// crash node=N [keep=N] [torn_from=I]: a power cut. The first `keep` unsynced writes survive; of
// what survives, the entries from torn_from on lose their bodies.
absl::StatusOr<Lines> Crash(ScenarioArguments& arguments, ScenarioCluster& cluster) {
  NodeId node = TakeUp(arguments, cluster);
  uint64_t keep = arguments.Number("keep", 0);
  Index torn_from = arguments.Number("torn_from", 0);
  if (absl::Status status = arguments.Finish(); !status.ok()) return status;
  if (keep > cluster.disk(node).unsynced_writes()) {
    return absl::InvalidArgumentError("crash: there are not so many unsynced writes");
  }
  cluster.Crash(node, keep);
  if (torn_from > cluster.disk(node).durable().entries.size()) {
    return absl::InvalidArgumentError("crash: torn_from is behind the log");
  }
  if (torn_from > 0) cluster.disk(node).Tear(torn_from);
  return Lines();
}

// priority node=N value=N: from its next start on.
absl::StatusOr<Lines> Priority(ScenarioArguments& arguments, ScenarioCluster& cluster) {
  NodeId node = TakeDown(arguments, cluster);
  uint64_t value = arguments.Number("value");
  if (absl::Status status = arguments.Finish(); !status.ok()) return status;
  cluster.SetPriority(node, static_cast<uint32_t>(value));
  return Lines();
}

// slow node=N | fast node=N: whether its disk syncs only when told.
absl::StatusOr<Lines> SlowOrFast(ScenarioArguments& arguments, ScenarioCluster& cluster) {
  NodeId node = TakeNode(arguments, cluster, "node");
  if (absl::Status status = arguments.Finish(); !status.ok()) return status;
  cluster.SetSlow(node, arguments.verb() == "slow");
  return Lines();
}

// sync node=N [writes=N]: the disk completes what is written, or the first `writes` of it.
absl::StatusOr<Lines> Sync(ScenarioArguments& arguments, ScenarioCluster& cluster) {
  NodeId node = TakeUp(arguments, cluster);
  uint64_t writes = arguments.Number("writes", kAll);
  if (absl::Status status = arguments.Finish(); !status.ok()) return status;
  if (cluster.disk(node).unsynced() == 0) {
    return absl::InvalidArgumentError("sync: everything is synced");
  }
  cluster.Sync(node, writes);
  return Lines();
}

// Clients and the node above ---------------------------------------------------------------------

// propose node=N [count=1] [bytes=100]: `count` entries of `bytes` bytes each.
absl::StatusOr<Lines> Propose(ScenarioArguments& arguments, ScenarioCluster& cluster) {
  NodeId node = TakeUp(arguments, cluster);
  uint64_t count = arguments.Number("count", 1);
  uint64_t bytes = arguments.Number("bytes", 100);
  if (absl::Status status = arguments.Finish(); !status.ok()) return status;
  cluster.Propose(node, count, bytes);
  return Lines();
}

// read node=N [lease]: reads are numbered from 1 on. lease: it allows an answer by the lease.
absl::StatusOr<Lines> Read(ScenarioArguments& arguments, ScenarioCluster& cluster) {
  NodeId node = TakeUp(arguments, cluster);
  bool lease = arguments.Flag("lease");
  if (absl::Status status = arguments.Finish(); !status.ok()) return status;
  cluster.Read(node, lease);
  return Lines();
}

// Leadership and membership -----------------------------------------------------------------------

// observer node=N: never campaigns, from its next start on.
absl::StatusOr<Lines> Observer(ScenarioArguments& arguments, ScenarioCluster& cluster) {
  NodeId node = TakeDown(arguments, cluster);
  if (absl::Status status = arguments.Finish(); !status.ok()) return status;
  cluster.SetNeverCampaigns(node);
  return Lines();
}

// wipe node=N: the node, which is down, comes back with an empty disk and knows no members.
absl::StatusOr<Lines> Wipe(ScenarioArguments& arguments, ScenarioCluster& cluster) {
  NodeId node = TakeDown(arguments, cluster);
  if (absl::Status status = arguments.Finish(); !status.ok()) return status;
  cluster.Wipe(node);
  return Lines();
}

// change node=N voters=1,2 [learners=3] [moved=3] [to=1]: declares these members to the node, each
// with the disk it has now; those `moved` have another address, or that of node `to`.
absl::StatusOr<Lines> Change(ScenarioArguments& arguments, ScenarioCluster& cluster) {
  NodeId node = TakeUp(arguments, cluster);
  DeclaredMembers members = {.voters = MakeMembers(arguments.Numbers("voters")),
                             .learners = MakeMembers(arguments.Numbers("learners"))};
  std::vector<uint64_t> moved = arguments.Numbers("moved");
  std::optional<NodeId> to = arguments.OptionalNode("to");
  for (auto* list : {&members.voters, &members.learners}) {
    for (Member& member : *list) {
      if (cluster.Exists(member.node)) member.incarnation = cluster.incarnation(member.node);
      if (std::count(moved.begin(), moved.end(), ToInteger(member.node)) > 0) {
        member.address = to ? MakeMember(ToInteger(*to)).address : member.address + "-moved";
      }
    }
  }
  if (absl::Status status = arguments.Finish(); !status.ok()) return status;
  cluster.Change(node, std::move(members));
  return Lines();
}

// cancel node=N | campaign node=N | stepdown node=N | mayrun node=N | maynotrun node=N
absl::StatusOr<Lines> Control(ScenarioArguments& arguments, ScenarioCluster& cluster) {
  NodeId node = TakeUp(arguments, cluster);
  if (absl::Status status = arguments.Finish(); !status.ok()) return status;
  if (arguments.verb() == "cancel") cluster.Cancel(node);
  if (arguments.verb() == "campaign") cluster.Campaign(node);
  if (arguments.verb() == "stepdown") cluster.StepDown(node);
  if (arguments.verb() == "mayrun") cluster.HoldCandidacy(node, false);
  if (arguments.verb() == "maynotrun") cluster.HoldCandidacy(node, true);
  return Lines();
}

// transfer node=N [to=N] ms=N: the node hands its leadership over, to the best without `to`.
absl::StatusOr<Lines> Transfer(ScenarioArguments& arguments, ScenarioCluster& cluster) {
  NodeId node = TakeUp(arguments, cluster);
  NodeId target = arguments.OptionalNode("to").value_or(NodeId::kNone);
  Duration patience = TakeMilliseconds(arguments);
  if (absl::Status status = arguments.Finish(); !status.ok()) return status;
  cluster.Transfer(node, target, patience);
  return Lines();
}

// unsafe node=N evict=2,3 | quorum=N, [expiry_ms=300000] [check]: the node is told that a majority
// is lost; check: it is asked whether it would do it.
absl::StatusOr<Lines> Unsafe(ScenarioArguments& arguments, ScenarioCluster& cluster) {
  NodeId node = TakeUp(arguments, cluster);
  UnsafeRecover recover;
  for (uint64_t evicted : arguments.Numbers("evict")) recover.evicted.push_back(NodeId{evicted});
  recover.quorum = arguments.Number("quorum", 0);
  recover.expiry = Milliseconds(static_cast<int64_t>(arguments.Number("expiry_ms", 300'000)));
  recover.only_check = arguments.Flag("check");
  if (absl::Status status = arguments.Finish(); !status.ok()) return status;
  cluster.RecoverUnsafely(node, std::move(recover));
  return Lines();
}

// expect loss: from here on promises of the group may be broken, as unsafe recoveries do.
absl::StatusOr<Lines> ExpectLoss(ScenarioArguments& arguments, ScenarioCluster& cluster) {
  if (arguments.Word() != "loss") arguments.Fail("loss");
  if (absl::Status status = arguments.Finish(); !status.ok()) return status;
  cluster.ExpectLoss();
  return Lines();
}

// unreachable node=N peer=N: the node's transport reports that the connection to the peer broke.
absl::StatusOr<Lines> Unreachable(ScenarioArguments& arguments, ScenarioCluster& cluster) {
  NodeId node = TakeUp(arguments, cluster);
  NodeId peer = TakeNode(arguments, cluster, "peer");
  if (absl::Status status = arguments.Finish(); !status.ok()) return status;
  cluster.ReportUnreachable(node, peer);
  return Lines();
}

// diskfail node=N: a write or sync of its disk has failed.
absl::StatusOr<Lines> FailDisk(ScenarioArguments& arguments, ScenarioCluster& cluster) {
  NodeId node = TakeUp(arguments, cluster);
  if (absl::Status status = arguments.Finish(); !status.ok()) return status;
  cluster.FailDisk(node);
  return Lines();
}

// lost node=N peer=N how=silent|restarted|doubtful: the node hears what became of the peer's host.
absl::StatusOr<Lines> Lost(ScenarioArguments& arguments, ScenarioCluster& cluster) {
  const std::map<std::string, HostLost::How> kHows = {{"silent", HostLost::How::kSilent},
                                                      {"restarted", HostLost::How::kRestarted},
                                                      {"doubtful", HostLost::How::kDoubtful}};
  NodeId node = TakeUp(arguments, cluster);
  NodeId peer = TakeNode(arguments, cluster, "peer");
  auto how = kHows.find(arguments.OptionalText("how").value_or(""));
  if (how == kHows.end()) arguments.Fail("how=silent, restarted or doubtful");
  if (absl::Status status = arguments.Finish(); !status.ok()) return status;
  cluster.ReportHostLost(node, {.peer = peer, .how = how->second});
  return Lines();
}

// compact node=N up_to=I: what the entries up to I have made is durable elsewhere.
absl::StatusOr<Lines> Compact(ScenarioArguments& arguments, ScenarioCluster& cluster) {
  NodeId node = TakeUp(arguments, cluster);
  Index up_to = arguments.Number("up_to");
  if (absl::Status status = arguments.Finish(); !status.ok()) return status;
  cluster.Compact(node, up_to);
  return Lines();
}

// snapshot from=N to=N [at=I]: a whole snapshot of what the one has applied, at I or all of it,
// stands on the disk of the other; if that one is up it is told.
absl::StatusOr<Lines> Snapshot(ScenarioArguments& arguments, ScenarioCluster& cluster) {
  NodeId from = TakeNode(arguments, cluster, "from");
  NodeId to = TakeNode(arguments, cluster, "to");
  if (cluster.Exists(from) && !cluster.IsUp(from)) arguments.Fail("the sender is down");
  Index at = arguments.Number("at", 0);
  if (absl::Status status = arguments.Finish(); !status.ok()) return status;
  const Index applied = cluster.raft(from).applied();
  if (at > applied) return absl::InvalidArgumentError("snapshot: not so much is applied");
  cluster.SendSnapshot(from, to, at == 0 ? applied : at);
  return Lines();
}

// Messages ---------------------------------------------------------------------------------------

// deliver | drop | duplicate [from=N] [to=N] [type=NAME] [count=N]: the messages that wait now and
// match, at most `count` of them, in the order they were sent.
absl::StatusOr<Lines> MoveMessages(ScenarioArguments& arguments, ScenarioCluster& cluster) {
  MessageFilter filter = TakeFilter(arguments);
  uint64_t limit = arguments.Number("count", kAll);
  if (absl::Status status = arguments.Finish(); !status.ok()) return status;
  size_t moved = arguments.verb() == "deliver" ? cluster.Deliver(filter, limit)
                 : arguments.verb() == "drop"  ? cluster.Drop(filter, limit)
                                               : cluster.Duplicate(filter, limit);
  if (moved == 0) return absl::InvalidArgumentError(arguments.verb() + ": no message matches");
  return Lines();
}

// hold [from=N] [to=N] [type=NAME]: settling leaves such messages alone. release: no more.
absl::StatusOr<Lines> Hold(ScenarioArguments& arguments, ScenarioCluster& cluster) {
  MessageFilter filter = TakeFilter(arguments);
  if (absl::Status status = arguments.Finish(); !status.ok()) return status;
  cluster.Hold(filter);
  return Lines();
}

absl::StatusOr<Lines> Release(ScenarioArguments& arguments, ScenarioCluster& cluster) {
  if (absl::Status status = arguments.Finish(); !status.ok()) return status;
  cluster.Release();
  return Lines();
}

// partition 1|2,3: only nodes of one side hear each other. heal: all do.
absl::StatusOr<Lines> Partition(ScenarioArguments& arguments, ScenarioCluster& cluster) {
  std::string text = arguments.Word();
  std::vector<std::set<NodeId>> sides;
  for (absl::string_view side : absl::StrSplit(text, '|')) {
    std::set<NodeId>& nodes = sides.emplace_back();
    ScenarioArguments numbers(absl::StrCat("partition nodes=", side));
    for (uint64_t node : numbers.Numbers("nodes")) {
      if (!cluster.Exists(NodeId{node})) arguments.Fail(absl::StrCat("no node ", node));
      nodes.insert(NodeId{node});
    }
    if (absl::Status status = numbers.Finish(); !status.ok()) return status;
  }
  if (absl::Status status = arguments.Finish(); !status.ok()) return status;
  cluster.Partition(std::move(sides));
  return Lines();
}

absl::StatusOr<Lines> Heal(ScenarioArguments& arguments, ScenarioCluster& cluster) {
  if (absl::Status status = arguments.Finish(); !status.ok()) return status;
  cluster.Partition({});
  return Lines();
}

// What there is ----------------------------------------------------------------------------------

// messages: those that wait.
absl::StatusOr<Lines> Messages(ScenarioArguments& arguments, ScenarioCluster& cluster) {
  if (absl::Status status = arguments.Finish(); !status.ok()) return status;
  return cluster.PendingMessages();
}

// show messages|decisions|nothing: how much of what happens is printed from here on.
absl::StatusOr<Lines> Show(ScenarioArguments& arguments, ScenarioCluster& cluster) {
  const std::map<std::string, Detail> kDetails = {{"messages", Detail::kMessages},
                                                  {"decisions", Detail::kDecisions},
                                                  {"nothing", Detail::kNothing}};
  auto detail = kDetails.find(arguments.Word());
  if (detail == kDetails.end()) arguments.Fail("messages, decisions or nothing");
  if (absl::Status status = arguments.Finish(); !status.ok()) return status;
  cluster.SetDetail(detail->second);
  return Lines();
}

// status: where each node stands, and what leaders know of their peers.
absl::StatusOr<Lines> ShowStatus(ScenarioArguments& arguments, ScenarioCluster& cluster) {
  if (absl::Status status = arguments.Finish(); !status.ok()) return status;
  Lines lines;
  for (NodeId node : cluster.nodes()) {
    if (!cluster.IsUp(node)) {
      lines.push_back(absl::StrCat("n", ToInteger(node), " down"));
      continue;
    }
    const Raft& raft = cluster.raft(node);
    lines.push_back(
        absl::StrCat("n", ToInteger(node), " ", NameOf(raft.role()), " term=", raft.term(),
                     " vote=", ToInteger(raft.vote()), " leader=", ToInteger(raft.leader()),
                     " last=", ToString(raft.last()), " commit=", raft.commit(),
                     " durable=", raft.durable(), " applied=", raft.applied(),
                     raft.base().index > 0 ? absl::StrCat(" base=", ToString(raft.base())) : "",
                     raft.torn_from() ? absl::StrCat(" torn_from=", *raft.torn_from()) : "",
                     raft.quiesced() ? " rests" : ""));
    for (NodeId peer : cluster.nodes()) {
      auto known = raft.Peer(peer);
      if (!known) continue;
      lines.push_back(absl::StrCat("   n", ToInteger(peer), " match=", known->match,
                                   " next=", known->next,
                                   known->snapshotting ? " snapshotting"
                                   : known->probing    ? " probing"
                                                       : " replicating",
                                   " inflight_bytes=", known->inflight_bytes));
    }
  }
  return lines;
}

// log: what each node's log looks like, and the configuration in force there.
absl::StatusOr<Lines> ShowLog(ScenarioArguments& arguments, ScenarioCluster& cluster) {
  if (absl::Status status = arguments.Finish(); !status.ok()) return status;
  Lines lines;
  for (NodeId node : cluster.nodes()) {
    const SimulatedDisk& disk = cluster.disk(node);
    std::vector<TermRun> runs;
    const Index base = disk.readable().base;
    for (size_t i = base; i < disk.readable().entries.size(); ++i) {
      Term term = disk.readable().entries[i].term;
      if (runs.empty() || runs.back().term != term) runs.push_back({term, i + 1});
      runs.back().last_index = i + 1;
    }
    std::string line = absl::StrCat("n", ToInteger(node), " ", DescribeRuns(base, runs));
    if (disk.unsynced_writes() > 0) {
      absl::StrAppend(&line, ", ", disk.unsynced_writes(), " unsynced writes");
    }
    if (cluster.IsUp(node)) {
      const Raft& raft = cluster.raft(node);
      absl::StrAppend(&line, ", configuration ", ToString(raft.configuration_position()), " ",
                      ToString(raft.configuration()));
    }
    lines.push_back(line);
  }
  return lines;
}

const std::map<std::string, Handler>& Handlers() {
  static const auto* const kHandlers = new std::map<std::string, Handler>{
      {"campaign", Control},
      {"cancel", Control},
      {"change", Change},
      {"compact", Compact},
      {"crash", Crash},
      {"deliver", MoveMessages},
      {"disk", Disk},
      {"diskfail", FailDisk},
      {"drop", MoveMessages},
      {"duplicate", MoveMessages},
      {"fast", SlowOrFast},
      {"heal", Heal},
      {"hold", Hold},
      {"log", ShowLog},
      {"lost", Lost},
      {"messages", Messages},
      {"observer", Observer},
      {"partition", Partition},
      {"priority", Priority},
      {"propose", Propose},
      {"read", Read},
      {"release", Release},
      {"run", Run},
      {"settle", Settle},
      {"show", Show},
      {"slow", SlowOrFast},
      {"snapshot", Snapshot},
      {"start", Start},
      {"status", ShowStatus},
      {"stepdown", Control},
      {"sync", Sync},
      {"tick", Tick},
      {"timeout", Timeout},
      {"transfer", Transfer},
      {"unreachable", Unreachable},
      {"unsafe", Unsafe},
      {"expect", ExpectLoss},
      {"mayrun", Control},
      {"maynotrun", Control},
      {"wipe", Wipe},
  };
  return *kHandlers;
}

// cluster nodes=N | voters=1,2 [outgoing=...] [learners=...], [join=4,5] [seed=1] [down] [lease]
// and limits: the nodes start, unless `down`, with empty disks and this configuration; those of
// `join` without one.
absl::StatusOr<std::unique_ptr<ScenarioCluster>> MakeCluster(ScenarioArguments& arguments) {
  Configuration configuration = TakeConfiguration(arguments);
  uint64_t nodes = arguments.Number("nodes", 0);
  if ((nodes == 0) == configuration.voters.empty()) arguments.Fail("nodes= or voters=");
  for (uint64_t node = 1; node <= nodes; ++node) {
    configuration.voters.push_back(MakeMember(node));
  }
  RaftOptions options;
  options.seed = arguments.Number("seed", 1);
  options.lease = arguments.Flag("lease");
  options.quiesce_after = static_cast<uint32_t>(arguments.Number("quiesce_after", 0));
  options.commit_notice_delay =
      Milliseconds(static_cast<int64_t>(arguments.Number("commit_notice_ms", 0)));
  options.stall_timeout =
      Milliseconds(static_cast<int64_t>(arguments.Number("stall_timeout_ms", 30'000)));
  options.max_inflight_messages =
      arguments.Number("max_inflight_messages", options.max_inflight_messages);
  options.max_inflight_bytes = arguments.Number("max_inflight_bytes", options.max_inflight_bytes);
  options.max_uncommitted_bytes =
      arguments.Number("max_uncommitted_bytes", options.max_uncommitted_bytes);
  std::vector<NodeId> joiners;
  for (uint64_t node : arguments.Numbers("join")) joiners.push_back(NodeId{node});
  bool down = arguments.Flag("down");
  if (absl::Status status = arguments.Finish(); !status.ok()) return status;
  auto cluster = std::make_unique<ScenarioCluster>(std::move(configuration), joiners, options);
  if (down) return cluster;
  for (NodeId node : cluster->nodes()) cluster->Start(node);
  return cluster;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> Scenario::Run(absl::string_view command) {
  ScenarioArguments arguments(command);
  Lines behind;
  if (arguments.verb() == "cluster") {
    auto cluster = MakeCluster(arguments);
    if (!cluster.ok()) return cluster.status();
    cluster_ = *std::move(cluster);
  } else {
    auto handler = Handlers().find(arguments.verb());
    if (handler == Handlers().end()) {
      return absl::InvalidArgumentError(absl::StrCat("no verb ", arguments.verb()));
    }
    if (cluster_ == nullptr) return absl::InvalidArgumentError("cluster comes first");
    auto lines = handler->second(arguments, *cluster_);
    if (!lines.ok()) return lines.status();
    behind = *std::move(lines);
  }
  Lines lines = cluster_->TakeLines();
  lines.insert(lines.end(), behind.begin(), behind.end());
  return lines;
}

}  // namespace cairn
