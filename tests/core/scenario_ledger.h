// ScenarioLedger: what the nodes of a scenario have promised together, and whether they keep it.

#ifndef TESTS_CORE_SCENARIO_LEDGER_H_
#define TESTS_CORE_SCENARIO_LEDGER_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "base/types.h"

namespace cairn {

// An entry as the ledger knows it: `value` stands for its bytes and is drawn once an entry made.
struct LedgerEntry {
  LogPosition at;
  uint64_t value = 0;
  friend auto operator<=>(const LedgerEntry&, const LedgerEntry&) = default;
};

// The safety properties of figure 3 of the paper. Each call says what is broken, nullopt if nothing
// is.
class ScenarioLedger {
 public:
  // The entry at an index of a node's log, nullopt if there is none.
  using LogView = absl::FunctionRef<std::optional<LedgerEntry>(Index)>;

  // Election Safety; Leader Completeness.
  std::optional<std::string> OnLeader(NodeId node, Term term, LogView log);
  // Log Matching: an entry has one value and one predecessor wherever it stands.
  std::optional<std::string> OnWrite(LedgerEntry entry, LogPosition before);
  // `node` knows that everything up to `commit` is committed; its log is `log`.
  std::optional<std::string> OnCommit(NodeId node, Index commit, LogView log);
  // State Machine Safety: `node` has applied `entry`.
  std::optional<std::string> OnApply(NodeId node, LedgerEntry entry);
  // `node` has lost its disk and begins again.
  void OnWipe(NodeId node);
  // `node` has the state of a snapshot at `index`.
  std::optional<std::string> OnRestore(NodeId node, Index index);

 private:
  std::map<Term, NodeId> leaders_;
  std::map<LogPosition, std::pair<uint64_t, LogPosition>> written_;
  std::map<Index, LedgerEntry> committed_;
  std::map<NodeId, Index> checked_commit_;
  std::map<NodeId, Index> applied_;
};

}  // namespace cairn

#endif  // TESTS_CORE_SCENARIO_LEDGER_H_
