// EntryRepair: gets entries that this node cannot read from the other members.

#ifndef RAFT_REPAIR_ENTRY_REPAIR_H_
#define RAFT_REPAIR_ENTRY_REPAIR_H_

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "base/time.h"
#include "base/types.h"
#include "raft/core/raft.h"
#include "raft/envelope.h"
#include "storage/record.h"

namespace cairn {

// Asks one member at a time, the leader first, for what stands in the holes of the log. What has
// the same index and term is the same entry whoever gives it, in any term and role, so nothing of
// this needs to be agreed on; the store checks the hash before it writes.
//
// Threads: one at a time.
class EntryRepair {
 public:
  // A member that does not answer for `patience` is passed over; when all have been asked in vain
  // they are asked again after `pause`. `life` differs from start to start.
  EntryRepair(Duration patience, Duration pause, uint64_t life)
      : patience_(patience), pause_(pause), last_request_(life) {}

  struct Asking {
    NodeId to = NodeId::kNone;
    EntryRequest request;
  };
  // What to send now, if anything.
  std::optional<Asking> Next(Instant now, const Raft& raft);
  // The parts of an answer that are holes of this log; they are to be written, then Written. Empty
  // if it is not the answer to the last request, or of no use.
  std::vector<RecordRun> Take(NodeId from, const EntryReply& reply,
                              const std::vector<RecordRun>& entries, const Raft& raft);
  // They are durable, or (not `good`) not what stood there.
  void Written(bool good);
  // A hole that every other member has just said to lack; once each time all were asked.
  std::optional<Index> TakeNowhere();

  // When Next is due at the latest.
  Instant NextDeadline() const;

 private:
  void Passed(NodeId peer);
  NodeId Choose(const Raft& raft) const;

  const Duration patience_;
  const Duration pause_;
  uint64_t last_request_;
  Index first_ = 0;        // of the holes, 0: there are none
  std::set<NodeId> lack_;  // members that could not give first_
  struct Asked {
    NodeId peer = NodeId::kNone;  // kNone: nobody is being asked
    Instant until;
    bool writing = false;  // it has answered
  };
  Asked asked_;
  Instant again_ = kDistantFuture;  // all were asked in vain: when to ask again
  bool nowhere_ = false;
};

// Of `holes` what one request asks for.
std::vector<EntryRange> RangesToAsk(const Raft& raft);

}  // namespace cairn

#endif  // RAFT_REPAIR_ENTRY_REPAIR_H_
