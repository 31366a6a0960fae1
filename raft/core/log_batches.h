// LogBatches: what a Raft wants written, merged into as few batches as the order allows.

#ifndef RAFT_CORE_LOG_BATCHES_H_
#define RAFT_CORE_LOG_BATCHES_H_

#include <vector>

#include "base/types.h"
#include "raft/core/effects.h"

namespace cairn {

// One batch is open at a time; everything joins it, except that a truncation behind appended runs
// opens the next one, because a batch truncates before it appends. So does a reset of the log. So a
// drained mailbox is one batch, and a batch's truncation is the one its ticket stands for
// (raft/core/durability.h).
//
// Every call returns the ticket whose completion makes the written thing durable, together with
// everything written before it.
class LogBatches {
 public:
  // `sure`: LogBatch::sure.
  Ticket SetHardState(HardState hard_state, bool sure = false);
  Ticket Truncate(Index first_removed);
  // Everything written behind `reset.base` before is void.
  Ticket Reset(LogReset reset);
  Ticket Append(AppendRun run);
  // Behind all that was written so far.
  Ticket Drop(Index up_to);

  // The ticket of the last batch opened so far; 0 if there was none.
  Ticket last_ticket() const { return last_ticket_; }

  // Closes the open batch and hands all out. `commit` is what is known committed now.
  std::vector<LogBatch> Take(Index commit);

 private:
  LogBatch& Open();

  Ticket last_ticket_ = 0;
  std::vector<LogBatch> batches_;  // the last one is open
};

}  // namespace cairn

#endif  // RAFT_CORE_LOG_BATCHES_H_
