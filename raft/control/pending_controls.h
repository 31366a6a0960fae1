// PendingControls: requests about membership and leadership on their way through the core.

#ifndef RAFT_CONTROL_PENDING_CONTROLS_H_
#define RAFT_CONTROL_PENDING_CONTROLS_H_

#include <cstdint>
#include <map>
#include <optional>

#include "absl/strings/string_view.h"
#include "base/time.h"
#include "base/types.h"
#include "raft/control/control.h"
#include "raft/core/effects.h"
#include "raft/core/events.h"

namespace cairn {

// A request waits for the core's outcome; an accepted change then waits until its entry is
// committed. Threads: one at a time.
class PendingControls {
 public:
  // What the core is told of a call, which waits from now on. nullopt: too many wait, and the call
  // is answered.
  std::optional<Event> Ask(ControlCall call, WallTime wall_now);
  // The core's answer to one of them; of unknown ones, nothing.
  void Take(const ControlOutcome& outcome);
  // The log's commit index, and the term of an entry (0 for what is not there or was compacted).
  template <typename TermAt>
  void Committed(Index commit, TermAt term_at) {
    for (auto next = accepted_.begin(); next != accepted_.end() && next->first <= commit;) {
      auto at = next++;
      Settle(at, term_at(at->first));
    }
  }
  // Answers whose deadline has passed.
  void Expire(Instant now);
  Instant NextDeadline() const;
  void RefuseAll(ControlRefused::Reason reason, absl::string_view message);

 private:
  struct Accepted {
    Term term = 0;
    NodeId leader = NodeId::kNone;
    ControlCall call;
  };
  void Settle(std::multimap<Index, Accepted>::iterator at, Term committed_term);

  uint64_t last_request_ = 0;
  std::map<uint64_t, ControlCall> asked_;
  std::multimap<Index, Accepted> accepted_;
};

}  // namespace cairn

#endif  // RAFT_CONTROL_PENDING_CONTROLS_H_
