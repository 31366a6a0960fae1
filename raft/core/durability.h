// Durability: which part of the log survives a power cut.

#ifndef RAFT_CORE_DURABILITY_H_
#define RAFT_CORE_DURABILITY_H_

#include <deque>

#include "base/types.h"

namespace cairn {

// Log batches carry tickets, and storage completes them in order. Positions cannot tell what is
// durable:
//  1. entry 5 of term 1 is written (batch 1), not synced;
//  2. another leader overwrites it with 5 of term 2 (batch 2);
//  3. a third one writes 5 of term 1 again (batch 3);
//  4. the completion of batch 1 arrives. Entry 5 of term 1 was on the disk then, but batch 2 may
//     reach the disk now and batch 3 not: after a power cut 5/2 stands there.
// Tickets can: a batch proves what it wrote, as far as no later batch has truncated it. So a
// truncation lowers what every batch before it can still prove to the entry before the first one
// removed, and a completion raises the durable index to what its batch proves.
class Durability {
 public:
  // Everything up to `recovered_last` was found on the disk.
  explicit Durability(Index recovered_last = 0) : durable_(recovered_last), last_(recovered_last) {}

  // The batch `ticket` contains these; several calls may name the batch last written, until it is
  // handed out, but no earlier one. A batch truncates before it appends.
  void OnHardState(Ticket ticket);
  void OnTruncate(Ticket ticket, Index first_removed);
  void OnAppend(Ticket ticket, Index last);
  // The log is empty behind `base`, which a durable snapshot stands for. Of what is there before
  // the batch reaches the disk only entries up to `old_base` are sure.
  void OnReset(Ticket ticket, Index old_base, Index base);
  // The batch drops entries from the front, which are durable.
  void OnDrop(Ticket ticket) { At(ticket); }

  // Everything up to and including the batch `ticket` survives a power cut. Completions that come
  // again or late are harmless.
  void OnSynced(Ticket ticket);

  // The last entry that this and every later power cut leaves in place, with all before it.
  Index durable() const { return durable_; }
  // True if the term and vote written last survive.
  bool HardStateDurable() const { return synced_ >= hard_state_; }
  // The last ticket completed, and the last one written. Equal: the disk is up to date.
  Ticket synced() const { return synced_; }
  Ticket written() const { return written_; }

 private:
  struct Proof {
    Ticket ticket = 0;
    Index last = 0;  // what the completion of `ticket` proves; never falls from one to the next
  };
  Proof& At(Ticket ticket);

  Index durable_;
  Index last_;  // of the log, with everything written
  Ticket synced_ = 0;
  Ticket written_ = 0;
  Ticket hard_state_ = 0;  // the last batch with a hard state
  std::deque<Proof> pending_;
};

}  // namespace cairn

#endif  // RAFT_CORE_DURABILITY_H_
