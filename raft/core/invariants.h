// InvariantChecker: what must hold of one Raft after every step, and from step to step.

#ifndef RAFT_CORE_INVARIANTS_H_
#define RAFT_CORE_INVARIANTS_H_

#include <optional>
#include <string>

#include "base/types.h"
#include "raft/core/effects.h"
#include "raft/core/raft.h"

namespace cairn {

// For tests and the simulator; one for each Raft object. Costs the same for a log of any length.
// Says what is broken, once; nullopt while all is well.
class InvariantChecker {
 public:
  std::optional<std::string> AfterStep(const Raft& raft);
  // The next step is BegunBehind of this entry.
  void Told(LogPosition committed) { told_ = committed.index; }
  // `effects` were just taken from `raft`.
  std::optional<std::string> AfterEffects(const Raft& raft, const Effects& effects);

 private:
  struct Seen {
    Role role = Role::kFollower;
    HardState hard_state;
    NodeId leader = NodeId::kNone;
    LogPosition base;
    LogPosition last;
    Index commit = 0;
    Term commit_term = 0;  // of the entry at `commit`
    Index applied = 0;
  };
  static Seen Look(const Raft& raft);
  std::optional<std::string> CheckMembership(const Raft& raft);

  std::optional<Seen> seen_;
  std::optional<LogPosition> configuration_at_;
  Configuration configuration_;
  NodeId term_leader_ = NodeId::kNone;  // of the term seen last, once known
  Ticket last_ticket_ = 0;
  Index apply_up_to_ = 0;
  Index told_ = 0;
};

}  // namespace cairn

#endif  // RAFT_CORE_INVARIANTS_H_
