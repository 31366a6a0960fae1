// StateMachine: what a program replicates.

#ifndef RAFT_STATE_MACHINE_H_
#define RAFT_STATE_MACHINE_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/time.h"
#include "base/types.h"
#include "storage/record.h"

namespace cairn {

// One committed command.
class ApplyEntry {
 public:
  ApplyEntry(LogPosition position, WallTime time, Bytes command)
      : position_(position), time_(time), command_(std::move(command)) {}

  LogPosition position() const { return position_; }
  // Decided by the leader that proposed it, the same on every member, never falling. State machines
  // use this time and no other.
  WallTime time() const { return time_; }
  const Bytes& command() const { return command_; }

  // The answer for whoever proposed it, kept for retries of the same session call: it must depend
  // on the log alone. Without a call the answer is empty.
  void Reply(std::string answer) { reply_ = std::move(answer); }
  const std::string& reply() const { return reply_; }

 private:
  friend class Replica;
  LogPosition position_;
  WallTime time_;
  Bytes command_;
  std::string reply_;
};

// Commands in log order: for (ApplyEntry& entry : batch) …
class ApplyBatch {
 public:
  explicit ApplyBatch(std::vector<ApplyEntry> entries) : entries_(std::move(entries)) {}
  auto begin() { return entries_.begin(); }
  auto end() { return entries_.end(); }
  size_t size() const { return entries_.size(); }

 private:
  std::vector<ApplyEntry> entries_;
};

// Reads committed entries of the group's log, for state machines that keep places instead of
// payloads. Threads: any, also while entries are applied.
class LogReader {
 public:
  virtual ~LogReader() = default;
  // As LogStore::Read; entries not yet applied by this node are OUT_OF_RANGE.
  virtual absl::StatusOr<std::vector<RecordRun>> Read(Index first, Index last,
                                                      size_t max_bytes) const = 0;
};

// The sessions that go with the state of a machine: their calls' answers are state of the group
// too. A machine that keeps its state on disk keeps them beside it, as of the same position.
// Threads: as StateMachine::Apply.
class SessionArchive {
 public:
  virtual ~SessionArchive() = default;
  // The sessions as of the last AppliedUpTo. Not from within Apply.
  virtual std::string Save() const = 0;
  // Within StateMachine::Open: the sessions as of the position it returns. DATA_LOSS if `saved` is
  // not what Save gave.
  virtual absl::Status Restore(absl::string_view saved) = 0;
};

struct OpenContext {
  GroupId group = GroupId::kNone;
  const LogReader* log = nullptr;      // lives as long as the state machine
  SessionArchive* sessions = nullptr;  // the same
};

// Deterministic: the same commands in the same order give the same state and the same replies on
// every member and in every run. No clock, randomness or I/O result may show in either.
//
// Threads: Open and Apply on one sequence; a program that reads its state from elsewhere guards it.
class StateMachine {
 public:
  virtual ~StateMachine() = default;

  // The position up to which the machine holds its state already; the log is applied from behind
  // it. {} (nothing, the log is replayed) for a machine that lives in memory. Where the machine did
  // not restore the sessions, they are taken from the log, and the answers to calls before the
  // position are forgotten.
  virtual absl::StatusOr<LogPosition> Open(const OpenContext&) { return LogPosition{}; }

  virtual void Apply(ApplyBatch& batch) = 0;

  // Called on the same sequence when everything up to `position` was applied, entries that are not
  // commands included, and can be read through OpenContext::log. For machines that wake waiters or
  // move a clock.
  virtual void AppliedUpTo(LogPosition /*position*/, WallTime /*time*/) {}
};

}  // namespace cairn

#endif  // RAFT_STATE_MACHINE_H_
