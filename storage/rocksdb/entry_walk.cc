#include "storage/rocksdb/entry_walk.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace cairn {
namespace {

constexpr uint64_t kReadBytes = uint64_t{1} << 20;
constexpr uint64_t kBlockBytes = uint64_t{32} << 10;  // of a table

}  // namespace

// It may be a bad one: whoever reads that entry says so.
std::optional<EntryHash> EntryWalk::HashBefore(Index index) {
  if (--index == log_.head().base.index) return log_.head().base_hash;
  const absl::StatusOr<RecordRun> run = ReadEntries(db_, from_, log_.group(), index, index, 1);
  if (!run.ok() || run->last().term != log_.TermAt(index)) return std::nullopt;
  bytes_ += run->byte_size();
  return run->last_hash();
}

Index EntryWalk::Run(Index first, Index last, uint64_t max_bytes) {
  bytes_ = 0;
  if (first > last) return first;
  before_ = HashBefore(first);
  // One at least, or it would get nowhere.
  for (bool begun = false; first <= last && (!begun || bytes_ < max_bytes); begun = true) {
    const uint64_t most = std::min(kReadBytes, max_bytes - std::min(max_bytes, bytes_));
    const absl::StatusOr<RecordRun> run = ReadEntries(db_, from_, log_.group(), first, last, most);
    if (run.ok()) {
      bytes_ += run->byte_size();
      Check(*run);
      first = run->last().index + 1;
      continue;
    }
    // The index is said apart.
    absl::string_view why = run.status().message();
    absl::ConsumePrefix(&why, absl::StrCat("entry ", first, " cannot be read: "));
    const Index next = NextThere(db_, from_, log_.group(), first, last);
    fault_({first, next - 1, std::string(why)});
    bytes_ += kBlockBytes;
    before_ = std::nullopt;
    first = next;
  }
  return first;
}

// Its own checksums hold.
std::string EntryWalk::WhyBad(const RecordView& record) const {
  const LogPosition at = record.position();
  if (at.term != log_.TermAt(at.index)) {
    return absl::StrCat("an entry of term ", at.term, " stands there");
  }
  if (before_ && record.previous_hash() != *before_) {
    return "it does not follow the entry before it";
  }
  if (at.index == log_.head().last.index && record.hash() != log_.head().last_hash) {
    return "it is not the entry that was written there";
  }
  return "";
}

void EntryWalk::Check(const RecordRun& run) {
  Index good = run.first().index;  // from here on all are good so far
  for (size_t i = 0; i < run.size(); ++i) {
    const RecordView record = run[i];
    const Index index = record.position().index;
    std::string why = WhyBad(record);
    if (why.empty()) {
      before_ = record.hash();
      continue;
    }
    if (good < index) take_(run.Slice(good, index - 1));
    good = index + 1;
    before_ = std::nullopt;
    fault_({index, index, std::move(why)});
  }
  if (good <= run.last().index) take_(run.Slice(good, run.last().index));
}

}  // namespace cairn
