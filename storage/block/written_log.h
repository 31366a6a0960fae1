// WrittenLog: what the blocks say of one group. Built by recovery from id records and footers, and
// kept by the same steps while the log is written.

#ifndef STORAGE_BLOCK_WRITTEN_LOG_H_
#define STORAGE_BLOCK_WRITTEN_LOG_H_

#include <cstdint>
#include <optional>

#include "base/types.h"
#include "storage/block/id_record.h"
#include "storage/block/span_index.h"
#include "storage/faulty_ranges.h"
#include "storage/log_store.h"

namespace cairn {

// Of the log before the batch with this section the entry that was the last one then, or that the
// batch truncates behind, with its hash; 0 if the batch forgets all entries before its own. Nothing
// if the section does not tell.
std::optional<Index> EndToldBy(const GroupSection& section);

// Threads: one at a time.
struct WrittenLog {
  explicit WrittenLog(BlockUsage* usage) : spans(usage) {}

  HardState hard_state;
  bool hard_state_lost = false;
  // Read back, and a batch is lost since a section told where the log ends.
  bool end_unknown = false;
  LogPosition base;
  EntryHash base_hash;
  LogPosition last;
  EntryHash last_hash;
  Index commit = 0;  // evidence: at least this was committed
  std::optional<Index> torn_from;
  FaultyRanges faulty;
  SpanIndex spans;

  LogBounds bounds() const {
    return {.base = base,
            .base_hash = base_hash,
            .last = last,
            .last_hash = last_hash,
            .torn_from = torn_from};
  }

  // A batch that may have held anything is lost: what is known is true and may be older, until a
  // section tells where the log ends.
  void Lose() { hard_state_lost = end_unknown = true; }

  // Takes over what the footer of a block says of this group.
  void AddSpan(Span span);
  // Gives up what stands behind `end`, which has this hash, and may have been acknowledged: then
  // this is an older state of the log, and it may have been another one since.
  void LoseBehind(Index end, EntryHash hash);
  // Carries out what the batch at `place` says of this group.
  void Apply(const GroupSection& section, const BatchPlace& place);

 private:
  void Forget();
  void TruncateFrom(Index from);
  void DropPrefix(Index up_to);
};

}  // namespace cairn

#endif  // STORAGE_BLOCK_WRITTEN_LOG_H_
