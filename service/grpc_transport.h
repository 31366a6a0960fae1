// GrpcTransport: envelopes over gRPC, one connection a pair and direction.

#ifndef SERVICE_GRPC_TRANSPORT_H_
#define SERVICE_GRPC_TRANSPORT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/executor.h"
#include "base/log_sink.h"
#include "base/mutex.h"
#include "base/thread_annotations.h"
#include "base/time.h"
#include "base/types.h"
#include "raft/peers/peer_book.h"
#include "raft/transport.h"
#include "service/refused_frames.h"
#include "service/wire/sender_calls.h"

namespace cairn {

class PeerLane;

struct GrpcTransportOptions {
  ClusterId cluster;
  NodeId node = NodeId::kNone;
  Incarnation incarnation = Incarnation::kUnknown;
  // Waiting for one lane of one peer; what comes on top is dropped.
  size_t max_queued_bytes = size_t{16} << 20;
  LogSink* log = nullptr;        // these three outlive the transport
  Executor* executor = nullptr;  // of reconnects
  const Clock* clock = nullptr;
};

// The sending half, and the place where the receiving half (peer_service.h) delivers.
//
// Control, append and snapshot envelopes go over calls of their own on one connection; frames of at
// most 64 KiB interleave there. A connection that breaks is made again after 20 ms to 1 s.
//
// It dials the peers it is told of, and strangers that have introduced themselves for as long as
// they are believed (raft/peers/peer_book.h).
//
// Threads: any. The receiver may be called by several threads at once.
class GrpcTransport final : public Transport {
 public:
  explicit GrpcTransport(const GrpcTransportOptions& options);
  ~GrpcTransport() override;

  void SetPeer(NodeId node, const std::string& address) override;
  void Introduce(NodeId node, const Introduction& self) override;
  void Send(Envelope envelope) override;
  void BeginBurst() override;
  void EndBurst() override;
  void Refuse(NodeId peer, const absl::Status& why) override { calls_.EndAll(peer, why); }
  void Start(Receiver receiver) override;
  void Stop() override;

  // For the receiving half. Drops the envelope before Start and after Stop.
  void Deliver(Envelope envelope);
  // Who speaks: on a call's first frame with what it says of itself, then with null. Whether that
  // is still believed is asked again about once a second.
  using Believes = absl::FunctionRef<bool(NodeId, const Introduction&)>;
  Standing Hear(NodeId node, const std::vector<Introduction>* introductions, Believes believes);
  SenderCalls& sender_calls() { return calls_; }
  RefusedFrames& refused_frames() { return refused_frames_; }

  // Frames sent so far, to all peers.
  uint64_t frames() const;

  // Peers that refuse this node's frames and why, one sentence each, by node.
  std::vector<std::string> Refusals() const;

 private:
  class Owner;
  using Lanes = std::array<std::shared_ptr<PeerLane>, kLanes>;  // by Lane
  struct Peer {
    std::string address;
    Lanes lanes;
  };
  std::shared_ptr<PeerLane> LaneTo(NodeId node, Lane lane) const;
  // Dials `node` where the book says it is now, or forgets it.
  void Follow(NodeId node);
  const Lanes& LanesTo(NodeId node, const std::string& address) CAIRN_REQUIRES(mutex_);
  void DropWhatIsNotBelieved(Believes believes);

  const GrpcTransportOptions options_;
  const std::unique_ptr<Owner> owner_;
  // Of the receiving half.
  SenderCalls calls_;
  RefusedFrames refused_frames_;
  Mutex following_;  // one after the other; taken before mutex_
  mutable Mutex mutex_;
  PeerBook book_ CAIRN_GUARDED_BY(mutex_);
  Instant doubt_at_ CAIRN_GUARDED_BY(mutex_) =
      kDistantFuture;  // when to ask again what is believed
  std::map<NodeId, Peer> peers_ CAIRN_GUARDED_BY(mutex_);
  bool stopped_ CAIRN_GUARDED_BY(mutex_) = false;
};

}  // namespace cairn

#endif  // SERVICE_GRPC_TRANSPORT_H_
