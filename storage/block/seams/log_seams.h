// Log seams: the places where two spans of a group's log meet, once blocks or batches are lost.
//
// What is lost may have cut off entries that still stand in an older block, and put others in their
// place; or it held entries of which nobody knows the terms. What stands before such a place was
// the log of this node at some time, with an older end. What stands behind it is given up, though
// it may have been acknowledged: the group then counts as one that may have forgotten what it
// promised (RecoveredLog::hard_state_lost), and gets it back from a leader that was confirmed
// without it (raft/core/rejoin.h).

#ifndef STORAGE_BLOCK_SEAMS_LOG_SEAMS_H_
#define STORAGE_BLOCK_SEAMS_LOG_SEAMS_H_

#include <optional>

#include "absl/functional/function_ref.h"
#include "base/types.h"
#include "storage/block/span_index.h"
#include "storage/block/written_log.h"
#include "storage/record.h"

namespace cairn {

// The entry, which is in the span; nothing if it cannot be read.
using ReadSpanEntry = absl::FunctionRef<std::optional<RecordRun>(const Span& span, Index index)>;

// Reads the hashes that spans do not know where they meet, so that it shows whether they do. One
// that cannot be read counts as another one, unless the entries on both sides are of one term: a
// term has one entry at an index, always behind the same ones.
void LearnSeams(ReadSpanEntry read, WrittenLog& log);

// Makes the log end before the first entry that is not there or follows another one, behind one
// whose hash is known. What was given up, as WrittenLog::LoseBehind does; nothing if all is there.
std::optional<LogBreak> LoseBehindBreak(ReadSpanEntry read, WrittenLog& log);

}  // namespace cairn

#endif  // STORAGE_BLOCK_SEAMS_LOG_SEAMS_H_
