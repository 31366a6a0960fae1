// The decisions at the end of the log: what a power cut left there, and what rot.
//
// At most one batch is written and not yet synced at any time: the next one is issued only when the
// sync of the one before it has returned. So only the last batch can be torn, and whatever stands
// behind a batch proves that it was synced. FORMAT.md, "Decisions", has the table.

#ifndef STORAGE_BLOCK_TAIL_H_
#define STORAGE_BLOCK_TAIL_H_

#include <cstdint>
#include <vector>

#include "storage/block/batch_walker.h"
#include "storage/block/block_bytes.h"

namespace cairn {

enum class TailVerdict {
  kKeep,       // all of it is good; an id record that is bad has to be written again
  kCut,        // torn: it was never acknowledged
  kUndecided,  // some entries cannot be read, and one power cut can have done it: MAYBE_TORN
  kFaulty,     // some entries cannot be read, and they may have been acknowledged
  kLost,       // more than one fault, or nothing Cairn wrote: nobody can tell what stood there
};

// What is known of the last batch besides its bytes.
struct TailEvidence {
  bool synced = false;  // something was written behind it, or its block was sealed after a sync
  bool sealed = false;  // a seal names it, as its id record does
  // The machine was started again since it was written, or its sync failed.
  bool may_have_holes = false;
};

// Judges a batch that one of its id records names; never kLost. `bad`: its bad entries, by offset.
TailVerdict JudgeLastBatch(const FoundBatch& batch, const std::vector<BadEntry>& bad,
                           TailEvidence evidence);

// What stands between data_end and id_begin where no batch can be found.
struct Remainder {
  bool empty = true;  // all zero
  TailVerdict verdict = TailVerdict::kKeep;
  uint64_t bytes = 0;  // of the sectors that are not zero
};
Remainder JudgeRemainder(BlockBytes& bytes, uint64_t data_end, uint64_t id_begin);

}  // namespace cairn

#endif  // STORAGE_BLOCK_TAIL_H_
