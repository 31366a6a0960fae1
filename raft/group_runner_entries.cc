// The part of GroupRunner that reads entries of the log and repairs them, beside the runner.

#include <memory>
#include <utility>
#include <vector>

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

// Beside the group's own writes. What cannot be repaired is no failure of the disk.
void GroupRunner::Repair(std::vector<RecordRun> runs) {
  struct Work {
    std::vector<RecordRun> runs;
    absl::Status refused;
  };
  auto work = std::make_shared<Work>();
  work->runs = std::move(runs);
  dependencies_.log_writer->Do(
      [store = opened_.store, work] {
        const absl::Status status = store->Repair(work->runs);
        const bool harmless =
            absl::IsFailedPrecondition(status) || absl::IsUnimplemented(status) || IsNoRoom(status);
        if (harmless) work->refused = status;
        return harmless ? absl::OkStatus() : status;
      },
      [this, work](const absl::Status& status) {
        if (!status.ok()) return;  // the group hears of it as a client of the writer
        mailbox_.PutTask([this, work] {
          if (node_ == nullptr) return;
          node_->Repaired(dependencies_.clock->Now(), work->runs, work->refused);
        });
      });
}

}  // namespace cairn
