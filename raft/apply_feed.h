// ApplyFeed: hands committed entries to the applier, as many as it can hold.

#ifndef RAFT_APPLY_FEED_H_
#define RAFT_APPLY_FEED_H_

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "base/types.h"
#include "raft/applier.h"
#include "raft/group_log.h"
#include "raft/pending_proposals.h"

namespace cairn {

// Holds: each entry is submitted once, in order; again only in a replay. What is not in memory any
// more the applier reads from the store itself, so that the runner neither waits for the disk nor
// holds a long log.
//
// While it is paused nothing is submitted. Entries wait in the log, and who waits for them in
// PendingProposals, where deadlines count.
//
// Threads: the runner's sequence.
class ApplyFeed {
 public:
  // Ends a pause or a replay that was asked for; called once.
  using Done = absl::AnyInvocable<void(const absl::Status&)>;

  // All outlive the feed. Everything up to `submitted` is applied already.
  ApplyFeed(Applier* applier, const GroupLog* log, PendingProposals* pending, Index submitted)
      : applier_(applier), log_(log), pending_(pending), submitted_(submitted) {}

  // Entries up to `index` are committed, and durable here.
  void Reach(Index index) { reached_ = std::max(reached_, index); }
  // The log gave way to a snapshot: what was not submitted is not there any more.
  void Stop();
  // What was submitted cannot be applied, and a snapshot at `index` follows: everything behind it
  // is submitted again.
  void GoBackTo(Index index);
  // The state comes from `snapshot` now, which is further on.
  void Restore(std::shared_ptr<const StoredSnapshot> snapshot);
  // Submits what fits.
  void Advance();

  // Submits no more. `done` is told by NoteApplied, when the machine has what was submitted.
  void Pause(Done done);
  // The next Advance goes on. Who still waits for the pause is told that it has ended.
  void Resume();
  bool paused() const { return paused_; }

  // With the next Advance the state comes from `snapshot` again, which is not further on, and what
  // was submitted since is applied once more. One at a time. `done` is told by ReplayEnded.
  void Replay(std::shared_ptr<const StoredSnapshot> snapshot, Done done);
  // The applier has done it, or could not. OK where there is none.
  void ReplayEnded(const absl::Status& status);
  // Behind this entry the log is needed for the replay that waits or is under way.
  std::optional<Index> replays_from() const {
    return replay_.from == 0 ? std::nullopt : std::optional<Index>(replay_.from);
  }

  // Entries may have been applied.
  void NoteApplied();
  // Nobody applies any more: who waits is told `why`.
  void GiveUp(const absl::Status& why);

 private:
  struct ReplayUnderWay {
    Index from = 0;                                  // 0: there is none
    std::shared_ptr<const StoredSnapshot> snapshot;  // until it is submitted
    Done done;
  };

  void Submit(Index index, std::shared_ptr<const StoredSnapshot> snapshot, bool again);
  void EndPauses(const absl::Status& status);

  Applier* const applier_;
  const GroupLog* const log_;
  PendingProposals* const pending_;
  Index submitted_;
  Index reached_ = 0;
  bool paused_ = false;
  std::vector<Done> pauses_;
  std::shared_ptr<const StoredSnapshot> restore_;  // came while paused
  ReplayUnderWay replay_;
};

}  // namespace cairn

#endif  // RAFT_APPLY_FEED_H_
