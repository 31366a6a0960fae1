// The part of Node that deals with entries that cannot be read: its own, and those of others.

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "raft/core/configuration.h"
#include "raft/core/membership.h"
#include "raft/node.h"

namespace cairn {
namespace {

// What one answer brings, at most.
constexpr size_t kGivenBytes = size_t{512} << 10;
// Of so many ranges of unreadable entries it is kept where they are, to be told if one is lost.
constexpr size_t kMaxDamageTold = 256;

// The first entries of `run` that are of `term`; a run may go on into later ones.
RecordRun FrontOf(const RecordRun& run, Term term) {
  if (run.last().term == term) return run;
  Index end = run.first().index;
  while (run.At(end).position().term == term) ++end;
  return run.Slice(run.first().index, end - 1);
}

}  // namespace

absl::StatusOr<RecoveredRaft> RaftOf(const NodeSettings& settings,
                                     const NodeDependencies& dependencies,
                                     const RecoveredLog& recovered) {
  RecoveredRaft raft;
  raft.hard_state = recovered.hard_state;
  raft.base = recovered.base;
  raft.runs = recovered.runs;
  raft.base_configuration = settings.initial_members;
  raft.torn_from = recovered.torn_from;
  raft.unsure = recovered.hard_state_lost;
  for (const FaultyEntries& faulty : recovered.faulty) {
    raft.holes.push_back({faulty.first.index, faulty.last});
  }
  raft.applied = dependencies.applier->machine_position().index;
  if (dependencies.applier->applied() < recovered.base.index) {
    raft.applied = dependencies.applier->applied();
    raft.state_lost = true;
  }
  if (dependencies.received != nullptr) {
    absl::StatusOr<SnapshotPoint> point = PointOf(dependencies.received->manifest());
    if (!point.ok()) return point.status();
    raft.snapshot = *std::move(point);
  }
  std::map<Index, std::pair<LogPosition, Configuration>> known;
  // What was applied is committed, so nothing goes back to the configurations before its last one.
  // But those that the log still has tell who was removed, perhaps this node.
  const Replica& replica = dependencies.applier->replica();
  if (replica.configuration_at().index > 0) {
    absl::StatusOr<Configuration> applied = DecodeConfiguration(replica.configuration());
    if (!applied.ok()) return applied.status();
    const LogPosition at = replica.configuration_at();
    known[at.index] = {at, *std::move(applied)};
  }
  for (const RawConfiguration& raw : recovered.configurations) {
    absl::StatusOr<Configuration> configuration = DecodeConfiguration(raw.body.view());
    if (configuration.ok()) {
      known.try_emplace(raw.at.index, raw.at, *std::move(configuration));
    } else if (raw.at.index > replica.configuration_at().index) {
      return absl::DataLossError(absl::StrCat("configuration entry ", ToString(raw.at), ": ",
                                              configuration.status().message()));
    }
  }
  if (!known.empty() && known.begin()->first <= replica.configuration_at().index) {
    std::tie(raft.base_configuration_position, raft.base_configuration) =
        std::move(known.extract(known.begin()).mapped());
  }
  for (auto& [index, configuration] : known) {
    raft.configurations.push_back(std::move(configuration));
  }
  return raft;
}

void Node::Damaged(Instant now, const BadEntries& bad) {
  std::vector<HoleRange> news;
  for (size_t i = 0; i < bad.size();) {
    // Those in a row are one range, however they were told.
    HoleRange entries = bad[i].entries;
    const absl::Status& why = bad[i].why;
    for (++i; i < bad.size() && bad[i].entries.first == entries.last + 1; ++i) {
      entries.last = bad[i].entries.last;
    }
    for (const HoleRange& range : AddHoles(now, entries, why)) news.push_back(range);
  }
  if (dependencies_.look == nullptr) return;
  // Where one entry is bad, its neighbours often are. The next ones are looked at, not here: a
  // failing disk takes seconds for each.
  const Index end = std::min(log_.first_cached(), EndOfLog());
  for (const HoleRange& range : news) {
    const Index next = range.last + 1;
    if (next >= end || raft_.holes().Contains(next)) continue;
    const Index hole = raft_.holes().FirstFrom(next);
    const Index last =
        std::min({raft_.LastOfTerm(next), end - 1, hole == 0 ? kMaxIndex : hole - 1});
    dependencies_.look({next, raft_.TermAt(next)}, last);
  }
}

// Behind the last entry that is not torn.
Index Node::EndOfLog() const { return raft_.torn_from().value_or(raft_.last().index + 1); }

// The ranges that are news, each of one term. What was dropped the store may still have.
std::vector<HoleRange> Node::AddHoles(Instant now, HoleRange entries, const absl::Status& why) {
  std::vector<HoleRange> news;
  if (fenced_) return news;
  const Index end = std::min(entries.last + 1, EndOfLog());
  for (Index first = std::max(entries.first, raft_.base().index + 1); first < end;) {
    const HoleRange known = raft_.holes().RangeFrom(first);
    if (known.first != 0 && known.first <= first) {
      first = known.last + 1;
      continue;
    }
    Index last = std::min(end - 1, raft_.LastOfTerm(first));
    if (known.first != 0) last = std::min(last, known.first - 1);
    AddHole(now, {first, last}, why);
    news.push_back({first, last});
    first = last + 1;
  }
  return news;
}

void Node::AddHole(Instant now, HoleRange entries, const absl::Status& why) {
  if (!raft_.holes().Contains(entries.first - 1)) {
    dependencies_.log->Log(
        LogLevel::kWarning,
        absl::StrCat("group ", ToInteger(settings_.group), ": entries from ", entries.first,
                     " on cannot be read and are asked of the other members: ", why.message()));
  }
  NoteDamage(entries, why.message());
  Report({.kind = LossEvent::Kind::kDamaged,
          .first = entries.first,
          .last = entries.last,
          .term = raft_.TermAt(entries.first),
          .text = std::string(why.message())});
  raft_.Step(now, EntriesDamaged{entries});
}

bool Node::NoteDamage(HoleRange entries, absl::string_view where) {
  std::erase_if(told_.damage, [this](const auto& told) {
    const Index hole = raft_.holes().FirstFrom(told.first);
    return hole == 0 || hole > told.second.first;  // repaired, or cut off
  });
  if (told_.damage.size() == kMaxDamageTold) return false;
  told_.damage.try_emplace(entries.first, entries.last, where);
  return true;
}

// Of the entry that this node cannot go on without.
std::string Node::WhereDamaged() const {
  const Index hole = raft_.holes().FirstFrom(raft_.applied() + 1);
  const auto behind = told_.damage.upper_bound(hole);
  if (behind == told_.damage.begin()) return "";
  const auto& [last, where] = std::prev(behind)->second;
  return last < hole ? "" : absl::StrCat("; ", where);
}

void Node::Report(LossEvent event) const {
  if (dependencies_.losses == nullptr) return;
  event.group = settings_.group;
  dependencies_.losses->Add(event);
}

void Node::DriveRepair(Instant now) {
  if (std::exchange(told_.had_holes, !raft_.holes().empty()) && raft_.holes().empty() &&
      dependencies_.losses != nullptr) {
    dependencies_.losses->Close(settings_.group, kMaxIndex);
  }
  if (std::optional<EntryRepair::Asking> asking = repair_.state.Next(now, raft_)) {
    Send(asking->to, std::move(asking->request));
  }
  if (repair_.state.TakeNowhere(now, raft_)) {
    // A node that stopped answers nobody.
    for (const NodeId member : OtherMembers(raft_.configuration(), raft_.node())) {
      Send(member, EntryReply{0, StateAnswer::kLost});
    }
    return StopServing(NodeState::kHalted,
                       absl::DataLossError(absl::StrCat(
                           "the log begins behind ", raft_.base().index,
                           ", and the snapshots of what was before are lost on every member")));
  }
  if (std::optional<EntryRepair::Asking> asking = repair_.entries.Next(now, raft_)) {
    Send(asking->to, std::move(asking->request));
  }
  if (!raft_.torn_from()) repair_.torn.Clear();
  if (auto nowhere = repair_.entries.TakeNowhere(raft_)) GiveUp(now, *nowhere);
}

// No log that was asked for has them.
void Node::GiveUp(Instant now, const EntryRepair::Nowhere& nowhere) {
  const HoleRange entries = nowhere.entries;
  Complain(now, absl::StrCat("entries ", entries.first, " to ", entries.last,
                             " cannot be read, and the members that were asked do not have them"));
  if (entries.first <= compaction_.durable()) {
    // The state has them, safe outside the log, so nothing waits for them, and whoever has some of
    // them is heard first.
    if (!nowhere.all_asked) return;
    raft_.Step(now, Compact{std::min(entries.last, compaction_.durable())});
    compaction_.Dropped(raft_.base().index);
    if (raft_.base().index < entries.first) return;
    Report({.kind = LossEvent::Kind::kCovered,
            .first = entries.first,
            .last = std::min(entries.last, raft_.base().index),
            .text = "no other member has it; the state has what it did, safe outside the log"});
  } else {
    raft_.Step(now, EntriesNowhere{entries});
    if (raft_.holes().Contains(entries.first)) return;
    Report({.kind = LossEvent::Kind::kDropped,
            .first = entries.first,
            .last = entries.last,
            .text = "no other member has it, and it was not committed"});
  }
}

// Of `range`, from `from` on, the first entries in a row that this node can read, as far as it
// knows; {0, 0} if there are none.
HoleRange Node::FirstReadable(const EntryRange& range, Index from) const {
  const Index end = std::min({range.last + 1, log_.last_index() + 1, EndOfLog()});
  from = std::max({from, range.first, raft_.base().index + 1});
  while (from < end && raft_.TermAt(from) <= range.term) {
    const Index last = std::min(end - 1, raft_.LastOfTerm(from));
    const HoleRange hole = raft_.holes().RangeFrom(from);
    const bool in_hole = hole.first != 0 && hole.first <= from;
    if (raft_.TermAt(from) == range.term && !in_hole) {
      return {from, hole.first == 0 ? last : std::min(last, hole.first - 1)};
    }
    from = in_hole ? hole.last + 1 : last + 1;
  }
  return {};
}

// Another member cannot read these.
void Node::GiveEntries(Instant now, NodeId to, const EntryRequest& request) {
  if (!raft_.MayBeMember(to)) return;
  if (request.state_at_least != 0) return GiveState(now, to, request);
  std::vector<RecordRun> given;
  size_t bytes = 0;
  for (const EntryRange& range : request.wanted) {
    Index next = range.first;
    while (bytes < kGivenBytes) {
      // What it lacks it passes over: what is given up is what nobody has of a range.
      const HoleRange here = FirstReadable(range, next);
      if (here.first == 0) break;
      next = here.first;
      absl::StatusOr<std::vector<RecordRun>> runs =
          log_.Read(here.first, here.last, kGivenBytes - bytes);
      if (!runs.ok()) {
        if (absl::IsDataLoss(runs.status())) Damaged(now, {{{next, next}, runs.status()}});
        break;
      }
      const Index begin = next;
      for (const RecordRun& run : *runs) {
        RecordRun front = FrontOf(run, range.term);
        if (front.empty()) break;
        bytes += front.byte_size();
        next = front.last().index + 1;
        given.push_back(std::move(front));
      }
      // Raft's log may be ahead of this one, where it is about to be overwritten.
      if (next == begin) break;
    }
  }
  // What it lacks it may have held.
  if (raft_.unsure() && given.empty()) return;
  for (const RecordRun& run : given) {
    dependencies_.metrics->repairs.given.Add(run.size());
    dependencies_.metrics->repairs.bytes_given.Add(run.byte_size());
  }
  Send(to, EntryReply{request.request}, std::move(given));
}

// Another member has lost its state. What was applied here is committed, so it needs no leader.
void Node::GiveState(Instant now, NodeId to, const EntryRequest& request) {
  if (request.state_term != 0) {
    // Leaders of earlier terms may lack it.
    raft_.Step(now, TermReached{request.term});
    raft_.Step(now, BegunBehind{{request.state_at_least, request.state_term}});
  }
  EntryReply reply = {request.request, StateAnswer::kNotYet};
  if (raft_.state_lost()) {
    reply.state = StateAnswer::kLost;
  } else if (repair_.state.damaged_parts() > 0 || raft_.unsure()) {
    // It could not be read to the end; or leaders may be followed that lack it, for the term that
    // goes with it may be forgotten.
  } else if (dependencies_.offer_snapshot != nullptr &&
             dependencies_.applier->applied() >= request.state_at_least) {
    reply.state = StateAnswer::kOffered;
    dependencies_.offer_snapshot(
        {.to = to, .term = raft_.term(), .at_least = request.state_at_least, .asked = true});
  }
  Send(to, reply);
}

void Node::StateDamaged(size_t parts, const absl::Status& why) {
  if (fenced_) return;
  const size_t before = repair_.state.damaged_parts();
  if (why.ok()) return StateHealed(before - std::min(before, parts));
  dependencies_.metrics->repairs.state_damaged.Add(parts - std::min(before, parts));
  repair_.state.Damaged(dependencies_.applier->applied(), parts);
  dependencies_.log->Log(
      LogLevel::kWarning,
      absl::StrCat("group ", ToInteger(settings_.group), ": ", parts,
                   " parts of the state cannot be read, and the other members are asked for it: ",
                   why.message()));
}

void Node::MendState(std::shared_ptr<const IncomingSnapshot> patch) {
  if (fenced_ || Contradicted(patch->manifest())) return;
  repair_.state.Mending();
  dependencies_.mend(std::move(patch));
}

void Node::StateMended(Instant now, const absl::Status& status) {
  if (fenced_) return;
  const size_t mended = repair_.state.Mended(status.ok());
  if (!status.ok()) {
    dependencies_.metrics->repairs.failed.Add();
    return Complain(now, absl::StrCat("the state is not repaired yet: ", status.ToString()));
  }
  TellMended(mended);
}

void Node::StateHealed(size_t parts) {
  repair_.state.Healed(parts);
  TellMended(parts);
}

void Node::TellMended(size_t parts) const {
  if (parts == 0) return;
  dependencies_.metrics->repairs.state_mended.Add(parts);
  dependencies_.log->Log(LogLevel::kInfo, absl::StrCat("group ", ToInteger(settings_.group), ": ",
                                                       parts, " parts of the state are repaired"));
}

void Node::TakeEntries(Instant now, NodeId from, const EntryReply& reply,
                       const std::vector<RecordRun>& entries) {
  if (reply.state != StateAnswer::kNone) return repair_.state.Take(from, reply, raft_);
  if (repair_.torn.Awaits(from, reply)) return TakeTorn(now, entries);
  std::vector<RecordRun> runs = repair_.entries.Take(from, reply, entries, raft_);
  if (runs.empty()) return;
  // What this node cannot make out stays a hole, as what it cannot read.
  if (absl::Status status = ConfigurationsIn(runs).status(); !status.ok()) {
    repair_.entries.Written(false);
    dependencies_.metrics->repairs.failed.Add();
    return Complain(now, absl::StrCat("entries of node ", ToInteger(from),
                                      " were dropped: ", status.message()));
  }
  told_.repaired_by = from;
  dependencies_.repair(std::move(runs));
}

void Node::AskForTorn(Instant now, const AskTorn& ask) {
  absl::StatusOr<EntryHash> before = log_.HashAt(ask.first - 1);
  if (!before.ok()) return;
  repair_.torn.Want(ask, *before);
  if (std::optional<EntryRequest> request = repair_.torn.Request()) {
    return Send(ask.to, *std::move(request));
  }
  WriteTorn(now);
}

void Node::TakeTorn(Instant now, const std::vector<RecordRun>& entries) {
  // They would be new ones for the disk.
  if (!raft_.torn_from() || !dependencies_.has_room()) return;
  absl::StatusOr<bool> taken = repair_.torn.Take(entries);
  if (!taken.ok()) return Complain(now, taken.status().message());
  if (!*taken) return;
  if (std::optional<EntryRequest> request = repair_.torn.Request()) {
    return Send(repair_.torn.holder(), *std::move(request));
  }
  WriteTorn(now);
}

// All of them are here.
void Node::WriteTorn(Instant now) {
  if (!dependencies_.has_room()) return;  // they stay until Raft asks again
  TornGift& gift = repair_.torn;
  const Index first = gift.parts().front().first().index;
  const Index last = gift.parts().back().last().index;
  // The store has kept the hash of the last one.
  const bool same =
      last != log_.last_index() || log_.HashAt(last).value_or(gift.last_hash()) == gift.last_hash();
  absl::StatusOr<LoggedConfigurations> configurations = ConfigurationsIn(gift.parts());
  if (!same || !configurations.ok()) {
    Complain(now, absl::StrCat("entries ", first, " to ", last, " of node ",
                               ToInteger(gift.holder()), " were dropped: ",
                               same ? configurations.status().message()
                                    : "they are not those that may be torn here"));
    // What a later version may be able to decode need not come again.
    if (!same) gift.Clear();
    return;
  }
  dependencies_.log->Log(
      LogLevel::kInfo,
      absl::StrCat("group ", ToInteger(settings_.group), ": node ", ToInteger(gift.holder()),
                   " has entries ", first, " to ", last, ", which may be torn here"));
  TornEntriesGiven given = gift.Given({first - 1, raft_.TermAt(first - 1)});
  given.configurations = *std::move(configurations);
  given.payload = payloads_.Add({.records = gift.parts(), .proposals = {}});
  raft_.Step(now, std::move(given));
}

// In a row.
void Node::NoteRepaired(Instant now, const std::vector<RecordRun>& runs) {
  const HoleRange entries = {runs.front().first().index, runs.back().last().index};
  dependencies_.log->Log(LogLevel::kInfo,
                         absl::StrCat("group ", ToInteger(settings_.group), ": entries ",
                                      entries.first, " to ", entries.last, " are repaired"));
  Report({.kind = LossEvent::Kind::kRepaired,
          .first = entries.first,
          .last = entries.last,
          .term = runs.front().first().term,
          .from = told_.repaired_by,
          .text = "another member had them"});
  for (const RecordRun& run : runs) log_.Repaired(run);
  dependencies_.metrics->repairs.entries.Add(entries.last - entries.first + 1);
  absl::StatusOr<LoggedConfigurations> configurations = ConfigurationsIn(runs);
  CAIRN_CHECK(configurations.ok()) << configurations.status();  // TakeEntries
  raft_.Step(now, EntriesRepaired{entries, *std::move(configurations)});
}

void Node::Repaired(Instant now, const std::vector<RecordRun>& runs, const absl::Status& status) {
  if (fenced_) return;
  repair_.entries.Written(status.ok());
  if (!status.ok()) dependencies_.metrics->repairs.failed.Add();
  if (absl::IsUnimplemented(status)) {
    return StopServing(NodeState::kHalted, absl::DataLossError(absl::StrCat(
                                               "entry ", runs.front().first().index,
                                               " cannot be read, and ", status.message())));
  }
  if (!status.ok()) return Complain(now, status.ToString());
  std::vector<RecordRun> row;
  for (const RecordRun& run : runs) {
    // Other entries may have taken their place in between.
    if (raft_.TermAt(run.last().index) != run.last().term) continue;
    if (!row.empty() && row.back().last().index + 1 != run.first().index) {
      NoteRepaired(now, row);
      row.clear();
    }
    row.push_back(run);
  }
  if (!row.empty()) NoteRepaired(now, row);
  entry_clock_.Saw(log_.last_timestamp());
  dependencies_.applier->Resume();
}

}  // namespace cairn
