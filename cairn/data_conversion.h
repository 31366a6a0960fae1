// DataConversion: a stopped node's data directory, written anew with its log in another store.

#ifndef CAIRN_DATA_CONVERSION_H_
#define CAIRN_DATA_CONVERSION_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "raft/identity.h"
#include "storage/crypto/key_ring.h"
#include "storage/file_system.h"
#include "storage/offline/log_copy.h"

namespace cairn {

struct DataConversionOptions {
  std::string from;       // data directory of a node that does not run
  std::string to;         // not there, or an empty directory
  std::string log_store;  // "block" or "rocksdb"; may be the one there is
  uint64_t block_bytes = uint64_t{16} << 20;
  // Of an encrypted source; the new log is encrypted with the first of them. Null: there are none.
  std::shared_ptr<KeyRing> keys = nullptr;
  // How far a step has come, in entries; `total` 0: not known. May be null.
  std::function<void(absl::string_view step, uint64_t done, uint64_t total)> progress;
};

struct DataConversion {
  NodeIdentity identity;  // with the new log store
  std::string from_store;
  CopiedGroups groups;
};

// What is in progress stands beside `to`, under this name, without an identity until all the rest
// is there and was read back.
std::string UnfinishedConversion(const std::string& to);

// Holds: the node that starts on `to` is the one that stopped on `from`: the same id and
// incarnation, terms, votes, entries, known commits, snapshots, machines, tombstones. Its log and
// its files say of each group what they said. `from` is locked meanwhile, and only read. `to` is
// there when all of it is durable, and not before.
//
// From then on there are two directories of one node. Whoever starts `from` again after `to` has
// run lets the node forget what it voted and acknowledged: nothing here can prevent it.
//
// ALREADY_EXISTS if a process has `from` or its log, FAILED_PRECONDITION if there is something
// where the new directory goes, the log is not decided or of a store that cannot be read offline,
// NOT_FOUND if `from` holds no node, DATA_LOSS if it is damaged (naming what), INVALID_ARGUMENT for
// another store or blocks of another length than there are. What was written until an error stays,
// under the name of the unfinished one.
absl::StatusOr<DataConversion> ConvertDataDirectory(FileSystem& file_system,
                                                    const DataConversionOptions& options);

}  // namespace cairn

#endif  // CAIRN_DATA_CONVERSION_H_
