#include "raft/core/durability.h"

#include <algorithm>

#include "base/check.h"
#include "raft/core/mutants.h"

namespace cairn {

Durability::Proof& Durability::At(Ticket ticket) {
  CAIRN_CHECK_GT(ticket, synced_);
  CAIRN_CHECK_GE(ticket, written_);
  if (ticket > written_) {
    written_ = ticket;
    pending_.push_back({ticket, last_});
  }
  return pending_.back();
}

void Durability::OnHardState(Ticket ticket) {
  At(ticket);
  hard_state_ = ticket;
}

void Durability::OnTruncate(Ticket ticket, Index first_removed) {
  CAIRN_CHECK_GT(first_removed, Index{0});
  At(ticket);
  Index kept = first_removed - 1;
  last_ = std::min(last_, kept);
  durable_ = std::min(durable_, kept);
  if (MutantEnabled(Mutant::kDurableByIndex)) return;
  // Proofs never fall from one batch to the next, so the ones to lower are at the end.
  for (auto proof = pending_.rbegin(); proof != pending_.rend() && proof->last > kept; ++proof) {
    proof->last = kept;
  }
}

void Durability::OnReset(Ticket ticket, Index old_base, Index base) {
  OnTruncate(ticket, old_base + 1);
  At(ticket).last = base;
  last_ = base;
}

void Durability::OnAppend(Ticket ticket, Index last) {
  CAIRN_CHECK_GT(last, last_);
  At(ticket).last = last;
  last_ = last;
}

void Durability::OnSynced(Ticket ticket) {
  CAIRN_CHECK_LE(ticket, written_);
  synced_ = std::max(synced_, ticket);
  while (!pending_.empty() && pending_.front().ticket <= ticket) {
    durable_ = std::max(durable_, std::min(last_, pending_.front().last));
    pending_.pop_front();
  }
}

}  // namespace cairn
