#include "storage/block/seams/log_seams.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/check.h"

namespace cairn {
namespace {

// That of no entry.
constexpr EntryHash kAnother;

// Where two spans meet, or the first one and the base, or the last one and the end.
struct Seam {
  LogPosition before;
  LogPosition behind;  // what follows; the same as `before` at the end of the log
};

std::vector<Seam> SeamsOf(const WrittenLog& log) {
  std::vector<Seam> seams;
  LogPosition before = log.base;
  for (const Span& span : log.spans.spans()) {
    const LogPosition behind = {span.first, span.term_runs.front().term};
    if (behind.index == before.index + 1) seams.push_back({before, behind});
    before = {span.last, span.term_runs.back().term};
  }
  seams.push_back({before, log.last});
  return seams;
}

// An entry up to `end` whose hash is known, with that; the base if there is none.
std::pair<Index, EntryHash> SureEnd(Index end, ReadSpanEntry read, const WrittenLog& log) {
  while (end > log.base.index) {
    const Span* span = log.spans.Find(end);
    CAIRN_CHECK(span != nullptr) << "entry " << end << " is in front of the first break";
    if (span->last == end && span->last_hash_known && span->last_hash != kAnother) {
      return {end, span->last_hash};
    }
    if (!span->is_in_block()) {
      end = span->first - 1;  // nobody knows the hash of one of these
      continue;
    }
    if (std::optional<RecordRun> entry = read(*span, end)) return {end, entry->last_hash()};
    --end;
  }
  return {log.base.index, log.base_hash};
}

}  // namespace

// Where entries are in no block nobody knows more than that they belong there.
void LearnSeams(ReadSpanEntry read, WrittenLog& log) {
  for (const auto& [before, behind] : SeamsOf(log)) {
    const bool one_term = before.term == behind.term;
    const Span* left = before.index > log.base.index ? log.spans.Find(before.index) : nullptr;
    if (left != nullptr && left->is_in_block() && !left->last_hash_known) {
      const std::optional<RecordRun> entry = read(*left, before.index);
      if (entry) log.spans.SetLastHash(before.index, entry->last_hash());
      if (!entry && !one_term) log.spans.SetLastHash(before.index, kAnother);
    }
    const Span* right = behind.index > before.index ? log.spans.Find(behind.index) : nullptr;
    if (right != nullptr && right->is_in_block() && !right->previous_hash_known) {
      const std::optional<RecordRun> entry = read(*right, behind.index);
      if (entry) log.spans.SetPreviousHash(behind.index, entry->previous_hash());
      if (!entry && !one_term) log.spans.SetPreviousHash(behind.index, kAnother);
    }
  }
}

std::optional<LogBreak> LoseBehindBreak(ReadSpanEntry read, WrittenLog& log) {
  std::optional<LogBreak> lost = log.spans.FindBreak(log.bounds());
  if (!lost) return std::nullopt;
  const Index whole = std::max(lost->first, log.base.index + 1) - 1;
  const auto [end, hash] = SureEnd(whole, read, log);
  lost->first = end + 1;
  lost->last = std::max({log.last.index, lost->last, lost->first});
  log.LoseBehind(end, hash);
  return lost;
}

}  // namespace cairn
