#include "storage/block/recent_entries.h"

#include <algorithm>

#include "base/check.h"

namespace cairn {
namespace {

// Runs are views of buffers that many of them may share; this bounds what their number costs.
constexpr size_t kMaxRuns = 64 << 10;

}  // namespace

RecordRun TakeUpTo(const RecordRun& run, Index first, Index last, size_t max_bytes) {
  Index end = first;
  size_t bytes = run.At(first).bytes().size();
  last = std::min(last, run.last().index);
  while (end < last) {
    bytes += run.At(end + 1).bytes().size();
    if (bytes > max_bytes) break;
    ++end;
  }
  return run.Slice(first, end);
}

void RecentEntries::Add(GroupId group, const RecordRun& run) {
  std::deque<RecordRun>& runs = groups_[group];
  if (!runs.empty() && runs.back().last().index + 1 != run.first().index) {
    while (!runs.empty()) PopBack(runs);
  }
  runs.push_back(run);
  bytes_ += run.byte_size();
  order_.push_back(group);
  Evict();
}

void RecentEntries::PopBack(std::deque<RecordRun>& runs) {
  bytes_ -= runs.back().byte_size();
  runs.pop_back();
}

void RecentEntries::TruncateFrom(GroupId group, Index from) {
  auto found = groups_.find(group);
  if (found == groups_.end()) return;
  std::deque<RecordRun>& runs = found->second;
  while (!runs.empty() && runs.back().first().index >= from) PopBack(runs);
  if (runs.empty() || runs.back().last().index < from) return;
  bytes_ -= runs.back().byte_size();
  runs.back() = runs.back().Slice(runs.back().first().index, from - 1);
  bytes_ += runs.back().byte_size();
}

void RecentEntries::Evict() {
  while (!order_.empty() && (bytes_ > max_bytes_ || order_.size() > kMaxRuns)) {
    std::deque<RecordRun>& runs = groups_[order_.front()];
    order_.pop_front();
    if (runs.empty()) continue;  // it was truncated
    bytes_ -= runs.front().byte_size();
    runs.pop_front();
  }
}

RecordRun RecentEntries::Find(GroupId group, Index first, Index last, size_t max_bytes) const {
  auto found = groups_.find(group);
  if (found == groups_.end()) return RecordRun();
  const std::deque<RecordRun>& runs = found->second;
  auto run = std::lower_bound(
      runs.begin(), runs.end(), first,
      [](const RecordRun& each, Index index) { return each.last().index < index; });
  if (run == runs.end() || run->first().index > first) return RecordRun();
  return TakeUpTo(*run, first, last, max_bytes);
}

}  // namespace cairn
