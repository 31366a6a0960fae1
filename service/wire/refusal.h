// Refusal: why a peer ended an Exchange, as who dialled it gets it.

#ifndef SERVICE_WIRE_REFUSAL_H_
#define SERVICE_WIRE_REFUSAL_H_

#include <grpcpp/support/status.h>

#include <optional>
#include <string>

#include "raft/envelope.h"

namespace cairn {

struct Refusal {
  std::string text;  // empty: the peer is just not there
  // Why, as a message of the peer to this node, where Raft has to know: that it was removed.
  std::optional<Envelope> message;
};

// `greeting` is what was said first on the call.
Refusal RefusalOf(const grpc::Status& status, const Envelope& greeting);

}  // namespace cairn

#endif  // SERVICE_WIRE_REFUSAL_H_
