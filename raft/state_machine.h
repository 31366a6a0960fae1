// StateMachine: what a program replicates.

#ifndef RAFT_STATE_MACHINE_H_
#define RAFT_STATE_MACHINE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/time.h"
#include "base/types.h"
#include "storage/file_system.h"
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

// What Cairn itself keeps of a group beside the machine's state, as of the same position: the
// sessions with their answers, the configuration, the time. A durable machine keeps it beside its
// own state; in snapshots it is a file of its own. Threads: as StateMachine::Apply.
class ReplicaArchive {
 public:
  virtual ~ReplicaArchive() = default;
  // As of the last AppliedUpTo. Not from within Apply.
  virtual std::string Save() const = 0;
  // Within StateMachine::Open: what Save gave as of the position that Open returns. DATA_LOSS if
  // `saved` is not that.
  virtual absl::Status Restore(absl::string_view saved) = 0;
};

struct SnapshotFile {
  std::string name;  // [a-z0-9._-]{1,64} without a dot in front, each once; not "cairn"
  uint64_t bytes = 0;
};

// A machine's state as of one position, frozen: what is applied later does not show. Equal state
// means equal files, byte for byte, on every member, so that members share the pieces.
// Threads: one at a time, any, beside Apply; calls may block.
class SnapshotSource {
 public:
  virtual ~SnapshotSource() = default;
  virtual const std::vector<SnapshotFile>& files() const = 0;
  // Bytes offset.. of files()[file], `bytes` of them, all of which are there.
  virtual absl::StatusOr<std::string> Read(size_t file, uint64_t offset, size_t bytes) const = 0;
};

// A whole, verified snapshot on this node's disk, to restore a machine from.
class SnapshotReader : public SnapshotSource {
 public:
  // Where files()[file] stands, on the file system of OpenContext. A durable machine may rename it
  // away; a snapshot of a machine that is not durable is kept, and read again at the next start.
  virtual std::string PathOf(size_t file) const = 0;
};

// Of another member's state the pieces in which it differs from what can be read of this machine's.
// Verified, each of them.
class StatePatch {
 public:
  virtual ~StatePatch() = default;
  // Of the whole state, as its SnapshotSource has them.
  virtual const std::vector<SnapshotFile>& files() const = 0;
  using Take = absl::FunctionRef<absl::Status(uint64_t offset, absl::string_view bytes)>;
  // Gives each piece of the file to `take`, in order, until that gives an error.
  virtual absl::Status ForEachPiece(size_t file, Take take) const = 0;
};

// What StateMachine::Scrub has done.
struct StateScrubStep {
  uint64_t bytes = 0;  // read
  bool round_ended = false;
  std::vector<std::string> healed;  // was bad, and is written again; a sentence each
};

struct OpenContext {
  GroupId group = GroupId::kNone;
  const LogReader* log = nullptr;     // lives as long as the state machine
  ReplicaArchive* archive = nullptr;  // the same
  // For durable machines: a directory of the machine's own, which exists, and what to use it with.
  FileSystem* file_system = nullptr;
  std::string directory = {};
  // A durable machine says, from any thread, that its state as of `position` survives a power cut,
  // the archive's bytes included. Cairn may drop the log up to there.
  std::function<void(LogPosition position)> durable = {};
  // An asynchronous machine says, from any thread, that its state shows everything up to
  // `position`. Only grows; after Restore it counts from the snapshot's position.
  std::function<void(LogPosition position)> processed = {};
  // A durable machine says, from any thread and at most once, that its storage failed: from then on
  // nothing of it becomes durable, and this node serves no more (kFenced).
  std::function<void(absl::Status)> failed = {};
  // A durable machine says, from any thread, whether its disk has room. Without it, it does better
  // to wait than to fail: this node then takes no new entries, which bounds what the machine has to
  // keep in memory, and hands leadership over if another member can lead. It tries again by itself.
  std::function<void(bool has_room)> room = {};
  const Clock* clock = nullptr;  // for that; with `room`
  // A durable machine says, from any thread, that parts of its state cannot be read where they
  // stand: `parts` of them by now, the last one because of `why` (DATA_LOSS). Once for each that it
  // finds. It goes on, and gives an error where such a part is needed; Cairn calls MakeDurable,
  // asks the other members for the state, and calls Mend. What it could put right by itself it
  // says, too: so many parts are left, and OK.
  std::function<void(size_t parts, const absl::Status& why)> damaged = {};
  // Within StateMachine::Open, which gives {} then: what a durable machine kept is lost (DATA_LOSS
  // `why`), and it begins with nothing. Cairn applies the log from its first entry, or asks the
  // other members for their state and calls Restore.
  std::function<void(const absl::Status& why)> lost = {};
};

// Deterministic: the same commands in the same order give the same state and the same replies on
// every member and in every run. No clock, randomness or I/O result may show in either.
//
// Three kinds:
//  - with neither durable() nor Freeze: the whole log is kept, and replayed at each start;
//  - with Freeze and Restore: lives in memory; Cairn saves snapshots, restores the last one at a
//    start, and drops the log they cover;
//  - durable() as well: keeps its state on disk by itself, and says how far it is safe there.
//
// Threads: Open, Apply, AppliedUpTo, MakeDurable, Freeze, Restore and Mend on one sequence; a
// program that reads its state from elsewhere guards it.
class StateMachine {
 public:
  virtual ~StateMachine() = default;

  // Whether the machine keeps its state on disk by itself. Never changes.
  virtual bool durable() const { return false; }

  // Whether Apply may return before the state shows what it was given (the machine has workers of
  // its own) and OpenContext::processed tells how far it does: reads wait for that, and not for
  // Apply. Restore ends when the state is there; Freeze waits for the machine's own work. Never
  // changes.
  virtual bool asynchronous() const { return false; }

  // The position up to which the machine holds its state already; the log is applied from behind
  // it. {} (nothing) for a machine that lives in memory. Where a machine gives a position without
  // having restored the archive, sessions are taken from the log, and the answers to calls before
  // the position are forgotten.
  virtual absl::StatusOr<LogPosition> Open(const OpenContext&) { return LogPosition{}; }

  virtual void Apply(ApplyBatch& batch) = 0;

  // Called on the same sequence when everything up to `position` was applied, entries that are not
  // commands included, and can be read through OpenContext::log. For machines that wake waiters,
  // move a clock or save their state.
  virtual void AppliedUpTo(LogPosition /*position*/, WallTime /*time*/) {}

  // An operator wants the log short: a durable machine may begin to make its state as of the last
  // AppliedUpTo durable, before it would by itself, and says true; OpenContext::durable tells when
  // that is done. Where it says false, the request is answered by a snapshot alone.
  virtual bool MakeDurable() { return false; }

  // The state as of the last AppliedUpTo (or Open, or Restore), in constant time, for reading
  // elsewhere. Null: this machine has no snapshots. At most two live at a time.
  virtual std::unique_ptr<SnapshotSource> Freeze() { return nullptr; }

  // Replaces the whole state by the snapshot's, which is as of `position`, later than all that was
  // applied; or, where the program has asked for it (Group::ReplaySnapshot), not later, and what
  // came behind it is applied again. The archive is restored already. A durable machine has made it
  // durable, at once and wholly or not at all, when this returns. After an error this node's part
  // of the group halts.
  virtual absl::Status Restore(const SnapshotReader& /*snapshot*/, LogPosition /*position*/) {
    return absl::UnimplementedError("the state machine has no snapshots");
  }

  // A durable machine has said OpenContext::damaged: takes `patch`, of another member's state as of
  // `position`, up to which all is applied here, perhaps more. What the state says stays as it is;
  // only what cannot be read is put right, durably when this returns. After an error, or where
  // something still cannot be read (DATA_LOSS), the others are asked again.
  virtual absl::Status Mend(const StatePatch& /*patch*/, LogPosition /*position*/) {
    return absl::UnimplementedError("the state machine cannot be mended");
  }

  // Reads on in what a durable machine keeps, about `max_bytes`, from `at`, which is moved, to find
  // what has rotted: that it says with OpenContext::damaged. 0 is the beginning; a number of an
  // earlier process, or any other, is as good as that. One at a time, on any thread, beside
  // everything else; it blocks on the disk.
  virtual StateScrubStep Scrub(uint64_t& /*at*/, uint64_t /*max_bytes*/) {
    return {.bytes = 0, .round_ended = true, .healed = {}};
  }
};

}  // namespace cairn

#endif  // RAFT_STATE_MACHINE_H_
