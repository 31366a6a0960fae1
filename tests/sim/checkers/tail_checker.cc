#include "tests/sim/checkers/tail_checker.h"

#include <variant>

#include "absl/strings/str_cat.h"

namespace cairn::sim {

void TailChecker::Report(NodeId node, const std::string& what) {
  violations_.Report("a tail is the committed log",
                     absl::StrCat("n", ToInteger(node), ", asked from ", next_, " on, ", what));
}

void TailChecker::Told(NodeId node, size_t max_bytes, const TailResult& result) {
  if (const auto* entries = std::get_if<TailEntries>(&result)) {
    return TakeEntries(node, max_bytes, *entries);
  }
  const auto* compacted = std::get_if<TailCompacted>(&result);
  if (compacted == nullptr) return counters_.Count("tail refused");
  counters_.Count("tail told that the log was compacted");
  const Index first = compacted->first_available;
  if (first <= next_) {
    return Report(node, absl::StrCat("has entries from ", first, " on, and does not give them"));
  }
  if (first > ledger_.commit() + 1) {
    return Report(node, absl::StrCat("has dropped its log up to ", first - 1,
                                     ", committed are those up to ", ledger_.commit()));
  }
  next_ = first;
}

void TailChecker::TakeEntries(NodeId node, size_t max_bytes, const TailEntries& entries) {
  size_t given = 0;
  size_t bytes = 0;
  size_t last_bytes = 0;
  for (const RecordRun& run : entries.runs) {
    for (size_t i = 0; i < run.size(); ++i) {
      const LogPosition at = run[i].position();
      if (at.index != next_) return Report(node, absl::StrCat("gives ", ToString(at)));
      if (at.index > ledger_.commit() || ledger_.Committed(at.index) != IdOf(run, i)) {
        return Report(node, absl::StrCat("gives ", ToString(at), ", which is not committed"));
      }
      if (!ledger_.Holds(node, at.index)) {
        return Report(node, absl::StrCat("gives ", ToString(at), ", which is not durable there"));
      }
      ++next_;
      ++given;
      last_bytes = run[i].bytes().size();
      bytes += last_bytes;
    }
  }
  counters_.Count("entries given to a tail", given);
  if (given == 0 || entries.next != next_) {
    return Report(node, absl::StrCat("has given all before that, and names ", entries.next));
  }
  if (given > 1 && bytes > max_bytes) {
    Report(node, absl::StrCat("gives ", bytes, " bytes, at most ", max_bytes, " were asked for"));
  }
}

}  // namespace cairn::sim
