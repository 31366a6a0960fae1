#include "raft/core/log_batches.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace cairn {

LogBatch& LogBatches::Open() {
  if (batches_.empty()) batches_.push_back({.ticket = ++last_ticket_});
  return batches_.back();
}

Ticket LogBatches::SetHardState(HardState hard_state, bool sure) {
  LogBatch& batch = Open();
  batch.hard_state = hard_state;
  batch.sure = batch.sure || sure;
  return batch.ticket;
}

Ticket LogBatches::Truncate(Index first_removed) {
  if (!Open().runs.empty()) batches_.push_back({.ticket = ++last_ticket_});
  LogBatch& batch = batches_.back();
  batch.truncate_from = std::min(batch.truncate_from.value_or(first_removed), first_removed);
  return batch.ticket;
}

Ticket LogBatches::Reset(LogReset reset) {
  const LogBatch& open = Open();
  if (!open.runs.empty() || open.truncate_from || open.drop_to) {
    batches_.push_back({.ticket = ++last_ticket_});
  }
  LogBatch& batch = batches_.back();
  batch.reset_to = reset;
  return batch.ticket;
}

Ticket LogBatches::Append(AppendRun run) {
  LogBatch& batch = Open();
  if (!batch.runs.empty()) {
    CAIRN_CHECK_EQ(run.first.index, batch.runs.back().last_index + 1) << "runs are gapless";
  }
  batch.runs.push_back(std::move(run));
  return batch.ticket;
}

Ticket LogBatches::Drop(Index up_to) {
  LogBatch& batch = Open();
  batch.drop_to = up_to;
  return batch.ticket;
}

std::vector<LogBatch> LogBatches::Take(Index commit) {
  for (LogBatch& batch : batches_) batch.commit = commit;
  return std::exchange(batches_, {});
}

}  // namespace cairn
