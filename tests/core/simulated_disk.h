// SimulatedDisk: the log of one member as a Raft's effects write it, with what a power cut leaves.

#ifndef TESTS_CORE_SIMULATED_DISK_H_
#define TESTS_CORE_SIMULATED_DISK_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "base/random.h"
#include "base/types.h"
#include "raft/core/effects.h"
#include "raft/core/options.h"

namespace cairn {

struct SimulatedEntry {
  Term term = 0;
  uint64_t value = 0;  // 0: the record is torn, only its shape is known
  std::optional<Configuration> configuration = {};
  size_t bytes = 0;
};

// Written batches are readable at once and durable when synced, in order. A power cut leaves a
// prefix of what was not synced.
class SimulatedDisk {
 public:
  struct Image {
    HardState hard_state;
    // entries[i] has index i + 1. Those up to `base` are not in the log any more; they stay here
    // for the tests to compare with.
    std::vector<SimulatedEntry> entries;
    Index base = 0;
    std::optional<Index> torn_from = {};
    bool unsure = false;  // RecoveredRaft::unsure
  };
  struct Write {
    Ticket ticket = 0;
    std::optional<HardState> hard_state = {};
    bool sure = false;  // with hard_state: the disk is unsure no more
    std::optional<Index> truncate_from = {};
    Index first = 0;
    std::vector<SimulatedEntry> entries = {};
    // The log gives way to a snapshot of these entries, from index 1 on; before anything else but
    // the hard state.
    std::optional<std::vector<SimulatedEntry>> reset_to = {};
    std::optional<Index> drop_to = {};
  };

  void Append(Write write);
  // The last ticket written; 0 if everything is synced.
  Ticket unsynced() const { return writes_.empty() ? 0 : writes_.back().ticket; }
  size_t unsynced_writes() const { return writes_.size(); }
  // The next ticket to sync, for disks that complete batch by batch.
  Ticket oldest_unsynced() const { return writes_.empty() ? 0 : writes_.front().ticket; }
  void Sync(Ticket ticket);
  // Loses what is not synced, but for a random prefix of it. With `torn`, the last entries of that
  // prefix may keep their shape and lose their bodies.
  void PowerCut(Random& random, bool torn);
  // Loses what is not synced, but for the first `kept_writes` writes.
  void PowerCut(size_t kept_writes);
  // The entries from `first` on keep their shape and lose their bodies. Nothing is unsynced.
  void Tear(Index first);

  // The bodies of all entries from `first` on are lost, synced or not. Only while nothing is
  // unsynced.
  void Rot(Index first);

  // From now on Forget has something to go back to.
  void RememberPast() { remembers_ = true; }
  // The log, the hard state or both are as they were at some sync before, and it is known that
  // something is lost. Only while nothing is unsynced.
  void Forget(Random& random);
  void BeUnsure() { readable_.unsure = durable_.unsure = true; }

  const Image& readable() const { return readable_; }
  const Image& durable() const { return durable_; }
  const SimulatedEntry* Find(Index index) const;  // in readable(); null if there is none
  RecoveredRaft Recover(const Configuration& initial) const;

 private:
  static void Apply(const Write& write, Image& image);
  static Index FirstUnsure(const Write& write, Index before);

  Image readable_;
  Image durable_;
  std::deque<Write> writes_;  // not synced
  bool remembers_ = false;
  std::deque<Image> past_;
};

}  // namespace cairn

#endif  // TESTS_CORE_SIMULATED_DISK_H_
