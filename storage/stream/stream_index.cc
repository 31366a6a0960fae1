#include "storage/stream/stream_index.h"

#include <algorithm>

#include "base/check.h"

namespace cairn {
namespace {

using Marks = std::vector<StreamIndex::Mark>;

// The first mark above `sequence`.
Marks::const_iterator FirstBehind(const Marks& marks, uint64_t sequence) {
  return std::upper_bound(
      marks.begin(), marks.end(), sequence,
      [](uint64_t wanted, const StreamIndex::Mark& mark) { return wanted < mark.sequence; });
}

}  // namespace

void StreamIndex::Add(StreamId stream, Mark mark) {
  CAIRN_CHECK_GT(stream, 0u);
  if (stream > lists_.size()) lists_.resize(stream);
  List& list = lists_[stream - 1];
  if (list.seen++ % every_ != 0) return;
  if (!list.marks.empty()) CAIRN_CHECK_GT(mark.sequence, list.marks.back().sequence);
  if (marks_ >= max_marks_) {
    Thin();
    if ((list.seen - 1) % every_ != 0) return;
  }
  // Grown by a quarter: doubling could cost as much again as all marks.
  if (list.marks.size() == list.marks.capacity()) {
    list.marks.reserve(list.marks.size() + list.marks.size() / 4 + 1);
  }
  list.marks.push_back(mark);
  ++marks_;
}

// Keeps those whose number, from 0, divides by twice what it did.
void StreamIndex::Thin() {
  every_ *= 2;
  marks_ = 0;
  for (List& list : lists_) {
    size_t kept = (list.marks.size() + 1) / 2;
    for (size_t i = 1; i < kept; ++i) list.marks[i] = list.marks[2 * i];
    list.marks.resize(kept);
    marks_ += kept;
  }
  // Of each stream one mark stays, however many streams there are.
  if (marks_ >= max_marks_) max_marks_ = 2 * marks_;
}

const StreamIndex::List* StreamIndex::Find(StreamId stream) const {
  return stream == 0 || stream > lists_.size() ? nullptr : &lists_[stream - 1];
}

StreamIndex::Mark StreamIndex::AtOrBefore(StreamId stream, uint64_t sequence) const {
  const List* list = Find(stream);
  if (list == nullptr) return {};
  auto behind = FirstBehind(list->marks, sequence);
  return behind == list->marks.begin() ? Mark{} : *(behind - 1);
}

StreamIndex::Mark StreamIndex::Behind(StreamId stream, uint64_t sequence) const {
  const List* list = Find(stream);
  if (list == nullptr) return {};
  auto behind = FirstBehind(list->marks, sequence);
  return behind == list->marks.end() ? Mark{} : *behind;
}

size_t StreamIndex::memory_bytes() const {
  size_t bytes = lists_.capacity() * sizeof(List);
  for (const List& list : lists_) bytes += list.marks.capacity() * sizeof(Mark);
  return bytes;
}

}  // namespace cairn
