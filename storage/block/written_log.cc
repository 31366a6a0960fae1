#include "storage/block/written_log.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace cairn {

std::optional<Index> EndToldBy(const GroupSection& section) {
  if (section.dropped) return 0;
  if (section.bounds) return section.bounds->last.index;
  if (section.truncation) return section.truncation->from - 1;
  if (!section.appended) return std::nullopt;
  const Index before = section.appended->first - 1;
  return section.base && section.base->base.index >= before ? 0 : before;
}

void WrittenLog::Apply(const GroupSection& section, const BatchPlace& place) {
  hard_state = section.hard_state;
  // Whoever wrote that it is lost knew what was missing, and will write when it is not any more.
  if (section.hard_state_lost || EndToldBy(section)) end_unknown = false;
  hard_state_lost = section.hard_state_lost || end_unknown;
  commit = std::max(commit, section.commit);
  if (section.bounds) {
    TruncateFrom(section.bounds->last.index + 1);
    DropPrefix(section.bounds->base.index);
    base = section.bounds->base;
    base_hash = section.bounds->base_hash;
    last = section.bounds->last;
    last_hash = section.bounds->last_hash;
    torn_from = section.bounds->torn_from;
    commit = section.commit;  // what an earlier life of the group said does not count
    if (torn_from) faulty.Remove(*torn_from, kMaxIndex);
    spans.FillGaps(bounds());
  }
  for (const EntryIds& ids : section.copied) {
    faulty.Remove(ids.first, ids.last());
    spans.AddCopy(place, ids);
  }
  if (section.dropped) Forget();
  if (section.truncation) {
    TruncateFrom(section.truncation->from);
    last_hash = section.truncation->hash_before;
  }
  if (section.appended) {
    const EntryIds& ids = *section.appended;
    TruncateFrom(ids.first);
    const bool goes_with_base = section.base && section.base->base.index + 1 >= ids.first;
    if (ids.first > last.index + 1 && !goes_with_base) {
      spans.FillGaps({.base = base,
                      .base_hash = base_hash,
                      .last = {ids.first - 1, ids.term_runs.front().term},
                      .last_hash = ids.previous_hash,
                      .torn_from = std::nullopt});
    }
    spans.Append(place, ids);
    last = {ids.last(), ids.term_runs.back().term};
    last_hash = ids.last_hash;
  }
  if (section.base) {
    const Index index = section.base->base.index;
    const bool was_missing =
        index > base.index && index < last.index && spans.Find(index) == nullptr;
    DropPrefix(index);
    base = section.base->base;
    base_hash = section.base->hash;
    if (last.index <= base.index) {
      last = base;
      last_hash = base_hash;
    }
    // It tells of which term those behind it are, perhaps.
    if (was_missing) spans.FillGaps(bounds());
  }
}

// Entries that were bad in an older block were written anew in this one. (Bounds stand in the next
// checkpoint.)
void WrittenLog::AddSpan(Span span) {
  faulty.Remove(span.first, span.last);
  spans.AddSpan(std::move(span));
}

// What was known to be committed may have been entries in the place of those that are left.
void WrittenLog::LoseBehind(Index end, EntryHash hash) {
  TruncateFrom(end + 1);
  last = {end, end == base.index ? base.term : spans.TermAt(end)};
  last_hash = hash;
  commit = 0;
  hard_state_lost = true;
}

// All but the hard state, which is the one in force behind it.
void WrittenLog::Forget() {
  TruncateFrom(1);
  base = last = LogPosition();
  base_hash = last_hash = EntryHash();
  commit = 0;
}

void WrittenLog::TruncateFrom(Index from) {
  spans.TruncateFrom(from);
  faulty.Remove(from, kMaxIndex);
  if (torn_from && from <= *torn_from) torn_from.reset();
  if (last.index < from) return;
  last.index = from - 1;
  last.term = last.index == base.index ? base.term : spans.TermAt(last.index);
}

void WrittenLog::DropPrefix(Index up_to) {
  spans.DropPrefix(up_to);
  faulty.Remove(0, up_to);
  if (torn_from && *torn_from <= up_to) torn_from.reset();
}

}  // namespace cairn
