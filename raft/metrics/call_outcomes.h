// CallOutcomes: how the commands and reads of a group ended here.

#ifndef RAFT_METRICS_CALL_OUTCOMES_H_
#define RAFT_METRICS_CALL_OUTCOMES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "raft/metrics/counter.h"
#include "raft/proposal.h"

namespace cairn {

// As numbers. Of refusals only those that happened, by name (NameOf).
struct CallCounts {
  uint64_t applied = 0;  // commands, each once; those answered as repeated ones, too
  uint64_t unknown = 0;  // commands
  uint64_t reads = 0;    // that were ready
  std::vector<std::pair<std::string, uint64_t>> commands_refused;
  std::vector<std::pair<std::string, uint64_t>> reads_refused;
};

// A command that a member forwards counts with the member that answers its client, and with the
// leader, which answers that member. Threads: any.
class CallOutcomes {
 public:
  void Count(absl::Span<const ProposalResult> results);
  void Refused(ProposalNotApplied::Reason reason, size_t commands);
  void Count(const ReadResult& result);

  CallCounts counts() const;

 private:
  static constexpr size_t kReasons = static_cast<size_t>(ProposalNotApplied::Reason::kTermChanged);
  static constexpr size_t kReadReasons = static_cast<size_t>(ReadRefused::Reason::kNotFormed);

  Counter applied_;
  Counter unknown_;
  Counter reads_;
  std::array<Counter, kReasons + 1> refused_;            // by reason
  std::array<Counter, kReadReasons + 1> reads_refused_;  // by reason
};

}  // namespace cairn

#endif  // RAFT_METRICS_CALL_OUTCOMES_H_
