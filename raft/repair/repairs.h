// Repairs: what a node gets back from the other members.

#ifndef RAFT_REPAIR_REPAIRS_H_
#define RAFT_REPAIR_REPAIRS_H_

#include <algorithm>

#include "base/time.h"
#include "raft/repair/entry_repair.h"
#include "raft/repair/state_repair.h"
#include "raft/repair/torn_gift.h"

namespace cairn {

struct Repairs {
  EntryRepair entries;
  StateRepair state;
  TornGift torn = {};

  Instant NextDeadline() const { return std::min(entries.NextDeadline(), state.NextDeadline()); }
};

}  // namespace cairn

#endif  // RAFT_REPAIR_REPAIRS_H_
