// LedgerRecord: what one sync left, as it stands in a file of the ledger. FORMAT.md, "The ledger".

#ifndef STORAGE_ROCKSDB_LEDGER_RECORD_H_
#define STORAGE_ROCKSDB_LEDGER_RECORD_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/types.h"
#include "storage/block/block_header.h"
#include "storage/rocksdb/log_keys.h"

namespace cairn {

// A group as a sync left it.
struct LedgerGroup {
  LogHead head;  // if dropped, its `change` alone counts
  std::vector<TermStart> starts;
  bool dropped = false;
  // Changes of the group up to this one were durable when the sync began, and may have been
  // acknowledged. Those after it too, if the sync came to its end.
  uint64_t durable_change = 0;
  uint64_t boot = 0;  // checksum of the boot id under which this was written
  // That change was the end of a life of the group before: of this one nothing was durable.
  bool began_anew = false;
  friend bool operator==(const LedgerGroup&, const LedgerGroup&) = default;
};
using LedgerGroups = std::map<GroupId, LedgerGroup>;

struct LedgerRecord {
  // A record is written in units of its own: no write touches one that holds acknowledged facts.
  static constexpr size_t kUnit = 4096;

  uint64_t number = 0;                  // grows by one a record, over all files
  uint64_t boot = 0;                    // of all its groups
  bool of_all = false;                  // it names all groups there are
  std::optional<LogIdentity> identity;  // nothing: of the format that did not say
  LedgerGroups groups;
};

// A multiple of kUnit long. The record has an identity.
std::string EncodeLedgerRecord(const LedgerRecord& record);

// The record at the front of `bytes`, and how long it is with its padding. DATA_LOSS if there is no
// intact one, FAILED_PRECONDITION if it is intact and of a newer format.
struct DecodedLedgerRecord {
  LedgerRecord record;
  size_t size = 0;
};
absl::StatusOr<DecodedLedgerRecord> DecodeLedgerRecord(absl::string_view bytes);

// Stands in place of each byte of a unit that cannot be read: no record begins so.
inline constexpr char kUnreadLedgerByte = '\xff';

// What stands at the front of `bytes`, where a record was to be and no intact one is, has rotted: a
// power cut leaves sectors that were never written. `notices_rot`: what has rotted could not be
// read (File::NoticesRot).
bool LedgerRecordRotted(absl::string_view bytes, bool notices_rot = false);

}  // namespace cairn

#endif  // STORAGE_ROCKSDB_LEDGER_RECORD_H_
