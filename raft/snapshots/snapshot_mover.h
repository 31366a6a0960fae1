// SnapshotMover: takes a group's snapshots, gives them to other members and gets theirs, beside
// everything else.

#ifndef RAFT_SNAPSHOTS_SNAPSHOT_MOVER_H_
#define RAFT_SNAPSHOTS_SNAPSHOT_MOVER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/executor.h"
#include "base/log_sink.h"
#include "base/time.h"
#include "base/types.h"
#include "raft/core/effects.h"
#include "raft/envelope.h"
#include "raft/frozen_state.h"
#include "raft/metrics/group_metrics.h"
#include "raft/sender_check.h"
#include "raft/snapshots/byte_budget.h"
#include "raft/snapshots/snapshot_receiver.h"
#include "raft/snapshots/snapshot_sender.h"
#include "raft/transport.h"
#include "storage/log_store.h"
#include "storage/snapshot_store.h"

namespace cairn {

// A state machine that lives in memory has its snapshots saved, and they serve other members too.
// One that is durable by itself is frozen when a member needs a snapshot, and read while it is
// sent.
//
// Threads: all calls from any; the work is done on `executor`, one step at a time, and blocks on
// the disk there. The functions of Events are called there.
class SnapshotMover : public std::enable_shared_from_this<SnapshotMover> {
 public:
  struct Parts {
    LocalIdentity self;
    GroupId group = GroupId::kNone;
    const Clock* clock = nullptr;
    Transport* transport = nullptr;
    const LogStore* log = nullptr;
    Executor* executor = nullptr;
    ByteBudget* budget = nullptr;  // of the host
    LogSink* log_sink = nullptr;
    GroupMetrics* metrics = nullptr;
    bool durable_machine = false;
  };
  struct Events {
    // A frozen state is wanted: Take is to be called with it (without BeginTaking).
    absl::AnyInvocable<void()> freeze;
    // Take has ended: with the position of the last snapshot there is now, or why there is none.
    absl::AnyInvocable<void(const absl::StatusOr<LogPosition>&)> taken;
    // A snapshot of another member, offered in `term`, is published.
    absl::AnyInvocable<void(Term term, std::shared_ptr<const StoredSnapshot>)> received;
    // The state as of this position, or a later one, is wanted: Compare is to be called with it, if
    // AwaitsCompare(call) still holds then.
    absl::AnyInvocable<void(LogPosition, uint64_t call)> compare = nullptr;
    // What this node's state lacks of another member's is here; Discard follows.
    absl::AnyInvocable<void(std::shared_ptr<const IncomingSnapshot>)> patch = nullptr;
  };

  // `parts` outlive the mover, or its End was told. Tasks that are behind it do nothing.
  SnapshotMover(const Parts& parts, std::unique_ptr<SnapshotStore> store, Events events);
  ~SnapshotMover();
  SnapshotMover(const SnapshotMover&) = delete;
  SnapshotMover& operator=(const SnapshotMover&) = delete;

  // Raft's effect: offers a snapshot, or has one made first.
  void Offer(const SendSnapshot& send);
  // A member offers one this node needs.
  void TakeOffer(NodeId from, const SnapshotOffer& offer);
  // As TakeOffer, of one that holds what is damaged of this node's state.
  void TakePatchOffer(NodeId from, const SnapshotOffer& offer);
  // Whether what Events::compare wanted under this number is wanted still.
  bool AwaitsCompare(uint64_t call) const {
    return !aborted_ && compare_call_.load(std::memory_order_relaxed) == call;
  }
  // The frozen state, or nothing.
  void Compare(std::optional<FrozenState> own);
  void Discard(std::shared_ptr<const IncomingSnapshot> patch);
  // A SnapshotRequest or SnapshotPiece, validated and of a member. Too many at once are dropped.
  void Deliver(Envelope envelope);
  // True if none is being taken, and the last attempt has not just failed: Take follows.
  bool BeginTaking();
  // Calls `done` on the executor when the attempt that runs, or one that begins now, has ended.
  using TakenCallback = absl::AnyInvocable<void(const absl::StatusOr<LogPosition>&)>;
  void TellTaken(TakenCallback done);
  // When no task runs any more: who waits for one is told that none comes.
  void GiveUp();
  // The frozen state; nothing if the machine has no snapshots.
  void Take(std::optional<FrozenState> frozen);
  // After Abort: tasks posted so far run, later ones do nothing; then `ended` is called on the
  // executor, and the parts are not used any more.
  void End(absl::AnyInvocable<void()> ended);
  // The running attempt ends soon, with CANCELLED; false: none runs. By itself none is begun for a
  // while.
  bool AbortTaking();
  // The running attempt ends soon, and no new one is begun.
  void Abort() { aborted_ = true; }

  // Behind this entry another member wants entries of the log soon.
  std::optional<Index> wanted() const;
  // Of the last one saved or received here; {0, 0}: none.
  LogPosition position() const;
  std::shared_ptr<const StoredSnapshot> last() const { return store_->last(); }
  // The state machine holds what the last one says; a durable one needs it no more.
  void Installed();

 private:
  using Part = std::tuple<NodeId, ContentId, uint32_t, uint64_t>;

  // False: another one is not over.
  bool BeginAttempt();
  void Post(absl::AnyInvocable<void()> task);
  // The task, unless the mover has ended, or is gone, by then.
  absl::AnyInvocable<void()> Guard(absl::AnyInvocable<void()> task);
  Instant Now() const { return parts_.clock->Now(); }
  void DoOffer(const SendSnapshot& send);
  void DoDeliver(Envelope envelope, Instant came);
  absl::StatusOr<LogPosition> DoTake(FrozenState frozen);
  absl::StatusOr<SnapshotManifest> HeadOf(const FrozenState& frozen) const;
  void Answer(NodeId to, const SnapshotRequest& request, Instant came);
  void Give(NodeId to, const SnapshotRequest& request, Instant since);
  void AfterReceiver();
  void Tick();
  void ScheduleTick();
  void PublishWanted();
  void Send(NodeId to, EnvelopeBody body);
  void Complain(const std::string& what);

  const Parts parts_;
  const std::unique_ptr<SnapshotStore> store_;
  Events events_;
  std::atomic<bool> aborted_ = false;
  enum class Attempt { kNone, kRuns, kAborted };
  std::atomic<Attempt> attempt_ = Attempt::kNone;
  std::atomic<int64_t> not_before_ = 0;  // nanoseconds of the clock
  std::atomic<size_t> waiting_ = 0;      // envelopes
  std::atomic<Index> wanted_ = 0;        // 0: none
  // Of the last one, which has not come; or 0. They count on from the first.
  std::atomic<uint64_t> compare_call_ = 0;
  uint64_t compare_calls_ = 0;  // on the executor

  // On the executor.
  SnapshotSender sender_;
  SnapshotReceiver receiver_;
  std::vector<TakenCallback> tell_taken_;
  std::set<Part> answering_;             // pieces that wait for the budget
  std::map<NodeId, ContentId> offered_;  // the last one to each member
  bool freezing_ = false;
  bool ticking_ = false;
  bool ended_ = false;
};

}  // namespace cairn

#endif  // RAFT_SNAPSHOTS_SNAPSHOT_MOVER_H_
