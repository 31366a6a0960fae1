// Linearizable reads (thesis 6.4): LeaderReads confirms them by rounds of heartbeats,
// ForwardedReads asks the leader on behalf of a follower's clients.

#ifndef RAFT_CORE_READS_H_
#define RAFT_CORE_READS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "base/time.h"
#include "base/types.h"
#include "raft/core/events.h"
#include "raft/core/messages.h"

namespace cairn {

// More reads than this at one node wait for nothing better than a refusal.
inline constexpr size_t kMaxWaitingReads = 16384;

// Who asked: a client of this node (`from` is kNone, `id` a ReadId), or a member on behalf of its
// clients (`id` is ReadIndexRequest::request).
struct Reader {
  NodeId from = NodeId::kNone;
  uint64_t id = 0;
};

// The reads of one leadership.
//
// A read gets the commit index of its arrival and is confirmed when a quorum has answered a
// heartbeat sent after that: nobody else can have led at that moment. The reads that arrive
// between two TakeEffects share a round, and a round is its context.
//
// Contexts are unique for ever: the term fills the high 24 bits, a counter the low 40. A node leads
// at most once in a term, restarts included, because its own vote for each leadership is durable
// before; and a reply of another term is dropped by the term rule before it comes here, so that it
// does not matter that terms repeat modulo 2^24.
class LeaderReads {
 public:
  explicit LeaderReads(Term term) : last_context_((term << kCounterBits) + 0) {}

  // A read that arrived while `commit` was the leader's commit index; nullopt: while no entry of
  // the leader's own term was committed, so the leader does not know its commit index yet (thesis
  // 6.4 step 1), and the read waits for AllowRounds. False: too many wait, nothing was added.
  bool Add(Reader reader, std::optional<Index> commit);
  // The first entry of the leader's own term is committed, at `commit`.
  void AllowRounds(Index commit);

  // Whether none waits.
  bool empty() const { return count_ == 0; }

  // Begins a round for the reads that arrived since the last one. True if there were any: then a
  // heartbeat with context() has to go to the voters.
  bool StartRound();
  // What heartbeats carry: the last round begun; 0 before the first one.
  ReadContext context() const { return started_ ? last_context_ : 0; }

  // `peer` has answered a heartbeat that carried `context`.
  void Acknowledge(NodeId peer, ReadContext context);
  ReadContext AcknowledgedBy(NodeId peer) const;

  // Takes out the reads of all rounds up to `confirmed`, the context a quorum has answered.
  struct ReadyReads {
    Index index = 0;
    std::vector<Reader> readers;
  };
  std::vector<ReadyReads> TakeConfirmed(ReadContext confirmed);
  // Takes out every read, for refusal.
  std::vector<Reader> TakeAll();

 private:
  static constexpr int kCounterBits = 40;

  struct Round {
    ReadContext context = 0;
    ReadyReads reads;
  };
  std::vector<Reader> waiting_;  // for the first commit of the leader's own term
  ReadyReads next_;              // of the round not begun yet
  std::deque<Round> rounds_;
  ReadContext last_context_;
  bool started_ = false;
  size_t count_ = 0;  // in waiting_, next_ and rounds_
  std::map<NodeId, ReadContext> acknowledged_;
};

// The reads of a follower's clients, on their way to the leader and back. Lives as long as the
// node follows one leader in one term.
class ForwardedReads {
 public:
  // Requests are numbered from about half of `drawn` on, so that the numbers always grow; it must
  // be drawn so that no earlier process of this node used them: an answer to one of its requests
  // would be stale.
  explicit ForwardedReads(uint64_t drawn) : next_request_(drawn / 2) {}
  // For a follower without a leader, which forwards nothing.
  ForwardedReads() = default;

  // A request to the leader. `lease`: all its reads allow an answer by the leader's lease.
  struct Asked {
    uint64_t request = 0;
    bool lease = false;
  };

  // Whether none waits.
  bool empty() const { return count_ == 0; }

  // False: too many wait.
  bool Add(ReadId read, bool lease);
  // The request to send now for the reads added since the last call; nullopt if none were.
  std::optional<Asked> StartRequest(Instant now);
  // Of the requests sent `patience` ago or longer, which may be lost, the last one: it is to be
  // sent again, now, for all of them. A repeated request's earlier answer is as good.
  std::optional<Asked> TakeOverdue(Instant now, Duration patience);
  // Takes out the reads of `request` and, if the leader has named an index, of all before: it is
  // one for them, too, since they were asked earlier; but a lease answers only who allows it. Empty
  // if it was answered already.
  std::vector<ReadId> Answer(uint64_t request, bool ready, bool lease);
  std::vector<ReadId> TakeAll();

 private:
  struct Request {
    std::vector<ReadId> reads;
    bool lease = false;
    Instant sent;
  };
  uint64_t next_request_ = 0;
  // Those that allow a lease have a request of their own, so that others do not make them wait for
  // a round.
  std::vector<ReadId> next_;
  std::vector<ReadId> next_by_lease_;
  std::map<uint64_t, Request> requests_;
  size_t count_ = 0;
};

}  // namespace cairn

#endif  // RAFT_CORE_READS_H_
