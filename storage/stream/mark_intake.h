// MarkIntake: takes marks that files say into an index, where they may be.

#ifndef STORAGE_STREAM_MARK_INTAKE_H_
#define STORAGE_STREAM_MARK_INTAKE_H_

#include <cstdint>
#include <vector>

#include "storage/stream/stream_index.h"
#include "storage/stream/stream_record.h"
#include "storage/stream/stream_table.h"

namespace cairn {

// A checksum that fits does not make a file right: this node's disk, or another member, may have
// one that says anything. Marks that cannot be are left out: without one a message is further to go
// to, no more.
class MarkIntake {
 public:
  // Of the streams of `table`; both outlive it.
  MarkIntake(const StreamTable& table, StreamIndex& index)
      : table_(table), index_(index), marked_(table.size() + 1) {}

  // In the order of the records.
  void Take(const StreamMark& mark, uint32_t block) {
    if (mark.stream == 0 || mark.stream > table_.size()) return;
    uint64_t& last = marked_[mark.stream];
    const bool may_be =
        mark.first_sequence > last && mark.first_sequence <= table_[mark.stream].last_sequence;
    if (!may_be) return;
    last = mark.first_sequence;
    index_.Add(mark.stream, {mark.first_sequence, {block, mark.offset}});
  }

 private:
  const StreamTable& table_;
  StreamIndex& index_;
  std::vector<uint64_t> marked_;  // of each stream the last one's sequence
};

}  // namespace cairn

#endif  // STORAGE_STREAM_MARK_INTAKE_H_
