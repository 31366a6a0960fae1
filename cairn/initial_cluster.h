// Who the members of a new cluster are, as people write it.

#ifndef CAIRN_INITIAL_CLUSTER_H_
#define CAIRN_INITIAL_CLUSTER_H_

#include <string>

#include "absl/status/statusor.h"
#include "raft/core/configuration.h"

namespace cairn {

// "1=HOST:PORT,2=HOST:PORT,3=HOST:PORT" as voters by node, incarnations not known. INVALID_ARGUMENT
// naming what is wrong: ids and addresses are there once, at most 9 members.
absl::StatusOr<Configuration> ParseInitialCluster(const std::string& text);

// True if `text` is HOST:PORT with a port one can listen on and dial.
bool IsAddress(const std::string& text);

}  // namespace cairn

#endif  // CAIRN_INITIAL_CLUSTER_H_
