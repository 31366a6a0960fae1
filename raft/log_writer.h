// LogWriter: the task that writes the logs of all groups of a disk and syncs them together.

#ifndef RAFT_LOG_WRITER_H_
#define RAFT_LOG_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "base/executor.h"
#include "base/mutex.h"
#include "base/time.h"
#include "base/types.h"
#include "raft/core/effects.h"
#include "raft/metrics/log_writer_metrics.h"
#include "storage/log_store.h"

namespace cairn {

// Takes everything that waits, appends it all, has the disk synced once, tells each group its
// highest ticket that is now durable, and begins anew. What comes in meanwhile waits for the next
// round: so the slower the disk, the more writes share one sync.
//
// An error of the disk is final: every group is told once, and later writes vanish.
//
// A full disk is no error (LogDisk::has_room): what it refuses waits here, only not durable yet,
// and so does what comes behind it. As long as there is no room the disk is asked to look for some,
// more and more rarely, and at once when a log became shorter.
//
// Bounds: Raft bounds what a group has unsynced (the leader by uncommitted bytes, followers by the
// leader's window); queued_bytes tells who could exceed it.
//
// Threads: Write, queued_bytes, has_room, failure and metrics from any thread. The groups'
// functions are called on the writer's sequence, which is `executor`, and on which LogDisk::Sync
// calls its `done`.
class LogWriter {
 public:
  // What a group hears: the log batches up to `ticket` are durable, or the error.
  using Done = absl::AnyInvocable<void(absl::Status status, Ticket ticket)>;
  using Client = size_t;
  // Written in this order: the hard state, the reset, the rest of `append`, the drop.
  struct Batch {
    Ticket ticket = 0;
    LogAppend append;
    std::optional<LogReset> reset_to = std::nullopt;
    std::optional<Index> drop_to = std::nullopt;
  };

  // All outlive the writer. A sync that ends after the writer is gone is not waited for. `clock`
  // tells how long syncs take, and how long a full disk is left alone.
  LogWriter(LogDisk* disk, Executor* executor, const Clock* clock);
  ~LogWriter();
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  // Told of the disk's error, once, before the groups are. Before there are any.
  void WatchFailure(absl::AnyInvocable<void(const absl::Status&)> failed) {
    failed_ = std::move(failed);
  }
  // Before the group's first Write. `store` is of this writer's disk.
  Client Register(LogStore* store, Done done);
  // What the client wrote before is made durable, then it hears no more, `done` is told, and its
  // store is not used any more. The error is the disk's. `done` is destroyed if the writer is.
  void Leave(Client client, absl::AnyInvocable<void(const absl::Status&)> done);
  // Calls `change`, which may write to the disk, in the order of the writes; `done` is told when it
  // is durable, or of the error. No client waits for it.
  void Do(absl::AnyInvocable<absl::Status()> change,
          absl::AnyInvocable<void(const absl::Status&)> done);
  // From now on, whenever nothing is to be written, the disk does what no write waits for
  // (LogDisk::Upkeep), half of the time at most. Once, before the writer is used.
  void KeepUp() { AwaitUpkeep(Duration()); }
  // Queues the batches, in order. Tickets of one client grow.
  void Write(Client client, std::vector<Batch> batches);

  size_t queued_bytes() const { return metrics_->queued_bytes(); }
  // False: let no new entries in.
  bool has_room() const;
  // The disk's error, once there was one. From then on nothing of the log is sure to be durable.
  absl::Status failure() const;
  // What it has to do and has done; may outlive it.
  std::shared_ptr<const LogWriterMetrics> metrics() const { return metrics_; }

 private:
  struct Group {
    LogStore* store = nullptr;
    Done done;
    Ticket appended = 0;  // by this round
  };
  struct Errand {
    absl::AnyInvocable<absl::Status()> change;  // null: the client leaves
    absl::AnyInvocable<void(const absl::Status&)> done;
  };
  struct Item {
    Client client = 0;
    Batch batch;
    LogWriterMetrics::Load load = {};
    std::unique_ptr<Errand> errand = nullptr;  // instead of a batch
  };

  void PutErrand(Client client, std::unique_ptr<Errand> errand);
  void EndErrands(std::vector<Item>& items, const absl::Status& status);
  static absl::Status WriteTo(LogStore& store, const Batch& batch);
  void Run();
  void SyncRound();
  void SyncDone(const absl::Status& status);
  void AwaitRoom(Duration patience);
  void SeekRoom();
  void AwaitUpkeep(Duration pause);
  void Upkeep();
  void Fail(const absl::Status& status);

  LogDisk* const disk_;
  Executor* const executor_;
  const Clock* const clock_;
  const std::shared_ptr<LogWriterMetrics> metrics_ = std::make_shared<LogWriterMetrics>();

  mutable Mutex mutex_;
  std::vector<Item> queue_ CAIRN_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<Group>> groups_ CAIRN_GUARDED_BY(mutex_);
  std::vector<Client> left_ CAIRN_GUARDED_BY(mutex_);  // places in groups_ without one
  bool scheduled_ CAIRN_GUARDED_BY(mutex_) = false;
  absl::Status failure_ CAIRN_GUARDED_BY(mutex_);  // sticky

  // On the writer's sequence.
  std::vector<Item> round_;
  std::vector<Group*> round_groups_;  // those of round_, each once
  bool syncing_ = false;
  struct Room {
    bool refused = false;  // round_ was, and waits
    Duration patience;     // until the disk is asked again; 0: it has room
    Instant ask;           // when; of the task that counts
  };
  Room room_;
  Duration upkeep_pause_;
  absl::Status error_;  // sticky
  absl::AnyInvocable<void(const absl::Status&)> failed_;
  // Gone with this object; a late SyncDone looks at it.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace cairn

#endif  // RAFT_LOG_WRITER_H_
