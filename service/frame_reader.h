// FrameReader: the receiving end of one Exchange call: what may come in, and nothing else.

#ifndef SERVICE_FRAME_READER_H_
#define SERVICE_FRAME_READER_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "base/types.h"
#include "cairn/v1/peer.pb.h"
#include "raft/envelope.h"
#include "raft/peers/introduction.h"
#include "raft/peers/peer_book.h"
#include "service/errors.h"

namespace cairn {

// Who a node is, and whom it listens to.
struct Listener {
  ClusterId cluster;
  NodeId node = NodeId::kNone;
  // Who speaks. On a call's first frame with what it says of itself there, then with null. From any
  // thread.
  std::function<Standing(NodeId, const std::vector<Introduction>*)> knows;
  // Of envelopes that passed everything else; the message begins with the reason and a colon, the
  // payloads are metadata. From any thread.
  std::function<absl::Status(const Envelope&)> vet = [](const Envelope&) {
    return absl::OkStatus();
  };
};

// Of a status whose message begins with the reason and a colon, and whose payloads are metadata.
RpcError ErrorOfRefusal(const absl::Status& refusal);

// Fault catalogue 5.2, rows 5, 10 to 14. Threads: one at a time.
class FrameReader {
 public:
  // `listener` outlives the reader.
  explicit FrameReader(const Listener& listener) : listener_(listener) {}

  // Gives the envelopes of the frame to `take`, in order; takes the bytes out of `frame`. After an
  // error nothing of this or a later frame may be taken: the call ends with it.
  std::optional<RpcError> Read(v1::Frame&& frame, absl::FunctionRef<void(Envelope)> take);

  // Who speaks on the call; kNone before its first frame.
  NodeId sender() const { return first_ ? first_->from : NodeId::kNone; }

 private:
  std::optional<RpcError> CheckIdentity(const Envelope& identity, v1::FrameLane lane);
  std::optional<RpcError> CheckStanding(const v1::Frame& frame, NodeId from);
  std::optional<RpcError> ReadOne(const Envelope& identity, v1::Parcel&& parcel,
                                  absl::FunctionRef<void(Envelope)> take);

  // Of a group's parcels so many are dropped in silence before the sender is to call anew.
  static constexpr int kRefusedBeforeGreeting = 16;

  const Listener& listener_;
  int refused_ = 0;
  std::optional<Envelope> first_;  // identity of the call's first frame
  v1::FrameLane lane_ = v1::FRAME_LANE_UNSPECIFIED;
  Standing standing_ = Standing::kUnknown;  // of who speaks
  std::string fragments_;
};

}  // namespace cairn

#endif  // SERVICE_FRAME_READER_H_
