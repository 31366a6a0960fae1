// IdRecord: what one sync batch holds, so that recovery knows what must be there.
//
// The same bytes stand in two places that are written by two writes: in front of the batch's
// records ("head"), and far from them in the id region. One of them bad, the other serves.

#ifndef STORAGE_BLOCK_ID_RECORD_H_
#define STORAGE_BLOCK_ID_RECORD_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/types.h"

namespace cairn {

struct RecordId {
  uint32_t length = 0;  // of the record
  uint32_t hash = 0;    // lowest 32 bits of the entry's hash
  friend bool operator==(const RecordId&, const RecordId&) = default;
};

// Consecutive entries of one group, back to back.
struct EntryIds {
  Index first = 0;
  EntryHash previous_hash;  // of the entry before `first`
  EntryHash last_hash;      // of the last entry
  uint64_t offset = 0;      // of the first record, from the end of the head
  std::vector<TermRun> term_runs;
  std::vector<Index> configurations;
  std::vector<RecordId> entries;

  Index last() const { return first + entries.size() - 1; }
  uint64_t record_bytes() const;
  friend bool operator==(const EntryIds&, const EntryIds&) = default;
};

// The runs are those of the entries first..last, and the configurations some of these, in order.
bool ArePossible(Index first, Index last, const std::vector<TermRun>& runs,
                 const std::vector<Index>& configurations);

// Everything behind `last` and up to `base` is forgotten.
struct LogBounds {
  LogPosition base;
  EntryHash base_hash;
  LogPosition last;
  EntryHash last_hash;
  std::optional<Index> torn_from;  // entries from here on may be torn; undecided since a recovery
  friend bool operator==(const LogBounds&, const LogBounds&) = default;
};

struct Truncation {
  Index from = 0;         // entries from here on are gone
  EntryHash hash_before;  // of the entry before it
  friend bool operator==(const Truncation&, const Truncation&) = default;
};

struct BaseMove {
  LogPosition base;
  EntryHash hash;
  friend bool operator==(const BaseMove&, const BaseMove&) = default;
};

// What the batch says of one group. Takes effect in the order of the fields.
struct GroupSection {
  GroupId group = GroupId::kNone;
  HardState hard_state;          // the one in force, changed or not
  bool hard_state_lost = false;  // RecoveredLog::hard_state_lost, as long as that holds
  // Evidence: on this disk these were durable, and known committed, when the batch was issued.
  Index durable = 0;
  Index commit = 0;
  std::optional<LogBounds> bounds;  // in the first batch of a block: the state before it
  std::vector<EntryIds> copied;     // stood in another block before
  bool dropped = false;             // nothing of what was before is in force, the group is as new
  std::optional<Truncation> truncation;
  std::optional<EntryIds> appended;  // a first index that is not above the last one also truncates
  std::optional<BaseMove> base;
  friend bool operator==(const GroupSection&, const GroupSection&) = default;
};

struct IdRecord {
  uint64_t batch = 0;  // grows by one a batch, over all blocks
  uint64_t block_tag = 0;
  uint64_t boot = 0;  // checksum of the boot id under which the batch was written
  uint64_t data_begin = 0;
  uint64_t data_bytes = 0;  // head and records, without filler
  uint64_t id_begin = 0;
  EntryHash previous;  // hash of the id record of the batch before
  // The first batch of a block repeats the state of every group and names all blocks in use.
  bool is_checkpoint = false;
  std::vector<uint64_t> live_blocks;
  std::vector<GroupSection> sections;  // by group

  friend bool operator==(const IdRecord&, const IdRecord&) = default;
};

// Length of what EncodeIdRecord will give; independent of the values of the numbers.
uint64_t EncodedBytes(const IdRecord& record);

// Holds no 512 zero bytes in a row.
std::string EncodeIdRecord(const IdRecord& record);

// `bytes` begins with an id record and may go on. DATA_LOSS if it is none, or damaged.
absl::StatusOr<IdRecord> DecodeIdRecord(absl::string_view bytes);

// The length the record at the front of `bytes` claims to have, 0 if it is none. Not verified.
uint64_t ClaimedIdRecordBytes(absl::string_view bytes);

}  // namespace cairn

#endif  // STORAGE_BLOCK_ID_RECORD_H_
