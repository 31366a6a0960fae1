// Applier: the task that applies a group's committed entries and answers who proposed them.

#ifndef RAFT_APPLIER_H_
#define RAFT_APPLIER_H_

#include <atomic>
#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/executor.h"
#include "base/mutex.h"
#include "base/types.h"
#include "raft/frozen_state.h"
#include "raft/pending_proposals.h"
#include "raft/replica.h"
#include "raft/state_machine.h"
#include "storage/incoming_snapshot.h"
#include "storage/log_store.h"
#include "storage/record.h"
#include "storage/stored_snapshot.h"

namespace cairn {

// Committed entries on their way to the state machine.
struct ApplyWork {
  Index first = 0;
  Index last = 0;
  // The entries first..last, or none: then they are read from the store in pieces.
  std::vector<RecordRun> runs;
  std::vector<PlacedSpan> spans;  // who waits for entries among them, in log order
  // Instead of all that: the state up to `last` comes from here.
  std::shared_ptr<const StoredSnapshot> restore = nullptr;
  // The program has asked for it: the snapshot is not further on than what was applied, and what
  // was applied since comes again behind it, for nobody to be answered.
  bool again = false;
};

// Holds: work is applied in the order it was submitted, without gaps, in pieces of at most
// kPieceBytes of entries from the store or one submission. An entry that is damaged is waited for:
// nothing behind it is applied before Resume, or a restore. Any other failure is final, and who
// waits is told that nobody knows.
//
// Threads: Submit, full and the constructor's functions belong to the group's runner; the state
// machine, the answers and the functions given run on `executor`. Where that is the runner's own,
// work is done at once within Submit, as long as nothing waits before it. applied() from any.
class Applier {
 public:
  static constexpr size_t kPieceBytes = size_t{1} << 20;
  static constexpr size_t kMaxQueuedBytes = size_t{16} << 20;

  struct Events {
    // Entries up to here are applied. Not called for what Submit itself applies.
    absl::AnyInvocable<void(Index)> applied;
    // An entry could not be read, or a snapshot not restored.
    absl::AnyInvocable<void(absl::Status)> failed;
    // A replay from this snapshot's index has ended: everything is applied again, or something else
    // came in its place.
    absl::AnyInvocable<void(Index from)> replayed = nullptr;
    // This entry is damaged (DATA_LOSS); Resume follows when it is not any more. Null: that is a
    // failure.
    absl::AnyInvocable<void(Index index, const absl::Status&)> damaged = nullptr;
  };

  // `store` and `executor` outlive the applier; so does a task of its on the executor.
  Applier(std::unique_ptr<Replica> replica, const LogStore* store, Executor* executor,
          bool on_runner, Events events);
  ~Applier();
  Applier(const Applier&) = delete;
  Applier& operator=(const Applier&) = delete;

  // Opens the state machine, before any other call but the next two; `context` without log and
  // archive.
  absl::Status Open(OpenContext context);
  // Before Submit.
  const Replica& replica() const { return *replica_; }
  // Before Submit: restores the machine, which holds less.
  absl::Status RestoreAtStart(const StoredSnapshot& snapshot);
  // What the state machine held at Open, or was restored to at the start.
  LogPosition machine_position() const { return replica_->machine_position(); }

  // work.first follows what was submitted before, but for work to restore: that may be further on.
  void Submit(ApplyWork work);
  // The log gave way to a snapshot. Of what was submitted, entries that cannot be read any more are
  // dropped, and who waits for them is told that nobody knows; a restore follows.
  void ExpectRestore() { restore_expected_.store(true, std::memory_order_release); }
  // An entry that was damaged can be read again.
  void Resume();
  // Calls `done` on `executor` with what is applied then.
  void Freeze(absl::AnyInvocable<void(std::optional<FrozenState>)> done);
  // Calls `done` on `executor` with what StateMachine::MakeDurable says.
  void MakeDurable(absl::AnyInvocable<void(bool)> done);
  // Has the machine take from `patch` what is damaged of its state, and calls `done` on `executor`.
  // All up to the patch's position is applied.
  void Mend(std::shared_ptr<const IncomingSnapshot> patch,
            absl::AnyInvocable<void(const absl::Status&)> done);
  // So much waits that no more should be submitted before `applied` was called.
  bool full() const { return queued_bytes_.load(std::memory_order_relaxed) >= kMaxQueuedBytes; }
  size_t queued_bytes() const { return queued_bytes_.load(std::memory_order_relaxed); }
  Index applied() const { return applied_.load(std::memory_order_acquire); }
  // From Submit of work to do again until all that was applied is so again.
  bool replaying() const { return replaying_.load(std::memory_order_acquire); }
  // Up to where the machine's state shows the entries: what an asynchronous machine says, and
  // nothing in a replay.
  Index shown() const;
  // An asynchronous machine has come to `index`. From any thread.
  void Processed(Index index);
  size_t sessions() const { return sessions_.load(std::memory_order_relaxed); }

  // Nothing more is applied once a task posted to `executor` after this call runs.
  void Stop() { stopped_.store(true, std::memory_order_release); }
  // The state machine ends. When no task runs any more; of the other calls GiveUp and those that
  // tell numbers are allowed behind it.
  void CloseMachine() { replica_.reset(); }

  // Answers everybody who still waits as unknown. On `executor`, or when no task runs any more.
  void GiveUp(absl::string_view message);

 private:
  // The log as state machines see it.
  class AppliedLog final : public LogReader {
   public:
    AppliedLog(const LogStore* store, const std::atomic<Index>* applied)
        : store_(store), applied_(applied) {}
    absl::StatusOr<std::vector<RecordRun>> Read(Index first, Index last,
                                                size_t max_bytes) const override;

   private:
    const LogStore* const store_;
    const std::atomic<Index>* const applied_;
  };

  void Run();
  // Does the first piece of work; false if there is none.
  bool DoPiece();
  void Apply(const std::vector<RecordRun>& runs, std::vector<PlacedSpan> spans);
  bool failed() const { return condition_ == Condition::kFailed; }
  bool Failed(const absl::Status& status);
  bool Unreadable(const absl::Status& status);
  bool SkipApplied();
  bool Restore();
  void NoteReplay();
  void DropUnreadable();

  std::unique_ptr<Replica> replica_;
  const bool asynchronous_;
  const LogStore* const store_;
  Executor* const executor_;
  const bool on_runner_;
  Events events_;
  const AppliedLog log_;
  std::atomic<Index> applied_ = 0;
  std::atomic<size_t> sessions_ = 0;
  std::atomic<size_t> queued_bytes_ = 0;
  std::atomic<bool> restore_expected_ = false;
  std::atomic<bool> replaying_ = false;
  std::atomic<bool> stopped_ = false;
  std::atomic<Index> processed_ = 0;

  Mutex mutex_;
  std::deque<ApplyWork> queue_ CAIRN_GUARDED_BY(mutex_);
  bool scheduled_ CAIRN_GUARDED_BY(mutex_) = false;

  // On the executor.
  ApplyWork current_;  // what of it is not applied yet; first > last: nothing
  enum class Condition { kWorks, kStalled, kFailed };  // stalled: current_ begins with damage
  Condition condition_ = Condition::kWorks;
  struct Replay {
    Index from = 0;  // 0: there is none
    Index to = 0;
  };
  Replay replay_;  // under way
};

}  // namespace cairn

#endif  // RAFT_APPLIER_H_
