// FrameQueue: envelopes waiting for one lane to one peer, packed into frames.

#ifndef SERVICE_FRAME_QUEUE_H_
#define SERVICE_FRAME_QUEUE_H_

#include <cstddef>
#include <deque>
#include <string>

#include "cairn/v1/peer.pb.h"
#include "raft/envelope.h"

namespace cairn {

// A frame holds at most this many bytes of parcels. How long others wait behind bulk is for the
// windows of entries and snapshots (LaneWindow, PieceWindow).
inline constexpr size_t kMaxFrameBytes = size_t{1} << 20;
// A parcel that is cut into fragments is at most this large.
inline constexpr size_t kMaxParcelBytes = size_t{64} << 20;

// Threads: one at a time.
class FrameQueue {
 public:
  // False if the queue would then hold more than `max_bytes`: the envelope is dropped. An empty
  // queue has room for any envelope.
  bool Push(Envelope envelope, size_t max_bytes);

  bool empty() const { return waiting_.empty() && fragments_.empty(); }
  // Makes `frame` the next frame, with at most `max_bytes` of parcels, 1 to kMaxFrameBytes; gives
  // how many it has at most. CHECKs that the queue is not empty.
  size_t Next(v1::Frame* frame, size_t max_bytes = kMaxFrameBytes);

  // Forgets everything.
  void Clear();

 private:
  struct Waiting {
    Envelope envelope;
    size_t bytes = 0;
  };
  size_t NextFragment(v1::Frame* frame, size_t max_bytes);

  std::deque<Waiting> waiting_;
  size_t waiting_bytes_ = 0;
  // A serialized parcel of which some was sent, and what its frames begin with.
  std::string fragments_;
  size_t fragments_sent_ = 0;
  v1::Frame fragments_identity_;
};

// At least the bytes of the envelope's parcel.
size_t ParcelBytesBound(const Envelope& envelope);

}  // namespace cairn

#endif  // SERVICE_FRAME_QUEUE_H_
