// TornGift: the entries of a torn tail, as other members give them part by part.

#ifndef RAFT_REPAIR_TORN_GIFT_H_
#define RAFT_REPAIR_TORN_GIFT_H_

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/types.h"
#include "raft/core/effects.h"
#include "raft/core/events.h"
#include "raft/envelope.h"
#include "storage/record.h"

namespace cairn {

// One answer brings some of the entries (raft/core/torn_tail.h says why they are written together).
// So the parts are kept here until all have come: whoever gave them, and however late, since what
// stands behind the same entry, and is of the same index and term, is the same.
//
// Bounds: the torn entries were one write of the log, which is at most a block of it.
// Threads: one at a time.
class TornGift {
 public:
  // Raft wants these, behind an entry with hash `before`.
  void Want(AskTorn ask, EntryHash before);
  // What to ask `holder` for now; nullopt if all have come.
  NodeId holder() const { return ask_.to; }
  std::optional<EntryRequest> Request() const;

  // Whether `reply` answers one of the last questions.
  bool Awaits(NodeId from, const EntryReply& reply) const;
  // Takes the next of the entries out of an answer; false if none of them is there.
  // FAILED_PRECONDITION if it is another entry than the one that may be torn, or does not
  // join on to what came before, which is forgotten then.
  absl::StatusOr<bool> Take(const std::vector<RecordRun>& entries);
  bool whole() const { return !parts_.empty() && next() > last(); }
  // Of all of them. whole().
  EntryHash last_hash() const { return parts_.back().last_hash(); }
  const std::vector<RecordRun>& parts() const { return parts_; }
  // All but payload and configurations. whole().
  TornEntriesGiven Given(LogPosition previous) const;
  // None are wanted any more.
  void Clear() {
    if (ask_.first != 0) *this = TornGift();
  }

 private:
  Index next() const { return parts_.empty() ? ask_.first : parts_.back().last().index + 1; }
  Index last() const { return ask_.runs.empty() ? 0 : ask_.runs.back().last_index; }
  // Where the wanted entries of the term of `index` end, and that term.
  TermRun RunAt(Index index) const;

  AskTorn ask_;
  EntryHash before_;
  std::vector<std::pair<NodeId, uint64_t>> asked_;  // the last few questions
  std::vector<RecordRun> parts_;                    // from the first one on, gapless; one term each
};

}  // namespace cairn

#endif  // RAFT_REPAIR_TORN_GIFT_H_
