#include "raft/metrics/call_outcomes.h"

#include <variant>

#include "base/check.h"

namespace cairn {

// A batch that ends alike costs one addition.
void CallOutcomes::Count(absl::Span<const ProposalResult> results) {
  uint64_t applied = 0;
  for (const ProposalResult& result : results) {
    if (const auto* refusal = std::get_if<ProposalNotApplied>(&result)) {
      Refused(refusal->reason, 1);
    } else if (std::holds_alternative<ProposalUnknown>(result)) {
      unknown_.Add();
    } else {
      ++applied;
    }
  }
  if (applied > 0) applied_.Add(applied);
}

void CallOutcomes::Refused(ProposalNotApplied::Reason reason, size_t commands) {
  CAIRN_CHECK_LT(static_cast<size_t>(reason), refused_.size());
  refused_[static_cast<size_t>(reason)].Add(commands);
}

void CallOutcomes::Count(const ReadResult& result) {
  const auto* refusal = std::get_if<ReadRefused>(&result);
  CAIRN_CHECK(refusal == nullptr || static_cast<size_t>(refusal->reason) < reads_refused_.size());
  (refusal == nullptr ? reads_ : reads_refused_[static_cast<size_t>(refusal->reason)]).Add();
}

CallCounts CallOutcomes::counts() const {
  CallCounts counts;
  counts.applied = applied_.value();
  counts.unknown = unknown_.value();
  counts.reads = reads_.value();
  for (size_t i = 0; i < refused_.size(); ++i) {
    if (refused_[i].value() == 0) continue;
    counts.commands_refused.emplace_back(NameOf(static_cast<ProposalNotApplied::Reason>(i)),
                                         refused_[i].value());
  }
  for (size_t i = 0; i < reads_refused_.size(); ++i) {
    if (reads_refused_[i].value() == 0) continue;
    counts.reads_refused.emplace_back(NameOf(static_cast<ReadRefused::Reason>(i)),
                                      reads_refused_[i].value());
  }
  return counts;
}

}  // namespace cairn
