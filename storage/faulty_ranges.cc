#include "storage/faulty_ranges.h"

#include <iterator>
#include <utility>

#include "base/check.h"

namespace cairn {
namespace {

// `next` begins behind the last one of `range`.
bool GoesOn(const FaultyEntries& range, const FaultyEntries& next) {
  return range.last + 1 == next.first.index && range.first.term == next.first.term &&
         range.offset == 0 && next.offset == 0 && range.file == next.file &&
         range.reason == next.reason;
}

}  // namespace

bool FaultyRanges::Contains(Index index) const {
  const auto behind = ranges_.upper_bound(index);
  return behind != ranges_.begin() && std::prev(behind)->second.last >= index;
}

std::vector<FaultyEntries> FaultyRanges::Ranges() const {
  std::vector<FaultyEntries> ranges;
  ranges.reserve(ranges_.size());
  for (const auto& [first, entries] : ranges_) ranges.push_back(entries);
  return ranges;
}

void FaultyRanges::Add(FaultyEntries entries) {
  CAIRN_CHECK(entries.first.index <= entries.last);
  Remove(entries.first.index, entries.last);
  auto next = ranges_.upper_bound(entries.last);
  if (next != ranges_.end() && GoesOn(entries, next->second)) {
    entries.last = next->second.last;
    next = ranges_.erase(next);
  }
  if (next != ranges_.begin() && GoesOn(std::prev(next)->second, entries)) {
    std::prev(next)->second.last = entries.last;
    return;
  }
  ranges_.emplace_hint(next, entries.first.index, std::move(entries));
}

void FaultyRanges::Remove(Index first, Index last) {
  if (first > last) return;
  auto at = ranges_.upper_bound(last);
  while (at != ranges_.begin() && std::prev(at)->second.last >= first) {
    at = std::prev(at);
    FaultyEntries cut = std::move(at->second);
    at = ranges_.erase(at);
    if (cut.last > last) {
      FaultyEntries behind = cut;
      behind.first.index = last + 1;
      behind.offset = 0;
      at = ranges_.emplace_hint(at, last + 1, std::move(behind));
    }
    if (cut.first.index < first) {
      cut.last = first - 1;
      at = ranges_.emplace_hint(at, cut.first.index, std::move(cut));
    }
  }
}

}  // namespace cairn
