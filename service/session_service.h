// Service cairn.v1.Sessions.

#ifndef SERVICE_SESSION_SERVICE_H_
#define SERVICE_SESSION_SERVICE_H_

#include <memory>

#include "service/service_context.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace cairn {

// `context` outlives the service.
std::unique_ptr<grpc::Service> MakeSessionService(ServiceContext* context);

}  // namespace cairn

#endif  // SERVICE_SESSION_SERVICE_H_
