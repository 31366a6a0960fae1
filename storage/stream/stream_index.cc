#include "storage/stream/stream_index.h"

#include <algorithm>

#include "base/check.h"

namespace cairn {

void AcceptedEntries::Add(Index index) {
  if (words_.empty()) base_ = index;
  CAIRN_CHECK_GE(index, base_);
  uint64_t bit = index - base_;
  size_t word = bit / 64;
  if (word >= words_.size()) words_.resize(word + 1, 0);
  words_[word] |= uint64_t{1} << (bit % 64);
}

bool AcceptedEntries::Contains(Index index) const {
  if (index < base_) return false;
  uint64_t bit = index - base_;
  return bit / 64 < words_.size() && (words_[bit / 64] >> (bit % 64) & 1) != 0;
}

void StreamIndex::Add(uint64_t first_sequence, Index index) {
  if (!marks_.empty()) {
    CAIRN_CHECK_GT(first_sequence, marks_.back().sequence);
    CAIRN_CHECK_GT(index, marks_.back().index);
    ++entries_since_mark_;
    if (entries_since_mark_ < entries_per_mark_ &&
        index - marks_.back().index < indexes_per_mark_) {
      return;
    }
  }
  if (marks_.size() == kMaxMarks) {
    for (size_t i = 0; 2 * i < kMaxMarks; ++i) marks_[i] = marks_[2 * i];
    marks_.resize(kMaxMarks / 2);
    entries_per_mark_ *= 2;
    indexes_per_mark_ *= 2;
  }
  marks_.push_back({.sequence = first_sequence, .index = index});
  entries_since_mark_ = 0;
}

StreamIndex::Mark StreamIndex::Before(uint64_t sequence) const {
  auto after =
      std::upper_bound(marks_.begin(), marks_.end(), sequence,
                       [](uint64_t wanted, const Mark& mark) { return wanted < mark.sequence; });
  return after == marks_.begin() ? Mark{} : *(after - 1);
}

}  // namespace cairn
