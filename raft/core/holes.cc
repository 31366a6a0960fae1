#include "raft/core/holes.h"

#include <algorithm>
#include <iterator>

#include "base/check.h"

namespace cairn {

bool Holes::Contains(Index index) const { return FirstFrom(index) == index && index > 0; }

Index Holes::FirstFrom(Index from) const {
  const HoleRange range = RangeFrom(from);
  return range.first == 0 ? 0 : std::max(range.first, from);
}

HoleRange Holes::RangeFrom(Index from) const {
  auto at = ranges_.upper_bound(from);
  if (at != ranges_.begin() && std::prev(at)->second >= from) --at;
  return at == ranges_.end() ? HoleRange() : HoleRange{at->first, at->second};
}

std::vector<HoleRange> Holes::Ranges() const {
  std::vector<HoleRange> ranges;
  for (const auto& [first, last] : ranges_) ranges.push_back({first, last});
  return ranges;
}

Index Holes::size() const {
  Index size = 0;
  for (const auto& [first, last] : ranges_) size += last - first + 1;
  return size;
}

void Holes::Add(HoleRange range) {
  CAIRN_CHECK(range.first > 0 && range.first <= range.last);
  // Those that touch or overlap it become one.
  auto at = ranges_.upper_bound(range.last + 1);
  while (at != ranges_.begin() && std::prev(at)->second + 1 >= range.first) {
    at = std::prev(at);
    range.first = std::min(range.first, at->first);
    range.last = std::max(range.last, at->second);
    at = ranges_.erase(at);
  }
  ranges_[range.first] = range.last;
}

void Holes::Remove(HoleRange range) {
  if (range.first > range.last) return;
  auto at = ranges_.upper_bound(range.last);
  while (at != ranges_.begin() && std::prev(at)->second >= range.first) {
    at = std::prev(at);
    const HoleRange cut = {at->first, at->second};
    at = ranges_.erase(at);
    if (cut.last > range.last) at = ranges_.insert_or_assign(at, range.last + 1, cut.last);
    if (cut.first < range.first) at = ranges_.insert_or_assign(at, cut.first, range.first - 1);
  }
}

}  // namespace cairn
