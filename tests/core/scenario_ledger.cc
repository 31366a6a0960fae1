#include "tests/core/scenario_ledger.h"

#include "absl/strings/str_cat.h"

namespace cairn {

std::optional<std::string> ScenarioLedger::OnLeader(NodeId node, Term term, LogView log) {
  auto [leader, is_new] = leaders_.try_emplace(term, node);
  if (leader->second != node) {
    return absl::StrCat("election safety: term ", term, " has leaders ", ToInteger(leader->second),
                        " and ", ToInteger(node));
  }
  if (!is_new) return std::nullopt;
  for (const auto& [index, entry] : committed_) {
    if (entry.at.term < term && log(index) != entry) {
      return absl::StrCat("leader completeness: the leader of term ", term,
                          " lacks the committed entry ", ToString(entry.at));
    }
  }
  return std::nullopt;
}

std::optional<std::string> ScenarioLedger::OnWrite(LedgerEntry entry, LogPosition before) {
  auto [known, is_new] =
      written_.try_emplace(entry.at, std::pair<uint64_t, LogPosition>(entry.value, before));
  if (is_new || known->second == std::pair<uint64_t, LogPosition>(entry.value, before)) {
    return std::nullopt;
  }
  return absl::StrCat("log matching: two entries ", ToString(entry.at), ", behind ",
                      ToString(known->second.second), " and ", ToString(before));
}

std::optional<std::string> ScenarioLedger::OnCommit(NodeId node, Index commit, LogView log) {
  for (Index& index = checked_commit_[node]; index < commit; ++index) {
    std::optional<LedgerEntry> entry = log(index + 1);
    if (!entry) {
      return absl::StrCat("node ", ToInteger(node), " committed ", index + 1,
                          ", which is not in its log");
    }
    const LedgerEntry& first = committed_.try_emplace(index + 1, *entry).first->second;
    if (first != *entry) {
      return absl::StrCat("state machine safety: ", ToString(first.at), " and ",
                          ToString(entry->at), " are committed, values ", first.value, " and ",
                          entry->value);
    }
  }
  return std::nullopt;
}

void ScenarioLedger::OnWipe(NodeId node) {
  checked_commit_.erase(node);
  applied_.erase(node);
}

std::optional<std::string> ScenarioLedger::OnApply(NodeId node, LedgerEntry entry) {
  Index& applied = applied_[node];
  if (entry.at.index != applied + 1) {
    return absl::StrCat("node ", ToInteger(node), " applied ", entry.at.index, " behind ", applied);
  }
  ++applied;
  auto committed = committed_.find(entry.at.index);
  if (committed == committed_.end() || committed->second != entry) {
    return absl::StrCat("state machine safety: node ", ToInteger(node), " applied ",
                        ToString(entry.at), ", which is not what was committed there");
  }
  return std::nullopt;
}

std::optional<std::string> ScenarioLedger::OnRestore(NodeId node, Index index) {
  Index& applied = applied_[node];
  if (index <= applied) {
    return absl::StrCat("node ", ToInteger(node), " went back from ", applied, " to ", index);
  }
  applied = index;
  return std::nullopt;
}

}  // namespace cairn
