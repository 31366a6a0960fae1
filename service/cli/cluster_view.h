// ClusterView: what all members of a cluster say of themselves, asked one by one.

#ifndef SERVICE_CLI_CLUSTER_VIEW_H_
#define SERVICE_CLI_CLUSTER_VIEW_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cairn/v1/cluster.pb.h"
#include "client/client.h"

namespace cairn {

struct ClusterView {
  struct Member {
    std::string address;
    absl::StatusOr<v1::GetStatusResponse> status;
  };
  std::vector<Member> members;  // by node where known, then as given

  size_t unreachable() const;
  // Every member answered, says that it is healthy (v1::MemberHealth), and names the same leader,
  // which leads; and, where `max_lag` is given, none lags further, whatever its own bound is. The
  // reason if not, for people.
  bool Healthy(std::optional<uint64_t> max_lag, std::string* why_not) const;
  // Node and address of the default group's leader; node 0 if no member leads.
  struct Leader {
    uint64_t node = 0;
    std::string address;
    uint64_t term = 0;
  };
  Leader leader() const;
};

// Asks the members at `endpoints`, and those they name.
ClusterView ViewCluster(Client& client, const std::vector<std::string>& endpoints);

}  // namespace cairn

#endif  // SERVICE_CLI_CLUSTER_VIEW_H_
