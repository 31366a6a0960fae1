// The part of GroupRunner that reads entries of the log and repairs them, beside the runner.

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "raft/group_runner.h"
#include "storage/no_room.h"

namespace cairn {
namespace {

// So many entries are read at once to see how far damage goes, at most, and for so long: others
// wait for the reader, and a failing disk takes seconds for each.
constexpr int kLookedAt = 64;
constexpr Duration kLooking = Milliseconds(20);

}  // namespace

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

// A gap that the store knows is told as one; where it has to read, a few entries are told together.
void GroupRunner::Look(LogPosition at, Index last) {
  dependencies_.reader->Post([this, at, last] {
    const Instant until = dependencies_.clock->Now() + kLooking;
    absl::Status why;
    Index next = at.index;
    for (int reads = 0; next <= last && reads < kLookedAt; ++reads) {
      if (reads > 0 && dependencies_.clock->Now() >= until) break;
      absl::Status status = opened_.store->Read(next, next, 1).status();
      if (!absl::IsDataLoss(status)) break;
      if (why.ok()) why = std::move(status);
      next = opened_.store->UnreadableThrough(next, last) + 1;
    }
    if (next == at.index) return;
    mailbox_.PutTask([this, at, end = next, why] {
      if (node_ == nullptr || node_->raft().TermAt(end - 1) != at.term) return;
      if (node_->raft().TermAt(at.index) != at.term) return;
      node_->Damaged(dependencies_.clock->Now(), {{{at.index, end - 1}, why}});
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
// batch, and so is what is asked of others. Read beside the runner: a failing disk takes seconds
// for each entry.
void GroupRunner::Rotten(std::vector<ScrubFinding> findings) {
  mailbox_.PutTask([this, findings = std::move(findings)]() mutable {
    if (node_ == nullptr || node_->fenced()) return;
    std::vector<ScrubFinding> present;
    for (ScrubFinding& finding : findings) {
      const LogPosition at = finding.at;
      if (node_->raft().TermAt(at.index) != at.term) continue;
      if (!present.empty() && present.back().at == at) continue;
      present.push_back(std::move(finding));
    }
    if (present.empty()) return;
    if (dependencies_.reader == nullptr) return ReadRotten(present);
    dependencies_.reader->Post([this, present = std::move(present)] { ReadRotten(present); });
  });
}

void GroupRunner::ReadRotten(const std::vector<ScrubFinding>& findings) {
  std::vector<ScrubFinding> bad;
  std::vector<RecordRun> kept;
  for (const ScrubFinding& finding : findings) {
    const LogPosition at = finding.at;
    absl::StatusOr<std::vector<RecordRun>> read = opened_.store->Read(at.index, at.index, 1);
    if (absl::IsDataLoss(read.status())) {
      bad.push_back(finding);
    } else if (read.ok() && read->front().first() == at) {
      dependencies_.log->Log(
          LogLevel::kWarning,
          absl::StrCat("group ", ToInteger(settings_.group), ": entry ", at.index,
                       " has rotted and is to be written again: ", finding.why.message()));
      kept.push_back(std::move(read->front()));
    }
  }
  mailbox_.PutTask([this, bad = std::move(bad), kept = std::move(kept)]() mutable {
    if (node_ == nullptr || node_->fenced()) return;
    Node::BadEntries entries;
    for (const ScrubFinding& finding : bad) {
      if (node_->raft().TermAt(finding.at.index) != finding.at.term) continue;
      entries.push_back({{finding.at.index, finding.at.index}, finding.why});
    }
    node_->Damaged(dependencies_.clock->Now(), entries);
    if (!kept.empty()) WriteKept(std::move(kept));
  });
}

// If one of them may not be written, none is: then each half by itself.
void GroupRunner::WriteKept(std::vector<RecordRun> runs) {
  WriteAgain(std::move(runs), [this](const auto& written, const absl::Status& refused) {
    if (!absl::IsFailedPrecondition(refused) || written.size() == 1) return;
    mailbox_.PutTask([this, written] {
      if (node_ == nullptr || node_->fenced()) return;
      const auto middle = written.begin() + static_cast<ptrdiff_t>(written.size() / 2);
      WriteKept({written.begin(), middle});
      WriteKept({middle, written.end()});
    });
  });
}

}  // namespace cairn
