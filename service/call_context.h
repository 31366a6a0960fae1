// What handlers read off a call's context. For the sources of the services only, because it brings
// gRPC's headers.

#ifndef SERVICE_CALL_CONTEXT_H_
#define SERVICE_CALL_CONTEXT_H_

#include <grpcpp/server_context.h>

#include "base/time.h"
#include "raft/proposal.h"
#include "service/service_context.h"

namespace cairn {

bool HasDeadline(const grpc::ServerContextBase& call);
// When the call must be answered: a little before its deadline, so that the answer, which says what
// became of it, reaches the client before it gives up; or the server's default if it has none.
Instant DeadlineOf(const grpc::ServerContextBase& call, const ServiceContext& context);

// The metadata has `cairn-no-forward: true`: refuse rather than pass on to the leader.
bool MustNotForward(const grpc::ServerContextBase& call);

}  // namespace cairn

#endif  // SERVICE_CALL_CONTEXT_H_
