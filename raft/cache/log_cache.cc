#include "raft/cache/log_cache.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace cairn {
namespace {

constexpr size_t kLatest = 16;  // runs that are looked at one by one

}  // namespace

void LogCache::Append(RecordRun run, Ticket ticket) {
  CAIRN_CHECK(!run.empty());
  if (!runs_.empty()) CAIRN_CHECK_EQ(run.first().index, runs_.back().run.last().index + 1);
  bytes_ += run.byte_size();
  runs_.push_back({std::move(run), ticket});
  Evict();
}

void LogCache::Truncate(Index from) {
  while (!runs_.empty() && runs_.back().run.last().index >= from) {
    RecordRun& last = runs_.back().run;
    bytes_ -= last.byte_size();
    if (last.first().index >= from) {
      runs_.pop_back();
    } else {
      last = last.Slice(last.first().index, from - 1);
      bytes_ += last.byte_size();
    }
  }
}

void LogCache::Written(Ticket ticket) {
  written_ = std::max(written_, ticket);
  Evict();
}

void LogCache::Evict() {
  const size_t most =
      share_ == nullptr ? max_bytes_ : std::min(max_bytes_, share_->bytes_of_each());
  while (bytes_ > most && !runs_.empty() && runs_.front().ticket <= written_) {
    bytes_ -= runs_.front().run.byte_size();
    runs_.pop_front();
  }
}

LogCache::Place LogCache::Find(Index index) const {
  if (runs_.empty() || index < first() || index > runs_.back().run.last().index) {
    return runs_.end();
  }
  // Readers mostly want the end: what came with this batch, or one of the last few. Halving would
  // look at runs all over the cache, whose memory has not been touched for long.
  Place behind = runs_.end();
  for (size_t tries = std::min(runs_.size(), kLatest); tries > 0; --tries) {
    --behind;
    if (behind->run.first().index <= index) return behind;
  }
  behind = std::upper_bound(
      runs_.begin(), behind, index,
      [](Index wanted, const CachedRun& cached) { return wanted < cached.run.first().index; });
  return std::prev(behind);
}

std::vector<RecordRun> LogCache::Read(Index first, Index last, size_t max_bytes) const {
  std::vector<RecordRun> found;
  for (Place at = Find(first); at != runs_.end() && first <= last; ++at) {
    if (!found.empty() && at->run[0].bytes().size() > max_bytes) break;
    RecordRun run = at->run;
    if (run.first().index < first || run.last().index > last) {
      run = run.Slice(first, std::min(last, run.last().index));
    }
    bool whole = run.byte_size() <= max_bytes;
    if (!whole) run = CutToBytes(run, max_bytes);
    first = run.last().index + 1;
    max_bytes -= std::min(max_bytes, run.byte_size());
    found.push_back(std::move(run));
    if (!whole) break;
  }
  return found;
}

std::optional<EntryHash> LogCache::HashAt(Index index) const {
  Place place = Find(index);
  if (place == runs_.end()) return std::nullopt;
  if (place->run.last().index == index) return place->run.last_hash();
  // The entry behind knows it, without hashing.
  return place->run.At(index + 1).previous_hash();
}

RecordRun CutToBytes(const RecordRun& run, size_t max_bytes) {
  if (run.byte_size() <= max_bytes) return run;
  // The records' ends grow, so the last one that fits is found by halving.
  const char* start = run.bytes().data();
  size_t fits = 1;
  size_t beyond = run.size();
  while (beyond - fits > 1) {
    size_t middle = fits + (beyond - fits) / 2;
    size_t end = static_cast<size_t>(run[middle].bytes().data() - start);
    (end <= max_bytes ? fits : beyond) = middle;
  }
  Index first = run.first().index;
  return run.Slice(first, first + fits - 1);
}

}  // namespace cairn
