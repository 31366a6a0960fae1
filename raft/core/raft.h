// Raft: the rules of consensus as a pure function of events (Ongaro and Ousterhout 2014, "the
// paper"; Ongaro's thesis 2014, "the thesis").

#ifndef RAFT_CORE_RAFT_H_
#define RAFT_CORE_RAFT_H_

#include <memory>
#include <optional>
#include <vector>

#include "base/time.h"
#include "base/types.h"
#include "raft/core/configuration.h"
#include "raft/core/effects.h"
#include "raft/core/events.h"
#include "raft/core/options.h"
#include "raft/core/trace.h"
#include "raft/core/unsafe_override.h"

namespace cairn {

// One member of one group.
//
// Contract: Step any number of times, then TakeEffects and carry them out in the order effects.h
// gives. Effects of several steps merge. Completions are ordinary events. A message that asserts a
// fact (vote, append acknowledgement, RequestVote) comes out only when the fact survives a power
// cut, that is after the LogSynced that covers it. A change of term or role drops every message
// not yet taken.
//
// Time only moves forward: an instant before the last one given counts as the last one.
// Threads: one at a time. No call blocks, reads a clock or does I/O.
class Raft {
 public:
  // `trace` may be null; it must outlive this object. CHECKs that the options are valid.
  Raft(const RaftOptions& options, RecoveredRaft recovered, Instant now, TraceSink* trace);
  ~Raft();
  Raft(const Raft&) = delete;
  Raft& operator=(const Raft&) = delete;

  void Step(Instant now, Event event);
  Effects TakeEffects();
  // When Tick must be stepped at the latest. kDistantFuture: only other events matter.
  Instant NextWakeup() const;

  // State, for the node above, tests and metrics.
  NodeId node() const;
  Role role() const;
  Term term() const;
  NodeId vote() const;
  NodeId leader() const;  // kNone if unknown
  LogPosition last() const;
  LogPosition base() const;
  Index commit() const;
  Index durable() const;
  Index applied() const;
  std::optional<Index> torn_from() const;
  const Holes& holes() const;  // what cannot be read
  // The last of the entries in a row that are of the term of the one at `index`, which is in the
  // log, not base() and not torn.
  Index LastOfTerm(Index index) const;
  // What the entries up to base() have made is lost here, and no snapshot has come in its place.
  bool state_lost() const;
  // A snapshot at this entry or behind it is needed, of whoever has applied as much; 0: none. It is
  // where the log begins if the state is lost; or, while no leader is heard, an entry that is
  // needed and that nobody's log has.
  Index state_needed() const;
  // False where the list of members was lost with the state: configuration() is an older one.
  bool knows_members() const;
  // It cannot tell what it has promised (raft/core/rejoin.h).
  bool unsure() const;
  bool term_durable() const;  // term() survives a power cut
  // The snapshot that Effects::restore names, or will.
  std::optional<LogPosition> restoring() const;
  // True on a leader whose first entry of its own term is committed (thesis 6.4 step 1).
  bool leads_with_commit() const;
  // Rests: sends nothing and waits for nothing, until another event than Tick comes.
  bool quiesced() const;
  // While it rests: on whose hosts it counts, in the lives they had. The caller steps HostLost when
  // one of them is gone.
  struct Reliance {
    NodeId peer = NodeId::kNone;
    HostLife life = 0;
  };
  std::vector<Reliance> relies_on() const;
  // True on a leader that hands over and refuses proposals.
  bool transferring() const;
  Term TermAt(Index index) const;              // 0 where the log has no such entry
  const Configuration& configuration() const;  // in force: the last one appended
  LogPosition configuration_position() const;
  // What an operator has said of a lost majority, while it holds.
  const std::optional<UnsafeOverride>& unsafe_override() const;
  // When this node heard a leader last, or stopped leading, since its start.
  std::optional<Instant> last_heard_leader() const;
  const Configuration& committed_configuration() const;  // the last one that is committed
  // By that one or a later one of this log, so it may be one though it is not by what is in force.
  bool MayBeMember(NodeId node) const;
  // What the leader knows of `peer`; nullopt elsewhere.
  struct PeerStatus {
    Index match = 0;
    Index next = 0;
    bool probing = false;
    bool snapshotting = false;  // it lacks what is not in this log any more
    size_t inflight_messages = 0;
    size_t inflight_bytes = 0;
    Instant last_contact = {};
  };
  std::optional<PeerStatus> Peer(NodeId peer) const;

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace cairn

#endif  // RAFT_CORE_RAFT_H_
