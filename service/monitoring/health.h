// Service grpc.health.v1.Health, so that stock clients find a member that is ready, or the leader.

#ifndef SERVICE_MONITORING_HEALTH_H_
#define SERVICE_MONITORING_HEALTH_H_

#include <memory>
#include <string>

namespace grpc {
class Service;
}  // namespace grpc

namespace cairn {

// The names this server knows: "" (ready), "live", "leader", and those that Set made. At first only
// "live" is serving.
//
// Own code rather than gRPC's default one, which is switched on for all servers of a process at
// once. Threads: any.
class Health {
 public:
  Health();
  ~Health();

  void Set(const std::string& service, bool serving);
  // Everything is not serving from now on, and who watches is told so and let go.
  void Stop();

  // To register with a server; lives as long as this object.
  grpc::Service* service();

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace cairn

#endif  // SERVICE_MONITORING_HEALTH_H_
