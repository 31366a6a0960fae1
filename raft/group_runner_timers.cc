// When the runner runs by itself, and when it need not, because the group rests.

#include <vector>

#include "raft/group_runner.h"

namespace cairn {

void GroupRunner::ScheduleWakeup() {
  Instant next = node_->NextWakeup();
  // A timer that comes too early only looks and sets a later one.
  if (next >= next_wakeup_) return;
  next_wakeup_ = next;
  dependencies_.upkeep->WakeAt(settings_.group, next);
}

void GroupRunner::TimerDue(Instant when) {
  if (next_wakeup_ != when) return;
  next_wakeup_ = kDistantFuture;
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
