#include "tests/core/scenario_cluster.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/check.h"
#include "raft/core/membership.h"

namespace cairn {
namespace {

constexpr Instant kStart = Instant{} + Seconds(1000);
// More steps than this at one instant are a loop.
constexpr int kMaxStepsToSettle = 20000;

}  // namespace

bool MessageFilter::Matches(const Message& message) const {
  return (!from || *from == message.from) && (!to || *to == message.to) &&
         (!type || *type == NameOf(message.body));
}

ScenarioCluster::ScenarioCluster(Configuration configuration, const std::vector<NodeId>& joiners,
                                 RaftOptions options)
    : options_(options), now_(kStart) {
  for (NodeId node : configuration.Nodes()) nodes_[node].initial = configuration;
  for (NodeId node : joiners) nodes_[node];
  for (auto& [id, node] : nodes_) {
    const Member* member = configuration.Find(id);
    node.incarnation = member != nullptr ? member->incarnation : Incarnation{100 + ToInteger(id)};
  }
}

std::vector<NodeId> ScenarioCluster::nodes() const {
  std::vector<NodeId> nodes;
  for (const auto& [id, node] : nodes_) nodes.push_back(id);
  return nodes;
}

NodeId ScenarioCluster::Leader() const {
  NodeId leader = NodeId::kNone;
  Term term = 0;
  for (const auto& [id, node] : nodes_) {
    if (node.raft == nullptr || node.raft->role() != Role::kLeader) continue;
    if (node.raft->term() > term) leader = id;
    term = std::max(term, node.raft->term());
  }
  return leader;
}

// Nodes ------------------------------------------------------------------------------------------

void ScenarioCluster::AdoptDisk(NodeId node) {
  const auto& entries = Of(node).disk.readable().entries;
  LogPosition before;
  for (size_t i = 0; i < entries.size(); ++i) {
    LogPosition at{i + 1, entries[i].term};
    ExpectPromise(ledger_.OnWrite({at, entries[i].value}, before));
    before = at;
  }
}

void ScenarioCluster::Start(NodeId id) {
  Node& node = Of(id);
  CAIRN_CHECK(node.raft == nullptr);
  RaftOptions options = options_;
  options.node = id;
  options.priority = node.priority;
  options.never_campaigns = node.never_campaigns;
  options.incarnation = node.incarnation;
  // No two starts draw the same numbers.
  options.seed = options_.seed * 1000 + ++last_id_;
  RecoveredRaft recovered = node.disk.Recover(node.initial);
  // A state machine that is behind what the log was reset for is restored before anything else.
  if (node.applied < recovered.base.index) {
    node.applied = recovered.base.index;
    ExpectPromise(ledger_.OnRestore(id, node.applied));
  }
  recovered.applied = node.applied;
  if (!node.received.empty()) recovered.snapshot = node.received.rbegin()->second.point;
  node.invariants = InvariantChecker();
  node.raft = std::make_unique<Raft>(options, std::move(recovered), now_, this);
  Expect(node.invariants.AfterStep(*node.raft));
  Execute(id);
}

void ScenarioCluster::Crash(NodeId id, size_t kept_writes) {
  Node& node = Of(id);
  CAIRN_CHECK(node.raft != nullptr);
  Print(id, absl::StrCat("loses power, ", kept_writes, " of ", node.disk.unsynced_writes(),
                         " unsynced writes survive"));
  node.raft.reset();
  node.payloads.clear();
  node.disk.PowerCut(kept_writes);
}

void ScenarioCluster::Wipe(NodeId id) {
  Node& node = Of(id);
  CAIRN_CHECK(node.raft == nullptr);
  Print(id, "loses its disk");
  node.disk = SimulatedDisk();
  node.applied = 0;
  node.initial = Configuration();
  node.incarnation = Incarnation{ToInteger(node.incarnation) + 100};
  ledger_.OnWipe(id);
}

// Time -------------------------------------------------------------------------------------------

void ScenarioCluster::Tick(NodeId id) { Step(id, cairn::Tick()); }

void ScenarioCluster::Timeout(NodeId id) {
  now_ = std::max(now_, Of(id).raft->NextWakeup());
  Tick(id);
}

void ScenarioCluster::Run(Duration duration) {
  Instant end = now_ + duration;
  Settle();
  while (violation_.empty()) {
    Instant next = kDistantFuture;
    for (const auto& [id, node] : nodes_) {
      if (node.raft != nullptr) next = std::min(next, node.raft->NextWakeup());
    }
    if (next > end) break;
    now_ = std::max(now_, next);
    for (const auto& [id, node] : nodes_) {
      if (node.raft == nullptr || node.raft->NextWakeup() > now_) continue;
      Tick(id);
      if (node.raft->NextWakeup() <= now_) {
        Expect(absl::StrCat("node ", ToInteger(id), " wants to wake up now, again"));
      }
    }
    Settle();
  }
  now_ = std::max(now_, end);
}

// Clients and the node above ---------------------------------------------------------------------

void ScenarioCluster::Propose(NodeId id, uint64_t count, size_t bytes) {
  Payload payload;
  for (uint64_t i = 0; i < count; ++i) {
    payload.entries.push_back({.value = ++last_id_, .bytes = bytes});
  }
  PayloadId payload_id = ++last_id_;
  Of(id).payloads[payload_id] = std::move(payload);
  Step(id, cairn::Propose{.payload = payload_id, .count = count, .bytes = count * bytes});
}

void ScenarioCluster::Read(NodeId id, bool lease) {
  Step(id, ReadBarrier{.read = ++last_read_, .lease = lease});
}

void ScenarioCluster::Sync(NodeId id, size_t writes) {
  SimulatedDisk& disk = Of(id).disk;
  Ticket ticket = 0;
  for (size_t i = 0; i < writes && disk.unsynced() != 0; ++i) {
    ticket = disk.oldest_unsynced();
    disk.Sync(ticket);
  }
  if (ticket == 0) return;
  Print(id, absl::StrCat("has synced #", ticket), Detail::kMessages);
  Step(id, LogSynced{.ticket = ticket});
}

void ScenarioCluster::ReportUnreachable(NodeId id, NodeId peer) {
  Step(id, PeerUnreachable{.peer = peer});
}

void ScenarioCluster::ReportHostLost(NodeId id, HostLost lost) { Step(id, lost); }

void ScenarioCluster::Change(NodeId id, DeclaredMembers members) {
  Step(id, ChangeMembership{.request = ++last_request_, .members = std::move(members)});
}

void ScenarioCluster::Cancel(NodeId id) { Step(id, CancelMembership{.request = ++last_request_}); }

void ScenarioCluster::Transfer(NodeId id, NodeId target, Duration patience) {
  Step(id, TransferLeadership{
               .request = ++last_request_, .target = target, .deadline = now_ + patience});
}

void ScenarioCluster::Campaign(NodeId id) { Step(id, cairn::Campaign{++last_request_}); }

void ScenarioCluster::HoldCandidacy(NodeId id, bool hold) { Step(id, cairn::HoldCandidacy{hold}); }

void ScenarioCluster::StepDown(NodeId id) { Step(id, cairn::StepDown{++last_request_}); }

void ScenarioCluster::FailDisk(NodeId id) { Step(id, DiskFailed{}); }

void ScenarioCluster::RecoverUnsafely(NodeId id, UnsafeRecover recover) {
  recover.request = ++last_request_;
  recover.asked = {(now_ - kStart).nanoseconds};
  Step(id, std::move(recover));
}

void ScenarioCluster::Compact(NodeId id, Index up_to) { Step(id, cairn::Compact{up_to}); }

void ScenarioCluster::SendSnapshot(NodeId from, NodeId to, Index at) {
  Snapshot snapshot = {.point = {.configuration = Of(from).initial}, .entries = {}};
  for (Index index = 1; index <= at; ++index) {
    const SimulatedEntry& entry = *Of(from).disk.Find(index);
    snapshot.entries.push_back(entry);
    snapshot.point.position = {index, entry.term};
    if (!entry.configuration) continue;
    snapshot.point.configuration_position = {index, entry.term};
    snapshot.point.configuration = *entry.configuration;
  }
  const SnapshotReceived received = {.term = raft(from).term(), .snapshot = snapshot.point};
  Of(to).received[at] = std::move(snapshot);
  Print(to, absl::StrCat("has a whole snapshot at ", ToString(received.snapshot.position), " of n",
                         ToInteger(from)));
  if (IsUp(to)) Step(to, received);
}

// Messages ---------------------------------------------------------------------------------------

std::vector<ScenarioCluster::Packet> ScenarioCluster::Take(
    const std::function<bool(const Message&)>& matches, size_t limit) {
  std::vector<Packet> taken;
  std::deque<Packet> left;
  for (Packet& packet : network_) {
    if (taken.size() < limit && matches(packet.message)) {
      taken.push_back(std::move(packet));
    } else {
      left.push_back(std::move(packet));
    }
  }
  network_ = std::move(left);
  return taken;
}

size_t ScenarioCluster::Deliver(const MessageFilter& filter, size_t limit) {
  auto packets = Take([&](const Message& message) { return filter.Matches(message); }, limit);
  for (Packet& packet : packets) Receive(std::move(packet));
  return packets.size();
}

size_t ScenarioCluster::Drop(const MessageFilter& filter, size_t limit) {
  auto packets = Take([&](const Message& message) { return filter.Matches(message); }, limit);
  for (const Packet& packet : packets) {
    Print(packet.message.to, absl::StrCat("never hears ", NameOf(packet.message.body), " of n",
                                          ToInteger(packet.message.from)));
  }
  return packets.size();
}

size_t ScenarioCluster::Duplicate(const MessageFilter& filter, size_t limit) {
  std::vector<Packet> copies;
  for (const Packet& packet : network_) {
    if (copies.size() < limit && filter.Matches(packet.message)) copies.push_back(packet);
  }
  network_.insert(network_.end(), copies.begin(), copies.end());
  return copies.size();
}

void ScenarioCluster::Receive(Packet packet) {
  const Message& message = packet.message;
  if (!Connected(message.from, message.to) || !Exists(message.to) || !IsUp(message.to)) return;
  if (IsStranger(message)) {
    return Print(message.to, absl::StrCat("refuses ", NameOf(message.body), " of n",
                                          ToInteger(message.from), ": another disk"));
  }
  Print(message.to, absl::StrCat("<- n", ToInteger(message.from), " ", NameOf(message.body)),
        Detail::kMessages);
  PayloadId payload = 0;
  if (const auto* append = std::get_if<AppendEntries>(&message.body)) {
    payload = ++last_id_;
    Of(message.to).payloads[payload] = {append->previous.index + 1, std::move(packet.entries)};
  }
  NodeId to = message.to;
  Step(to, cairn::Receive{.message = std::move(packet.message), .payload = payload});
}

bool ScenarioCluster::Connected(NodeId a, NodeId b) const {
  if (sides_.empty()) return true;
  return std::any_of(sides_.begin(), sides_.end(), [a, b](const std::set<NodeId>& side) {
    return side.contains(a) && side.contains(b);
  });
}

bool ScenarioCluster::IsStranger(const Message& message) const {
  const Configuration& known = raft(message.to).configuration();
  return known.IsMember(message.from) && !NamesDisk(known, message.from, incarnation(message.from));
}

bool ScenarioCluster::IsHeld(const Message& message) const {
  return std::any_of(holds_.begin(), holds_.end(),
                     [&](const MessageFilter& hold) { return hold.Matches(message); });
}

void ScenarioCluster::Settle() {
  for (int step = 0; step < kMaxStepsToSettle && violation_.empty(); ++step) {
    auto packets = Take([&](const Message& message) { return !IsHeld(message); }, 1);
    if (!packets.empty()) {
      Receive(std::move(packets[0]));
      continue;
    }
    auto writing = std::find_if(nodes_.begin(), nodes_.end(), [](const auto& entry) {
      const Node& node = entry.second;
      return node.raft != nullptr && !node.slow && node.disk.unsynced() != 0;
    });
    if (writing == nodes_.end()) return;
    Sync(writing->first, writing->second.disk.unsynced_writes());
  }
  Expect("does not settle");
}

std::vector<std::string> ScenarioCluster::PendingMessages() {
  std::vector<std::string> lines;
  for (const Packet& packet : network_) {
    const Message& message = packet.message;
    lines.push_back(absl::StrCat("n", ToInteger(message.from), " -> n", ToInteger(message.to), " ",
                                 Describe(message.body, names_), IsHeld(message) ? " (held)" : ""));
  }
  return lines;
}

// Effects ----------------------------------------------------------------------------------------

void ScenarioCluster::Step(NodeId id, Event event) {
  if (!violation_.empty()) return;
  Node& node = Of(id);
  CAIRN_CHECK(node.raft != nullptr);
  node.raft->Step(now_, std::move(event));
  Expect(node.invariants.AfterStep(*node.raft));
  Execute(id);
}

void ScenarioCluster::Execute(NodeId id) {
  Node& node = Of(id);
  for (;;) {
    Effects effects = node.raft->TakeEffects();
    Expect(node.invariants.AfterEffects(*node.raft, effects));
    if (effects.empty()) break;
    ExecuteOnce(id, effects);
  }
  node.payloads.clear();
}

void ScenarioCluster::ExecuteOnce(NodeId id, const Effects& effects) {
  Node& node = Of(id);
  if (effects.leadership) {
    Print(id, Describe(*effects.leadership));
  }
  for (const LogBatch& batch : effects.log_batches) Write(id, batch);
  node.payloads.clear();
  if (effects.leadership && effects.leadership->role == Role::kLeader) {
    ExpectPromise(ledger_.OnLeader(id, effects.leadership->term,
                                   [this, id](Index index) { return EntryAt(id, index); }));
  }
  ExpectPromise(ledger_.OnCommit(id, node.raft->commit(),
                                 [this, id](Index index) { return EntryAt(id, index); }));
  for (const ProposalOutcome& outcome : effects.proposals) Print(id, Describe(outcome));
  for (const ReadOutcome& outcome : effects.reads) Print(id, Describe(outcome));
  for (const ControlOutcome& outcome : effects.controls) Print(id, Describe(outcome));
  if (effects.slow_disk_successor != NodeId::kNone) Print(id, "says that its disk is slow");
  if (effects.removed) Print(id, absl::StrCat("is removed by ", ToString(*effects.removed)));
  for (const Message& message : effects.messages) {
    Print(id, absl::StrCat("-> n", ToInteger(message.to), " ", Describe(message.body, names_)),
          Detail::kMessages);
    network_.push_back({message, {}});
  }
  for (const SendEntries& send : effects.send_entries) Carry(id, send);
  if (effects.ask_torn) GiveTorn(id, *effects.ask_torn);
  if (effects.restore) {
    Print(id, absl::StrCat("restores the snapshot at ", ToString(*effects.restore)));
    ExpectPromise(ledger_.OnRestore(id, effects.restore->index));
    node.applied = effects.restore->index;
    Step(id, Applied{.index = node.applied});
  }
  if (effects.apply_up_to > 0) Apply(id, effects.apply_up_to);
  if (effects.fence) Print(id, absl::StrCat("is fenced: ", effects.fence->message));
}

void ScenarioCluster::Write(NodeId id, const LogBatch& batch) {
  Node& node = Of(id);
  Print(id, absl::StrCat("writes ", Describe(batch)), Detail::kMessages);
  SimulatedDisk::Write write{.ticket = batch.ticket,
                             .hard_state = batch.hard_state,
                             .sure = batch.sure,
                             .truncate_from = batch.truncate_from};
  if (batch.reset_to) write.reset_to = node.received.at(batch.reset_to->base.index).entries;
  write.drop_to = batch.drop_to;
  for (const AppendRun& run : batch.runs) {
    if (write.entries.empty()) write.first = run.first.index;
    const Payload& payload = node.payloads[run.payload];
    for (Index index = run.first.index; index <= run.last_index; ++index) {
      SimulatedEntry entry{.term = run.first.term, .configuration = run.configuration};
      switch (run.source) {
        case AppendRun::Source::kProposals:
          entry = payload.entries.at(index - run.first.index);
          entry.term = run.first.term;
          break;
        case AppendRun::Source::kReceived:
          entry = payload.entries.at(index - payload.first);
          break;
        case AppendRun::Source::kNoop:
        case AppendRun::Source::kConfiguration:
          entry.value = ++last_id_;
          break;
      }
      write.entries.push_back(std::move(entry));
    }
  }
  Index first = write.first;
  size_t count = write.entries.size();
  node.disk.Append(std::move(write));
  for (Index index = first; index < first + count; ++index) {
    std::optional<LedgerEntry> before = EntryAt(id, index - 1);
    ExpectPromise(ledger_.OnWrite(EntryAt(id, index).value(), before ? before->at : LogPosition{}));
  }
}

void ScenarioCluster::Carry(NodeId id, const SendEntries& send) {
  const SimulatedDisk& disk = Of(id).disk;
  CAIRN_CHECK_GE(send.previous.index, disk.readable().base);
  auto term_at = [&disk](Index index) { return index == 0 ? 0 : disk.Find(index)->term; };
  CAIRN_CHECK_EQ(term_at(send.previous.index), send.previous.term);
  CAIRN_CHECK_EQ(term_at(send.last.index), send.last.term);
  AppendEntries append{.term = send.term,
                       .previous = send.previous,
                       .runs = {},
                       .configurations = {},
                       .commit = send.commit,
                       .acknowledged = send.acknowledged};
  std::vector<SimulatedEntry> entries;
  size_t bytes = 0;
  for (Index index = send.previous.index + 1; index <= send.last.index; ++index) {
    const SimulatedEntry& entry = *disk.Find(index);
    if (!entries.empty() && bytes + entry.bytes > send.max_bytes) break;
    bytes += entry.bytes;
    if (append.runs.empty() || append.runs.back().term != entry.term) {
      append.runs.push_back({entry.term, index});
    }
    append.runs.back().last_index = index;
    if (entry.configuration) {
      append.configurations.emplace_back(LogPosition{index, entry.term}, *entry.configuration);
    }
    entries.push_back(entry);
  }
  Index last = append.last_index();
  Message message{.from = id, .to = send.to, .body = std::move(append)};
  Print(id, absl::StrCat("-> n", ToInteger(send.to), " ", Describe(message.body, names_)),
        Detail::kMessages);
  network_.push_back({std::move(message), std::move(entries)});
  Step(id, EntriesSent{.to = send.to, .request = send.request, .last = last, .bytes = bytes});
}

void ScenarioCluster::GiveTorn(NodeId id, const AskTorn& ask) {
  if (!Connected(id, ask.to) || !IsUp(ask.to)) return;
  const Index before = ask.first - 1;
  TornEntriesGiven given = {.from = ask.to,
                            .request = ask.request,
                            .payload = ++last_id_,
                            .previous = {before, raft(id).TermAt(before)}};
  Payload payload = {.first = ask.first, .entries = {}};
  for (const TermRun& run : ask.runs) {
    for (Index index = ask.first + payload.entries.size(); index <= run.last_index; ++index) {
      const SimulatedEntry* entry = Of(ask.to).disk.Find(index);
      if (index <= raft(ask.to).base().index || entry == nullptr) break;
      if (entry->term != run.term || entry->value == 0) break;
      if (given.runs.empty() || given.runs.back().term != run.term) {
        given.runs.push_back({run.term, 0});
      }
      given.runs.back().last_index = index;
      if (entry->configuration) {
        given.configurations.emplace_back(LogPosition{index, run.term}, *entry->configuration);
      }
      payload.entries.push_back(*entry);
    }
  }
  if (ask.first + payload.entries.size() <= ask.runs.back().last_index) return;
  Of(id).payloads[given.payload] = std::move(payload);
  Step(id, std::move(given));
}

void ScenarioCluster::Apply(NodeId id, Index up_to) {
  Node& node = Of(id);
  Print(id, absl::StrCat("applies up to ", up_to), Detail::kMessages);
  while (node.applied < up_to && violation_.empty()) {
    std::optional<LedgerEntry> entry = EntryAt(id, ++node.applied);
    ExpectPromise(entry ? ledger_.OnApply(id, *entry)
                        : absl::StrCat("node ", ToInteger(id), " applies what it does not have"));
  }
  Step(id, Applied{.index = up_to});
}

std::optional<LedgerEntry> ScenarioCluster::EntryAt(NodeId id, Index index) {
  const SimulatedEntry* entry = Of(id).disk.Find(index);
  if (entry == nullptr) return std::nullopt;
  return LedgerEntry{{index, entry->term}, entry->value};
}

// What is printed --------------------------------------------------------------------------------

void ScenarioCluster::Print(NodeId node, absl::string_view text, Detail detail) {
  if (detail > detail_) return;
  lines_.push_back(
      absl::StrFormat("%5dms n%d %s", ToMilliseconds(now_ - kStart), ToInteger(node), text));
}

void ScenarioCluster::Trace(Instant, NodeId node, absl::string_view decision) {
  Print(node, decision);
}

void ScenarioCluster::Expect(const std::optional<std::string>& broken) {
  if (!broken || !violation_.empty()) return;
  violation_ = *broken;
}

void ScenarioCluster::ExpectPromise(const std::optional<std::string>& broken) {
  if (!loss_expected_) Expect(broken);
}

std::vector<std::string> ScenarioCluster::TakeLines() { return std::exchange(lines_, {}); }

}  // namespace cairn
