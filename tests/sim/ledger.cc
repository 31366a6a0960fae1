#include "tests/sim/ledger.h"

#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "tests/sim/quorums.h"

namespace cairn::sim {
namespace {

std::string Name(NodeId node) { return absl::StrCat("n", ToInteger(node)); }

}  // namespace

Ledger::Ledger(std::vector<NodeId> voters, Violations& violations, Counters& counters)
    : violations_(violations), counters_(counters) {
  auto initial = std::make_shared<Configuration>();
  for (NodeId voter : voters) {
    logs_[voter];
    initial->voters.push_back({voter, Incarnation::kUnknown, ""});
  }
  configurations_[0] = std::move(initial);
}

std::pair<Index, Ledger::ConfigurationPointer> Ledger::ConfigurationAt(Index index) const {
  return *std::prev(configurations_.upper_bound(index));
}

const EntryId& Ledger::Committed(Index index) const {
  CAIRN_CHECK(index > 0 && index <= committed_.size()) << index;
  return committed_[index - 1];
}

Index Ledger::CommittedBefore(Term term) const {
  const auto end = std::lower_bound(committed_in_.begin(), committed_in_.end(), term);
  return static_cast<Index>(end - committed_in_.begin());
}

NodeId Ledger::LeaderOf(Term term) const {
  auto found = reigns_.find(term);
  return found == reigns_.end() ? NodeId::kNone : found->second.leader;
}

bool Ledger::EverLed(NodeId node) const {
  return std::any_of(reigns_.begin(), reigns_.end(),
                     [node](const auto& reign) { return reign.second.leader == node; });
}

void Ledger::Recovered(NodeId node, LogImage image) {
  logs_[node] = LogModel(std::move(image));
  for (auto& [term, reign] : reigns_) reign.over |= reign.leader == node;
  Count(node);
}

void Ledger::Appended(NodeId node, LogChange change) {
  LogModel& log = logs_[node];
  if (change.truncate_from) CheckTruncation(node, *change.truncate_from);
  if (change.reset_to) {
    Claimed(node, *change.reset_to, "log reset to a snapshot");
    counters_.Count("log gave way to a snapshot");
  }
  if (change.drop_up_to) counters_.Count("log compacted");
  CheckMatching(change.first, change.entries, node);
  HardState before = log.live().hard_state();
  HardState after = change.hard_state.value_or(before);
  if (after.term < before.term ||
      (after.term == before.term && before.vote != NodeId::kNone && after.vote != before.vote)) {
    violations_.Report("I3 monotonic", absl::StrCat(Name(node), " goes from term ", before.term,
                                                    " vote ", ToInteger(before.vote), " to term ",
                                                    after.term, " vote ", ToInteger(after.vote)));
  }
  // An entry of a term that nobody was heard of to lead was made here.
  Term newest = change.entries.empty() ? 0 : change.entries.back().term;
  bool made_here = newest != 0 && LeaderOf(newest) == NodeId::kNone;
  if (made_here) Led(node, newest);
  auto reign = reigns_.find(after.term);
  if (reign != reigns_.end() && reign->second.leader == node && !reign->second.over) {
    CheckOwnLog(node, after.term, change);
    if (violations_.any()) return;
    Extend(after.term, reign->second, change.first, change.entries);
  }
  log.Append(std::move(change));
  Count(node);
}

// A change of a leader's log in its own term.
void Ledger::CheckOwnLog(NodeId node, Term term, const LogChange& change) {
  const LogImage& live = logs_[node].live();
  if (change.truncate_from && *change.truncate_from <= live.last()) {
    violations_.Report("I6 leader append-only",
                       absl::StrCat(Name(node), " truncates its own log from ",
                                    *change.truncate_from, " in its term ", term));
  } else if (change.reset_to) {
    violations_.Report(
        "I6 leader append-only",
        absl::StrCat(Name(node), " gives up its log up to ", live.last(), " for a snapshot at ",
                     *change.reset_to, " in its term ", term));
  }
}

void Ledger::Synced(NodeId node, uint64_t appended) {
  logs_[node].Synced(appended);
  Count(node);
}

void Ledger::Led(NodeId node, Term term) {
  Reign& reign = reigns_[term];
  if (reign.leader == node) return;
  if (reign.leader != NodeId::kNone) {
    violations_.Report("I1 election safety", absl::StrCat("term ", term, " is led by ",
                                                          Name(reign.leader), " and ", Name(node)));
    return;
  }
  reign.leader = node;
  reign.log = logs_[node].live();
  reign.first = reign.log.last() + 1;
  while (reign.first > reign.log.base() + 1 && reign.log.Find(reign.first - 1)->term == term) {
    --reign.first;
  }
  reign.configuration_index = reign.log.LastConfiguration();
  if (reign.configuration_index > 0) {
    reign.configuration = reign.log.Find(reign.configuration_index)->configuration;
  } else {
    std::tie(reign.configuration_index, reign.configuration) = ConfigurationAt(reign.log.base());
  }
  counters_.Count("leader elected");
  CheckCompleteness(node, term, reign.log);
  if (reign.log.last() > commit()) counters_.Count("leader elected with uncommitted entries");
  for (auto& [holder, held] : logs_) Count(holder);
  if (observer_) observer_(node, term);
}

void Ledger::CheckCompleteness(NodeId node, Term term, const LogImage& log) {
  // A leader may be heard of late, when a later one has committed more.
  const Index known = CommittedBefore(term);
  if (known <= log.base()) return;
  const EntryId* entry = log.Find(known);
  if (entry != nullptr && *entry == Committed(known)) return;
  violations_.Report(
      "I7 leader completeness",
      absl::StrCat(Name(node), " leads term ", term, " with a log up to ", log.last(),
                   " without entry ", known, ", committed in term ", committed_in_[known - 1]));
}

void Ledger::SentEntries(NodeId node, Term term, Index first, const std::vector<EntryId>& entries) {
  Led(node, term);
  CheckMatching(first, entries, node);
  auto reign = reigns_.find(term);
  if (reign->second.leader == node && !reign->second.over) {
    Extend(term, reign->second, first, entries);
  }
}

void Ledger::Extend(Term term, Reign& reign, Index first, const std::vector<EntryId>& entries) {
  for (size_t i = 0; i < entries.size(); ++i) {
    const Index index = first + i;
    if (index <= reign.log.base()) continue;
    const EntryId* known = reign.log.Find(index);
    if (known == nullptr) known = &reign.ahead.insert({index, entries[i]}).first->second;
    if (*known == entries[i]) continue;
    return violations_.Report("I6 leader append-only",
                              absl::StrCat(Name(reign.leader), " replaces its own entry ", index));
  }
  while (!reign.ahead.empty() && reign.ahead.begin()->first == reign.log.last() + 1) {
    const auto next = reign.ahead.extract(reign.ahead.begin());
    LogChange change;
    change.first = next.key();
    change.entries = {next.mapped()};
    reign.log.Apply(change);
    if (next.mapped().configuration != nullptr) {
      Adopt(term, reign, next.key(), next.mapped().configuration);
    }
  }
}

void Ledger::Adopt(Term term, Reign& reign, Index index, ConfigurationPointer configuration) {
  if (configuration_appended_) {
    configuration_appended_({.leader = reign.leader,
                             .term = term,
                             .first_of_term = reign.first,
                             .previous_index = reign.configuration_index,
                             .previous = reign.configuration,
                             .index = index,
                             .next = configuration});
  }
  reign.configuration_index = index;
  reign.configuration = std::move(configuration);
  // The new voters may be fewer.
  Decide(term, reign);
}

void Ledger::Claimed(NodeId node, Index index, const char* how) {
  claimed_ = std::max(claimed_, index);
  if (index <= commit()) return;
  violations_.Report("I9 commit on quorum",
                     absl::StrCat(Name(node), " takes ", index, " for committed (", how,
                                  "), by the disks it is ", commit()));
}

bool Ledger::Holds(NodeId node, Index index) const {
  if (damaged_.contains(node)) return true;
  const auto log = logs_.find(node);
  if (log == logs_.end() || log->second.durable_floor() < index) return false;
  const LogImage& durable = log->second.durable();
  const EntryId* entry = durable.Find(index);
  return entry == nullptr ? index <= durable.base() : *entry == Committed(index);
}

bool Ledger::QuorumHolds(Index index) const {
  auto holds = [&](NodeId node) { return Holds(node, index); };
  const auto& voters = configuration().voters;
  const auto held = std::count_if(voters.begin(), voters.end(),
                                  [&](const Member& voter) { return holds(voter.node); });
  return static_cast<size_t>(held) >= Enough(voters);
}

size_t Ledger::Enough(const std::vector<Member>& voters) const {
  const size_t majority = voters.size() / 2 + 1;
  const bool lowered = override_ && override_->quorum > 0;
  return lowered ? std::min(majority, override_->quorum) : majority;
}

bool Ledger::Elects(const Configuration& configuration,
                    const std::function<bool(NodeId)>& voted) const {
  if (!override_) return IsQuorum(configuration, voted);
  const auto& evicted = override_->evicted;
  const bool evicts = std::any_of(evicted.begin(), evicted.end(),
                                  [&](NodeId node) { return configuration.IsMember(node); });
  auto elected = [&](const std::vector<Member>& voters) {
    size_t count = 0;
    size_t needed = 0;
    for (const Member& voter : voters) {
      if (evicts && evicted.contains(voter.node)) continue;
      ++needed;
      count += voted(voter.node) ? 1 : 0;
    }
    return count >= (evicts ? needed : Enough(voters));
  };
  return elected(configuration.voters) &&
         (!configuration.joint() || elected(configuration.outgoing_voters));
}

void Ledger::Rescue(NodeId best, const std::set<NodeId>& lost, Override rule) {
  override_ = std::move(rule);
  const LogImage& log = logs_.at(best).live();
  Index kept = std::min<Index>(commit(), log.last());
  while (kept > log.base() && *log.Find(kept) != Committed(kept)) --kept;
  if (kept < commit()) counters_.Count("committed entries lost with a majority");
  committed_.resize(kept);
  committed_in_.resize(kept);
  configurations_.erase(configurations_.upper_bound(kept), configurations_.end());
  claimed_ = std::min(claimed_, kept);
  for (NodeId node : lost) logs_.erase(node);
  for (auto& [term, reign] : reigns_) reign.over = true;
}

// Takes note of what `node` holds of the log of its term's leader, and what that commits.
void Ledger::Count(NodeId node) {
  const LogModel& log = logs_[node];
  Term term = log.live().hard_state().term;
  auto found = reigns_.find(term);
  if (found == reigns_.end()) return;
  Reign& reign = found->second;
  Index agreed = std::min(log.durable_floor(), AgreedPrefix(log.durable(), reign.log));
  Index& match = reign.match[node];
  if (agreed <= match) return;
  match = agreed;
  Decide(term, reign);
}

void Ledger::Decide(Term term, const Reign& reign) {
  auto reached = [&](NodeId voter) -> Index {
    const auto held = reign.match.find(voter);
    return held == reign.match.end() ? 0 : held->second;
  };
  const Configuration& configuration = *reign.configuration;
  auto reached_in = [&](const std::vector<Member>& voters) {
    return ReachedBy(Enough(voters), voters, reached);
  };
  const Index by_new = reached_in(configuration.voters);
  if (configuration.joint()) {
    Commit(term, reign, std::min(by_new, reached_in(configuration.outgoing_voters)));
    if (commit() < reign.configuration_index) return;
  }
  Commit(term, reign, by_new);
}

void Ledger::Commit(Term term, const Reign& reign, Index index) {
  if (index <= commit()) return;
  const EntryId* newest = reign.log.Find(index);
  if (newest == nullptr || newest->term != term) return;
  if (commit() > 0) {
    const EntryId* same = reign.log.Find(commit());
    if (same != nullptr && *same != committed_.back()) {
      violations_.Report("I10 commit immutable",
                         absl::StrCat("the leader of term ", term, " commits ", index,
                                      " over another entry ", commit(), " than was committed"));
      return;
    }
  }
  if (reign.log.Find(commit() + 1)->term < term) {
    counters_.Count("entry of an older term committed by one of the leader's own");
  }
  for (Index i = commit() + 1; i <= index; ++i) {
    committed_.push_back(*reign.log.Find(i));
    committed_in_.push_back(term);
    if (committed_.back().configuration != nullptr) {
      CommitConfiguration(term, reign, i, committed_.back().configuration);
    }
  }
}

void Ledger::CommitConfiguration(Term term, const Reign& reign, Index index,
                                 ConfigurationPointer configuration) {
  const auto [previous_index, previous] = *configurations_.rbegin();
  configurations_[index] = configuration;
  if (!configuration_committed_) return;
  configuration_committed_({.leader = reign.leader,
                            .term = term,
                            .first_of_term = reign.first,
                            .previous_index = previous_index,
                            .previous = previous,
                            .index = index,
                            .next = std::move(configuration)});
}

void Ledger::CheckMatching(Index first, const std::vector<EntryId>& entries, NodeId node) {
  for (size_t i = 0; i < entries.size(); ++i) {
    auto [known, is_new] = entries_.insert({{first + i, entries[i].term}, entries[i].hash});
    if (is_new || known->second == entries[i].hash) continue;
    violations_.Report("I5 log matching",
                       absl::StrCat(Name(node), " writes another entry ", first + i, "/",
                                    entries[i].term, " than was written before"));
  }
}

void Ledger::CheckTruncation(NodeId node, Index from) {
  const LogImage& live = logs_[node].live();
  if (from > live.last()) return;
  counters_.Count("log truncated");
  if (live.LastConfiguration() >= from) counters_.Count("configuration undone by truncation");
  if (from > commit()) return;
  const EntryId* entry = live.Find(from);
  if (entry != nullptr && *entry != Committed(from)) return;
  violations_.Report("I10 commit immutable",
                     absl::StrCat(Name(node), " truncates from ", from, " although entries up to ",
                                  commit(), " are committed"));
}

}  // namespace cairn::sim
