#include "storage/rocksdb/verified_part.h"

#include <algorithm>

namespace cairn {
namespace {

// They are written with each change. With more of them the mark stays where it is, until some are
// dropped.
constexpr size_t kMostConfigurations = 64;

}  // namespace

size_t VerifiedPart::ConfigurationsUpTo(Index index) const {
  const auto behind = std::upper_bound(configurations_.begin(), configurations_.end(), index);
  return static_cast<size_t>(behind - configurations_.begin());
}

std::vector<Index> VerifiedPart::ConfigurationsOfMark() const {
  const auto count = static_cast<std::ptrdiff_t>(ConfigurationsUpTo(mark_.index));
  return {configurations_.begin(), configurations_.begin() + count};
}

void VerifiedPart::Add(const RecordRun& run) {
  if (run.empty()) return;
  for (size_t i = 0; i < run.size(); ++i) {
    if (run[i].type() != EntryType::kConfiguration) continue;
    configurations_.push_back(run[i].position().index);
  }
  end_ = {run.last().index, run.last_hash()};
  bytes_behind_next_ += run.byte_size();
}

// What could not be read may have been a configuration.
void VerifiedPart::AddRepaired(const RecordRun& run) {
  for (size_t i = 0; i < run.size(); ++i) {
    if (run[i].type() != EntryType::kConfiguration) continue;
    const Index index = run[i].position().index;
    const auto at = std::lower_bound(configurations_.begin(), configurations_.end(), index);
    if (at == configurations_.end() || *at != index) configurations_.insert(at, index);
  }
}

void VerifiedPart::Advance(size_t walked_bytes, Index good) {
  if (bytes_behind_next_ < walked_bytes || next_.index > good) return;
  if (ConfigurationsUpTo(next_.index) > kMostConfigurations) return;
  mark_ = next_;
  next_ = end_;
  bytes_behind_next_ = 0;
}

void VerifiedPart::TruncateTo(Index last, EntryHash hash) {
  const Point end = {last, hash};
  configurations_.resize(ConfigurationsUpTo(last));
  if (mark_.index > last) mark_ = end;
  if (end_.index <= last) return;
  if (next_.index > last) next_ = end;
  end_ = end;
  // How many are left is not known: a start reads more than it must, and not less.
  bytes_behind_next_ = 0;
}

void VerifiedPart::DropPrefix(Index base, EntryHash hash) {
  if (mark_.index <= base) mark_ = {};
  if (next_.index < base) next_ = {base, hash};
  if (end_.index < base) end_ = {base, hash};
  const auto gone = static_cast<std::ptrdiff_t>(ConfigurationsUpTo(base));
  configurations_.erase(configurations_.begin(), configurations_.begin() + gone);
}

}  // namespace cairn
