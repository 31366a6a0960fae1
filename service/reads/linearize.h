// Linearize: the first step of a read, at the freshness it asks for. For the sources of the
// services only.

#ifndef SERVICE_READS_LINEARIZE_H_
#define SERVICE_READS_LINEARIZE_H_

#include <optional>

#include "absl/functional/any_invocable.h"
#include "base/time.h"
#include "service/errors.h"
#include "service/service_context.h"

namespace cairn {

// How fresh a client wants an answer to be: by default linearizable.
struct Freshness {
  bool any = false;             // what this member has, however old
  bool lease = false;           // the leader's lease is proof enough
  Duration max_staleness = {};  // more than 0: may be so old

  friend bool operator==(const Freshness&, const Freshness&) = default;
};

// Calls `done` without an error once this member's answer is fresh enough (raft/proposal.h,
// ReadOptions). The group must be open. `done` runs on this thread or one of Cairn's and must not
// block.
void Linearize(const ServiceContext& context, const Freshness& freshness, Instant deadline,
               absl::AnyInvocable<void(std::optional<RpcError>)> done);

}  // namespace cairn

#endif  // SERVICE_READS_LINEARIZE_H_
