#include "storage/open_entries.h"

#include <algorithm>
#include <iterator>

namespace cairn {
namespace {

// Without a sum: `range` may end at the last index there is.
bool TouchesOrOverlaps(Index last, const OpenRange& range) {
  return last >= range.first || range.first - last == 1;
}

}  // namespace

bool OpenEntries::Contains(GroupId group, OpenRange range) const {
  const auto found = groups_.find(group);
  if (found == groups_.end() || range.empty()) return false;
  const auto behind = found->second.upper_bound(range.first);
  return behind != found->second.begin() && std::prev(behind)->second >= range.last;
}

std::vector<OpenRange> OpenEntries::Of(GroupId group) const {
  std::vector<OpenRange> open;
  const auto found = groups_.find(group);
  if (found == groups_.end()) return open;
  open.reserve(found->second.size());
  for (const auto& [first, last] : found->second) open.push_back({first, last});
  return open;
}

size_t OpenEntries::ranges() const {
  size_t ranges = 0;
  for (const auto& [group, of_group] : groups_) ranges += of_group.size();
  return ranges;
}

void OpenEntries::Add(GroupId group, OpenRange range) {
  if (range.empty()) return;
  Ranges& ranges = groups_[group];
  auto at = ranges.upper_bound(range.last);
  if (at != ranges.end() && at->first - range.last == 1) ++at;
  while (at != ranges.begin() && TouchesOrOverlaps(std::prev(at)->second, range)) {
    at = std::prev(at);
    range.first = std::min(range.first, at->first);
    range.last = std::max(range.last, at->second);
    at = Take(ranges, at);
  }
  Put(ranges, at, range);
}

void OpenEntries::Remove(GroupId group, OpenRange range) {
  const auto found = groups_.find(group);
  if (found == groups_.end() || range.empty()) return;
  Ranges& ranges = found->second;
  auto at = ranges.upper_bound(range.last);
  while (at != ranges.begin() && std::prev(at)->second >= range.first) {
    at = std::prev(at);
    const OpenRange cut = {at->first, at->second};
    at = Take(ranges, at);
    if (cut.last > range.last) at = Put(ranges, at, {range.last + 1, cut.last});
    if (cut.first < range.first) at = Put(ranges, at, {cut.first, range.first - 1});
  }
  if (ranges.empty()) groups_.erase(found);
}

OpenEntries::Ranges::iterator OpenEntries::Take(Ranges& ranges, Ranges::iterator at) {
  size_ -= at->second - at->first + 1;
  return ranges.erase(at);
}

OpenEntries::Ranges::iterator OpenEntries::Put(Ranges& ranges, Ranges::iterator behind,
                                               OpenRange range) {
  size_ += range.last - range.first + 1;
  return ranges.emplace_hint(behind, range.first, range.last);
}

}  // namespace cairn
