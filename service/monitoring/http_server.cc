#include "service/monitoring/http_server.h"

#include <sys/socket.h>

#include <thread>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/util/json_util.h"
#include "httplib.h"
#include "service/monitoring/metrics_page.h"

namespace cairn {
namespace {

// Questions are small and answers quick: a few threads, and nobody keeps one for long.
constexpr size_t kThreads = 2;
constexpr time_t kPatienceSeconds = 5;
constexpr size_t kMaxRequestBytes = 4096;

class Impl final : public HttpServer {
 public:
  explicit Impl(StatusSource source) : source_(std::move(source)) {
    server_.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
    // Without SO_REUSEPORT, which is the library's default: two processes would share the port.
    server_.set_socket_options([](socket_t socket) {
      const int yes = 1;
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    });
    server_.set_keep_alive_timeout(kPatienceSeconds);
    server_.set_read_timeout(kPatienceSeconds);
    server_.set_write_timeout(kPatienceSeconds);
    server_.set_payload_max_length(kMaxRequestBytes);
    server_.Get("/metrics", [this](const httplib::Request&, httplib::Response& response) {
      response.set_content(MetricsPage({Status()}), kMetricsType);
    });
    server_.Get("/livez", [](const httplib::Request&, httplib::Response& response) {
      response.set_content("ok\n", "text/plain");
    });
    server_.Get("/readyz", [this](const httplib::Request&, httplib::Response& response) {
      const std::string why_not = WhyNotReady();
      if (!why_not.empty()) response.status = 503;
      response.set_content(absl::StrCat(why_not.empty() ? "ok" : why_not, "\n"), "text/plain");
    });
    server_.Get("/api/status.json", [this](const httplib::Request&, httplib::Response& response) {
      std::string json;
      google::protobuf::util::JsonPrintOptions options;
      options.always_print_primitive_fields = true;
      options.preserve_proto_field_names = true;
      if (!google::protobuf::util::MessageToJsonString(Status(), &json, options).ok()) {
        response.status = 500;
        return;
      }
      response.set_content(json + "\n", "application/json");
    });
  }

  ~Impl() override {
    server_.stop();
    if (thread_.joinable()) thread_.join();
  }

  absl::Status Listen(const std::string& address) {
    const size_t colon = address.rfind(':');
    int port = 0;
    if (colon == std::string::npos || !absl::SimpleAtoi(address.substr(colon + 1), &port)) {
      return absl::InvalidArgumentError(absl::StrCat(address, " is not HOST:PORT"));
    }
    std::string host = address.substr(0, colon);
    if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
    port_ =
        port == 0 ? server_.bind_to_any_port(host) : (server_.bind_to_port(host, port) ? port : -1);
    if (port_ < 0) return absl::UnavailableError(absl::StrCat("cannot listen on ", address));
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    // A stop before it runs would be lost.
    while (!server_.is_running()) std::this_thread::yield();
    return absl::OkStatus();
  }

  int port() const override { return port_; }

 private:
  v1::GetStatusResponse Status() const {
    v1::GetStatusResponse status;
    source_(&status);
    return status;
  }
  std::string WhyNotReady() const {
    const v1::GetStatusResponse status = Status();
    if (status.groups().empty()) return "starts";
    for (const v1::GroupStatus& group : status.groups()) {
      if (group.health().healthy()) continue;
      return absl::StrCat("group ", group.group(), ": ", group.health().why_not());
    }
    return "";
  }

  const StatusSource source_;
  httplib::Server server_;
  int port_ = 0;
  std::thread thread_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const std::string& address,
                                                              StatusSource source) {
  auto server = std::make_unique<Impl>(std::move(source));
  if (absl::Status status = server->Listen(address); !status.ok()) return status;
  return server;
}

}  // namespace cairn
