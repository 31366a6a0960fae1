#include "raft/core/send_window.h"

#include <algorithm>

#include "base/check.h"

namespace cairn {

void SendWindow::Add(Index last, size_t bytes) {
  CAIRN_CHECK(messages_.empty() || messages_.back().last < last) << last;
  messages_.push_back({last, bytes});
  bytes_ += bytes;
}

void SendWindow::ReleaseUpTo(Index match) {
  while (!messages_.empty() && messages_.front().last <= match) {
    bytes_ -= messages_.front().bytes;
    messages_.pop_front();
  }
}

size_t SendWindow::FreeBytes(const SendLimits& limits) const {
  const size_t piece = std::max(limits.bytes / kPieces, size_t{1});
  if (messages_.size() >= limits.messages || bytes_ >= limits.bytes) return 0;
  return limits.bytes - bytes_ < piece ? 0 : piece;
}

}  // namespace cairn
