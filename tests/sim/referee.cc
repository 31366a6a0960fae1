#include "tests/sim/referee.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "tests/sim/observed_log_disk.h"

namespace cairn::sim {
namespace {

std::string Show(const GroupStatus& status) {
  return absl::StrCat("term ", status.term, ", log ", status.first_index, "..", status.last_index,
                      ", durable ", status.durable_index, ", commit ", status.commit_index,
                      ", applied ", status.applied_index, ", snapshot ", status.snapshot_index);
}

}  // namespace

Referee::Referee(World& world, GroupId group, std::vector<NodeId> voters,
                 DurabilityChecker::RecoverWorstCase recover,
                 const DurabilityChecker::Options& options, const GroupOptions& limits)
    : world_(world),
      group_(group),
      recover_(recover),
      by_bytes_(limits.compaction.retained_entries == CompactionOptions().retained_entries),
      ledger_(std::move(voters), world.violations, world.counters),
      states_(ledger_, world.violations, world.counters),
      durability_(ledger_, world.violations, world.counters, std::move(recover), options),
      clients_(ledger_, states_, durability_, world.violations, world.counters),
      membership_(ledger_, world.violations, world.counters),
      bounds_(limits, world.violations),
      candidacy_(world.violations, world.counters) {
  ledger_.ObserveLeaders([this](NodeId leader, Term term) {
    candidacy_.Elected(leader, term);
    membership_.Elected(leader, term,
                        [&](NodeId voter) { return durability_.VotedFor(voter, term, leader); });
    for (const auto& observer : observers_) observer(leader);
  });
  ledger_.ObserveConfigurations(
      [this](const Ledger::ConfigurationChange& change) {
        world_.log.Add(change.leader, "configuration", {change.index, change.term}, [&] {
          return absl::StrCat(change.index, "/", change.term, " ", ToString(*change.next));
        });
        membership_.Appended(change);
      },
      [this](const Ledger::ConfigurationChange& change) { membership_.Committed(change); });
}

void Referee::Report(const char* invariant, NodeId node, const std::string& what) {
  world_.violations.Report(
      invariant, absl::StrCat("g", ToInteger(group_), ", n", ToInteger(node), ": ", what));
}

void Referee::Deleted(NodeId node) {
  // What was deleted half, opened and deleted again begins anew, too.
  ProcessEnded(node);
  if (!deletions_.done.insert(node).second) return;
  opened_.erase(node);
  torn_.erase(node);
  ledger_.Deleted(node);
  candidacy_.Deleted(node);
}

// Nothing of what it held or said binds it any more, and it counts for what it will hold.
void Referee::Begun(NodeId node, Incarnation incarnation) {
  ProcessEnded(node);
  opened_.erase(node);
  torn_.erase(node);
  ledger_.Begun(node);
  durability_.Begun(node);
  resets_.Begun(node, incarnation);
  world_.counters.Count("learner reset");
}

// By its log; but that may lag behind what it goes by, and then what is committed counts as well.
void Referee::CheckMayReset(NodeId node) {
  const LogImage& log = ledger_.log(node).live();
  const Index at = log.LastConfiguration();
  const EntryId* last = log.Find(at);
  const Configuration& own = last != nullptr && last->configuration != nullptr
                                 ? *last->configuration
                                 : *ledger_.ConfigurationAt(log.last()).second;
  const bool may_lag = at <= ledger_.configuration_index();
  if (!own.IsVoter(node) || (may_lag && !ledger_.configuration().IsVoter(node))) return;
  Report("no voter is reset", node, absl::StrCat("its members are ", ToString(own)));
}

void Referee::Rescue(NodeId best, const std::set<NodeId>& lost, Ledger::Override rule) {
  outcasts_ = lost;
  ledger_.Rescue(best, lost, std::move(rule));
  states_.ForgetBehind(ledger_.commit());
  clients_.ForgiveBehind(ledger_.commit());
}

void Referee::Opened(NodeId node, Incarnation incarnation, Incarnation of_disk) {
  if (IsOutcast(node)) return;
  const Incarnation reset = resets_.incarnation(node);
  const bool is_gone = incarnation != (reset == Incarnation::kUnknown ? of_disk : reset);
  const bool is_empty = ledger_.log(node).live().last() == 0;
  const bool vanished = deletions_.vanished.erase(node) > 0;
  if (is_gone && is_empty && deletions_.begun.contains(node)) return Deleted(node);
  if (is_gone && is_empty && resets_.MayBeGone(node)) return Begun(node, incarnation);
  resets_.Refused(node);
  if (!is_gone && !vanished && !deletions_.done.contains(node)) return;
  Report("a deleted group is gone", node,
         absl::StrCat("opens it as ", is_gone ? "another" : "the same", " member with ",
                      is_empty ? "nothing" : "what it had", ", it was ",
                      deletions_.done.contains(node)    ? ""
                      : deletions_.begun.contains(node) ? "to be "
                                                        : "not ",
                      "deleted"));
}

void Referee::LogOpened(NodeId node, const OpenedLog& opened, bool rotten) {
  if (IsOutcast(node)) return;
  const LogImage known = opened_.contains(node) ? ledger_.log(node).durable() : LogImage();
  absl::StatusOr<LogImage> image = ImageOf(opened, &known, rotten);
  if (!image.ok()) {
    return Report("I19 recovery", node,
                  absl::StrCat("an entry it recovered has no hash: ", image.status().ToString()));
  }
  const RecoveredLog& recovered = opened.recovered;
  world_.log.Add(node, "recover", {image->last(), image->hard_state().term}, [&] {
    return absl::StrCat("g", ToInteger(group_), " up to ", image->last(), "/", image->last_term(),
                        " term ", image->hard_state().term, " vote ",
                        ToInteger(image->hard_state().vote), " torn from ",
                        recovered.torn_from.value_or(0), " faulty ", recovered.faulty.size(),
                        " cut bytes ", recovered.report.torn_bytes);
  });
  CountRecovery(node, recovered);
  const auto is_empty = [](const LogImage& log) {
    return log.last() == 0 && log.hard_state() == HardState();
  };
  const bool may_be_gone = deletions_.begun.contains(node) || resets_.MayBeGone(node);
  if (may_be_gone && is_empty(*image) && !is_empty(known)) {
    deletions_.vanished.insert(node);
  } else if (opened_.contains(node)) {
    CheckRecovery(node, opened, *image, rotten);
  }
  if (rotten) ledger_.Damaged(node);
  if (!rotten) CheckRecoveredIsDurable(node, *image);
  opened_.insert(node);
  HardState hard_state = image->hard_state();
  ledger_.Recovered(node, *std::move(image));
  ledger_.Claimed(node, recovered.known_commit, "recovered");
  if (!deletions_.done.contains(node)) durability_.HardStateDurable(node, hard_state);
}

void Referee::CheckRecovery(NodeId node, const OpenedLog& opened, const LogImage& image,
                            bool rotten) {
  const RecoveredLog& recovered = opened.recovered;
  const LogModel& before = ledger_.log(node);
  Index last = recovered.runs.empty() ? recovered.base.index : recovered.runs.back().last_index;
  if (image.hard_state().term < image.last_term()) {
    Report("I19 recovery", node,
           absl::StrCat("term ", image.hard_state().term, " is older than its last entry's ",
                        image.last_term()));
  }
  if (rotten) {
    // Damaged entries may be missing, if the node knows it.
    if (last < before.least_last() && !recovered.hard_state_lost) {
      Report("I20 no silent loss", node,
             absl::StrCat("recovers entries up to ", last, ", durable were those up to ",
                          before.least_last()));
    }
    return;
  }
  if (!recovered.faulty.empty() || recovered.hard_state_lost) {
    Report("a power cut damages nothing", node,
           recovered.hard_state_lost ? "lost its term and vote"
                                     : absl::StrCat("holds entry ", recovered.faulty[0].first.index,
                                                    " for damaged: ", recovered.faulty[0].reason));
  }
  std::string why_not = before.WhyNotAfterPowerCut(image);
  if (!why_not.empty()) Report("I19 recovery", node, absl::StrCat("does not fit: ", why_not));
}

void Referee::CheckRecoveredIsDurable(NodeId node, const LogImage& image) {
  absl::StatusOr<LogImage> again = recover_(node);
  if (!again.ok()) {
    return Report(
        "I19 recovery", node,
        absl::StrCat("a power cut behind its recovery is fatal: ", again.status().ToString()));
  }
  if (again->hard_state() != image.hard_state() || again->last() != image.last() ||
      AgreedPrefix(*again, image) != image.last()) {
    Report(
        "I19 recovery", node,
        absl::StrCat("recovers ", image.last(), " in term ", image.hard_state().term,
                     ", after a power cut ", again->last(), " in term ", again->hard_state().term));
  }
}

void Referee::CountRecovery(NodeId node, const RecoveredLog& recovered) {
  Counters& counters = world_.counters;
  if (recovered.hard_state_lost) counters.Count("recovery: the end is lost");
  counters.Count("log recovered");
  if (recovered.report.torn_bytes > 0) counters.Count("recovery: torn tail cut");
  if (recovered.report.blocks > 1) counters.Count("recovery: several blocks");
  if (!recovered.faulty.empty()) counters.Count("recovery: damaged entries found");
  torn_.erase(node);
  if (!recovered.torn_from) return;
  torn_[node] = *recovered.torn_from;
  counters.Count("recovery: entries may be torn");
  if (torn_.size() > 1) counters.Count("entries may be torn on several nodes");
}

void Referee::LogAppended(NodeId node, LogChange change) {
  if (IsOutcast(node)) {
    // But for what a snapshot stands for, and what was torn and is written again.
    const bool changes = change.truncate_from || change.reset_to || !change.entries.empty();
    const auto torn = torn_.find(node);
    const bool again = torn != torn_.end() && !change.reset_to &&
                       change.truncate_from.value_or(change.first) >= torn->second;
    if (changes && !again) Report("the log of a lost member is kept", node, "it changes");
    return;
  }
  auto torn = torn_.find(node);
  if (torn != torn_.end()) {
    bool decided = (change.truncate_from && *change.truncate_from <= torn->second) ||
                   (!change.entries.empty() && change.first <= torn->second);
    if (decided) {
      world_.counters.Count("torn entries decided");
      torn_.erase(torn);
    }
  }
  world_.log.Add(node, "append", {change.first, change.entries.size()}, [&] {
    std::string text = absl::StrCat("g", ToInteger(group_));
    if (change.hard_state) {
      absl::StrAppend(&text, " term ", change.hard_state->term, " vote ",
                      ToInteger(change.hard_state->vote));
    }
    if (change.truncate_from) absl::StrAppend(&text, " truncate from ", *change.truncate_from);
    if (!change.entries.empty()) {
      absl::StrAppend(&text, " entries ", change.first, "..",
                      change.first + change.entries.size() - 1, "/", change.entries.back().term);
    }
    return text;
  });
  if (change.drop_up_to && by_bytes_) world_.counters.Count("log compacted by its bytes");
  ledger_.Appended(node, std::move(change));
}

void Referee::LogSynced(NodeId node, uint64_t appended) {
  if (IsOutcast(node)) return;
  ledger_.Synced(node, appended);
  if (!deletions_.done.contains(node)) {
    durability_.HardStateDurable(node, ledger_.log(node).durable().hard_state());
  }
  world_.log.Add(node, "synced", {appended}, [&] {
    return absl::StrCat("g", ToInteger(group_), " durable up to ",
                        ledger_.log(node).durable_floor(), " term ",
                        ledger_.log(node).durable().hard_state().term, ", committed by the disks ",
                        ledger_.commit());
  });
}

void Referee::SentByOutcast(const Envelope& envelope) {
  const auto* body = std::get_if<MessageBody>(&envelope.body);
  if (body == nullptr) return;
  const auto* acknowledged = std::get_if<AppendReply>(body);
  if (std::holds_alternative<AppendEntries>(*body) || std::holds_alternative<Heartbeat>(*body) ||
      std::holds_alternative<VoteRequest>(*body) ||
      (acknowledged != nullptr && acknowledged->success)) {
    Report("a lost member that comes back counts for nothing", envelope.from,
           absl::StrCat("sends ", NameOf(*body)));
  }
}

void Referee::Sent(const Envelope& envelope) {
  if (absl::Status status = Validate(envelope); !status.ok()) {
    Report("honest envelopes are valid", envelope.from, status.ToString());
  }
  if (IsOutcast(envelope.from)) return SentByOutcast(envelope);
  if (const auto* body = std::get_if<MessageBody>(&envelope.body)) {
    if (const auto* append = std::get_if<AppendEntries>(body)) {
      std::vector<EntryId> entries;
      for (const RecordRun& run : envelope.entries) {
        for (size_t i = 0; i < run.size(); ++i) {
          entries.push_back(IdOf(run, i));
        }
      }
      ledger_.SentEntries(envelope.from, append->term, append->previous.index + 1, entries);
      ledger_.Claimed(envelope.from, append->commit, "AppendEntries");
    } else if (const auto* heartbeat = std::get_if<Heartbeat>(body)) {
      ledger_.Led(envelope.from, heartbeat->term);
      ledger_.Claimed(envelope.from, heartbeat->commit, "Heartbeat");
    } else if (const auto* tail = std::get_if<TailReply>(body)) {
      ledger_.Claimed(envelope.from, tail->known_commit, "TailReply");
    } else if (const auto* read = std::get_if<ReadIndexReply>(body)) {
      if (read->ready) ledger_.Claimed(envelope.from, read->index, "ReadIndexReply");
      if (read->ready) clients_.LeaderAnswered(envelope.to, read->request, read->index);
    } else if (const auto* vote = std::get_if<VoteReply>(body)) {
      if (vote->granted) candidacy_.Voted(envelope.from);
    } else if (const auto* votes = std::get_if<VoteRequest>(body)) {
      candidacy_.AskedForVotes(envelope.from, votes->term);
    } else if (const auto* asked = std::get_if<ReadIndexRequest>(body)) {
      clients_.AskedLeader(envelope.from, asked->request);
    }
  } else if (std::holds_alternative<ForwardedProposals>(envelope.body)) {
    world_.counters.Count("proposals forwarded");
  } else if (const auto* offer = std::get_if<SnapshotOffer>(&envelope.body)) {
    world_.counters.Count("snapshot offered");
    states_.SnapshotMade(envelope.from, offer->position, offer->id);
    ledger_.Claimed(envelope.from, offer->position.index, "SnapshotOffer");
  } else if (const auto* answer = std::get_if<SnapshotAnswer>(&envelope.body)) {
    world_.counters.Count("snapshot offered in vain");
    if (answer->verdict == SnapshotAnswer::Verdict::kStorageFailed) {
      world_.counters.Count("snapshot not taken: its disk failed");
    }
    ledger_.Claimed(envelope.from, answer->commit, "SnapshotAnswer");
  } else if (const auto* request = std::get_if<SnapshotRequest>(&envelope.body)) {
    CountPull(envelope.from, *request);
  } else if (const auto* piece = std::get_if<SnapshotPiece>(&envelope.body)) {
    world_.counters.Count(piece->gone ? "snapshot gone" : "snapshot piece sent");
  }
  bounds_.Sent(envelope);
  // What another life of it has said binds it no more, and its votes elect nobody.
  if (!deletions_.done.contains(envelope.from)) durability_.Sent(envelope);
}

// Whoever asks for chunks of a snapshot of which its process before asked for some goes on with it.
void Referee::CountPull(NodeId node, const SnapshotRequest& request) {
  if (request.file == kManifestPart) return;
  const auto [pulled, first] = pulled_.try_emplace(node);
  if (!first && pulled->second.id == request.id && pulled->second.by_another_process) {
    world_.counters.Count("snapshot taken up again");
  }
  pulled->second = {request.id, false};
}

void Referee::Shown(NodeId node, const GroupStatus& status) {
  if (IsOutcast(node)) return;
  if (status.role == Role::kLeader) ledger_.Led(node, status.term);
  ledger_.Claimed(node, status.commit_index, "status");
  bool in_order =
      status.first_index <= status.last_index + 1 && status.applied_index <= status.commit_index &&
      status.commit_index <= status.last_index && status.durable_index <= status.last_index;
  if (!in_order) Report("I17 order", node, Show(status));
  bounds_.Shown(node, status);
  membership_.Shown(node, status);
  auto [before, is_new] = shown_.insert({node, status});
  if (status.quiesced && (is_new || !before->second.quiesced)) {
    world_.counters.Count("group rested");
  }
  if (is_new) return;
  // A snapshot may go when it is not needed; an older one never comes in its place.
  const bool older_snapshot =
      status.snapshot_index != 0 && status.snapshot_index < before->second.snapshot_index;
  if (status.term < before->second.term || status.commit_index < before->second.commit_index ||
      status.applied_index < before->second.applied_index || older_snapshot) {
    Report("I3 monotonic", node, absl::StrCat(Show(before->second), "; then ", Show(status)));
  }
  if (before->second.role == Role::kLeader && status.role == Role::kLeader &&
      status.term == before->second.term && status.last_index < before->second.last_index) {
    Report("I6 leader append-only", node,
           absl::StrCat(Show(before->second), "; then ", Show(status)));
  }
  before->second = status;
}

void Referee::ProcessEnded(NodeId node) {
  shown_.erase(node);
  bounds_.ProcessEnded(node);
  candidacy_.Resumed(node);
  if (auto pulled = pulled_.find(node); pulled != pulled_.end()) {
    pulled->second.by_another_process = true;
  }
}

ListMachine::Observer Referee::MachineObserver(NodeId node) {
  if (IsOutcast(node)) {
    return {.applied = [](const AppliedCommand&) {},
            .applied_up_to = [](LogPosition) {},
            .restored = [](LogPosition, uint64_t) {},
            .opened = [](LogPosition, uint64_t) {}};
  }
  states_.Started(node);
  return {
      .applied =
          [this, node](const AppliedCommand& applied) {
            bool is_new = states_.Find(applied.command) == nullptr;
            states_.Applied(node, applied);
            if (is_new) clients_.Applied(applied.command);
            world_.log.Add(node, "apply", {applied.position.index, applied.command}, [&] {
              return absl::StrCat("g", ToInteger(group_), " ", ToString(applied.position),
                                  " command ", applied.command);
            });
          },
      .applied_up_to = [this, node](LogPosition position) { states_.AppliedUpTo(node, position); },
      .restored =
          [this, node](LogPosition position, uint64_t state_hash) {
            world_.counters.Count("state restored from a snapshot");
            world_.log.Add(node, "restore", {position.index, state_hash}, [&] {
              return absl::StrCat("g", ToInteger(group_), " at ", ToString(position));
            });
            states_.Restored(node, position, state_hash);
          },
      .opened =
          [this, node](LogPosition position, uint64_t state_hash) {
            world_.counters.Count("state found on the disk");
            world_.log.Add(node, "found", {position.index, state_hash}, [&] {
              return absl::StrCat("g", ToInteger(group_), " state at ", ToString(position));
            });
            states_.Restored(node, position, state_hash);
          },
  };
}

}  // namespace cairn::sim
