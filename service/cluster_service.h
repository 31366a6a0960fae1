// Service cairn.v1.Cluster.

#ifndef SERVICE_CLUSTER_SERVICE_H_
#define SERVICE_CLUSTER_SERVICE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/types.h"
#include "raft/scrub/scrubber.h"
#include "service/service_context.h"
#include "storage/encrypted/file_upkeep.h"
#include "storage/loss_report.h"

namespace cairn::v1 {
class GetStatusResponse;
}  // namespace cairn::v1

namespace grpc {
class Service;
}  // namespace grpc

namespace cairn {

// What a node says of itself beside its groups.
struct NodeDescription {
  NodeId node = NodeId::kNone;
  ClusterId cluster;
  std::string address;
  std::string log_store;
  std::string version;
  Instant started;
  // What an operator should know now; from any thread. May be null.
  std::function<std::vector<std::string>()> warnings;
  // How far the scrub of its log is; from any thread. May be null.
  std::function<std::optional<ScrubStatus>()> scrub;
  // Its files besides the log's blocks; from any thread. May be null, or give nothing.
  std::function<std::optional<FileUpkeepStatus>()> encrypted_files;
  // Frames of others it has refused, by reason; from any thread. May be null.
  std::function<std::map<std::string, uint64_t>()> refused_frames;
  const LossReport* losses = nullptr;  // outlives the service; may be null
};

// What GetStatus answers.
void WriteStatus(const ServiceContext& context, const NodeDescription& description,
                 v1::GetStatusResponse* to);

// Answers without a quorum, and before the group is open. `context` outlives the service.
std::unique_ptr<grpc::Service> MakeClusterService(ServiceContext* context,
                                                  NodeDescription description);

}  // namespace cairn

#endif  // SERVICE_CLUSTER_SERVICE_H_
