#include "tests/core/recovery/damaged_group.h"

#include <algorithm>
#include <tuple>
#include <variant>

#include "absl/strings/str_cat.h"
#include "raft/core/membership.h"

namespace cairn {

size_t DamagedDisk::bad_end() const {
  size_t end = size();
  while (end > compacted && !good[end - 1]) --end;
  return end;
}

std::string Describe(const DamagedDisks& disks) {
  std::string text;
  for (const DamagedDisk& disk : disks) {
    absl::StrAppend(&text, text.empty() ? "" : " | ");
    if (disk.compacted > 0) absl::StrAppend(&text, disk.state_lost ? "(lost " : "(");
    for (size_t i = 0; i < disk.size(); ++i) {
      const bool bad = i >= disk.compacted && !disk.good[i];
      const char* how = !bad ? "" : disk.torn && i >= disk.bad_end() ? "?" : "x";
      absl::StrAppend(&text, disk.terms[i], how, i + 1 == disk.compacted ? ") " : " ");
    }
    if (disk.applied > disk.compacted) absl::StrAppend(&text, "applied ", disk.applied);
    if (disk.unsure) absl::StrAppend(&text, "unsure");
  }
  return text;
}

Configuration VotersUpTo(size_t count) {
  Configuration members;
  for (uint64_t id = 1; id <= count; ++id) {
    members.voters.push_back({NodeId{id}, Incarnation::kUnknown, absl::StrCat("n", id)});
  }
  return members;
}

DamagedGroup::DamagedGroup(const DamagedDisks& disks, ModelMembers members, Random* luck,
                           TraceSink* trace)
    : members_(std::move(members)), luck_(luck) {
  // Who led a term was elected by a quorum; let all have heard of it.
  Term term = 1;
  for (const DamagedDisk& disk : disks) {
    if (disk.size() > 0) term = std::max(term, disk.terms.back());
  }
  first_term_ = term;
  for (size_t i = 0; i < disks.size(); ++i) Start(i, disks[i], term, trace);
}

void DamagedGroup::Start(size_t i, const DamagedDisk& disk, Term term, TraceSink* trace) {
  RaftOptions options;
  options.node = NodeId{i + 1};
  options.seed = 7;
  options.never_campaigns = members_.observers.contains(options.node);
  RecoveredRaft recovered;
  recovered.base = {kModelBase + disk.compacted,
                    disk.compacted == 0 ? 1 : disk.terms[disk.compacted - 1]};
  recovered.base_configuration_position = {kModelBase, 1};
  recovered.base_configuration = members_.base;
  const size_t applied = disk.state_lost ? 0 : std::max(disk.compacted, disk.applied);
  recovered.applied = kModelBase + applied;
  recovered.state_lost = disk.state_lost;
  recovered.unsure = disk.unsure;
  auto node = std::make_unique<Node>();
  node->kept = recovered.applied;
  node->good.assign(recovered.base.index + 1, true);
  for (size_t at = 0; at < disk.size(); ++at) {
    const Index index = kModelBase + 1 + at;
    if (at < std::max(disk.compacted, applied)) CheckDecided({index, disk.terms[at]});
    if (at < disk.compacted) continue;
    recovered.runs.push_back({disk.terms[at], index});
    node->good.push_back(disk.good[at]);
    if (!disk.good[at]) recovered.holes.push_back({index, index});
  }
  if (disk.torn && disk.bad_end() < disk.size()) {
    recovered.torn_from = kModelBase + 1 + disk.bad_end();
  }
  if (const Index at = members_.joint_at; at < node->good.size() && node->good[at]) {
    recovered.configurations.push_back({{at, disk.terms[at - kModelBase - 1]}, members_.joint});
  }
  // Who has forgotten what it promised may have forgotten its term.
  recovered.hard_state.term = disk.unsure ? 0 : term;
  node->raft = std::make_unique<Raft>(options, std::move(recovered), now_, trace);
  nodes_.push_back(std::move(node));
  Take(*nodes_.back());
}

bool DamagedGroup::Recovers(Duration limit) {
  const Instant end = now_ + limit;
  while (now_ < end) {
    Settle();
    if (Recovered()) return true;
    AskForStates();
    for (auto& node : nodes_) TellNowhere(*node);
    Instant next = kDistantFuture;
    for (const auto& node : nodes_) next = std::min(next, node->raft->NextWakeup());
    if (next == kDistantFuture) return false;
    now_ = std::max(now_ + Milliseconds(1), next);
    for (auto& node : nodes_) Step(*node, Tick{});
  }
  return false;
}

bool DamagedGroup::Keeps(const DamagedDisk& disk, size_t count) const {
  for (size_t at = 0; at < count; ++at) {
    const auto entry = decided_.find(kModelBase + 1 + at);
    if (entry == decided_.end() || entry->second != disk.terms[at]) return false;
  }
  return true;
}

size_t DamagedGroup::DamageAgain() {
  Node* leader = nullptr;
  for (auto& node : nodes_) {
    if (node->raft->leads_with_commit()) leader = node.get();
  }
  const Index last = leader->raft->last().index;
  quiet_ = true;
  Step(*leader, Propose{.payload = 1, .count = 2, .bytes = 2});
  Settle();
  if (leader->raft->commit() != last + 2) Violate("two more entries are not committed");
  size_t asked = 0;
  for (auto& node : nodes_) {
    if (node.get() == leader) continue;
    if (node->raft->commit() > last) Violate("it has heard of the commit");
    node->good[last + 1] = false;
    Step(*node, EntriesDamaged{{last + 1, last + 1}});
    const std::deque<Message> answers = answers_;
    bool some = false;
    for (const Message& answer : answers) {
      if (answer.to != node->raft->node()) continue;
      some = true;
      Step(*node, Receive{answer, 0});
      if (node->fenced) Violate("halts by old answers");
      if (node->raft->last().index != last + 2) Violate("forgets by old answers");
    }
    if (some) ++asked;
  }
  quiet_ = false;
  return asked;
}

// Effects -----------------------------------------------------------------------------------------

void DamagedGroup::Step(Node& node, Event event) {
  if (const auto* begun = std::get_if<BegunBehind>(&event)) node.checker.Told(begun->at);
  node.raft->Step(now_, std::move(event));
  if (auto broken = node.checker.AfterStep(*node.raft)) Violate(*broken);
  Take(node);
}

void DamagedGroup::Take(Node& node) {
  for (Effects effects = node.raft->TakeEffects(); !effects.empty();
       effects = node.raft->TakeEffects()) {
    if (auto broken = node.checker.AfterEffects(*node.raft, effects)) Violate(*broken);
    if (effects.fence) {
      node.fenced = true;
      if (effects.fence->reason != Fence::Reason::kDataLoss) Violate(effects.fence->message);
    }
    for (const LogBatch& batch : effects.log_batches) Write(node, batch);
    for (const SendEntries& send : effects.send_entries) Send(node, send);
    for (const SendSnapshot& send : effects.send_snapshots) {
      offers_.push_back({node.raft->node(), send.to, send.term, send.at_least});
    }
    for (Message& message : effects.messages) queue_.push_back(std::move(message));
    if (effects.ask_torn) asked_.emplace_back(node.raft->node(), *effects.ask_torn);
    if (effects.restore) {
      node.kept = effects.restore->index;
      node.raft->Step(now_, Applied{effects.restore->index});
    }
    if (effects.apply_up_to > node.raft->applied()) Apply(node, effects.apply_up_to);
  }
}

void DamagedGroup::Write(Node& node, const LogBatch& batch) {
  if (batch.reset_to) node.good.assign(batch.reset_to->base.index + 1, true);
  if (batch.truncate_from) node.good.resize(*batch.truncate_from);
  for (const AppendRun& run : batch.runs) {
    node.good.resize(run.last_index + 1, true);
    if (run.configuration) appended_.emplace_back(run.first, *run.configuration);
  }
  node.raft->Step(now_, LogSynced{batch.ticket});
}

void DamagedGroup::Apply(Node& node, Index up_to) {
  for (Index index = node.raft->applied() + 1; index <= up_to; ++index) {
    if (!node.good[index]) Violate(absl::StrCat("applies entry ", index, ", unreadable"));
    CheckDecided({index, node.raft->TermAt(index)});
  }
  node.raft->Step(now_, Applied{up_to});
}

void DamagedGroup::CheckDecided(LogPosition entry) {
  const auto [known, first] = decided_.try_emplace(entry.index, entry.term);
  if (known->second == entry.term) return;
  Violate(absl::StrCat("applies ", ToString(entry), " where term ", known->second, " was applied"));
}

void DamagedGroup::Send(Node& node, const SendEntries& send) {
  Index last = send.previous.index;
  while (last < send.last.index && node.good[last + 1]) ++last;
  if (last > send.previous.index) {
    AppendEntries append{.term = send.term,
                         .previous = send.previous,
                         .commit = send.commit,
                         .acknowledged = send.acknowledged};
    for (Index index = send.previous.index + 1; index <= last; ++index) {
      const LogPosition at = {index, node.raft->TermAt(index)};
      append.runs.push_back({at.term, index});
      for (auto& each : ConfigurationsAt(at)) append.configurations.push_back(std::move(each));
    }
    queue_.push_back({node.raft->node(), send.to, append});
  }
  node.raft->Step(now_, EntriesSent{send.to, send.request, last, 1});
}

void DamagedGroup::Settle() {
  do {
    while (!queue_.empty()) {
      const Message message = std::move(queue_.front());
      queue_.pop_front();
      if (std::holds_alternative<TailReply>(message.body)) answers_.push_back(message);
      if (quiet_ && std::holds_alternative<Heartbeat>(message.body)) continue;
      Node& to = At(message.to);
      if (!to.fenced) Step(to, Receive{message, 1});
    }
  } while (GiveTorn() || GiveSnapshot() || (Lucky(8) && Repair()));
}

// What stands for raft/repair/ --------------------------------------------------------------------

// Answers a question for torn entries, by all that are wanted or, with luck, by the first of them
// or not at all.
bool DamagedGroup::GiveTorn() {
  if (asked_.empty()) return false;
  const auto [asker, ask] = asked_.front();
  asked_.pop_front();
  const Node& holder = At(ask.to);
  Node& node = At(asker);
  if (luck_ != nullptr && luck_->OneIn(4)) return true;
  TornEntriesGiven given = {.from = ask.to, .request = ask.request, .payload = 1};
  given.previous = {ask.first - 1, holder.raft->TermAt(ask.first - 1)};
  Index next = ask.first;
  for (const TermRun& run : ask.runs) {
    for (; next <= run.last_index; ++next) {
      if (!CanGive(holder, {next, run.term})) break;
      if (next > ask.first && luck_ != nullptr && luck_->OneIn(3)) break;
      if (given.runs.empty() || given.runs.back().term != run.term) given.runs.push_back(run);
      given.runs.back().last_index = next;
      for (auto& each : ConfigurationsAt({next, run.term})) {
        given.configurations.push_back(std::move(each));
      }
    }
    if (next <= run.last_index) break;
  }
  if (!given.runs.empty() && !node.fenced) Step(node, std::move(given));
  return true;
}

// As Node::GiveEntries.
bool DamagedGroup::CanGive(const Node& giver, LogPosition entry) const {
  return !giver.fenced && entry.index > giver.raft->base().index &&
         giver.raft->TermAt(entry.index) == entry.term && giver.good[entry.index] &&
         entry.index < giver.raft->torn_from().value_or(kMaxIndex);
}

// True if something was repaired.
bool DamagedGroup::Repair() {
  bool repaired = false;
  for (auto& node : nodes_) {
    if (node->fenced) continue;
    for (const HoleRange hole : node->raft->holes().Ranges()) {
      for (Index index = hole.first; index <= hole.last; ++index) {
        const LogPosition entry = {index, node->raft->TermAt(index)};
        const bool somewhere = std::any_of(nodes_.begin(), nodes_.end(), [&](const auto& other) {
          return other != node && CanGive(*other, entry);
        });
        if (!somewhere) continue;
        node->good[index] = true;
        Step(*node, EntriesRepaired{{index, index}, ConfigurationsAt(entry)});
        if (luck_ != nullptr) return true;
        repaired = true;
      }
    }
  }
  return repaired;
}

// As EntryRepair and Node::DriveRepair: every other member has said so, or the leader.
void DamagedGroup::TellNowhere(Node& node) {
  if (node.fenced || node.raft->holes().empty() || !Lucky(2)) return;
  const HoleRange hole = node.raft->holes().RangeFrom(1);
  const auto nowhere = [&](Index index) {
    return Nowhere(node, {index, node.raft->TermAt(index)});
  };
  if (!nowhere(hole.first)) return;
  Index last = hole.first;
  while (last < hole.last && nowhere(last + 1)) ++last;
  if (hole.first <= node.kept) {
    Step(node, Compact{std::min(last, node.kept)});
  } else {
    Step(node, EntriesNowhere{{hole.first, last}});
  }
}

bool DamagedGroup::Nowhere(const Node& node, LogPosition entry) const {
  const auto lacks = [&](NodeId id) {
    const Node& other = *nodes_[ToInteger(id) - 1];
    return !other.fenced && !other.raft->unsure() && !CanGive(other, entry);
  };
  const NodeId leader = node.raft->leader();
  if (leader != NodeId::kNone && leader != node.raft->node() && lacks(leader)) return true;
  const std::vector<NodeId> others = OtherMembers(node.raft->configuration(), node.raft->node());
  return std::all_of(others.begin(), others.end(), lacks);
}

// As StateRepair and Node::GiveState: whoever has applied as much.
void DamagedGroup::AskForStates() {
  for (auto& node : nodes_) {
    const Index at_least = node->raft->state_needed();
    if (node->fenced || at_least == 0) continue;
    for (auto& other : nodes_) {
      if (other == node || other->fenced || !Lucky(2)) continue;
      if (node->raft->state_lost()) Step(*other, BegunBehind{node->raft->base()});
      if (other->raft->state_lost() || other->raft->applied() < at_least) continue;
      offers_.push_back({other->raft->node(), node->raft->node(), other->raft->term(), at_least});
      break;
    }
  }
}

// As Node::TakeOffer and TakeAskedOffer.
bool DamagedGroup::GiveSnapshot() {
  if (offers_.empty()) return false;
  const Offer offer = offers_.front();
  offers_.pop_front();
  const Node& from = At(offer.from);
  Node& to = At(offer.to);
  if (to.fenced || from.fenced || from.raft->state_lost() || !Lucky(2)) return true;
  const Index index = from.raft->applied();
  SnapshotPoint point = {.position = {index, index == kModelBase ? 1 : decided_.at(index)}};
  std::tie(point.configuration_position, point.configuration) = DecidedUpTo(index);
  if (index < offer.at_least) return true;
  if (to.raft->state_needed() != 0) {
    if (index < to.raft->state_needed()) return true;
    Step(to, TermReached{offer.term});
  } else if (offer.term != to.raft->term() || to.raft->leader() != offer.from) {
    return true;
  }
  Step(to, SnapshotReceived{offer.term, point});
  return true;
}

// What there is -----------------------------------------------------------------------------------

std::vector<std::pair<LogPosition, Configuration>> DamagedGroup::ConfigurationsAt(
    LogPosition at) const {
  std::vector<std::pair<LogPosition, Configuration>> found;
  const auto appended = std::find_if(appended_.begin(), appended_.end(),
                                     [&](const auto& each) { return each.first == at; });
  if (appended != appended_.end()) {
    found.push_back(*appended);
  } else if (at.index == members_.joint_at) {
    found.emplace_back(at, members_.joint);  // of the logs there were; later ones are appended_
  }
  return found;
}

// The last configuration that some state has, up to there.
std::pair<LogPosition, Configuration> DamagedGroup::DecidedUpTo(Index index) const {
  std::pair<LogPosition, Configuration> last = {{kModelBase, 1}, members_.base};
  // Who has led since then may have put another entry in its place.
  const Index joint_at = members_.joint_at;
  if (joint_at <= index && decided_.at(joint_at) <= first_term_) {
    last = {{joint_at, decided_.at(joint_at)}, members_.joint};
  }
  for (const auto& appended : appended_) {
    const LogPosition at = appended.first;
    const bool decided = at.index <= index && decided_.at(at.index) == at.term;
    if (decided && at.index > last.first.index) last = appended;
  }
  return last;
}

const Raft* DamagedGroup::Leader() const {
  const Raft* leader = nullptr;
  for (const auto& node : nodes_) {
    if (!node->fenced && node->raft->leads_with_commit()) leader = node->raft.get();
  }
  return leader;
}

bool DamagedGroup::Recovered() const {
  const Raft* leader = Leader();
  if (leader == nullptr || leader->commit() != leader->last().index) return false;
  const Configuration& members = leader->configuration();
  if (members.joint() || !members.IsVoter(leader->node())) return false;
  return std::all_of(nodes_.begin(), nodes_.end(), [&](const auto& node) {
    const Raft& raft = *node->raft;
    if (!members.IsMember(raft.node())) return true;
    return !node->fenced && raft.last() == leader->last() && raft.applied() == leader->commit() &&
           raft.holes().empty() && !raft.torn_from() && !raft.unsure() && !raft.state_lost();
  });
}

}  // namespace cairn
