// What fits a log: one judgement for all stores, so that none takes what another one refuses.

#ifndef STORAGE_APPEND_FIT_H_
#define STORAGE_APPEND_FIT_H_

#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "base/types.h"
#include "storage/log_store.h"

namespace cairn {

// Of which group a log is, and what it holds: the entries behind `base` up to `last`.
struct LogExtent {
  GroupId group = GroupId::kNone;
  Index base = 0;
  Index last = 0;
};

// The last of the entries that stay below `append`; at least the base. Where it adds entries, they
// have to follow this one.
Index EndFor(const LogExtent& log, const LogAppend& append);

// OK if the headers of the entries are as they were made, FAILED_PRECONDITION otherwise: where an
// entry belongs is read from its header. Each is hashed, so this is for before a lock is taken.
absl::Status CheckHeaders(const RecordRun& run);
absl::Status CheckHeaders(const std::vector<RecordRun>& runs);

// OK if `append`, whose headers were checked, fits (LogAppend), FAILED_PRECONDITION otherwise.
// `hash` is that of the entry at EndFor; `term_at` tells the term of the base and of each entry.
// No entry is looked at but the first and the last one of each run.
absl::Status CheckFits(const LogExtent& log, const LogAppend& append, EntryHash hash,
                       absl::FunctionRef<Term(Index)> term_at);

}  // namespace cairn

#endif  // STORAGE_APPEND_FIT_H_
