// PendingReads: read barriers on their way.

#ifndef RAFT_PENDING_READS_H_
#define RAFT_PENDING_READS_H_

#include <cstddef>
#include <map>
#include <optional>
#include <vector>

#include "base/time.h"
#include "base/types.h"
#include "raft/call_budget.h"
#include "raft/core/events.h"
#include "raft/proposal.h"

namespace cairn {

// One call of Linearize. Answered exactly once.
struct ReadRequest {
  ReadCallback done;
  std::optional<Instant> deadline;
  bool lease = false;            // ReadOptions::lease
  CallBudget* budget = nullptr;  // counts the call; may be null

  void Answer(ReadResult result);
};

// A read waits for the core to name an index, then for that index to be applied. Reads that came in
// together share one ReadId. Threads: one at a time.
class PendingReads {
 public:
  // Draws the id under which the core is to be asked, at `now`.
  ReadId Ask(Instant now, std::vector<ReadRequest> requests);
  // The core's answers. An unknown id (its reads have expired) is ignored.
  void Ready(ReadId read, Index index);
  void Refuse(ReadId read, ReadRefused refusal);
  // Answers those that waited for entries up to `index`.
  void Applied(Index index);
  // Everything acknowledged before this moment is applied here, as far as answered reads have
  // shown.
  Instant fresh_as_of() const { return fresh_as_of_; }
  // Refuses those whose deadline has passed.
  void Expire(Instant now);
  void RefuseAll(ReadRefused refusal);

  // When Expire should be called next. May be earlier than the first deadline.
  Instant NextDeadline() const { return next_deadline_; }
  bool empty() const { return asked_.empty() && ready_.empty(); }
  size_t waiting() const { return waiting_; }  // reads

 private:
  struct Batch {
    Instant asked;
    std::vector<ReadRequest> requests;
  };
  std::map<ReadId, Batch> asked_;
  std::multimap<Index, Batch> ready_;
  size_t waiting_ = 0;
  ReadId last_read_ = 0;
  Instant fresh_as_of_;
  Instant next_deadline_ = kDistantFuture;
};

}  // namespace cairn

#endif  // RAFT_PENDING_READS_H_
