// ServiceSet: the services cairnd offers to clients, on one group of streams.

#ifndef SERVICE_SERVICE_SET_H_
#define SERVICE_SERVICE_SET_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "base/log_sink.h"
#include "base/system_clock.h"
#include "base/thread_executor.h"
#include "cairn/server.h"
#include "raft/group.h"
#include "raft/state_machine.h"
#include "service/cluster_service.h"
#include "service/config.h"
#include "service/monitoring/health.h"
#include "service/service_context.h"
#include "service/stream_machine.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace cairn {

// Threads: one, except what the services do.
class ServiceSet {
 public:
  // `server` and `log` outlive the set.
  ServiceSet(const ServerConfig& config, const Server& server, LogSink* log);
  ~ServiceSet();
  ServiceSet(const ServiceSet&) = delete;
  ServiceSet& operator=(const ServiceSet&) = delete;

  // The state machine to open the group with. Once.
  std::unique_ptr<StateMachine> MakeMachine();
  // The group is open: calls are served. Once.
  void Open(Group group);
  // To register with the server; they live as long as the set.
  std::vector<grpc::Service*> services() const;
  // What GetStatus answers. From any thread, as long as the set lives.
  void WriteStatus(v1::GetStatusResponse* to) const;
  // Health says not serving, and calls that would go on for ever end. Before Server::Shutdown.
  void Stop();

  // GroupOptions::max_command_bytes for messages of at most this size.
  static size_t MaxCommandBytes(size_t max_message_bytes);

 private:
  SystemClock clock_;
  std::vector<std::unique_ptr<ThreadExecutor>> readers_;
  const uint64_t checkpoint_bytes_;
  StreamMachine* machine_ = nullptr;  // the host owns it
  ServiceContext context_;
  const NodeDescription description_;
  std::shared_ptr<Health> health_;  // also held by the group's watch
  std::vector<std::unique_ptr<grpc::Service>> services_;
};

}  // namespace cairn

#endif  // SERVICE_SERVICE_SET_H_
