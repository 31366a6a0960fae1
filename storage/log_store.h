// LogDisk and LogStore: where groups keep their logs. One disk for all groups of a host, so that
// they share its syncs; a LogStore is one group's view of it.

#ifndef STORAGE_LOG_STORE_H_
#define STORAGE_LOG_STORE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/types.h"
#include "storage/log_scrub.h"
#include "storage/record.h"

namespace cairn {

// What one group writes in one batch. After a power cut all of it is there, or a prefix of it in
// the order of the fields that was never synced.
struct LogAppend {
  std::optional<HardState> hard_state;
  bool sure = false;  // RecoveredLog::hard_state_lost holds no more
  // Entries from here on are gone before the runs are appended. Above the base; behind the last
  // entry it changes nothing.
  std::optional<Index> truncate_from;
  // In a row. The first one follows the end of the log, by index and by previous_hash; or it begins
  // with a higher term than the entry that is there, which truncates as truncate_from does.
  std::vector<RecordRun> runs;
  Index commit = 0;  // known committed; evidence for recovery
};

// What recovery did and found, for the start-up line, status and tools.
struct RecoveryReport {
  uint64_t torn_bytes = 0;  // cut off the tail: never acknowledged
  Index torn_first = 0;     // indexes cut, 0 if none or unknown
  Index torn_last = 0;
  uint64_t blocks = 0;
  uint64_t entries = 0;
  std::vector<std::string> notes;  // one sentence each: a healed copy, a rebuilt id record, …
};

// Entries in a row, all of one term, that may have been acknowledged and cannot be read.
struct FaultyEntries {
  LogPosition first;  // term 0 if unknown
  Index last = 0;
  std::string file = {};
  uint64_t offset = 0;  // of the first one
  std::string reason = {};

  uint64_t size() const { return last - first.index + 1; }
};

struct RecoveredLog {
  HardState hard_state;
  // A batch that was synced is lost, both copies of what it said: perhaps a later term and vote,
  // perhaps entries behind the last one or that the last ones were truncated. What is here is true
  // and may be older. Every start says so until LogAppend::sure is durable.
  bool hard_state_lost = false;
  LogPosition base;  // before the first entry kept
  EntryHash base_hash;
  std::vector<TermRun> runs;  // of all entries behind base, torn and faulty ones included
  EntryHash last_hash;        // of the last entry
  std::vector<RawConfiguration> configurations;
  // Evidence of this disk: at least this was committed. Never above what LogAppend::commit said.
  // Not below what it had said when entries were last appended, as far as these were durable by
  // then; a store need not write for the sake of a commit index alone. What is up to the base was
  // committed, whether this says so or not.
  Index known_commit = 0;
  std::optional<Index> torn_from;  // RecoveredRaft::torn_from
  // In order, no entry twice, none torn. Ranges, for a disk may have lost any number of entries.
  std::vector<FaultyEntries> faulty;
  RecoveryReport report;
};

// One group's log.
//
// Holds: Append is readable at once, durable after the next LogDisk::Sync whose done is OK; parts
// become durable in order. Entries are contiguous from base. After an error from Append every later
// write to the disk fails with the same error.
// Threads: Append, Repair, DropPrefix and Reset on the disk's writer sequence only. The others on
// any thread, beside it.
class LogStore {
 public:
  virtual ~LogStore() = default;

  // FAILED_PRECONDITION if the parts do not fit the log as LogAppend says; nothing is written then.
  virtual absl::Status Append(const LogAppend& append) = 0;

  // Writes entries again that cannot be read where they stand. Each run stands in the log: its
  // entries have the positions and hashes of those there. FAILED_PRECONDITION where that is not so,
  // or cannot be told; nothing is written then, and nothing has failed. What was repaired can be
  // read at once and takes part in the next Sync; a power cut before that leaves it as it was.
  // UNIMPLEMENTED: damage of this store needs a hand.
  virtual absl::Status Repair(const std::vector<RecordRun>& runs) {
    return absl::UnimplementedError(
        absl::StrCat("this log store repairs nothing (", runs.size(), " runs)"));
  }

  // Entries first.. up to `last` (cut to what there is), at least one and then at most `max_bytes`.
  // OUT_OF_RANGE if `first` is not in the log or behind `last`, DATA_LOSS if it cannot be read
  // intact; a later one that cannot ends what is given.
  virtual absl::StatusOr<std::vector<RecordRun>> Read(Index first, Index last,
                                                      size_t max_bytes) const = 0;

  // The entry at `first` cannot be read. The last one, up to `last`, of those behind it of which it
  // is known without reading them that they cannot be either, and none between; `first` if none is.
  // So a gap is told as one, however long it is.
  virtual Index UnreadableThrough(Index first, Index /*last*/) const { return first; }

  // The hash of the entry at `index`; that of the base at the base. OUT_OF_RANGE elsewhere,
  // DATA_LOSS if it cannot be read.
  virtual absl::StatusOr<EntryHash> HashAt(Index index) const = 0;

  virtual LogPosition base() const = 0;
  virtual LogPosition last() const = 0;

  // Forgets the entries up to and including `up_to`; the base moves there. Takes part in the next
  // Sync. OUT_OF_RANGE behind the last entry; nothing happens before the base.
  virtual absl::Status DropPrefix(Index up_to) = 0;

  // Forgets all entries; the log goes on behind `base`, whose entry has this hash: a snapshot
  // stands for what was there. Takes part in the next Sync; a power cut before that leaves the log
  // as it was, or so. FAILED_PRECONDITION if `base` is before the log's.
  virtual absl::Status Reset(LogPosition base, EntryHash hash) = 0;
};

// How far a log disk is with bringing what it wrote before to how it writes now.
struct LogUpkeep {
  uint64_t blocks = 0;      // that there are
  uint64_t to_rewrite = 0;  // of these: not encrypted as is wanted now
  uint64_t to_rewrap = 0;   // encrypted with a master key that was replaced
  friend bool operator==(const LogUpkeep&, const LogUpkeep&) = default;
};

struct OpenedLog {
  LogStore* store = nullptr;  // owned by the disk
  RecoveredLog recovered;
};

class LogDisk {
 public:
  virtual ~LogDisk() = default;

  // Opens the group's log, empty if it is new. Not while it is open. What it reports is durable,
  // also what the last process had written and not synced. FAILED_PRECONDITION (identity or
  // format), DATA_LOSS (what cannot even be described as RecoveredLog::faulty).
  virtual absl::StatusOr<OpenedLog> OpenGroup(GroupId group) = 0;
  // Ends an opened group's store, which nobody uses any more; all it was given is synced, unless
  // the group is dropped next. It may be opened again.
  virtual void CloseGroup(GroupId group) = 0;
  // Forgets a group that is not open: its entries, base and hard state, also where OpenGroup finds
  // them damaged. Takes part in the next Sync; a power cut before that leaves the group as it was,
  // or as if it never had been. It may be opened as a new one at once.
  virtual absl::Status DropGroup(GroupId group) = 0;
  // Groups that have something on this disk, in order.
  virtual std::vector<GroupId> Groups() const = 0;

  // Makes everything appended to any group before this call durable with one sync, then calls
  // `done` (see FileSystem::Sync for when and where). At most one Sync runs at a time. An error is
  // final: the disk accepts no more writes. But not one that IsNoRoom (storage/no_room.h): then
  // nothing was written, what was appended is there as before, and a later Sync takes it along.
  virtual void Sync(absl::AnyInvocable<void(absl::Status)> done) = 0;

  // False: the disk is full. What is written now goes to what was kept in reserve for this, so that
  // term and vote, truncations, dropped prefixes and what is under way can still be written: let no
  // new entries in. Any thread.
  virtual bool has_room() const { return true; }
  // Looks for room again, here or beside: has_room() tells what came of it. On the writer's
  // sequence, while no Sync runs.
  virtual void SeekRoom() {}
  // Does a piece of what is due and no write waits for: what was written otherwise than is wanted
  // now is written anew, keys are wrapped by a new one, what is not in use is released. True if
  // there is more to do at once. An error is final, as one of Sync; NoRoomError is none: ask ever
  // more rarely. On the writer's sequence, while no Sync runs; may take as long as some syncs.
  virtual absl::StatusOr<bool> Upkeep() { return false; }
  // What of that is left. Any thread.
  virtual LogUpkeep upkeep() const { return {}; }
  // What is wrong with the disk though it serves on, for an operator: a sentence each. Any thread.
  virtual std::vector<std::string> Warnings() const { return {}; }
  // Looks for what has rotted; null: this store has nothing to look at. Owned by the disk.
  virtual LogScrub* scrub() { return nullptr; }

  virtual const char* name() const = 0;  // "block", "rocksdb", "memory", as --log_store
};

}  // namespace cairn

#endif  // STORAGE_LOG_STORE_H_
