// Service cairn.v1.Streams.

#ifndef SERVICE_STREAM_SERVICE_H_
#define SERVICE_STREAM_SERVICE_H_

#include <memory>

#include "service/service_context.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace cairn {

// `context` outlives the service.
std::unique_ptr<grpc::Service> MakeStreamService(ServiceContext* context);

}  // namespace cairn

#endif  // SERVICE_STREAM_SERVICE_H_
