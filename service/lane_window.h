// LaneWindow: how much of a lane's bulk is under way to a peer.

#ifndef SERVICE_LANE_WINDOW_H_
#define SERVICE_LANE_WINDOW_H_

#include <cstddef>
#include <cstdint>
#include <deque>

#include "base/delay_window.h"
#include "base/time.h"

namespace cairn {

// Votes and heartbeats have a call of their own, but share the link with entries: 64 KiB that
// HTTP/2 lets under way are half a second of 1 Mbit/s. So the sender asks for receipts now and then
// (Frame::receipt), and has no more under way than delays others by DelayWindow::kTarget. A peer
// that gives no receipts, because it is of an older version, gets frames as they come.
//
// Of one call. Threads: one at a time.
class LaneWindow {
 public:
  static constexpr size_t kLeastFrameBytes = size_t{4} << 10;
  static constexpr size_t kMaxUnansweredBytes = size_t{64} << 10;
  // HTTP/2 lets so much under way (service/wire/http2_window.h), and all that is left of a message
  // once its receiver has seen how long it is: one round trip more, however large it is.
  static constexpr size_t kAtOnceBytes = size_t{64} << 10;

  explicit LaneWindow(Instant now) : window_(now) {}

  // How large the next frame may be, at most kMaxFrameBytes; 0: none is to be sent now. Then a
  // receipt is on its way.
  size_t Room() const;
  // A frame of `bytes`, not 0, is being sent; `more` waits behind it. Gives the receipt that it has
  // to ask for, or 0.
  uint64_t Sent(size_t bytes, bool more, Instant now);
  // The peer has everything up to the frame that asked for `receipt`.
  void Received(uint64_t receipt, Instant now);

 private:
  struct Ask {
    uint64_t receipt = 0;  // bytes sent, with this frame
    Instant when;
    uint64_t from = 0;     // bytes sent before this frame
    size_t under_way = 0;  // from the first frame without an answer on
  };

  uint64_t under_way() const { return sent_ - received_; }
  // Two make up a window, or the link would be idle between them. Not more, because messages have
  // to be large for a distant peer: kAtOnceBytes.
  size_t frame_bytes() const;
  bool HasRoom() const { return under_way() + frame_bytes() <= window_.bytes(); }

  DelayWindow window_;
  uint64_t sent_ = 0;
  uint64_t received_ = 0;
  uint64_t asked_ = 0;    // the last receipt asked for
  std::deque<Ask> asks_;  // not answered; at most one more than frames in a window
  bool gives_receipts_ = false;
};

}  // namespace cairn

#endif  // SERVICE_LANE_WINDOW_H_
