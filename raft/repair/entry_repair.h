// EntryRepair: gets entries that this node cannot read from the other members.

#ifndef RAFT_REPAIR_ENTRY_REPAIR_H_
#define RAFT_REPAIR_ENTRY_REPAIR_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/time.h"
#include "base/types.h"
#include "raft/core/holes.h"
#include "raft/core/raft.h"
#include "raft/envelope.h"
#include "storage/record.h"

namespace cairn {

// Asks one member at a time, the leader first, for what stands in the holes of the log. What has
// the same index and term is the same entry whoever gives it, in any term and role, so nothing of
// this needs to be agreed on, and an answer is good however late it comes; the store checks the
// hash before it writes.
//
// Threads: one at a time.
class EntryRepair {
 public:
  // A member that does not answer for `patience` is passed over; each time it is waited for twice
  // as long, up to four times `pause`. When all have been asked in vain they are asked again after
  // `pause`. `life` differs from start to start.
  EntryRepair(Duration patience, Duration pause, uint64_t life)
      : patience_(patience), pause_(pause), last_request_(life) {}

  struct Asking {
    NodeId to = NodeId::kNone;
    EntryRequest request;
  };
  // What to send now, if anything.
  std::optional<Asking> Next(Instant now, const Raft& raft);
  // The parts of an answer that are holes of this log; they are to be written, then Written. Empty
  // if `from` was not asked this, or has answered it already, or if it is of no use; or while other
  // parts are written.
  std::vector<RecordRun> Take(NodeId from, const EntryReply& reply,
                              const std::vector<RecordRun>& entries, const Raft& raft);
  // They are durable, or (not `good`) not what stood there.
  void Written(bool good);
  // Of the first hole what every other member has just said to lack, or the leader; once each time
  // they do. A snapshot may have it: the leader's log lacks what it has compacted.
  struct Nowhere {
    HoleRange entries;
    bool all_asked = false;  // who has not said so is silent
  };
  std::optional<Nowhere> TakeNowhere(const Raft& raft);

  // When Next is due at the latest.
  Instant NextDeadline() const;

 private:
  NodeId Choose(const Raft& raft) const;
  void BeginRound();
  void NoteSilence();

  const Duration patience_;
  const Duration pause_;
  uint64_t last_request_;
  LogPosition first_;               // of the holes, index 0: there are none
  std::set<NodeId> tried_;          // asked for first_, since all were asked in vain last
  std::set<NodeId> lack_;           // those of them that could not give it
  Index lack_through_ = kMaxIndex;  // nor anything behind it up to here
  struct Question {
    NodeId peer = NodeId::kNone;
    LogPosition first;  // first_ when it was asked
    Index last = 0;     // of what was asked for in a row from there on
  };
  std::map<uint64_t, Question> unanswered_;  // by request; the latest few
  std::map<NodeId, Duration> waits_;         // who was silent: how long it is waited for
  struct Asked {
    NodeId peer = NodeId::kNone;  // who was asked last, or gave what is being written
    Instant until;                // Instant(): it is not waited for
    bool writing = false;
  };
  Asked asked_;
  Instant again_ = kDistantFuture;  // all were asked in vain: when to ask again
  bool nowhere_ = false;
  bool all_asked_ = false;
};

// Of the holes what one request asks for: ranges, however long. Who answers gives what fits.
std::vector<EntryRange> RangesToAsk(const Raft& raft);

}  // namespace cairn

#endif  // RAFT_REPAIR_ENTRY_REPAIR_H_
