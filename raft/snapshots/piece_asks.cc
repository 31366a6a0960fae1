#include "raft/snapshots/piece_asks.h"

#include <algorithm>
#include <utility>

namespace cairn {

void PieceAsks::Add(Ask ask) {
  bytes_ += ask.bytes;
  asks_.push_back({ask, ++last_number_});
}

std::optional<PieceAsks::Ask> PieceAsks::Heard(uint32_t file, uint64_t offset, Instant now) {
  // A silence that was broken by asking again says nothing of the link.
  const Duration gap = std::exchange(asked_in_silence_, false) ? Duration() : now - last_;
  last_ = now;
  // It falls slowly: a link that paused once may do so again.
  patience_ = std::clamp(std::max(gap * 4, patience_ * 7 / 8), kPatience, kLongestPatience);
  auto answered = std::find_if(asks_.begin(), asks_.end(), [&](const Numbered& each) {
    return each.ask.file == file && each.ask.offset == offset;
  });
  if (answered == asks_.end()) return std::nullopt;
  const Ask ask = answered->ask;
  answered_ = std::max(answered_, answered->number);
  bytes_ -= ask.bytes;
  asks_.erase(answered);
  return ask;
}

bool PieceAsks::IsLost(const Numbered& each, bool silent, Instant now) const {
  if (silent) return now - each.ask.when >= patience_;
  return answered_ > each.number && now - each.ask.when >= kPatience * 4;
}

std::vector<PieceAsks::Ask> PieceAsks::TakeLost(Instant now) {
  const bool silent = Silent(now);
  std::vector<Ask> lost;
  std::erase_if(asks_, [&](const Numbered& each) {
    if (!IsLost(each, silent, now)) return false;
    lost.push_back(each.ask);
    bytes_ -= each.ask.bytes;
    return true;
  });
  if (silent && !lost.empty()) {
    asked_in_silence_ = true;
    patience_ = std::min(patience_ * 2, kLongestPatience);
  }
  return lost;
}

std::vector<PieceAsks::Ask> PieceAsks::TakeAll() {
  std::vector<Ask> all;
  for (const Numbered& each : asks_) all.push_back(each.ask);
  asks_.clear();
  bytes_ = 0;
  return all;
}

}  // namespace cairn
