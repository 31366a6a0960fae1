#include "service/monitoring/http_server.h"

#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/mutex.h"
#include "gtest/gtest.h"
#include "httplib.h"
#include "service/monitoring/metrics_page.h"

namespace cairn {
namespace {

class HttpServerTest : public testing::Test {
 protected:
  HttpServerTest() : client_("127.0.0.1", server_->port()) {}

  void Set(const v1::GetStatusResponse& status) {
    MutexLock lock(mutex_);
    status_ = status;
  }
  httplib::Result Get(const std::string& path) { return client_.Get(path.c_str()); }

  Mutex mutex_;
  v1::GetStatusResponse status_;  // under mutex_
  std::unique_ptr<HttpServer> server_ =
      HttpServer::Start("127.0.0.1:0", [this](v1::GetStatusResponse* to) {
        MutexLock lock(mutex_);
        *to = status_;
      }).value();
  httplib::Client client_;
};

TEST_F(HttpServerTest, LivesAndIsReadyWhenEveryGroupIsHealthy) {
  EXPECT_EQ(Get("/livez")->status, 200);
  EXPECT_EQ(Get("/readyz")->status, 503);
  EXPECT_EQ(Get("/readyz")->body, "starts\n");
  v1::GetStatusResponse status;
  v1::GroupStatus* group = status.add_groups();
  group->set_group(1);
  group->mutable_health()->set_why_not("catches up, 12 entries behind");
  Set(status);
  EXPECT_EQ(Get("/readyz")->status, 503);
  EXPECT_EQ(Get("/readyz")->body, "group 1: catches up, 12 entries behind\n");
  EXPECT_EQ(Get("/livez")->status, 200);
  group->mutable_health()->set_healthy(true);
  group->mutable_health()->clear_why_not();
  Set(status);
  EXPECT_EQ(Get("/readyz")->status, 200);
}

TEST_F(HttpServerTest, GivesMetricsAndStatus) {
  v1::GetStatusResponse status;
  status.set_node(7);
  status.add_groups()->set_group(1);
  Set(status);
  httplib::Result metrics = Get("/metrics");
  EXPECT_EQ(metrics->status, 200);
  EXPECT_EQ(metrics->get_header_value("Content-Type"), kMetricsType);
  EXPECT_EQ(metrics->body, MetricsPage({status}));
  httplib::Result json = Get("/api/status.json");
  EXPECT_EQ(json->status, 200);
  EXPECT_TRUE(absl::StrContains(json->body, "\"commit_index\":\"0\"")) << json->body;
  EXPECT_EQ(Get("/nothing")->status, 404);
  EXPECT_EQ(client_.Post("/metrics", "x", "text/plain")->status, 404);
}

TEST_F(HttpServerTest, AnAddressThatIsTakenIsUnavailable) {
  const auto source = [](v1::GetStatusResponse*) {};
  const std::string taken = absl::StrCat("127.0.0.1:", server_->port());
  EXPECT_TRUE(absl::IsUnavailable(HttpServer::Start(taken, source).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(HttpServer::Start("127.0.0.1", source).status()));
}

}  // namespace
}  // namespace cairn
