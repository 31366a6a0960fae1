// A ledger made by hand, with checksums that fit: that claims entries which nobody wrote, or says
// anything else.

#ifndef TESTS_STORAGE_ROCKSDB_LEDGER_CLAIMS_H_
#define TESTS_STORAGE_ROCKSDB_LEDGER_CLAIMS_H_

#include <cstdint>
#include <functional>
#include <string>

#include "base/types.h"
#include "storage/file_system.h"
#include "storage/rocksdb/ledger_record.h"

namespace cairn {

// One record more in the ledger of the log in `directory`, which nobody has open. `change` is given
// it as it would stand there: the next number, and what the ledger knows of `group`.
void AddToLedger(FileSystem& files, const std::string& directory, GroupId group,
                 const std::function<void(LedgerRecord&, LedgerGroup&)>& change);

// The ledger says one change more of `group`: an append of `count` entries, the first half of the
// term it was in and the others of the next one, with a vote in that. Each sync before it counts as
// ended.
void ClaimEntries(FileSystem& files, const std::string& directory, GroupId group, uint64_t count);

}  // namespace cairn

#endif  // TESTS_STORAGE_ROCKSDB_LEDGER_CLAIMS_H_
