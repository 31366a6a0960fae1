// RocksDbSalvage: what can be read of a damaged log in RocksDB, written as a log in blocks. The
// last resort, as storage/block/log_salvage.h.

#ifndef STORAGE_OFFLINE_ROCKSDB_SALVAGE_H_
#define STORAGE_OFFLINE_ROCKSDB_SALVAGE_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "storage/block/log_salvage.h"
#include "storage/crypto/key_ring.h"
#include "storage/file_system.h"
#include "storage/rocksdb/rocksdb_inspector.h"

namespace cairn {

// Reads all of the log. A group that cannot be put together is lost as a whole, under the name
// "group-7" among what is unreadable. Without a ledger votes may be lost of each group.
SalvagePlan PlanSalvage(const RocksDbInspector& log);

// Writes a log in blocks with what `plan` keeps into `directory`, which is not there or empty.
// Errors as those of the salvage of a block log. It is encrypted as `keys` say; null: it is not.
absl::Status Salvage(const RocksDbInspector& log, const SalvagePlan& plan,
                     const std::string& acknowledgement, FileSystem& file_system,
                     const std::string& directory, std::shared_ptr<const KeyRing> keys = nullptr);

}  // namespace cairn

#endif  // STORAGE_OFFLINE_ROCKSDB_SALVAGE_H_
