// SyncBatch: what one sync writes, before it has a place.

#ifndef STORAGE_BLOCK_SYNC_BATCH_H_
#define STORAGE_BLOCK_SYNC_BATCH_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/types.h"
#include "storage/block/id_record.h"
#include "storage/block/layout.h"
#include "storage/record.h"

namespace cairn {

// Threads: one at a time.
class SyncBatch {
 public:
  // Sections come in the order of their groups.
  GroupSection& AddSection(GroupId group);

  // Describes these runs, which follow each other, and takes their bytes along.
  EntryIds AddRuns(const std::vector<RecordRun>& runs);

  IdRecord& id() { return id_; }
  const IdRecord& id() const { return id_; }
  uint64_t id_bytes() const { return EncodedBytes(id_); }
  uint64_t data_bytes() const { return id_bytes() + record_bytes_; }
  bool has_entries() const { return record_bytes_ > 0; }

  // What is to be written, filled up to whole units. id() has its places by now.
  struct Encoded {
    std::string data;
    std::string id;
    EntryHash hash;  // of the id record
  };
  Encoded Encode(const BlockGeometry& geometry) const;

 private:
  IdRecord id_;
  std::vector<Bytes> records_;
  uint64_t record_bytes_ = 0;
};

}  // namespace cairn

#endif  // STORAGE_BLOCK_SYNC_BATCH_H_
