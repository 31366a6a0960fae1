// HttpServer: what monitoring asks by HTTP, beside the port of gRPC.

#ifndef SERVICE_MONITORING_HTTP_SERVER_H_
#define SERVICE_MONITORING_HTTP_SERVER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "cairn/v1/cluster.pb.h"

namespace cairn {

// GET /metrics          the text format of Prometheus (metrics_page.h)
// GET /livez            200 as long as the process answers
// GET /readyz           200 if every group here is healthy, else 503 and why not
// GET /api/status.json  what GetStatus answers
//
// Plain text and without authentication: nothing of it changes anything or shows a message.
class HttpServer {
 public:
  // Writes what GetStatus answers; from any thread, until the server is destroyed.
  using StatusSource = std::function<void(v1::GetStatusResponse*)>;

  // On HOST:PORT; port 0: any. UNAVAILABLE if it cannot listen there.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const std::string& address,
                                                           StatusSource source);
  virtual ~HttpServer() = default;

  virtual int port() const = 0;
};

}  // namespace cairn

#endif  // SERVICE_MONITORING_HTTP_SERVER_H_
