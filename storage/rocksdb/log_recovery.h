// What the database and the ledger together say of the groups. FORMAT.md, "Recovery".

#ifndef STORAGE_ROCKSDB_LOG_RECOVERY_H_
#define STORAGE_ROCKSDB_LOG_RECOVERY_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/types.h"
#include "rocksdb/db.h"
#include "rocksdb/write_batch.h"
#include "storage/log_store.h"
#include "storage/rocksdb/ack_ledger.h"
#include "storage/rocksdb/group_log.h"

namespace cairn {

struct FoundGroups {
  std::map<GroupId, GroupLog> groups;
  std::map<GroupId, absl::Status> damaged;  // nobody knows what they held
  uint64_t last_change = 0;
  // Brings the database up to what the ledger says, where that is ahead: the groups' heads, not
  // their entries, which are missing then.
  rocksdb::WriteBatch repairs;
  std::vector<std::string> notes;  // where the ledger is ahead
};

// Reads, and writes nothing. `repaired`: by RepairDatabase, or as good as that: more of what was
// synced may be missing than the last sync, and what was gone may be back. `begin` is what the
// repairs begin with (log_owner.h).
absl::StatusOr<FoundGroups> FindGroups(rocksdb::DB& db, const AckLedger& ledger, bool repaired,
                                       rocksdb::WriteBatch begin);

// Reads the entries of the log that no mark in the database speaks for, and tells `log` which are
// faulty. The next mark leaves `walked_bytes`. `directory` is for messages.
RecoveredLog RecoverLog(rocksdb::DB& db, const std::string& directory, size_t walked_bytes,
                        GroupLog& log);

}  // namespace cairn

#endif  // STORAGE_ROCKSDB_LOG_RECOVERY_H_
