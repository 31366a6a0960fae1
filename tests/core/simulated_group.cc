#include "tests/core/simulated_group.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "raft/core/membership.h"
#include "raft/core/membership_plan.h"
#include "raft/core/quorum.h"

namespace cairn {
namespace {

Configuration VotersUpTo(int size) {
  Configuration configuration;
  for (int i = 1; i <= size; ++i) {
    configuration.voters.push_back({.node = static_cast<NodeId>(i),
                                    .incarnation = static_cast<Incarnation>(100 + i),
                                    .address = absl::StrCat("node", i)});
  }
  return configuration;
}

}  // namespace

SimulatedGroup::SimulatedGroup(int size, uint64_t seed, SimulatedFaults faults)
    : SimulatedGroup(VotersUpTo(size), seed, faults) {}

SimulatedGroup::SimulatedGroup(Configuration initial, uint64_t seed, SimulatedFaults faults)
    : random_(seed), faults_(faults), ids_(initial.Nodes()) {
  if (faults_.hasty) {
    options.election_timeout = Milliseconds(150);
    options.heartbeat_interval = Milliseconds(30);
    options.slow_disk_timeout = {};
  }
  for (const NodeId id : ids_) {
    nodes_[id].initial = initial;
    nodes_[id].incarnation = initial.Find(id)->incarnation;
    Restart(id);
  }
}

SimulatedGroup::SimulatedGroup(int size, int nodes, uint64_t seed, SimulatedFaults faults)
    : SimulatedGroup(size, seed, faults) {
  for (const Member& member : VotersUpTo(nodes).voters) {
    if (nodes_.contains(member.node)) continue;
    ids_.push_back(member.node);
    nodes_[member.node].incarnation = member.incarnation;
    Restart(member.node);
  }
}

// Moving things -----------------------------------------------------------------------------------

void SimulatedGroup::Restart(NodeId id) {
  Node& node = Of(id);
  CAIRN_CHECK(node.raft == nullptr);
  RaftOptions own = options;
  own.node = id;
  own.seed = random_.Next();
  own.incarnation = node.incarnation;
  if (faults_.forget) node.disk.RememberPast();
  RecoveredRaft recovered = node.disk.Recover(node.initial);
  // The state machine may have to apply all over again.
  if (random_.OneIn(2)) node.applied = node.saved;
  if (!node.received.empty()) {
    const auto& [index, snapshot] = *node.received.rbegin();
    recovered.snapshot = snapshot.point;
    if (random_.OneIn(2)) node.applied = std::max(node.applied, index);
  }
  // What the log was reset for, or dropped, is restored first.
  node.applied = std::max(node.applied, node.disk.durable().base);
  recovered.applied = node.applied;
  node.invariants = {};
  node.checked_commit = 0;
  node.raft = std::make_unique<Raft>(own, std::move(recovered), now_, this);
  node.dirty = true;
  CheckAll(id);
}

void SimulatedGroup::Crash(NodeId id) {
  Node& node = Of(id);
  Trace(now_, id, "power cut");
  node.raft = nullptr;
  node.payloads.clear();
  node.reads.clear();
  node.disk.PowerCut(random_, faults_.torn);
  if (faults_.rot && ids_.size() > 2) RotSome(id);
  if (faults_.forget) ForgetSome(id);
}

// So few that the others are a quorum.
void SimulatedGroup::ForgetSome(NodeId id) {
  size_t unsure = 1;
  for (const NodeId other : ids_) {
    if (other != id && disk(other).durable().unsure) ++unsure;
  }
  if (unsure > (ids_.size() - 1) / 2 || random_.OneIn(2)) return;
  Trace(now_, id, "forgets");
  Of(id).disk.Forget(random_);
  ++tally_.forgotten;
  // It may vote again where it does not matter any more (raft/core/rejoin.h). If it does, there are
  // two leaders, or one lacks entries.
  const HardState kept = disk(id).durable().hard_state;
  std::erase_if(votes_, [&](const auto& vote) {
    const auto& [node, term] = vote.first;
    return node == id && (term > kept.term || (term == kept.term && kept.vote == NodeId::kNone));
  });
}

void SimulatedGroup::RotSome(NodeId id) {
  for (const NodeId other : ids_) {
    if (disk(other).durable().torn_from || (running(other) && raft(other).torn_from())) return;
  }
  const Index count = disk(id).durable().entries.size() - disk(id).durable().base;
  if (count == 0 || random_.OneIn(2)) return;
  const Index last = disk(id).durable().entries.size();
  Of(id).disk.Rot(last - random_.Below(std::min<Index>(count, 5)));
}

// Whether what the node claims of rotten entries stands in memory only: a power cut in that moment
// forgets it, which is the price named in docs/decisions.md, "Torn tails".
bool SimulatedGroup::RewritesRot(NodeId id) {
  if (!faults_.rot) return false;
  const bool claims = disk(id).durable().torn_from || raft(id).torn_from();
  return claims && !disk(id).readable().torn_from;
}

void SimulatedGroup::Step(NodeId id, Event event) {
  Node& node = Of(id);
  node.raft->Step(now_, std::move(event));
  node.dirty = true;
  CheckAll(id);
}

void SimulatedGroup::Execute(NodeId id) {
  Node& node = Of(id);
  node.dirty = false;
  const Effects effects = node.raft->TakeEffects();
  if (auto broken = node.invariants.AfterEffects(*node.raft, effects)) ViolateClaim(*broken);
  if (effects.fence && node.raft->unsure() && faults_.change > 0) {
    return Crash(id);  // it is alone
  }
  if (effects.fence) Violate(absl::StrCat("fenced: ", effects.fence->message));
  for (const LogBatch& batch : effects.log_batches) Write(id, batch);
  node.payloads.clear();
  CheckCommit(id);
  for (const Message& message : effects.messages) {
    CheckSend(id, message);
    network_.push_back({message, {}});
  }
  for (const SendEntries& send : effects.send_entries) Carry(id, send);
  if (effects.ask_torn) {
    Packet packet;
    packet.message = {.from = id, .to = effects.ask_torn->to};
    packet.ask = std::make_shared<AskTorn>(*effects.ask_torn);
    network_.push_back(std::move(packet));
  }
  for (const cairn::SendSnapshot& send : effects.send_snapshots) SendSnapshot(id, send);
  for (const ReadOutcome& outcome : effects.reads) Answer(id, outcome);
  for (const ControlOutcome& outcome : effects.controls) Answer(id, outcome);
  if (effects.restore) {
    if (effects.restore->index > node.disk.durable().base) ViolateClaim("restores too early");
    ++tally_.snapshots_restored;
    node.applied = node.saved = effects.restore->index;
    Step(id, Applied{node.applied});
  }
  if (effects.apply_up_to > 0) {
    if (effects.apply_up_to > node.disk.durable().entries.size()) ViolateClaim("applies too early");
    node.applied = std::max(node.applied, effects.apply_up_to);
    Step(id, Applied{node.applied});
  }
}

void SimulatedGroup::Write(NodeId id, const LogBatch& batch) {
  Node& node = Of(id);
  SimulatedDisk::Write write = {
      .ticket = batch.ticket, .hard_state = batch.hard_state, .truncate_from = batch.truncate_from};
  if (batch.reset_to) {
    write.reset_to = node.received.at(batch.reset_to->base.index).entries;
    ++tally_.snapshots_taken;
  }
  write.drop_to = batch.drop_to;
  write.sure = batch.sure;
  if (!batch.runs.empty()) write.first = batch.runs.front().first.index;
  for (const AppendRun& run : batch.runs) {
    const Payload* payload = run.payload == 0 ? nullptr : &node.payloads.at(run.payload);
    for (Index index = run.first.index; index <= run.last_index; ++index) {
      SimulatedEntry entry = {.term = run.first.term, .configuration = run.configuration};
      if (run.source == AppendRun::Source::kReceived) {
        entry = payload->entries.at(index - payload->first);
      } else if (run.source == AppendRun::Source::kProposals) {
        entry.value = payload->entries.at(index - run.first.index).value;
      } else {
        entry.value = ++last_id_;
      }
      write.entries.push_back(entry);
    }
  }
  const Index first = write.first;
  const size_t count = write.entries.size();
  node.disk.Append(std::move(write));
  for (size_t i = 0; i < count; ++i) CheckWritten(id, first + i);
}

void SimulatedGroup::Carry(NodeId id, const SendEntries& send) {
  Node& node = Of(id);
  Index last = send.last.index;
  if (faults_.lose > 0 && random_.OneIn(8)) {
    last = send.previous.index + random_.Below(send.last.index - send.previous.index + 1);
  }
  CAIRN_CHECK_EQ(node.disk.Find(send.last.index)->term, send.last.term);
  if (send.previous.index < node.disk.readable().base) Violate("sends what it has dropped");
  Packet packet;
  AppendEntries append = {.term = send.term,
                          .previous = send.previous,
                          .commit = send.commit,
                          .acknowledged = send.acknowledged};
  for (Index index = send.previous.index + 1; index <= last; ++index) {
    const SimulatedEntry& entry = *node.disk.Find(index);
    packet.entries.push_back(entry);
    if (append.runs.empty() || append.runs.back().term != entry.term) {
      append.runs.push_back({entry.term, index});
    }
    append.runs.back().last_index = index;
    if (entry.configuration) {
      append.configurations.emplace_back(LogPosition{index, entry.term}, *entry.configuration);
    }
  }
  const size_t bytes = 100 * packet.entries.size();
  packet.message = {.from = id, .to = send.to, .body = std::move(append)};
  if (!packet.entries.empty()) network_.push_back(std::move(packet));
  Step(id, EntriesSent{.to = send.to, .request = send.request, .last = last, .bytes = bytes});
}

// What `id` has of the entries that are torn at `to`, or the first of them.
void SimulatedGroup::GiveTorn(NodeId id, NodeId to, const AskTorn& ask) {
  const Raft& raft = *Of(id).raft;
  Packet packet;
  TornEntriesGiven given = {.from = id, .request = ask.request};
  Index next = ask.first;
  for (const TermRun& run : ask.runs) {
    for (; next <= run.last_index; ++next) {
      const bool here = next > raft.base().index && raft.TermAt(next) == run.term &&
                        next < raft.torn_from().value_or(kMaxIndex) && !raft.holes().Contains(next);
      if (!here || (!packet.entries.empty() && faults_.lose > 0 && random_.OneIn(4))) break;
      const SimulatedEntry& entry = *disk(id).Find(next);
      if (given.runs.empty() || given.runs.back().term != run.term) given.runs.push_back(run);
      given.runs.back().last_index = next;
      if (entry.configuration) {
        given.configurations.emplace_back(LogPosition{next, run.term}, *entry.configuration);
      }
      packet.entries.push_back(entry);
    }
    if (next <= run.last_index) break;
  }
  if (packet.entries.empty()) return;
  given.previous = {ask.first - 1, raft.TermAt(ask.first - 1)};
  packet.message = {.from = id, .to = to};
  packet.given = std::make_shared<TornEntriesGiven>(std::move(given));
  network_.push_back(std::move(packet));
}

// Snapshots ---------------------------------------------------------------------------------------

// What the entries up to `at` have made, which `id` has applied.
SimulatedGroup::Snapshot SimulatedGroup::MakeSnapshot(NodeId id, Index at) {
  Snapshot snapshot;
  snapshot.point.configuration = Of(id).initial;
  for (Index index = 1; index <= at; ++index) {
    // The state machine has it, also where the log has rotted.
    SimulatedEntry entry = {.term = ledger_[index - 1].term, .value = ledger_[index - 1].value};
    entry.configuration = disk(id).Find(index)->configuration;
    if (entry.configuration) {
      snapshot.point.configuration = *entry.configuration;
      snapshot.point.configuration_position = {index, entry.term};
    }
    snapshot.point.position = {index, entry.term};
    snapshot.entries.push_back(std::move(entry));
  }
  return snapshot;
}

void SimulatedGroup::SendSnapshot(NodeId id, const cairn::SendSnapshot& send) {
  const Index base = disk(id).readable().base;
  const Index at = base + random_.Below(Of(id).applied - base + 1);
  const Snapshot snapshot = MakeSnapshot(id, at);
  Packet packet = {.message = {.from = id, .to = send.to}, .entries = snapshot.entries};
  packet.offer = std::make_shared<SnapshotReceived>(send.term, snapshot.point);
  network_.push_back(std::move(packet));
}

void SimulatedGroup::Compact(NodeId id, Index retained) {
  Node& node = Of(id);
  if (!running(id) || node.applied <= node.saved + retained) return;
  node.saved = node.applied - retained;
  Step(id, cairn::Compact{node.saved});
}

void SimulatedGroup::CompactSome(NodeId id) {
  Node& node = Of(id);
  if (node.applied <= node.saved) return;
  node.saved += 1 + random_.Below(node.applied - node.saved);
  Step(id, cairn::Compact{node.saved});
}

void SimulatedGroup::Answer(NodeId id, const ReadOutcome& outcome) {
  Node& node = Of(id);
  const auto read = node.reads.find(outcome.read);
  if (read == node.reads.end()) return Violate("a read was answered twice");
  if (outcome.ready) {
    ++tally_.reads_answered;
    if (outcome.index < read->second) {
      Violate(absl::StrCat("stale read: index ", outcome.index, " when ", read->second,
                           " was committed before it came"));
    }
  }
  node.reads.erase(read);
}

void SimulatedGroup::Deliver(size_t index) {
  Packet packet = std::move(network_[index]);
  network_.erase(network_.begin() + static_cast<ptrdiff_t>(index));
  const NodeId to = packet.message.to;
  if (!Connected(packet.message.from, to) || !running(to)) return;
  if (packet.offer != nullptr) {
    const SnapshotReceived& offer = *packet.offer;
    Of(to).received[offer.snapshot.position.index] = {offer.snapshot, std::move(packet.entries)};
    return Step(to, offer);
  }
  if (packet.ask != nullptr) return GiveTorn(to, packet.message.from, *packet.ask);
  if (packet.given != nullptr) {
    TornEntriesGiven given = *packet.given;
    given.payload = ++last_id_;
    Of(to).payloads[given.payload] = {given.previous.index + 1, std::move(packet.entries)};
    const auto torn = raft(to).torn_from();
    Step(to, std::move(given));
    if (torn != raft(to).torn_from()) ++tally_.torn_taken;
    return;
  }
  if (IsStranger(packet.message)) return;
  PayloadId payload = 0;
  if (const auto* append = std::get_if<AppendEntries>(&packet.message.body)) {
    payload = ++last_id_;
    Of(to).payloads[payload] = {append->previous.index + 1, std::move(packet.entries)};
  }
  Step(to, Receive{std::move(packet.message), payload});
}

void SimulatedGroup::Propose(NodeId id, uint64_t count) {
  if (!running(id)) return;
  const PayloadId payload = ++last_id_;
  for (uint64_t i = 0; i < count; ++i) {
    Of(id).payloads[payload].entries.push_back({.value = ++last_id_});
  }
  Step(id, cairn::Propose{.payload = payload, .count = count, .bytes = 100 * count});
}

void SimulatedGroup::Declare(NodeId id, const std::vector<NodeId>& nodes) {
  if (!running(id)) return;
  DeclaredMembers members;
  for (const NodeId node : nodes) {
    members.voters.push_back({node, Of(node).incarnation, absl::StrCat("node", ToInteger(node))});
  }
  const uint64_t request = ++last_id_;
  requests_.insert(request);
  Step(id, ChangeMembership{request, std::move(members)});
}

void SimulatedGroup::Read(NodeId id) {
  if (!running(id)) return;
  const ReadId read = ++last_id_;
  Of(id).reads[read] = ledger_.size();
  Step(id, ReadBarrier{read});
}

void SimulatedGroup::Sync(NodeId id, Ticket ticket) {
  if (ticket == 0) return;
  Of(id).disk.Sync(ticket);
  if (running(id)) Step(id, LogSynced{ticket});
}

void SimulatedGroup::TickDue() {
  for (const NodeId id : ids_) {
    if (running(id) && !Stands(id) && raft(id).NextWakeup() <= now_) Step(id, Tick{});
  }
}

// Time and chance ---------------------------------------------------------------------------------

std::optional<NodeId> SimulatedGroup::RandomRunning() {
  const NodeId id = ids_[random_.Below(ids_.size())];
  if (!running(id) || Stands(id)) return std::nullopt;
  return id;
}

void SimulatedGroup::DeliverSome() {
  if (network_.empty()) return;
  const bool reorder = faults_.reorder > 0 && random_.OneIn(faults_.reorder);
  const size_t index = reorder ? random_.Below(network_.size()) : 0;
  if (faults_.lose > 0 && random_.OneIn(faults_.lose)) {
    network_.erase(network_.begin() + static_cast<ptrdiff_t>(index));
    return;
  }
  if (Stands(network_[index].message.to)) {
    network_.push_back(std::move(network_[index]));
    network_.erase(network_.begin() + static_cast<ptrdiff_t>(index));
    return;
  }
  if (faults_.late > 0 && random_.OneIn(faults_.late)) late_.push_back(network_[index]);
  if (faults_.repeat > 0 && random_.OneIn(faults_.repeat)) network_.push_back(network_[index]);
  Deliver(index);
}

void SimulatedGroup::Disturb() {
  if (!late_.empty() && random_.OneIn(50)) {
    network_.push_back(std::move(late_.front()));
    late_.pop_front();
  }
  const NodeId id = ids_[random_.Below(ids_.size())];
  if (!running(id)) {
    if (random_.OneIn(faults_.hasty ? 10 : 30)) Restart(id);
  } else if (faults_.crash > 0 && random_.OneIn(faults_.crash) && !RewritesRot(id)) {
    const NodeId leader = Leader();
    const int forgotten = tally_.forgotten;
    Crash(id);
    if (tally_.forgotten > forgotten && random_.OneIn(2)) {
      // It is needed at once, and who could tell it is not there.
      Restart(id);
      side_ = {leader};
    }
  } else if (faults_.compact > 0 && random_.OneIn(faults_.compact)) {
    CompactSome(id);
  }
  if (faults_.pause > 0 && random_.OneIn(faults_.pause)) {
    Of(id).paused_until = now_ + Milliseconds(static_cast<int64_t>(random_.Below(4000)));
  }
  if (faults_.change > 0 && random_.OneIn(faults_.change)) DeclareSome(id);
  if (faults_.control > 0 && random_.OneIn(faults_.control)) ControlSome(id);
  if (faults_.wipe > 0 && random_.OneIn(faults_.wipe)) WipeSome(id);
  if (faults_.partition > 0 && random_.OneIn(faults_.partition)) {
    side_.clear();
    for (const NodeId node : ids_) {
      if (random_.OneIn(3)) side_.insert(node);
    }
  }
}

// Asks the leader most of the time.
void SimulatedGroup::DeclareSome(NodeId id) {
  if (!random_.OneIn(4) && Leader() != NodeId::kNone) id = Leader();
  if (!running(id) || Stands(id)) return;
  const uint64_t request = ++last_id_;
  requests_.insert(request);
  if (random_.OneIn(5)) return Step(id, CancelMembership{request});
  DeclaredMembers members;
  for (const NodeId node : ids_) {
    const Member member = {node, Of(node).incarnation, absl::StrCat("node", ToInteger(node))};
    const uint64_t kind = random_.Below(6);
    if (kind < 3) members.voters.push_back(member);
    if (kind == 3) members.learners.push_back(member);
  }
  Step(id, ChangeMembership{request, std::move(members)});
}

void SimulatedGroup::ControlSome(NodeId id) {
  if (!random_.OneIn(4) && Leader() != NodeId::kNone) id = Leader();
  if (!running(id) || Stands(id)) return;
  const uint64_t request = ++last_id_;
  requests_.insert(request);
  switch (random_.Below(6)) {
    case 0:
      return Step(id, cairn::StepDown{request});
    case 1:
      return Step(id, cairn::Campaign{request});
    default: {
      const NodeId target = random_.OneIn(3) ? NodeId::kNone : ids_[random_.Below(ids_.size())];
      const Duration patience = Milliseconds(static_cast<int64_t>(random_.Below(2000)));
      Step(id, TransferLeadership{request, target, now_ + patience});
    }
  }
}

void SimulatedGroup::Answer(NodeId id, const ControlOutcome& outcome) {
  if (requests_.erase(outcome.request) == 0) {
    return Violate(absl::StrCat("node ", ToInteger(id), " answers request ", outcome.request,
                                " twice or unasked"));
  }
  const bool refused = outcome.refusal != ControlRefusal::kNone;
  if (refused && outcome.text.empty() && outcome.refusal != ControlRefusal::kNotLeader) {
    Violate("a refusal that does not say why");
  }
  if (!refused && outcome.at.index == 0 && outcome.leader != NodeId::kNone &&
      outcome.leader != id) {
    ++tally_.transfers;
  }
}

// A member that lost its disk is gone for good, and may take a quorum with it; this is about those
// that come back under an old id.
void SimulatedGroup::WipeSome(NodeId id) {
  for (const NodeId other : ids_) {
    const RecoveredRaft image = disk(other).Recover(Of(other).initial);
    const Configuration& on_disk = image.configurations.empty()
                                       ? image.base_configuration
                                       : image.configurations.back().second;
    if (on_disk.IsMember(id)) return;
    if (running(other) && raft(other).configuration().IsMember(id)) return;
  }
  Trace(now_, id, "loses its disk");
  Node fresh;
  fresh.incarnation = Incarnation{ToInteger(Of(id).incarnation) + 100};
  Of(id) = std::move(fresh);
  std::erase_if(votes_, [id](const auto& vote) { return vote.first.first == id; });
  Restart(id);
}

// The node above refuses frames of a member with another disk.
bool SimulatedGroup::IsStranger(const Message& message) {
  const Configuration& known = raft(message.to).configuration();
  return known.IsMember(message.from) &&
         !NamesDisk(known, message.from, Of(message.from).incarnation);
}

// A node that goes on after a pause may be asked before it looks at the clock.
void SimulatedGroup::Resume() {
  for (const NodeId id : ids_) {
    Node& node = Of(id);
    if (!node.paused_until || *node.paused_until > now_) continue;
    node.paused_until.reset();
    if (!running(id)) continue;
    Read(id);
    Propose(id);
    Execute(id);
  }
}

void SimulatedGroup::RandomStep() {
  if (!violation_.empty()) return;
  now_ = now_ + Microseconds(static_cast<int64_t>(random_.Below(3000)));
  if (random_.OneIn(500)) now_ = now_ + Milliseconds(static_cast<int64_t>(random_.Below(2000)));
  Resume();
  TickDue();
  Disturb();
  const std::optional<NodeId> id = RandomRunning();
  const uint64_t choice = random_.Below(100);
  if (choice < 55 || !id) {
    // Faster than packets breed.
    for (size_t count = 1 + network_.size() / 8; count > 0; --count) DeliverSome();
  } else if (choice < 75) {
    const SimulatedDisk& disk = this->disk(*id);
    if (!faults_.slow_disks || random_.OneIn(4)) {
      Sync(*id, random_.OneIn(2) ? disk.unsynced() : disk.oldest_unsynced());
    }
  } else if (choice < 85) {
    Propose(*id, 1 + random_.Below(3));
  } else if (choice < 90) {
    Read(*id);
  }
  for (const NodeId node : ids_) {
    if (running(node) && !Stands(node) && Of(node).dirty && !random_.OneIn(3)) Execute(node);
  }
}

void SimulatedGroup::Settle() {
  for (int rounds = 0; violation_.empty(); ++rounds) {
    if (rounds > 100000) return Violate("the group does not come to rest");
    bool busy = false;
    for (const NodeId id : ids_) {
      if (!running(id)) continue;
      while (Of(id).dirty && violation_.empty()) Execute(id), busy = true;
      if (disk(id).unsynced() > 0) Sync(id, disk(id).unsynced()), busy = true;
    }
    if (!network_.empty()) Deliver(0), busy = true;
    if (!busy) return;
  }
}

void SimulatedGroup::Run(Duration duration) {
  const Instant end = now_ + duration;
  while (violation_.empty()) {
    Settle();
    Instant next = end;
    for (const NodeId id : ids_) {
      if (running(id)) next = std::min(next, raft(id).NextWakeup());
    }
    now_ = std::max(now_, next);
    if (now_ >= end) return;
    TickDue();
  }
}

void SimulatedGroup::Heal(Duration duration) {
  faults_ = {.outcomes_only = faults_.outcomes_only};
  side_.clear();
  for (const NodeId id : ids_) {
    Of(id).paused_until.reset();
    if (!running(id)) Restart(id);
  }
  Run(duration);
}

NodeId SimulatedGroup::Leader() const {
  NodeId leader = NodeId::kNone;
  Term term = 0;
  for (const auto& [id, node] : nodes_) {
    if (node.raft == nullptr || node.raft->role() != Role::kLeader) continue;
    if (node.raft->term() > term) leader = id, term = node.raft->term();
  }
  return leader;
}

// Promises ----------------------------------------------------------------------------------------

void SimulatedGroup::ViolateClaim(std::string what) {
  if (!faults_.outcomes_only) Violate(std::move(what));
}

void SimulatedGroup::Violate(std::string what) {
  if (violation_.empty()) violation_ = std::move(what);
}

// What a message asserts has to survive a power cut at the moment it leaves.
void SimulatedGroup::CheckSend(NodeId from, const Message& message) {
  const SimulatedDisk::Image& image = Of(from).disk.durable();
  if (const auto* reply = std::get_if<AppendReply>(&message.body); reply && reply->success) {
    const bool held = reply->match <= image.entries.size() &&
                      (!image.torn_from || reply->match < *image.torn_from) &&
                      (reply->match == 0 ||
                       image.entries[reply->match - 1].term == disk(from).Find(reply->match)->term);
    if (!held) ViolateClaim(absl::StrCat("acknowledged ", reply->match, " before it was durable"));
  }
  if (const auto* reply = std::get_if<VoteReply>(&message.body); reply && reply->granted) {
    const auto [vote, first] = votes_.try_emplace({from, reply->term}, message.to);
    if (vote->second != message.to) ViolateClaim("voted twice in one term");
    if (image.hard_state != HardState{reply->term, message.to}) ViolateClaim("vote is not durable");
  }
  if (const auto* request = std::get_if<VoteRequest>(&message.body)) {
    const auto [vote, first] = votes_.try_emplace({from, request->term}, from);
    if (vote->second != from) ViolateClaim("campaigned in a term it gave its vote away in");
    if (image.hard_state != HardState{request->term, from}) ViolateClaim("own vote is not durable");
    if (image.entries.size() < request->last.index) ViolateClaim("claims what is not durable");
  }
}

void SimulatedGroup::CheckAll(NodeId id) {
  Node& node = Of(id);
  if (auto broken = node.invariants.AfterStep(*node.raft)) {
    ViolateClaim(absl::StrCat("node ", ToInteger(id), ": ", *broken));
  }
  CheckLeader(id);
}

// Election safety and leader completeness (paper figure 3).
void SimulatedGroup::CheckLeader(NodeId id) {
  const Raft& raft = *Of(id).raft;
  if (raft.role() != Role::kLeader) return;
  const auto [leader, first] = leaders_.try_emplace(raft.term(), id);
  if (leader->second != id) Violate(absl::StrCat("two leaders in term ", raft.term()));
  if (!first) return;
  // What stands before the base was committed when it went.
  for (Index index = std::max<Index>(raft.base().index, 1); index <= ledger_.size(); ++index) {
    const Committed& committed = ledger_[index - 1];
    if (committed.committed_in < raft.term() && raft.TermAt(index) != committed.term) {
      Violate(
          absl::StrCat("the leader of term ", raft.term(), " lacks the committed entry ", index));
    }
  }
}

void SimulatedGroup::CheckCommit(NodeId id) {
  Node& node = Of(id);
  const Index commit = node.raft->commit();
  if (commit == node.checked_commit) return;
  for (Index index = node.checked_commit + 1; index <= commit; ++index) {
    const SimulatedEntry& entry = *node.disk.Find(index);
    if (index > ledger_.size()) {
      ledger_.push_back({entry.term, entry.value, node.raft->term()});
      CheckCommittedConfiguration(entry);
      if (index == commit && !DurableOnQuorum(index, entry.term, node.raft->configuration()) &&
          !DurableOnQuorum(index, entry.term, ConfigurationBefore(id))) {
        ViolateClaim(absl::StrCat("committed ", index, " without a quorum that has it"));
      }
    }
    const Committed& committed = ledger_[index - 1];
    if (committed.term != entry.term || committed.value != entry.value) {
      Violate(
          absl::StrCat("the committed entry ", index, " is another one at node ", ToInteger(id)));
    }
  }
  node.checked_commit = commit;
}

// The configuration that was in force before the last one. A leader that commits one appends the
// next in the same step.
Configuration SimulatedGroup::ConfigurationBefore(NodeId id) {
  for (Index index = raft(id).configuration_position().index; index-- > 1;) {
    if (const auto& found = disk(id).Find(index)->configuration) return *found;
  }
  return Of(id).initial.voters.empty() ? raft(id).configuration() : Of(id).initial;
}

// Neighbours in the committed log have quorums that meet (I16).
void SimulatedGroup::CheckCommittedConfiguration(const SimulatedEntry& entry) {
  if (!entry.configuration) return;
  ++tally_.changes;
  if (last_configuration_) {
    const std::string fault = TransitionFault(*last_configuration_, *entry.configuration);
    if (!fault.empty()) Violate(fault);
    if (entry.configuration->removed != RemovedAfter(*last_configuration_, *entry.configuration)) {
      Violate(absl::StrCat(ToString(*entry.configuration), " forgets who was removed"));
    }
    if (entry.configuration->former_disks !=
        FormerDisksAfter(*last_configuration_, *entry.configuration)) {
      Violate(absl::StrCat(ToString(*entry.configuration), " forgets with which disk"));
    }
  }
  last_configuration_ = entry.configuration;
}

bool SimulatedGroup::DurableOnQuorum(Index index, Term term, const Configuration& configuration) {
  return ReachedByQuorum(configuration, [&](NodeId voter) -> uint64_t {
           const SimulatedDisk::Image& image = disk(voter).durable();
           const bool held = index <= image.entries.size() &&
                             image.entries[index - 1].term == term &&
                             (!image.torn_from || index < *image.torn_from);
           // Who is unsure comes back with all it acknowledged.
           return held || image.unsure ? 1 : 0;
         }) == 1;
}

// Log matching: an entry of one index and term is one entry, and stands behind one entry.
void SimulatedGroup::CheckWritten(NodeId id, Index index) {
  const SimulatedEntry& entry = *disk(id).Find(index);
  const SimulatedEntry* before = disk(id).Find(index - 1);
  const std::pair<uint64_t, Term> found = {entry.value, before == nullptr ? 0 : before->term};
  const auto [known, first] = entries_.try_emplace({index, entry.term}, found);
  if (entry.value == 0) Violate("a torn entry was sent");
  if (known->second != found) {
    Violate(absl::StrCat("entry ", index, "/", entry.term, " has two contents or histories"));
  }
}

void SimulatedGroup::Trace(Instant now, NodeId node, absl::string_view decision) {
  story_.push_back(
      absl::StrCat(ToMilliseconds(now - Instant{}), " ", ToInteger(node), ": ", decision));
  if (story_.size() > 3000) story_.pop_front();
}

std::string SimulatedGroup::Story() const {
  std::string story;
  for (const std::string& line : story_) absl::StrAppend(&story, line, "\n");
  return story;
}

}  // namespace cairn
