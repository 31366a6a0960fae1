// Mailbox: what waits for a group's runner, from any thread.

#ifndef RAFT_MAILBOX_H_
#define RAFT_MAILBOX_H_

#include <atomic>
#include <cstddef>
#include <functional>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "base/executor.h"
#include "base/mutex.h"
#include "base/types.h"
#include "raft/core/events.h"
#include "raft/envelope.h"
#include "raft/pending_reads.h"
#include "raft/proposal.h"
#include "raft/proposal_call.h"

namespace cairn {

// Entries proposed together: entries[i] is entry offset + i of the call.
struct ProposalRequest {
  absl::InlinedVector<PreparedEntry, 1> entries;
  ProposalSpan span;
  int tries = 0;  // how often it was forwarded in vain
};

// What came in since the last time the runner looked, by kind.
struct MailboxContents {
  std::vector<Envelope> envelopes;
  std::vector<ProposalRequest> proposals;
  std::vector<ReadRequest> reads;
  std::vector<NodeId> lost;  // peers to whom envelopes may have been lost, each once
  std::vector<HostLost> hosts_lost;
  std::vector<Task> tasks;
  Ticket synced = 0;        // log batches up to this one are durable; 0: nothing new
  Index applied = 0;        // entries up to this one are applied; 0: nothing new
  absl::Status log_status;  // an error: the log could not be written

  // Empties the lists and keeps their memory.
  void Clear();
};

// Producers take a short lock, the runner takes one for all that waits. The first thing put into an
// empty mailbox wakes the runner; until it drains, nothing more does.
//
// Bounds: envelopes of the control lane by number and bulk by bytes, and what does not fit is
// dropped (a message may be lost); reads by number; proposals by the call budget of who puts them
// in. The rest is bounded by itself.
//
// Threads: Drain on the runner's sequence, the rest from any thread.
class Mailbox {
 public:
  struct Limits {
    size_t control_envelopes = 4096;
    size_t bulk_bytes = size_t{64} << 20;
    size_t reads = 65'536;
  };

  // Where the runner may drain: on a thread of its own, or also on the thread that put something
  // in, which is one of the transport's or the log writer's.
  enum class Where { kElsewhere, kHere };

  // `wake` makes the runner drain some time soon. It is called without the mailbox's lock, which
  // the runner would run into, from several threads at once, and never after Close has returned;
  // Close waits for it.
  Mailbox(const Limits& limits, std::function<void(Where)> wake);

  // False if it was dropped.
  bool PutEnvelope(Envelope envelope);
  // False, and the request stays the caller's, if the mailbox is closed or full.
  bool PutProposal(ProposalRequest& request);
  enum class ReadFate { kTaken, kFull, kClosed };
  ReadFate PutRead(ReadRequest& request);
  void PutLost(NodeId peer);
  void PutHostLost(const HostLost& lost);
  void PutSynced(Ticket ticket);
  void PutLogFailure(absl::Status status);
  void PutApplied(Index index);
  // False, and the task is dropped unrun, if the mailbox is closed.
  bool PutTask(Task task);

  // What waits there now.
  struct Load {
    size_t envelopes = 0;
    size_t bulk_bytes = 0;  // of the envelopes that carry entries
    size_t proposals = 0;   // calls
    size_t reads = 0;
  };
  Load load() const;

  // Swaps what waits with `contents`, which is cleared first.
  void Drain(MailboxContents* contents);

  // Nothing is taken and nobody is woken any more. Gives what waited; empty at later calls.
  MailboxContents Close();

 private:
  struct Waker;
  // Something is there now. True: a Waker is to wake the runner.
  bool MustWake() CAIRN_REQUIRES(mutex_);

  const Limits limits_;
  const std::function<void(Where)> wake_;
  std::atomic<int> waking_ = 0;  // threads that are about to call wake_; Close waits for them
  mutable Mutex mutex_;
  MailboxContents contents_ CAIRN_GUARDED_BY(mutex_);
  size_t control_envelopes_ CAIRN_GUARDED_BY(mutex_) = 0;
  size_t bulk_bytes_ CAIRN_GUARDED_BY(mutex_) = 0;
  bool awake_ CAIRN_GUARDED_BY(mutex_) = false;
  bool closed_ CAIRN_GUARDED_BY(mutex_) = false;
};

}  // namespace cairn

#endif  // RAFT_MAILBOX_H_
