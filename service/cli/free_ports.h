// Ports on the loopback address that nobody listens on.

#ifndef SERVICE_CLI_FREE_PORTS_H_
#define SERVICE_CLI_FREE_PORTS_H_

#include <vector>

#include "absl/status/statusor.h"

namespace cairn {

// `count` different ones. Another program may take one before it is used; then the server that
// wants it says so.
absl::StatusOr<std::vector<int>> FreePorts(int count);

}  // namespace cairn

#endif  // SERVICE_CLI_FREE_PORTS_H_
