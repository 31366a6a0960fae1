// Freshness: how fresh a client wants an answer to be.

#ifndef SERVICE_FRESHNESS_H_
#define SERVICE_FRESHNESS_H_

#include "base/time.h"

namespace cairn {

// By default linearizable.
struct Freshness {
  bool any = false;             // what this member has, however old
  bool lease = false;           // the leader's lease is proof enough
  Duration max_staleness = {};  // more than 0: may be so old
};

}  // namespace cairn

#endif  // SERVICE_FRESHNESS_H_
