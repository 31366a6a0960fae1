// etcd_load: puts to, or linearizable gets from, an etcd member in a closed loop; prints what
// `cairn bench` prints.

#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "base/random.h"
#include "etcd_kv.grpc.pb.h"
#include "grpcpp/grpcpp.h"
#include "service/cli/load.h"

namespace cairn {
namespace {

// As many as etcd's own benchmark uses connections for a load of this size.
constexpr int kChannels = 4;
constexpr uint64_t kKeys = 100'000;

struct Flags {
  std::string endpoint = "127.0.0.1:2379";
  std::string operation = "put";
  size_t inflight = 64;
  size_t bytes = 256;
  int seconds = 5;
};

template <typename Request, typename Response>
struct Call {
  grpc::ClientContext context;
  Request request;
  Response response;
  Load::Done done;
};

absl::Status ToAbsl(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

int Run(const Flags& flags) {
  std::vector<std::unique_ptr<etcdserverpb::KV::Stub>> stubs;
  for (int i = 0; i < kChannels; ++i) {
    grpc::ChannelArguments arguments;
    arguments.SetInt("cairn.bench.channel", i);  // or gRPC makes them one connection
    stubs.push_back(etcdserverpb::KV::NewStub(
        grpc::CreateCustomChannel(flags.endpoint, grpc::InsecureChannelCredentials(), arguments)));
  }
  const std::string value(flags.bytes, 'v');
  Mutex mutex;
  Random random(1);
  size_t next_stub = 0;
  auto pick = [&](std::string* key) {
    MutexLock lock(mutex);
    *key = absl::StrCat("key", random.Below(kKeys));
    return stubs[next_stub++ % stubs.size()].get();
  };
  absl::Duration seconds = absl::Seconds(flags.seconds);
  Load load({flags.inflight, seconds, std::min(absl::Seconds(1), seconds / 5)});
  load.Run([&](Load::Done done) {
    std::string key;
    etcdserverpb::KV::Stub* stub = pick(&key);
    if (flags.operation == "put") {
      auto call = std::make_shared<Call<etcdserverpb::PutRequest, etcdserverpb::PutResponse>>();
      call->done = std::move(done);
      call->request.set_key(key);
      call->request.set_value(value);
      stub->async()->Put(&call->context, &call->request, &call->response,
                         [call](const grpc::Status& status) { call->done(ToAbsl(status)); });
    } else {
      auto call = std::make_shared<Call<etcdserverpb::RangeRequest, etcdserverpb::RangeResponse>>();
      call->done = std::move(done);
      call->request.set_key(key);
      stub->async()->Range(&call->context, &call->request, &call->response,
                           [call](const grpc::Status& status) { call->done(ToAbsl(status)); });
    }
  });
  std::cout << load.ToRow().ToJson() << std::endl;
  if (load.error().ok()) return 0;
  std::cerr << load.error() << std::endl;
  return 1;
}

}  // namespace
}  // namespace cairn

int main(int argc, char** argv) {
  CLI::App app("Loads an etcd member.", "etcd_load");
  cairn::Flags flags;
  app.add_option("--endpoint", flags.endpoint)->capture_default_str();
  app.add_option("--operation", flags.operation)->check(CLI::IsMember({"put", "get"}));
  app.add_option("--inflight", flags.inflight)->capture_default_str();
  app.add_option("--bytes", flags.bytes)->capture_default_str();
  app.add_option("--seconds", flags.seconds)->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  return cairn::Run(flags);
}
