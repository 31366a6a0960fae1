#include "storage/block/span_index.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "base/check.h"

namespace cairn {
namespace {

// Each entry that is missing is told. Where there are more than some blocks hold, those behind them
// are given up, and so a leader sends them all.
constexpr Index kMaxGap = Index{1} << 20;

// Makes the span end at `last`, which is inside it.
void CutBack(Span& span, Index last) {
  span.last = last;
  span.last_hash_known = false;
  span.open = false;
  while (span.marks.size() > 1 && span.marks.back().first > last) span.marks.pop_back();
  while (span.term_runs.size() > 1 &&
         span.term_runs[span.term_runs.size() - 2].last_index >= last) {
    span.term_runs.pop_back();
  }
  span.term_runs.back().last_index = last;
  while (!span.configurations.empty() && span.configurations.back() > last) {
    span.configurations.pop_back();
  }
}

// Makes the span begin at `first`, which is inside it.
void CutFront(Span& span, Index first) {
  span.first = first;
  span.previous_hash_known = false;
  const Mark* mark = &span.MarkFor(first);
  span.marks.erase(span.marks.begin(), span.marks.begin() + (mark - span.marks.data()));
  std::erase_if(span.term_runs, [&](const TermRun& run) { return run.last_index < first; });
  std::erase_if(span.configurations, [&](Index index) { return index < first; });
}

uint64_t CountOf(const Span& span) { return span.last - span.first + 1; }

// What `span` has too much for the `before` entries it had, taken off.
uint64_t ShrinkBytes(Span& span, uint64_t before) {
  uint64_t kept =
      static_cast<uint64_t>(static_cast<double>(span.bytes) / static_cast<double>(before) *
                            static_cast<double>(CountOf(span)));
  uint64_t removed = span.bytes - std::min(span.bytes, kept);
  span.bytes -= removed;
  return removed;
}

Span MakeSpan(const BatchPlace& place, const EntryIds& ids) {
  return {.block = place.block,
          .first = ids.first,
          .last = ids.last(),
          .previous_hash = ids.previous_hash,
          .last_hash = ids.last_hash,
          .bytes = ids.record_bytes(),
          .marks = {{ids.first, place.data_begin, place.id_end}},
          .term_runs = ids.term_runs,
          .configurations = ids.configurations};
}

// At most one for each entry, in order.
bool MarksAreSound(const Span& span) {
  if (span.marks.empty() || span.marks.front().first > span.first) return false;
  return span.marks.back().first <= span.last &&
         std::adjacent_find(span.marks.begin(), span.marks.end(), [](const Mark& a, const Mark& b) {
           return a.first >= b.first;
         }) == span.marks.end();
}

bool IsSound(const Span& span) {
  // Entries in no block leave those behind them alone, as only copies do; and each of them is told.
  const bool may_be_in_none = span.copied && span.last - span.first < kMaxGap;
  return (span.is_in_block() || may_be_in_none) && span.first != 0 && span.first <= span.last &&
         span.last <= kMaxIndex && MarksAreSound(span) &&
         ArePossible(span.first, span.last, span.term_runs, span.configurations);
}

}  // namespace

void BlockUsage::Add(uint64_t block, uint64_t bytes) {
  Usage& usage = blocks_[block];
  ++usage.spans;
  usage.bytes += bytes;
}

void BlockUsage::Grow(uint64_t block, uint64_t bytes) { blocks_[block].bytes += bytes; }

void BlockUsage::Shrink(uint64_t block, uint64_t bytes) {
  Usage& usage = blocks_[block];
  usage.bytes -= std::min(usage.bytes, bytes);
}

void BlockUsage::Remove(uint64_t block, uint64_t bytes) {
  Shrink(block, bytes);
  Usage& usage = blocks_[block];
  CAIRN_CHECK_GT(usage.spans, uint64_t{0});
  if (--usage.spans == 0) blocks_.erase(block);
}

BlockUsage::Usage BlockUsage::Of(uint64_t block) const {
  auto found = blocks_.find(block);
  return found == blocks_.end() ? Usage() : found->second;
}

const Mark& Span::MarkFor(Index index) const {
  return *std::prev(std::upper_bound(marks.begin(), marks.end(), index,
                                     [](Index at, const Mark& mark) { return at < mark.first; }));
}

void EncodeSpan(std::string* to, const Span& span) {
  AppendLittleEndian(to, span.block);
  AppendLittleEndian(to, span.first);
  AppendLittleEndian(to, span.last);
  AppendLittleEndian(to, span.previous_hash.low);
  AppendLittleEndian(to, span.previous_hash.high);
  AppendLittleEndian(to, span.last_hash.low);
  AppendLittleEndian(to, span.last_hash.high);
  AppendLittleEndian(to, static_cast<uint8_t>(span.previous_hash_known));
  AppendLittleEndian(to, static_cast<uint8_t>(span.last_hash_known));
  AppendLittleEndian(to, static_cast<uint8_t>(span.copied));
  AppendLittleEndian(to, span.bytes);
  AppendLittleEndian(to, static_cast<uint32_t>(span.marks.size()));
  AppendLittleEndian(to, static_cast<uint32_t>(span.term_runs.size()));
  AppendLittleEndian(to, static_cast<uint32_t>(span.configurations.size()));
  for (const Mark& mark : span.marks) {
    AppendLittleEndian(to, mark.first);
    AppendLittleEndian(to, mark.data_begin);
    AppendLittleEndian(to, mark.id_end);
  }
  for (const TermRun& run : span.term_runs) {
    AppendLittleEndian(to, run.term);
    AppendLittleEndian(to, run.last_index);
  }
  for (Index index : span.configurations) AppendLittleEndian(to, index);
}

bool DecodeSpan(Decoder& from, Span* span) {
  span->block = from.Read<uint64_t>();
  span->first = from.Read<uint64_t>();
  span->last = from.Read<uint64_t>();
  span->previous_hash.low = from.Read<uint64_t>();
  span->previous_hash.high = from.Read<uint64_t>();
  span->last_hash.low = from.Read<uint64_t>();
  span->last_hash.high = from.Read<uint64_t>();
  span->previous_hash_known = from.Read<uint8_t>() != 0;
  span->last_hash_known = from.Read<uint8_t>() != 0;
  span->copied = from.Read<uint8_t>() != 0;
  span->open = false;
  span->bytes = from.Read<uint64_t>();
  size_t marks = from.Read<uint32_t>();
  size_t runs = from.Read<uint32_t>();
  size_t configurations = from.Read<uint32_t>();
  if (from.remaining() < marks * 24 + runs * 16 + configurations * 8) return false;
  for (size_t i = 0; i < marks; ++i) {
    Mark mark = {.first = from.Read<uint64_t>()};
    mark.data_begin = from.Read<uint64_t>();
    mark.id_end = from.Read<uint64_t>();
    span->marks.push_back(mark);
  }
  for (size_t i = 0; i < runs; ++i) {
    Term term = from.Read<uint64_t>();
    span->term_runs.push_back({term, from.Read<uint64_t>()});
  }
  for (size_t i = 0; i < configurations; ++i) {
    span->configurations.push_back(from.Read<uint64_t>());
  }
  return from.ok() && IsSound(*span);
}

SpanIndex::~SpanIndex() {
  for (const Span& span : spans_) usage_->Remove(span.block, span.bytes);
}

SpanIndex::SpanIndex(SpanIndex&& other) noexcept
    : usage_(other.usage_), spans_(std::exchange(other.spans_, {})) {}

void SpanIndex::Append(const BatchPlace& place, const EntryIds& ids) {
  TruncateFrom(ids.first);
  Span* back = spans_.empty() ? nullptr : &spans_.back();
  if (back == nullptr || !back->open || back->block != place.block || back->last + 1 != ids.first ||
      back->last_hash != ids.previous_hash) {
    Insert(spans_.size(), MakeSpan(place, ids));
    return;
  }
  const uint64_t bytes = ids.record_bytes();
  back->last = ids.last();
  back->last_hash = ids.last_hash;
  back->bytes += bytes;
  usage_->Grow(place.block, bytes);
  if (place.data_begin - back->marks.back().data_begin >= kMarkBytes) {
    back->marks.push_back({ids.first, place.data_begin, place.id_end});
  }
  for (const TermRun& run : ids.term_runs) {
    if (back->term_runs.back().term == run.term) {
      back->term_runs.back().last_index = run.last_index;
    } else {
      back->term_runs.push_back(run);
    }
  }
  back->configurations.insert(back->configurations.end(), ids.configurations.begin(),
                              ids.configurations.end());
}

void SpanIndex::AddCopy(const BatchPlace& place, const EntryIds& ids) {
  Span span = MakeSpan(place, ids);
  span.open = false;
  span.copied = true;
  AddSpan(std::move(span));
}

void SpanIndex::AddSpan(Span span) {
  if (span.copied) {
    RemoveRange(span.first, span.last);
  } else {
    TruncateFrom(span.first);
  }
  size_t at = LowerBound(span.first);
  Insert(at, std::move(span));
}

void SpanIndex::Insert(size_t at, Span span) {
  usage_->Add(span.block, span.bytes);
  spans_.insert(spans_.begin() + static_cast<std::ptrdiff_t>(at), std::move(span));
}

void SpanIndex::TruncateFrom(Index from) { RemoveRange(from, std::numeric_limits<Index>::max()); }

void SpanIndex::DropPrefix(Index up_to) { RemoveRange(0, up_to); }

void SpanIndex::RemoveRange(Index first, Index last) {
  size_t at = LowerBound(first);
  if (at == spans_.size() || spans_[at].first > last) return;
  // The span `first` falls into keeps its front; what is behind `last` becomes a span of its own.
  if (spans_[at].first < first) {
    const uint64_t count = CountOf(spans_[at]);
    if (spans_[at].last > last) {
      Span right = spans_[at];
      CutFront(right, last + 1);
      ShrinkBytes(right, count);
      usage_->Shrink(right.block, right.bytes);
      spans_[at].bytes -= std::min(spans_[at].bytes, right.bytes);
      const uint64_t rest = last - spans_[at].first + 1;
      CutBack(spans_[at], first - 1);
      usage_->Shrink(spans_[at].block, ShrinkBytes(spans_[at], rest));
      Insert(at + 1, std::move(right));
      return;
    }
    CutBack(spans_[at], first - 1);
    usage_->Shrink(spans_[at].block, ShrinkBytes(spans_[at], count));
    ++at;
  }
  size_t end = at;
  while (end < spans_.size() && spans_[end].last <= last) {
    usage_->Remove(spans_[end].block, spans_[end].bytes);
    ++end;
  }
  if (end < spans_.size() && spans_[end].first <= last) {
    const uint64_t count = CountOf(spans_[end]);
    CutFront(spans_[end], last + 1);
    usage_->Shrink(spans_[end].block, ShrinkBytes(spans_[end], count));
  }
  spans_.erase(spans_.begin() + static_cast<std::ptrdiff_t>(at),
               spans_.begin() + static_cast<std::ptrdiff_t>(end));
}

void SpanIndex::FillGaps(const LogBounds& bounds) {
  LogPosition before = bounds.base;
  std::optional<EntryHash> hash = bounds.base_hash;
  for (size_t at = 0; at <= spans_.size(); ++at) {
    const Span* next = at < spans_.size() ? &spans_[at] : nullptr;
    const LogPosition end = next == nullptr
                                ? LogPosition{bounds.last.index + 1, bounds.last.term}
                                : LogPosition{next->first, next->term_runs.front().term};
    // No entry is of a term before 1.
    const Index missing = std::max(end.index, before.index + 1) - before.index - 1;
    if (missing > 0 && missing <= kMaxGap && end.term == std::max(before.term, Term{1})) {
      const bool last_hash_known = next == nullptr || next->previous_hash_known;
      Span gap = {.first = before.index + 1,
                  .last = end.index - 1,
                  .previous_hash = hash.value_or(EntryHash()),
                  .last_hash = next == nullptr ? bounds.last_hash : next->previous_hash,
                  .previous_hash_known = hash.has_value(),
                  .last_hash_known = last_hash_known,
                  .open = false,
                  .marks = {{.first = before.index + 1}},
                  .term_runs = {{end.term, end.index - 1}},
                  .configurations = {}};
      Insert(at++, std::move(gap));
    }
    if (at >= spans_.size()) return;
    const Span& span = spans_[at];
    before = {span.last, span.term_runs.back().term};
    hash = span.last_hash_known ? std::optional(span.last_hash) : std::nullopt;
  }
}

void SpanIndex::SetLastHash(Index last, EntryHash hash) {
  const size_t at = LowerBound(last);
  if (at == spans_.size() || spans_[at].last != last || spans_[at].last_hash_known) return;
  spans_[at].last_hash = hash;
  spans_[at].last_hash_known = true;
}

void SpanIndex::SetPreviousHash(Index first, EntryHash hash) {
  const size_t at = LowerBound(first);
  if (at == spans_.size() || spans_[at].first != first || spans_[at].previous_hash_known) return;
  spans_[at].previous_hash = hash;
  spans_[at].previous_hash_known = true;
}

size_t SpanIndex::LowerBound(Index index) const {
  auto found = std::lower_bound(spans_.begin(), spans_.end(), index,
                                [](const Span& span, Index at) { return span.last < at; });
  return static_cast<size_t>(found - spans_.begin());
}

const Span* SpanIndex::Find(Index index) const {
  size_t at = LowerBound(index);
  return at < spans_.size() && spans_[at].first <= index ? &spans_[at] : nullptr;
}

Term SpanIndex::TermAt(Index index) const {
  const Span* span = Find(index);
  if (span == nullptr) return 0;
  auto run = std::find_if(span->term_runs.begin(), std::prev(span->term_runs.end()),
                          [&](const TermRun& each) { return each.last_index >= index; });
  return run->term;
}

std::vector<TermRun> SpanIndex::TermRuns() const {
  std::vector<TermRun> runs;
  for (const Span& span : spans_) {
    for (const TermRun& run : span.term_runs) {
      if (runs.empty() || runs.back().term != run.term) {
        runs.push_back(run);
      } else {
        runs.back().last_index = run.last_index;
      }
    }
  }
  return runs;
}

std::vector<LogPosition> SpanIndex::Configurations() const {
  std::vector<LogPosition> positions;
  for (const Span& span : spans_) {
    for (Index index : span.configurations) positions.push_back({index, TermAt(index)});
  }
  return positions;
}

std::optional<LogBreak> SpanIndex::FindBreak(const LogBounds& bounds) const {
  LogPosition end = bounds.base;
  std::optional<EntryHash> hash = bounds.base_hash;
  for (const Span& span : spans_) {
    if (span.first != end.index + 1) {
      return LogBreak{end.index + 1, span.first - 1, "are in no block"};
    }
    if (hash && span.previous_hash_known && span.previous_hash != *hash) {
      return LogBreak{span.first, span.last, "do not continue the log before them"};
    }
    end.index = span.last;
    for (const TermRun& run : span.term_runs) {
      if (run.term < end.term) return LogBreak{span.first, span.last, "have a falling term"};
      end.term = run.term;
    }
    hash = span.last_hash_known ? std::optional(span.last_hash) : std::nullopt;
  }
  const LogPosition last = bounds.last;
  if (end.index < last.index) return LogBreak{end.index + 1, last.index, "are in no block"};
  if (end != last || (hash && *hash != bounds.last_hash)) {
    return LogBreak{last.index, last.index, "is not the last entry that was written"};
  }
  return std::nullopt;
}

size_t SpanIndex::memory_bytes() const {
  size_t bytes = sizeof(*this) + spans_.capacity() * sizeof(Span);
  for (const Span& span : spans_) {
    bytes += span.marks.capacity() * sizeof(Mark) + span.term_runs.capacity() * sizeof(TermRun) +
             span.configurations.capacity() * sizeof(Index);
  }
  return bytes;
}

}  // namespace cairn
