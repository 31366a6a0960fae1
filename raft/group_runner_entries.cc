// The part of GroupRunner that reads entries of the log and repairs them, beside the runner.

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "raft/group_runner.h"
#include "storage/no_room.h"

namespace cairn {

// At most one a peer is under way: Raft asks for the next entries when these are sent.
void GroupRunner::Fetch(const SendEntries& send, Index last) {
  dependencies_.reader->Post([this, send, last] {
    absl::StatusOr<std::vector<RecordRun>> runs =
        opened_.store->Read(send.previous.index + 1, last, send.max_bytes);
    mailbox_.PutTask([this, send, runs = std::move(runs)]() mutable {
      node_->Fetched(dependencies_.clock->Now(), send, std::move(runs));
    });
  });
}

void GroupRunner::Look(LogPosition at) {
  dependencies_.reader->Post([this, at] {
    const absl::Status status = opened_.store->Read(at.index, at.index, 1).status();
    if (!absl::IsDataLoss(status)) return;
    mailbox_.PutTask([this, at, status] {
      if (node_ == nullptr || node_->raft().TermAt(at.index) != at.term) return;
      node_->Damaged(dependencies_.clock->Now(), {{at.index, status}});
    });
  });
}

void GroupRunner::Repair(std::vector<RecordRun> runs) {
  WriteAgain(std::move(runs),
             [this](const std::vector<RecordRun>& written, const absl::Status& refused) {
               mailbox_.PutTask([this, written, refused] {
                 if (node_ == nullptr) return;
                 node_->Repaired(dependencies_.clock->Now(), written, refused);
               });
             });
}

// Beside the group's own writes. What cannot be repaired is no failure of the disk: `done` is told
// why. The disk's failure it does not hear: the group does, as a client of the writer.
//
// The store could not drop a prefix where it could not read the hash of its last entry, neither
// there nor in the next one (LogWriter::WriteTo). Now it may.
void GroupRunner::WriteAgain(std::vector<RecordRun> runs, WrittenAgain done) {
  struct Work {
    std::vector<RecordRun> runs;
    absl::Status refused;
  };
  auto work = std::make_shared<Work>();
  work->runs = std::move(runs);
  dependencies_.log_writer->Do(
      [store = opened_.store, work, base = node_->raft().base().index] {
        absl::Status status = store->Repair(work->runs);
        const bool harmless =
            absl::IsFailedPrecondition(status) || absl::IsUnimplemented(status) || IsNoRoom(status);
        if (harmless) work->refused = status;
        if (!status.ok()) return harmless ? absl::OkStatus() : status;
        status = store->base().index < base ? store->DropPrefix(base) : absl::OkStatus();
        return absl::IsDataLoss(status) ? absl::OkStatus() : status;
      },
      [this, work, done = std::move(done)](const absl::Status& status) mutable {
        if (!status.ok()) return;
        if (work->refused.ok() && dependencies_.repaired != nullptr) {
          for (const RecordRun& run : work->runs) {
            dependencies_.repaired(run.first().index, run.last().index);
          }
        }
        done(work->runs, work->refused);
      });
}

// Memory or the page cache may still have some. The others are as if they had just been read in
// vain. All of what the scrub found at once is dealt with at once: what is written again is one
// batch, and so is what is asked of others.
void GroupRunner::Rotten(std::vector<ScrubFinding> findings) {
  mailbox_.PutTask([this, findings = std::move(findings)] {
    if (node_ == nullptr || node_->fenced()) return;
    Node::BadEntries bad;
    std::vector<RecordRun> kept;
    Index before = 0;
    for (const ScrubFinding& finding : findings) {
      const LogPosition at = finding.at;
      const bool twice = std::exchange(before, at.index) == at.index;
      if (twice || node_->raft().TermAt(at.index) != at.term) continue;
      absl::StatusOr<std::vector<RecordRun>> read = opened_.store->Read(at.index, at.index, 1);
      if (absl::IsDataLoss(read.status())) {
        bad.emplace_back(at.index, finding.why);
      } else if (read.ok() && read->front().first() == at) {
        dependencies_.log->Log(
            LogLevel::kWarning,
            absl::StrCat("group ", ToInteger(settings_.group), ": entry ", at.index,
                         " has rotted and is to be written again: ", finding.why.message()));
        kept.push_back(std::move(read->front()));
      }
    }
    node_->Damaged(dependencies_.clock->Now(), bad);
    if (!kept.empty()) WriteKept(std::move(kept));
  });
}

// If one of them may not be written, none is: then each by itself.
void GroupRunner::WriteKept(std::vector<RecordRun> runs) {
  WriteAgain(std::move(runs), [this](const auto& written, const absl::Status& refused) {
    if (refused.ok() || written.size() == 1) return;
    mailbox_.PutTask([this, written] {
      if (node_ == nullptr || node_->fenced()) return;
      for (const RecordRun& run : written) WriteKept({run});
    });
  });
}

}  // namespace cairn
