#include "raft/core/send_window.h"

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
  if (messages_.size() >= limits.messages || bytes_ >= limits.bytes) return 0;
  return limits.bytes - bytes_;
}

}  // namespace cairn
