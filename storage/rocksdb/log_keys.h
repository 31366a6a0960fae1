// Keys and values of the log in RocksDB. FORMAT.md describes them.

#ifndef STORAGE_ROCKSDB_LOG_KEYS_H_
#define STORAGE_ROCKSDB_LOG_KEYS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/types.h"
#include "storage/block/block_header.h"

namespace cairn {

// Keys sort by group, then head, terms, mark, entries by index.
std::string IdentityKey();
std::string HeadKey(GroupId group);
std::string TermsKey(GroupId group);
std::string MarkKey(GroupId group);
std::string EntryKey(GroupId group, Index index);
// Before and behind all keys of a group.
std::string GroupBegin(GroupId group);
std::string GroupEnd(GroupId group);
// The group of a key, nothing for the identity's.
std::optional<GroupId> GroupOfKey(absl::string_view key);
// Whether it is an EntryKey.
bool IsEntryKey(absl::string_view key);
// Of one that sorts between two EntryKeys of one group.
Index IndexOfKey(absl::string_view key);

// What a group's log is, without its entries.
struct LogHead {
  // Of this log directory, since it was made: grows with each change of any group. The newer of two
  // heads of a group has the higher one.
  uint64_t change = 0;
  HardState hard_state;
  LogPosition base;
  EntryHash base_hash;
  LogPosition last;
  EntryHash last_hash;
  Index known_commit = 0;
  Index torn_from = 0;  // entries from here on may be torn, undecided since a recovery; 0: none
  // RecoveredLog::hard_state_lost, as long as that holds.
  bool unsure = false;
  friend bool operator==(const LogHead&, const LogHead&) = default;
};

// Decode gives DATA_LOSS if a checksum fails, which covers the key too, and FAILED_PRECONDITION if
// the format is a newer one.
std::string EncodeHead(GroupId group, const LogHead& head);
absl::StatusOr<LogHead> DecodeHead(GroupId group, absl::string_view bytes);

// Entries from `first` on, up to the next start or the end of the log, are of `term`. The first
// start of a log may be before its base.
struct TermStart {
  Index first = 0;
  Term term = 0;
  friend bool operator==(const TermStart&, const TermStart&) = default;
};
// Whether they tell the term of every entry of the log.
bool CoverLog(const std::vector<TermStart>& starts, const LogHead& head);
std::string EncodeTerms(GroupId group, const std::vector<TermStart>& starts);
absl::StatusOr<std::vector<TermStart>> DecodeTerms(GroupId group, absl::string_view bytes);

// All entries up to `at`, which has this hash, can be read and are good. Believed only beside the
// head of the very same change.
struct VerifiedMark {
  uint64_t change = 0;
  LogPosition at;
  EntryHash hash;
  std::vector<Index> configurations;  // of the configuration entries among them, in order
  friend bool operator==(const VerifiedMark&, const VerifiedMark&) = default;
};
std::string EncodeMark(GroupId group, const VerifiedMark& mark);
absl::StatusOr<VerifiedMark> DecodeMark(GroupId group, absl::string_view bytes);

std::string EncodeLogIdentity(const LogIdentity& identity);
absl::StatusOr<LogIdentity> DecodeLogIdentity(absl::string_view bytes);

}  // namespace cairn

#endif  // STORAGE_ROCKSDB_LOG_KEYS_H_
