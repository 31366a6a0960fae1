// Transport: how envelopes reach other nodes. gRPC in production, simulated in tests.

#ifndef RAFT_TRANSPORT_H_
#define RAFT_TRANSPORT_H_

#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "base/types.h"
#include "raft/envelope.h"
#include "raft/peers/introduction.h"

namespace cairn {

// Deliberately weak: an envelope may be lost, delayed, repeated or reordered, and Send never says
// so. Within one lane of one connection order is kept as long as nothing is lost.
//
// Threads: Send, SetPeer and Introduce from any thread; none blocks. What does not fit into the
// bounded queue of a lane is dropped (and counted), oldest kept.
class Transport {
 public:
  virtual ~Transport() = default;

  // Where `node` is dialled from now on.
  virtual void SetPeer(NodeId node, const std::string& address) = 0;
  // What `node`, which may not know this one yet, is to be told of it before anything else; takes
  // the place of what was to be said of that group before.
  virtual void Introduce(NodeId /*node*/, const Introduction& /*self*/) {}
  virtual void Send(Envelope envelope) = 0;
  // `peer` said what cannot be: where the transport can, it tells who said that, and ends its
  // calls. FAILED_PRECONDITION, the message begins with a reason and a colon.
  virtual void Refuse(NodeId /*peer*/, const absl::Status& /*why*/) {}
  // Between the two, what this thread sends may wait for the end, so that envelopes to one peer
  // share a frame. Short, on one thread, and not nested.
  virtual void BeginBurst() {}
  virtual void EndBurst() {}

  // What the transport calls, from any thread, once Start was called. `lost` means that envelopes
  // to this peer may have been lost (a broken connection, a full queue).
  struct Receiver {
    absl::AnyInvocable<void(Envelope)> receive;
    absl::AnyInvocable<void(NodeId)> lost;
  };
  virtual void Start(Receiver receiver) = 0;
  // After it returns the receiver is not called any more.
  virtual void Stop() = 0;
};

}  // namespace cairn

#endif  // RAFT_TRANSPORT_H_
