#include "storage/rocksdb/entry_walk.h"

#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "storage/rocksdb/entry_reader.h"

namespace cairn {
namespace {

constexpr size_t kReadBytes = size_t{1} << 20;

}  // namespace

void EntryWalk::Run(Index first, Index last) {
  before_ = std::nullopt;
  if (first == log_.head().base.index + 1) before_ = log_.head().base_hash;
  while (first <= last) {
    const absl::StatusOr<RecordRun> run =
        ReadEntries(db_, nullptr, log_.group(), first, last, kReadBytes);
    if (run.ok()) {
      Check(*run);
      first = run->last().index + 1;
      continue;
    }
    // The index is said apart.
    absl::string_view why = run.status().message();
    absl::ConsumePrefix(&why, absl::StrCat("entry ", first, " cannot be read: "));
    fault_(first, std::string(why));
    before_ = std::nullopt;
    ++first;
  }
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
    fault_(index, std::move(why));
  }
  if (good <= run.last().index) take_(run.Slice(good, run.last().index));
}

}  // namespace cairn
