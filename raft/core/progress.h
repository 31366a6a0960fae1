// Progress: what a leader knows of one peer's log, and what it may send there.

#ifndef RAFT_CORE_PROGRESS_H_
#define RAFT_CORE_PROGRESS_H_

#include <cstddef>
#include <cstdint>
#include <variant>

#include "base/time.h"
#include "base/types.h"
#include "raft/core/send_window.h"
#include "raft/core/trail.h"

namespace cairn {

// Where the logs agree is not known. At most one message, small, is in flight.
struct Probing {
  bool waiting = false;  // for a reply or the heartbeat timer
  Index last = 0;        // of the message, which may be in flight; 0: none was sent
  size_t bytes = 0;
};

// The logs agree up to `match`. Messages follow each other without waiting, within the window.
struct Replicating {
  SendWindow window;
  bool waiting = false;  // for the heartbeat timer: nothing could be sent
  Instant last_news;     // of the last acknowledgement, or the first message without one
};

// What the peer lacks is not in the leader's log any more: it needs a snapshot, and gets no
// entries.
struct Snapshotting {
  bool offer = true;  // one is to be offered
};

// Lives as long as one leadership, in one of the three states.
//
// A new Progress probes. The first acknowledgement that proves something new makes it replicate; a
// refusal, a broken connection or silence makes it probe again. One that falls behind the leader's
// log waits for a snapshot, and the acknowledgement of that makes it replicate.
//
// Replies may be lost, late, repeated and out of order. An acknowledgement of something known and a
// refusal of something not asked change nothing. A refusal of something acknowledged is either old,
// then it costs a probe, or the peer has lost what it held (a tail torn by a disk that lied), then
// it gets it again.
//
// Holds: match < next. The peer has said that it holds the entries up to match durably, equal to
// the leader's.
class Progress {
 public:
  // `next`: the entry after the leader's last one when its term began (paper figure 2, nextIndex).
  Progress(Index next, Instant now) : next_(next), last_contact_(now), last_progress_(now) {}

  Index match() const { return match_; }
  Index next() const { return next_; }
  bool probing() const { return std::holds_alternative<Probing>(state_); }
  bool snapshotting() const { return std::holds_alternative<Snapshotting>(state_); }
  size_t inflight_messages() const;
  size_t inflight_bytes() const;

  // The peer was heard of, by whatever reply.
  void OnContact(Instant now);
  Instant last_contact() const { return last_contact_; }
  // Whether it ever was; last_contact() begins with the leadership.
  bool heard() const { return heard_; }

  // When it last acknowledged something new, or got a snapshot, or lacked nothing.
  Instant last_progress() const { return last_progress_; }
  // There is nothing to send to it, or it waits for a snapshot.
  void LacksNothing(Instant now) { last_progress_ = now; }

  // How many bytes of entries from next() on may be asked for now; 0: nothing may be sent. (Whether
  // there are entries is the caller's to know.)
  size_t FreeBytes(const SendLimits& limits) const;
  bool CanSend(const SendLimits& limits) const { return FreeBytes(limits) > 0; }

  // A SendEntries effect was made for the entries from next() on. FreeBytes is 0 until OnSent.
  void OnRequested(uint64_t request);
  // The effect was carried out: the entries up to `last` were sent, none if last < next(). What
  // became of the peer meanwhile holds: if next() changed since, the message counts for nothing.
  // A request that is not the outstanding one changes nothing.
  void OnSent(uint64_t request, Index last, size_t bytes, Instant now);

  // The entry at next() is not in the leader's log any more. Offers begin.
  void NeedSnapshot();
  // True if a snapshot is to be offered now; then false until the next heartbeat.
  bool TakeOffer();

  // The peer holds everything up to `match`. True if that is news.
  bool OnAck(Index match, Instant now);
  // The peer does not have the entry at `refused_index`, and can share at most `hint` with the
  // leader's log `trail`. True if the refusal was heeded; match() may be lower then.
  bool OnRefused(Index refused_index, LogPosition hint, const Trail& trail);
  // What was sent may be lost. Nothing is sent before the next heartbeat, since the connection is
  // hardly there again.
  void OnUnreachable();
  // The heartbeat timer: a probe may be repeated. A peer that leaves messages unanswered for longer
  // than `patience` is probed: the transport owes no report of a loss, and behind a lost last
  // message nothing comes that would be refused.
  void OnHeartbeat(Instant now, Duration patience);

 private:
  // The SendEntries effect that is on its way.
  struct Outstanding {
    uint64_t request = 0;  // 0: none
    Index next = 0;        // next() when it was made
  };

  Index match_ = 0;
  Index next_;
  Instant last_contact_;
  Instant last_progress_;
  bool heard_ = false;
  Outstanding outstanding_;
  std::variant<Probing, Replicating, Snapshotting> state_;
};

}  // namespace cairn

#endif  // RAFT_CORE_PROGRESS_H_
