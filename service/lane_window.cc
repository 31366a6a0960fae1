#include "service/lane_window.h"

#include <algorithm>

#include "service/frame_queue.h"

namespace cairn {

size_t LaneWindow::frame_bytes() const {
  return std::clamp(window_.bytes() / 2, kLeastFrameBytes, kMaxFrameBytes);
}

// A window that shrinks may be below what is under way without a receipt asked for. So where none
// is awaited there is room.
size_t LaneWindow::Room() const {
  // The first receipt may come a moment after the call is open.
  if (!gives_receipts_) return sent_ < DelayWindow::kFirst ? kLeastFrameBytes : kMaxUnansweredBytes;
  return asks_.empty() || HasRoom() ? frame_bytes() : 0;
}

uint64_t LaneWindow::Sent(size_t bytes, bool more, Instant now) {
  sent_ += bytes;
  // The first frame asks whether there are receipts; of a peer that never answers, one ask is kept.
  const bool due = gives_receipts_ ? !HasRoom() || sent_ - asked_ >= frame_bytes() : asked_ == 0;
  if (!due) return 0;
  asked_ = sent_;
  // What went before without being asked for may have arrived long ago.
  const uint64_t from = sent_ - bytes;
  auto under_way = static_cast<size_t>(sent_ - (asks_.empty() ? from : asks_.front().from));
  // Then it is not for want of bytes that there are fewer: the last frame is on its way for as long
  // as HTTP/2 does not take the rest of it.
  if (more) under_way = std::max(under_way, window_.bytes());
  asks_.push_back({sent_, now, from, under_way});
  return sent_;
}

void LaneWindow::Received(uint64_t receipt, Instant now) {
  if (asks_.empty() || receipt < asks_.front().receipt || receipt > asked_) return;  // nobody asked
  Ask ask;
  while (!asks_.empty() && asks_.front().receipt <= receipt) {
    ask = asks_.front();
    asks_.pop_front();
  }
  const auto bytes = static_cast<size_t>(ask.receipt - received_);
  received_ = ask.receipt;
  // The first one took as long as it took to get a connection.
  if (gives_receipts_) {
    window_.Arrived({.bytes = bytes,
                     .under_way = ask.under_way,
                     .round_trips = ask.receipt - ask.from > kAtOnceBytes ? 2 : 1,
                     .delay = now - ask.when},
                    now);
  }
  gives_receipts_ = true;
}

}  // namespace cairn
