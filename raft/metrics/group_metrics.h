// GroupMetrics: what a group has done on this node since its start.

#ifndef RAFT_METRICS_GROUP_METRICS_H_
#define RAFT_METRICS_GROUP_METRICS_H_

#include <cstdint>

#include "base/types.h"
#include "raft/core/effects.h"
#include "raft/metrics/counter.h"

namespace cairn {

// GroupMetrics as numbers.
struct GroupCounts {
  uint64_t elections_started = 0;  // terms in which this node stood
  uint64_t elections_won = 0;      // terms in which it led
  uint64_t leader_changes = 0;     // leaders it came to know, each once a term
  uint64_t appends = 0;            // batches given to the log's writer
  uint64_t appended_entries = 0;
  uint64_t appended_bytes = 0;
  uint64_t snapshots_saved = 0;
  uint64_t snapshots_offered = 0;   // to a member, each once however often it is repeated
  uint64_t snapshots_received = 0;  // whole, verified and kept
  uint64_t snapshot_bytes_sent = 0;
  uint64_t snapshot_bytes_received = 0;
  uint64_t repaired_entries = 0;  // that could not be read here
  uint64_t repairs_failed = 0;
  uint64_t entries_given = 0;      // to members that could not read them
  uint64_t entry_bytes_given = 0;  // their records
  uint64_t state_damaged = 0;      // parts of the state that could not be read here
  uint64_t state_mended = 0;       // and were put right
  uint64_t envelopes_dropped = 0;  // the group's mailbox was full
};

// Threads: NoteLeadership on the runner's sequence, the rest from any.
class GroupMetrics {
 public:
  // What this node does and whom it knows to lead, after each of Raft's steps that others hear of.
  void NoteLeadership(Role role, Term term, NodeId leader);

  GroupCounts counts() const;

  struct {
    Counter batches;
    Counter entries;
    Counter bytes;
  } appended;
  struct {
    Counter saved;
    Counter offered;
    Counter received;
    Counter bytes_sent;
    Counter bytes_received;
  } snapshots;
  struct {
    Counter entries;
    Counter failed;
    Counter given;
    Counter bytes_given;
    Counter state_damaged;
    Counter state_mended;
  } repairs;
  Counter envelopes_dropped;

 private:
  Counter elections_started_;
  Counter elections_won_;
  Counter leader_changes_;
  // The last term that counted. An election that is over before anybody was told of it is none.
  Term stood_in_ = 0;
  Term won_in_ = 0;
  Term led_in_ = 0;
};

}  // namespace cairn

#endif  // RAFT_METRICS_GROUP_METRICS_H_
