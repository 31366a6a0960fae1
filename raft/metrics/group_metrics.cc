#include "raft/metrics/group_metrics.h"

namespace cairn {

void GroupMetrics::NoteLeadership(Role role, Term term, NodeId leader) {
  const bool leads = role == Role::kLeader;
  if ((leads || role == Role::kCandidate) && stood_in_ != term) {
    stood_in_ = term;
    elections_started_.Add();
  }
  if (leads && won_in_ != term) {
    won_in_ = term;
    elections_won_.Add();
  }
  if (leader != NodeId::kNone && led_in_ != term) {
    led_in_ = term;
    leader_changes_.Add();
  }
}

GroupCounts GroupMetrics::counts() const {
  GroupCounts counts;
  counts.elections_started = elections_started_.value();
  counts.elections_won = elections_won_.value();
  counts.leader_changes = leader_changes_.value();
  counts.appends = appended.batches.value();
  counts.appended_entries = appended.entries.value();
  counts.appended_bytes = appended.bytes.value();
  counts.snapshots_saved = snapshots.saved.value();
  counts.snapshots_offered = snapshots.offered.value();
  counts.snapshots_received = snapshots.received.value();
  counts.snapshot_bytes_sent = snapshots.bytes_sent.value();
  counts.snapshot_bytes_received = snapshots.bytes_received.value();
  counts.repaired_entries = repairs.entries.value();
  counts.repairs_failed = repairs.failed.value();
  counts.state_damaged = repairs.state_damaged.value();
  counts.state_mended = repairs.state_mended.value();
  counts.entries_given = repairs.given.value();
  counts.entry_bytes_given = repairs.bytes_given.value();
  counts.envelopes_dropped = envelopes_dropped.value();
  return counts;
}

}  // namespace cairn
