// When the runner runs by itself, and when it need not, because the group rests.

#include <algorithm>
#include <vector>

#include "raft/group_runner.h"

namespace cairn {

void GroupRunner::ScheduleWakeup() {
  Instant next = std::min(node_->NextWakeup(), waiting_.tails.NextDeadline());
  // A timer that comes too early only looks and sets a later one.
  if (next >= turns_.next_wakeup) return;
  turns_.next_wakeup = next;
  dependencies_.upkeep->WakeAt(settings_.group, next);
}

void GroupRunner::TimerDue(Instant when) {
  if (turns_.next_wakeup != when) return;
  turns_.next_wakeup = kDistantFuture;
  Run();
}

void GroupRunner::NoteRest() {
  const bool quiesced = node_->quiesced();
  if (!quiesced && !published_.quiesced) return;
  published_.quiesced = quiesced;
  std::vector<Raft::Reliance> on;
  if (quiesced) on = node_->raft().relies_on();
  dependencies_.upkeep->Rests(
      settings_.group, on,
      {settings_.options.heartbeat_interval, settings_.options.election_timeout});
}

}  // namespace cairn
