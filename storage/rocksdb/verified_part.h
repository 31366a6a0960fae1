// VerifiedPart: up to where a group's entries are known to be good, so that the next start need not
// read them.

#ifndef STORAGE_ROCKSDB_VERIFIED_PART_H_
#define STORAGE_ROCKSDB_VERIFIED_PART_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/types.h"
#include "storage/record.h"
#include "storage/rocksdb/log_keys.h"

namespace cairn {

// Follows the log: what was read and found good, or written. The mark stays behind its end by what
// a start is to read all the same, and never passes an entry that cannot be read. FORMAT.md,
// "Verified".
//
// A value. Threads: one at a time.
class VerifiedPart {
 public:
  // Nothing is known of what is behind the base.
  explicit VerifiedPart(Index base = 0, EntryHash hash = {})
      : next_({base, hash}), end_({base, hash}) {}
  // A mark that was written, and is believed.
  explicit VerifiedPart(const VerifiedMark& mark)
      : mark_({mark.at.index, mark.hash}),
        next_(mark_),
        end_(mark_),
        configurations_(mark.configurations) {}

  // Good entries, behind those added before.
  void Add(const RecordRun& run);
  // Those before the end that were written again.
  void AddRepaired(const RecordRun& run);
  // Moves the mark if `walked_bytes` are behind the place it is moved to. All entries up to `good`
  // can be read.
  void Advance(size_t walked_bytes, Index good);
  // As the log's. The hash is that of the entry where it now ends or begins.
  void TruncateTo(Index last, EntryHash hash);
  void DropPrefix(Index base, EntryHash hash);

  // 0: there is no mark.
  Index mark() const { return mark_.index; }
  EntryHash mark_hash() const { return mark_.hash; }
  // Of the configuration entries up to the mark.
  std::vector<Index> ConfigurationsOfMark() const;

 private:
  struct Point {
    Index index = 0;
    EntryHash hash;
  };
  size_t ConfigurationsUpTo(Index index) const;

  Point mark_;
  Point next_;  // where the mark is moved to; not before it
  Point end_;   // of the good entries added
  uint64_t bytes_behind_next_ = 0;
  std::vector<Index> configurations_;  // in order
};

}  // namespace cairn

#endif  // STORAGE_ROCKSDB_VERIFIED_PART_H_
