#include "service/monitoring/metrics_page.h"

#include <limits>
#include <map>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "prometheus/metric_family.h"
#include "prometheus/text_serializer.h"

namespace cairn {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

double SecondsOf(const google::protobuf::Duration& duration) {
  return static_cast<double>(duration.seconds()) + duration.nanos() * 1e-9;
}

// Collects values by family: each stands once on the page, with the values of all members.
class Families {
 public:
  // What follows has these labels.
  void SetLabels(Labels labels) { labels_ = std::move(labels); }

  void Gauge(const char* name, const char* help, double value, const Labels& more = {}) {
    Add(name, help, MetricType::Gauge, more).gauge.value = value;
  }
  void Gauge(const char* name, const char* help, uint64_t value, const Labels& more = {}) {
    Gauge(name, help, static_cast<double>(value), more);
  }
  void Gauge(const char* name, const char* help, bool value) {
    Gauge(name, help, value ? 1.0 : 0.0);
  }
  void Counter(const char* name, const char* help, uint64_t value, const Labels& more = {}) {
    Add(name, help, MetricType::Counter, more).counter.value = static_cast<double>(value);
  }
  ClientMetric::Histogram& Histogram(const char* name, const char* help) {
    return Add(name, help, MetricType::Histogram, {}).histogram;
  }

  std::string Text() const {
    std::vector<prometheus::MetricFamily> families;
    families.reserve(families_.size());
    for (const auto& [name, family] : families_) families.push_back(family);
    std::ostringstream text;
    prometheus::TextSerializer().Serialize(text, families);
    return text.str();
  }

 private:
  ClientMetric& Add(const char* name, const char* help, MetricType type, const Labels& more) {
    prometheus::MetricFamily& family = families_[name];
    family.name = name;
    family.help = help;
    family.type = type;
    ClientMetric& metric = family.metric.emplace_back();
    metric.label = labels_;
    metric.label.insert(metric.label.end(), more.begin(), more.end());
    return metric;
  }

  Labels labels_;
  std::map<std::string, prometheus::MetricFamily> families_;
};

void AddPosition(const v1::GroupStatus& group, Families& to) {
  to.Gauge("cairn_has_leader", "Whether the member knows a leader.", group.leader() != 0);
  to.Gauge("cairn_is_leader", "Whether it leads and serves.", group.serving_leader());
  to.Gauge("cairn_healthy", "Whether it serves, knows a leader and has caught up.",
           group.health().healthy());
  for (const auto state :
       {v1::MEMBER_STATE_STARTING, v1::MEMBER_STATE_SERVING, v1::MEMBER_STATE_DEGRADED,
        v1::MEMBER_STATE_REPAIRING, v1::MEMBER_STATE_FENCED, v1::MEMBER_STATE_HALTED}) {
    const std::string name = v1::MemberState_Name(state).substr(sizeof("MEMBER_STATE_") - 1);
    to.Gauge("cairn_state", "1 for the state the member is in.",
             uint64_t{group.state() == state ? 1U : 0U}, {{"state", name}});
  }
  to.Gauge("cairn_term", "Its Raft term.", group.term());
  to.Gauge("cairn_first_index", "First entry in its log.", group.first_index());
  to.Gauge("cairn_last_index", "Last entry in its log.", group.last_index());
  to.Gauge("cairn_durable_index", "Last entry that is safe on its disk.", group.durable_index());
  to.Gauge("cairn_commit_index", "Last entry it knows to be committed.", group.commit_index());
  to.Gauge("cairn_applied_index", "Last entry its state machine has applied.",
           group.applied_index());
  to.Gauge("cairn_snapshot_index", "Last entry its last snapshot covers.", group.snapshot_index());
  to.Gauge("cairn_lag_entries", "Committed entries it has not applied, by what its leader says.",
           group.health().lag());
  to.Gauge("cairn_sessions", "Sessions of clients.", group.sessions());
  to.Gauge("cairn_unsafe_recoveries", "How often a leader was forced with less than a majority.",
           group.unsafe_recoveries().count());
}

void AddQueues(const v1::GroupQueues& queues, Families& to) {
  to.Gauge("cairn_queue_messages", "Messages of members that wait for the group's turn.",
           queues.envelopes());
  to.Gauge("cairn_queue_message_bytes", "Bytes of those that carry entries.",
           queues.envelope_bytes());
  to.Gauge("cairn_queue_proposals", "Calls that wait to be given to Raft.", queues.proposals());
  to.Gauge("cairn_calls_pending", "Commands and reads under way, from first to last.",
           queues.calls());
  to.Gauge("cairn_calls_pending_bytes", "Bytes of those commands.", queues.call_bytes());
  to.Gauge("cairn_proposals_pending", "Calls in the leader's log that wait to be committed.",
           queues.proposals_in_log());
  to.Gauge("cairn_reads_pending", "Reads that wait for the leader, or to be applied.",
           queues.reads());
  to.Gauge("cairn_apply_lag_entries", "Entries known to be committed here, and not applied.",
           queues.unapplied_entries());
  to.Gauge("cairn_apply_queue_bytes", "Bytes of those the state machine was given.",
           queues.applier_bytes());
}

void AddRefusals(const google::protobuf::RepeatedPtrField<v1::RefusalCount>& refusals,
                 const char* name, const char* help, Families& to) {
  for (const v1::RefusalCount& refusal : refusals) {
    to.Counter(name, help, refusal.count(), {{"reason", refusal.reason()}});
  }
}

void AddCounters(const v1::GroupCounters& counters, Families& to) {
  to.Counter("cairn_elections_started_total", "Terms in which it stood for election.",
             counters.elections_started());
  to.Counter("cairn_elections_won_total", "Terms in which it led.", counters.elections_won());
  to.Counter("cairn_leader_changes_total", "Leaders it came to know.", counters.leader_changes());
  to.Counter("cairn_appends_total", "Batches given to the log.", counters.appends());
  to.Counter("cairn_entries_appended_total", "Entries given to the log.",
             counters.appended_entries());
  to.Counter("cairn_bytes_appended_total", "Bytes of those.", counters.appended_bytes());
  to.Counter("cairn_snapshots_saved_total", "Snapshots of its own state.",
             counters.snapshots_saved());
  to.Counter("cairn_snapshots_offered_total", "Snapshots offered to members that need one.",
             counters.snapshots_offered());
  to.Counter("cairn_snapshots_received_total", "Snapshots of other members, whole and verified.",
             counters.snapshots_received());
  to.Counter("cairn_snapshot_sent_bytes_total", "Bytes of snapshots given to others.",
             counters.snapshot_bytes_sent());
  to.Counter("cairn_snapshot_received_bytes_total", "Bytes of snapshots that came in.",
             counters.snapshot_bytes_received());
  to.Counter("cairn_entries_repaired_total", "Entries that could not be read and were put right.",
             counters.repaired_entries());
  to.Counter("cairn_repairs_failed_total", "Answers that could not put an entry right.",
             counters.repairs_failed());
  to.Counter("cairn_state_parts_damaged_total", "Files of the streams that could not be read.",
             counters.state_parts_damaged());
  to.Counter("cairn_state_parts_repaired_total", "Of those, put right by another member's.",
             counters.state_parts_repaired());
  to.Counter("cairn_entries_given_total", "Entries given to members that could not read them.",
             counters.entries_given());
  to.Counter("cairn_entry_given_bytes_total", "Bytes of the entries given to such members.",
             counters.entry_bytes_given());
  to.Counter("cairn_messages_dropped_total", "Messages of members for which there was no room.",
             counters.envelopes_dropped());
  constexpr char kProposals[] = "cairn_proposals_total";
  constexpr char kHelp[] = "Commands answered here, by what became of them.";
  to.Counter(kProposals, kHelp, counters.commands_applied(), {{"result", "applied"}});
  to.Counter(kProposals, kHelp, counters.commands_unknown(), {{"result", "unknown"}});
  AddRefusals(counters.commands_refused(), "cairn_proposals_refused_total",
              "Commands that were not applied, by reason.", to);
  to.Counter("cairn_reads_total", "Reads that were confirmed.", counters.reads());
  AddRefusals(counters.reads_refused(), "cairn_reads_refused_total",
              "Reads that were not confirmed, by reason.", to);
}

void AddPeers(const v1::GroupStatus& group, Families& to) {
  for (const v1::PeerProgress& peer : group.peers()) {
    const Labels label = {{"peer", absl::StrCat(peer.node())}};
    to.Gauge("cairn_peer_match_index", "On the leader: what the peer holds durably.",
             peer.match_index(), label);
    to.Gauge("cairn_peer_lag_entries", "On the leader: entries the peer does not hold.",
             group.last_index() - std::min(group.last_index(), peer.match_index()), label);
    to.Gauge("cairn_peer_inflight_messages", "Messages sent there and not acknowledged.",
             peer.inflight_messages(), label);
    to.Gauge("cairn_peer_inflight_bytes", "Bytes of those.", peer.inflight_bytes(), label);
    to.Gauge("cairn_peer_last_contact_seconds", "Since it was heard of.",
             SecondsOf(peer.since_contact()), label);
  }
}

void AddLogWriter(const v1::LogWriterLoad& load, Families& to) {
  to.Gauge("cairn_wal_queue_entries", "Entries that wait for the disk.", load.queued_entries());
  to.Gauge("cairn_wal_queue_bytes", "Bytes of those.", load.queued_bytes());
  to.Gauge("cairn_wal_failed", "Whether a write or sync has failed, which is final.",
           load.failed());
  to.Counter("cairn_wal_write_batches_total", "Batches made durable.", load.batches());
  to.Counter("cairn_wal_write_entries_total", "Entries of those.", load.entries());
  to.Counter("cairn_wal_write_bytes_total", "Bytes of those.", load.bytes());
  ClientMetric::Histogram& syncs =
      to.Histogram("cairn_wal_fsync_duration_seconds", "How long syncs of the log take.");
  syncs.sample_sum = SecondsOf(load.sync_time());
  for (const v1::SyncBucket& bucket : load.sync_durations()) {
    syncs.sample_count += bucket.count();
    syncs.bucket.push_back({syncs.sample_count, bucket.has_up_to()
                                                    ? SecondsOf(bucket.up_to())
                                                    : std::numeric_limits<double>::infinity()});
  }
}

}  // namespace

std::string MetricsPage(const std::vector<v1::GetStatusResponse>& members) {
  Families families;
  for (const v1::GetStatusResponse& member : members) {
    const Labels node = {{"member", absl::StrCat(member.node())}};
    families.SetLabels(node);
    families.Gauge("cairn_build_info", "1; the label says which program.", uint64_t{1},
                   {{"version", member.version()}, {"log_store", member.log_store()}});
    families.Gauge("cairn_uptime_seconds", "Since it started to serve.",
                   SecondsOf(member.uptime()));
    families.Gauge("cairn_warnings", "What an operator should know (GetStatus says what).",
                   static_cast<uint64_t>(member.warnings_size()));
    AddRefusals(member.refused_frames(), "cairn_frames_refused_total",
                "Frames of other nodes that were refused, by reason.", families);
    if (member.has_log_writer()) AddLogWriter(member.log_writer(), families);
    for (const v1::GroupStatus& group : member.groups()) {
      Labels labels = node;
      labels.push_back({"group", absl::StrCat(group.group())});
      families.SetLabels(labels);
      AddPosition(group, families);
      AddQueues(group.queues(), families);
      AddCounters(group.counters(), families);
      AddPeers(group, families);
    }
  }
  return families.Text();
}

}  // namespace cairn
