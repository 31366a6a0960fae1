// The receiving half of the transport: service cairn.v1.Peer.

#ifndef SERVICE_PEER_SERVICE_H_
#define SERVICE_PEER_SERVICE_H_

#include <functional>
#include <memory>

#include "base/log_sink.h"
#include "raft/envelope.h"
#include "service/call_registry.h"
#include "service/frame_reader.h"
#include "service/refused_frames.h"
#include "service/wire/sender_calls.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace cairn {

struct PeerServiceOptions {
  Listener listener;
  // Gets each envelope; from several threads at once, each call's in order.
  std::function<void(Envelope)> deliver;
  // Around the envelopes of one frame, on the thread that delivers them: what is answered at once
  // can share frames too (Transport::BeginBurst).
  std::function<void()> frame_begins = [] {};
  std::function<void()> frame_ends = [] {};
  LogSink* log = nullptr;  // outlives the service
  // Peers never end their calls by themselves; stopped, it ends them. Outlives the service.
  CallRegistry* calls = nullptr;
  // Where each call stands while it is open; outlives the service. Null: nowhere.
  SenderCalls* by_sender = nullptr;
  // Counts what ends calls; outlives the service. Null: nobody does.
  RefusedFrames* refused = nullptr;
};

// Ends a call with the error docs/protocol.md gives for what came in; nothing of that reaches
// `deliver`.
std::unique_ptr<grpc::Service> MakePeerService(PeerServiceOptions options);

}  // namespace cairn

#endif  // SERVICE_PEER_SERVICE_H_
