// Service cairn.v1.Log.

#ifndef SERVICE_LOG_SERVICE_H_
#define SERVICE_LOG_SERVICE_H_

#include <memory>

#include "service/service_context.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace cairn {

// `context` outlives the service.
std::unique_ptr<grpc::Service> MakeLogService(ServiceContext* context);

}  // namespace cairn

#endif  // SERVICE_LOG_SERVICE_H_
