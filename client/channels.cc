#include "client/channels.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "cairn/v1/cluster.grpc.pb.h"
#include "client/errors.h"
#include "client/grpc_status.h"
#include "grpcpp/grpcpp.h"
#include "service/wire/http2_window.h"

namespace cairn {
namespace {

grpc::ChannelArguments MakeArguments() {
  grpc::ChannelArguments arguments;
  // A connection whose other end vanished is noticed within half a minute.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  // Members come back at their own pace: look often, so that a restarted one is found at once.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
  arguments.SetMaxReceiveMessageSize(16 << 20);
  SetHttp2Window(arguments);
  return arguments;
}

// The address of the default group's leader as `status` knows it, or empty.
std::string LeaderIn(const v1::GetStatusResponse& status) {
  for (const v1::GroupStatus& group : status.groups()) {
    if (group.serving_leader()) return status.address();
    if (group.leader() != 0) return group.leader_address();
  }
  return "";
}

}  // namespace

void SetDeadline(grpc::ClientContext* context, Duration patience) {
  context->set_deadline(std::chrono::system_clock::now() +
                        std::chrono::nanoseconds(patience.nanoseconds));
}

Channels::Channels(std::vector<std::string> endpoints) : endpoints_(std::move(endpoints)) {
  CAIRN_CHECK(!endpoints_.empty()) << "a client needs an endpoint";
}

Channels::~Channels() = default;

std::shared_ptr<grpc::Channel> Channels::To(const std::string& endpoint) {
  MutexLock lock(mutex_);
  std::shared_ptr<grpc::Channel>& channel = channels_[endpoint];
  if (channel == nullptr) {
    channel =
        grpc::CreateCustomChannel(endpoint, grpc::InsecureChannelCredentials(), MakeArguments());
  }
  return channel;
}

std::string Channels::Preferred() const {
  MutexLock lock(mutex_);
  return preferred_.empty() ? endpoints_[next_endpoint_] : preferred_;
}

void Channels::Avoid(const std::string& endpoint) {
  MutexLock lock(mutex_);
  if (preferred_ == endpoint) preferred_.clear();
  if (endpoints_[next_endpoint_] == endpoint) {
    next_endpoint_ = (next_endpoint_ + 1) % endpoints_.size();
  }
}

absl::StatusOr<v1::GetStatusResponse> Channels::GetStatus(const std::string& endpoint,
                                                          Duration patience) {
  grpc::ClientContext context;
  SetDeadline(&context, patience);
  v1::GetStatusResponse response;
  grpc::Status status =
      v1::Cluster::NewStub(To(endpoint))->GetStatus(&context, v1::GetStatusRequest(), &response);
  if (!status.ok()) return FromGrpc(status);
  return response;
}

absl::StatusOr<v1::UnsafeRecoverResponse> Channels::UnsafeRecover(
    const std::string& endpoint, const v1::UnsafeRecoverRequest& request, Duration patience) {
  grpc::ClientContext context;
  SetDeadline(&context, patience);
  v1::UnsafeRecoverResponse response;
  grpc::Status status =
      v1::Cluster::NewStub(To(endpoint))->UnsafeRecover(&context, request, &response);
  if (!status.ok()) return FromGrpc(status);
  return response;
}

absl::StatusOr<std::string> Channels::FindLeader(Duration patience) {
  absl::Status last = absl::UnavailableError("nobody was asked");
  for (size_t i = 0; i <= endpoints_.size(); ++i) {
    std::string asked = Preferred();
    absl::StatusOr<v1::GetStatusResponse> status = GetStatus(asked, patience);
    if (!status.ok()) {
      last = status.status();
      Avoid(asked);
      continue;
    }
    std::string leader = LeaderIn(*status);
    if (leader == status->address()) {
      MutexLock lock(mutex_);
      preferred_ = asked;  // the name that worked from here
      return asked;
    }
    if (!leader.empty()) {
      MutexLock lock(mutex_);
      preferred_ = leader;  // asked next, to see whether it still leads
      continue;
    }
    last = MakeClientError(absl::StatusCode::kUnavailable, "NO_LEADER",
                           absl::StrCat("no leader is known at ", asked), false);
    Avoid(asked);
  }
  return last;
}

}  // namespace cairn
