#include "raft/compaction.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"

namespace cairn {
namespace {

// Between two marks at least so many bytes or entries, so that they stay few.
constexpr uint64_t kMarkBytes = 64 << 10;
constexpr uint64_t kMarkEntries = 64;
// Where nothing is ever durable elsewhere they would grow with the log.
constexpr size_t kMaxMarks = 4096;

}  // namespace

Compaction::Compaction(const CompactionOptions& options, Index base, Index last)
    : options_(options), base_(base), marks_({{last, 0}}) {}

void Compaction::Append(Index last, uint64_t bytes) {
  CAIRN_CHECK_GT(last, this->last());
  Mark next = {last, marks_.back().bytes + bytes};
  const Mark* before = marks_.size() > 1 ? &marks_[marks_.size() - 2] : nullptr;
  const bool joins = before != nullptr && next.bytes - before->bytes < kMarkBytes &&
                     next.last - before->last < kMarkEntries;
  if (joins) {
    marks_.back() = next;
  } else {
    marks_.push_back(next);
  }
  while (marks_.size() > 2 && marks_[1].last <= std::min(base_, durable_)) marks_.pop_front();
  if (marks_.size() > kMaxMarks) ThinOut();
}

// Every second mark goes, but for the last two.
void Compaction::ThinOut() {
  std::deque<Mark> kept;
  for (size_t i = 0; i < marks_.size(); ++i) {
    if (i % 2 == 0 || i + 2 >= marks_.size()) kept.push_back(marks_[i]);
  }
  marks_ = std::move(kept);
}

void Compaction::Truncate(Index first_removed) {
  if (first_removed > last()) return;
  const uint64_t bytes = BytesUpTo(first_removed - 1);
  while (marks_.size() > 1 && last() >= first_removed) marks_.pop_back();
  if (last() >= first_removed) {
    marks_.back() = {first_removed - 1, bytes};
  } else if (last() < first_removed - 1) {
    marks_.push_back({first_removed - 1, bytes});
  }
}

void Compaction::Reset(Index base) {
  base_ = base;
  durable_ = std::max(durable_, base);
  marks_ = {{base, 0}};
}

void Compaction::Durable(Index index) { durable_ = std::max(durable_, index); }

// As if the bytes between two marks were spread evenly.
uint64_t Compaction::BytesUpTo(Index index) const {
  auto mark = std::lower_bound(marks_.begin(), marks_.end(), index,
                               [](const Mark& each, Index wanted) { return each.last < wanted; });
  if (mark == marks_.begin()) return mark->bytes;
  if (mark == marks_.end()) return marks_.back().bytes;
  const Mark& before = *std::prev(mark);
  const double part =
      static_cast<double>(index - before.last) / static_cast<double>(mark->last - before.last);
  return before.bytes +
         static_cast<uint64_t>(part * static_cast<double>(mark->bytes - before.bytes));
}

bool Compaction::SnapshotDue(Index applied) const {
  if (applied <= durable_) return false;
  return applied - durable_ >= options_.snapshot_entries ||
         BytesUpTo(applied) - BytesUpTo(durable_) >= options_.snapshot_bytes;
}

Index Compaction::DropTo(std::optional<Index> held) const {
  if (durable_ <= base_) return 0;
  // The tail that stays begins behind here.
  Index tail = last() > options_.retained_entries ? last() - options_.retained_entries : 0;
  const uint64_t bytes = marks_.back().bytes;
  auto kept = std::partition_point(marks_.begin(), marks_.end(), [&](const Mark& mark) {
    return bytes - mark.bytes > options_.retained_bytes;
  });
  if (kept != marks_.begin()) tail = std::max(tail, std::prev(kept)->last);
  const Index wanted = std::min({durable_, tail, held.value_or(tail)});
  if (wanted <= base_) return 0;
  const bool much = wanted - base_ > options_.retained_entries / 4 ||
                    BytesUpTo(wanted) - BytesUpTo(base_) > options_.retained_bytes / 4;
  return much || wanted == durable_ ? wanted : 0;
}

}  // namespace cairn
