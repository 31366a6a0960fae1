#include "service/monitoring/load_report.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace cairn {
namespace {

void Set(Duration duration, google::protobuf::Duration* to) {
  to->set_seconds(duration.nanoseconds / 1'000'000'000);
  to->set_nanos(static_cast<int32_t>(duration.nanoseconds % 1'000'000'000));
}

void WriteRefusals(const std::vector<std::pair<std::string, uint64_t>>& from,
                   google::protobuf::RepeatedPtrField<v1::RefusalCount>* to) {
  for (const auto& [reason, count] : from) {
    v1::RefusalCount* added = to->Add();
    added->set_reason(reason);
    added->set_count(count);
  }
}

void WriteQueues(const GroupQueues& from, v1::GroupQueues* to) {
  to->set_envelopes(from.envelopes);
  to->set_envelope_bytes(from.envelope_bytes);
  to->set_proposals(from.proposals);
  to->set_calls(from.calls);
  to->set_call_bytes(from.call_bytes);
  to->set_proposals_in_log(from.proposals_in_log);
  to->set_reads(from.reads);
  to->set_unapplied_entries(from.unapplied_entries);
  to->set_applier_bytes(from.applier_bytes);
}

void WriteCounters(const GroupCounts& from, const CallCounts& calls, v1::GroupCounters* to) {
  to->set_elections_started(from.elections_started);
  to->set_elections_won(from.elections_won);
  to->set_leader_changes(from.leader_changes);
  to->set_appends(from.appends);
  to->set_appended_entries(from.appended_entries);
  to->set_appended_bytes(from.appended_bytes);
  to->set_snapshots_saved(from.snapshots_saved);
  to->set_snapshots_offered(from.snapshots_offered);
  to->set_snapshots_received(from.snapshots_received);
  to->set_snapshot_bytes_sent(from.snapshot_bytes_sent);
  to->set_snapshot_bytes_received(from.snapshot_bytes_received);
  to->set_repaired_entries(from.repaired_entries);
  to->set_repairs_failed(from.repairs_failed);
  to->set_state_parts_damaged(from.state_damaged);
  to->set_state_parts_repaired(from.state_mended);
  to->set_entries_given(from.entries_given);
  to->set_entry_bytes_given(from.entry_bytes_given);
  to->set_envelopes_dropped(from.envelopes_dropped);
  to->set_commands_applied(calls.applied);
  to->set_commands_unknown(calls.unknown);
  WriteRefusals(calls.commands_refused, to->mutable_commands_refused());
  to->set_reads(calls.reads);
  WriteRefusals(calls.reads_refused, to->mutable_reads_refused());
}

}  // namespace

void WriteLoad(const GroupStatus& from, v1::GroupStatus* to) {
  const std::optional<std::string> why_not = WhyUnhealthy(from);
  v1::MemberHealth* health = to->mutable_health();
  health->set_healthy(!why_not.has_value());
  health->set_why_not(why_not.value_or(""));
  health->set_committed_index(from.health.committed_index);
  health->set_lag(from.health.lag);
  health->set_max_lag(from.health.max_lag);
  health->set_apply_paused(from.apply_paused);
  WriteQueues(from.queues, to->mutable_queues());
  WriteCounters(from.counts, from.calls, to->mutable_counters());
}

void WriteLoad(const LogWriterStatus& from, v1::LogWriterLoad* to) {
  to->set_queued_entries(from.queued_entries);
  to->set_queued_bytes(from.queued_bytes);
  to->set_batches(from.batches);
  to->set_entries(from.entries);
  to->set_bytes(from.bytes);
  to->set_syncs(from.syncs.count());
  Set(from.syncs.sum, to->mutable_sync_time());
  for (size_t i = 0; i < from.syncs.buckets.size(); ++i) {
    v1::SyncBucket* bucket = to->add_sync_durations();
    if (i < kDurationBuckets.size()) Set(kDurationBuckets[i], bucket->mutable_up_to());
    bucket->set_count(from.syncs.buckets[i]);
  }
  to->set_failed(from.failed);
  to->set_blocks(from.upkeep.blocks);
  to->set_blocks_to_rewrite(from.upkeep.to_rewrite);
  to->set_blocks_to_rewrap(from.upkeep.to_rewrap);
}

}  // namespace cairn
