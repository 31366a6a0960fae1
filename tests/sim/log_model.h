// LogModel: what a group's log on one disk holds by the contract of storage/log_store.h, and what
// of it survives a power cut. The simulator keeps one beside each real store.

#ifndef TESTS_SIM_LOG_MODEL_H_
#define TESTS_SIM_LOG_MODEL_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/types.h"
#include "raft/core/configuration.h"
#include "storage/log_store.h"

namespace cairn::sim {

// An entry, for comparisons: equal hashes mean equal logs up to it.
struct EntryId {
  Term term = 0;
  EntryHash hash;
  std::shared_ptr<const Configuration> configuration = nullptr;  // of a configuration entry
  friend bool operator==(const EntryId& a, const EntryId& b) {
    return a.term == b.term && a.hash == b.hash;
  }
};
// Of run[i], which can be decoded.
EntryId IdOf(const RecordRun& run, size_t i);

// One change of a log: a LogAppend without bytes, or the end of a prefix.
struct LogChange {
  std::optional<HardState> hard_state;
  std::optional<Index> truncate_from;
  Index first = 0;  // of the entries
  std::vector<EntryId> entries;
  std::optional<Index> drop_up_to;
  std::optional<Index> reset_to;  // alone
};
LogChange Describe(const LogAppend& append);

// A log at one moment. A value.
class LogImage {
 public:
  LogImage() = default;
  // `entries` follow `base` without a gap.
  LogImage(HardState hard_state, Index base, std::vector<EntryId> entries);

  const HardState& hard_state() const { return hard_state_; }
  Index base() const { return base_; }
  Index last() const { return base_ + entries_.size(); }
  Term last_term() const { return entries_.empty() ? 0 : entries_.back().term; }
  const EntryId* Find(Index index) const;  // null outside
  // The last entry that is a configuration; 0 if none of those kept is.
  Index LastConfiguration() const;

  // CHECKs that the entries of `change` follow the end of the log.
  void Apply(const LogChange& change);
  // Forgets the entries from `index` on.
  void CutFrom(Index index);

 private:
  friend class LogModel;
  HardState hard_state_;
  Index base_ = 0;
  std::vector<EntryId> entries_;
};

// The last index up to which two logs are the same; 0 if not even their first common entry is.
Index AgreedPrefix(const LogImage& a, const LogImage& b);

class LogModel {
 public:
  LogModel() = default;
  // All of `recovered` survives a power cut.
  explicit LogModel(LogImage recovered) : live_(recovered), durable_(std::move(recovered)) {}

  void Append(LogChange change);
  // How many changes there have been.
  uint64_t appended() const { return synced_ + pending_.size(); }
  // The first `appended` changes are durable.
  void Synced(uint64_t appended);

  const LogImage& live() const { return live_; }
  const LogImage& durable() const { return durable_; }

  // The last entry that stays whatever part of the pending changes a power cut leaves: a pending
  // truncation may reach the disk although what follows it does not.
  Index durable_floor() const;
  // The least last index that a power cut now leaves. Below the floor where a reset of the log has
  // not reached the disk: the snapshot stands for the rest.
  Index least_last() const;

  // Empty if a power cut now may leave `image`: its log is the durable one with a prefix of the
  // pending changes, its hard state is the durable or a later one. Otherwise what is wrong.
  std::string WhyNotAfterPowerCut(const LogImage& image) const;

 private:
  LogImage live_;
  LogImage durable_;
  uint64_t synced_ = 0;
  std::deque<LogChange> pending_;
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_LOG_MODEL_H_
