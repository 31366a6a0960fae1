#include "client/client.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "cairn/v1/cluster.grpc.pb.h"
#include "cairn/v1/streams.grpc.pb.h"
#include "client/appender.h"
#include "client/channels.h"
#include "client/errors.h"
#include "client/grpc_status.h"
#include "client/reader.h"
#include "client/retry.h"
#include "grpcpp/grpcpp.h"

namespace cairn {
namespace {

absl::Duration ToAbsl(Duration duration) { return absl::Nanoseconds(duration.nanoseconds); }
Duration FromAbsl(absl::Duration duration) { return {absl::ToInt64Nanoseconds(duration)}; }

class GrpcClient final : public Client {
 public:
  explicit GrpcClient(ClientOptions options)
      : options_(std::move(options)), channels_(options_.endpoints) {}

  absl::StatusOr<v1::Stream> CreateStream(const v1::StreamDefinition& definition) override {
    v1::CreateStreamRequest request;
    *request.mutable_definition() = definition;
    v1::CreateStreamResponse response;
    // Creating the same stream twice is one creation, so an unknown outcome may be retried.
    absl::Status status = Call<v1::Streams>(&v1::Streams::Stub::Create, request, &response);
    if (!status.ok()) return status;
    return response.stream();
  }

  absl::StatusOr<v1::Stream> GetStream(const std::string& name) override {
    v1::GetStreamRequest request;
    request.set_name(name);
    v1::GetStreamResponse response;
    absl::Status status = Call<v1::Streams>(&v1::Streams::Stub::Get, request, &response);
    if (!status.ok()) return status;
    return response.stream();
  }

  absl::StatusOr<std::vector<v1::Stream>> ListStreams() override {
    std::vector<v1::Stream> streams;
    v1::ListStreamsRequest request;
    do {
      v1::ListStreamsResponse response;
      absl::Status status = Call<v1::Streams>(&v1::Streams::Stub::List, request, &response);
      if (!status.ok()) return status;
      streams.insert(streams.end(), response.streams().begin(), response.streams().end());
      request.set_page_token(response.next_page_token());
    } while (!request.page_token().empty());
    return streams;
  }

  absl::StatusOr<Appended> Append(const std::string& stream,
                                  std::vector<v1::NewMessage> messages) override {
    v1::AppendRequest request;
    request.set_stream(stream);
    for (v1::NewMessage& message : messages) *request.add_messages() = std::move(message);
    return Append(std::move(request));
  }

  absl::StatusOr<Appended> Append(v1::AppendRequest request) override {
    if (request.session_id() == 0) {
      absl::Status status = NumberInOwnSession(&request);
      if (!status.ok()) return status;
    }
    v1::AppendResponse response;
    absl::Status status = Call<v1::Log>(&v1::Log::Stub::Append, request, &response);
    if (!status.ok()) {
      if (ReasonOf(status) == "SESSION_EXPIRED") ForgetSession(request.session_id());
      return status;
    }
    return Appended{response.first_sequence(), response.last_sequence(), response.index(),
                    response.term(), response.duplicate()};
  }

  std::unique_ptr<Appender> OpenAppender(const std::string& stream,
                                         AppenderOptions options) override {
    return MakeAppender(channels_, stream, options_, options);
  }

  absl::StatusOr<v1::ReadResponse> Read(const v1::ReadRequest& request) override {
    v1::ReadResponse response;
    absl::Status status = Call<v1::Log>(&v1::Log::Stub::Read, request, &response);
    if (!status.ok()) return status;
    return response;
  }

  std::unique_ptr<Reader> OpenReader(ReaderOptions options) override {
    return MakeReader(channels_, options_, options);
  }

  absl::Status ReadRange(v1::ReadRequest request,
                         absl::FunctionRef<bool(const v1::StoredMessage&)> message) override;
  absl::Status Subscribe(v1::SubscribeRequest request,
                         absl::FunctionRef<bool(const v1::StoredMessage&)> message) override;

  absl::StatusOr<v1::ListMembersResponse> ListMembers() override {
    return CallLeader(&v1::Cluster::Stub::ListMembers, v1::ListMembersRequest());
  }
  absl::StatusOr<v1::ChangeMembersResponse> AddMember(
      const v1::AddMemberRequest& request) override {
    return CallLeader(&v1::Cluster::Stub::AddMember, request);
  }
  absl::StatusOr<v1::ChangeMembersResponse> PromoteMember(uint64_t node) override {
    v1::PromoteMemberRequest request;
    request.set_node(node);
    return CallLeader(&v1::Cluster::Stub::PromoteMember, request);
  }
  absl::StatusOr<v1::ChangeMembersResponse> RemoveMember(uint64_t node) override {
    v1::RemoveMemberRequest request;
    request.set_node(node);
    return CallLeader(&v1::Cluster::Stub::RemoveMember, request);
  }
  absl::StatusOr<v1::ChangeMembersResponse> CancelMemberChange() override {
    return CallLeader(&v1::Cluster::Stub::CancelMemberChange, v1::CancelMemberChangeRequest());
  }
  absl::StatusOr<uint64_t> TransferLeadership(uint64_t node) override {
    v1::TransferLeadershipRequest request;
    request.set_node(node);
    absl::StatusOr<v1::TransferLeadershipResponse> response =
        CallLeader(&v1::Cluster::Stub::TransferLeadership, request);
    if (!response.ok()) return response.status();
    return response->leader();
  }

  absl::StatusOr<v1::UnsafeRecoverResponse> UnsafeRecover(
      const std::string& endpoint, const v1::UnsafeRecoverRequest& request) override {
    return channels_.UnsafeRecover(endpoint, request, options_.timeout);
  }

  absl::StatusOr<v1::GetStatusResponse> GetStatus(const std::string& endpoint) override {
    return channels_.GetStatus(endpoint, options_.timeout);
  }

  absl::StatusOr<v1::TakeSnapshotResponse> TakeSnapshot(const std::string& endpoint) override {
    grpc::ClientContext context;
    SetDeadline(&context, options_.timeout);
    v1::TakeSnapshotResponse response;
    grpc::Status status = v1::Cluster::NewStub(channels_.To(endpoint))
                              ->TakeSnapshot(&context, v1::TakeSnapshotRequest(), &response);
    if (!status.ok()) return FromGrpc(status);
    return response;
  }

 private:
  // Calls a unary method until it succeeds, fails for good or the time is over. Only for methods
  // that may be carried out twice without harm.
  template <typename Service, typename Request, typename Response>
  absl::Status Call(grpc::Status (Service::Stub::*method)(grpc::ClientContext*, const Request&,
                                                          Response*),
                    const Request& request, Response* response) {
    Retry retry(absl::Now() + ToAbsl(options_.timeout));
    while (true) {
      std::string member = channels_.Preferred();
      grpc::ClientContext context;
      SetDeadline(&context, FromAbsl(retry.Left()));
      response->Clear();
      absl::Status status = FromGrpc(
          ((*Service::NewStub(channels_.To(member))).*method)(&context, request, response));
      if (status.ok() || !WorthRetrying(status)) return status;
      channels_.Avoid(member);
      if (!retry.Pause()) return status;
    }
  }

  // The same for methods of service Cluster that only the leader serves.
  template <typename Request, typename Response>
  absl::StatusOr<Response> CallLeader(
      grpc::Status (v1::Cluster::Stub::*method)(grpc::ClientContext*, const Request&, Response*),
      const Request& request) {
    Retry retry(absl::Now() + ToAbsl(options_.timeout));
    while (true) {
      absl::StatusOr<std::string> leader = channels_.FindLeader(FromAbsl(retry.Left()));
      absl::Status status = leader.status();
      if (leader.ok()) {
        grpc::ClientContext context;
        SetDeadline(&context, FromAbsl(retry.Left()));
        Response response;
        status = FromGrpc(
            ((*v1::Cluster::NewStub(channels_.To(*leader))).*method)(&context, request, &response));
        if (status.ok()) return response;
        channels_.Avoid(*leader);
      }
      if (!WorthRetrying(status) || !retry.Pause()) return status;
    }
  }

  // Gives the call the next number of this client's session, which is opened at first use.
  absl::Status NumberInOwnSession(v1::AppendRequest* request);
  void ForgetSession(uint64_t session);

  const ClientOptions options_;
  Channels channels_;
  Mutex mutex_;
  uint64_t session_ CAIRN_GUARDED_BY(mutex_) = 0;  // 0: none yet
  uint64_t last_number_ CAIRN_GUARDED_BY(mutex_) = 0;
};

absl::Status GrpcClient::NumberInOwnSession(v1::AppendRequest* request) {
  MutexLock lock(mutex_);
  if (session_ == 0) {
    v1::OpenSessionRequest open;
    open.set_client_name(options_.name);
    v1::OpenSessionResponse opened;
    // A session opened twice is one too many, which the cluster forgets in time.
    absl::Status status = Call<v1::Sessions>(&v1::Sessions::Stub::Open, open, &opened);
    if (!status.ok()) {
      // The append itself was not sent.
      return MakeClientError(status.code(), ReasonOf(status), std::string(status.message()), false);
    }
    session_ = opened.session_id();
    last_number_ = 0;
  }
  request->set_session_id(session_);
  request->set_session_number(++last_number_);
  return absl::OkStatus();
}

void GrpcClient::ForgetSession(uint64_t session) {
  MutexLock lock(mutex_);
  if (session_ == session) session_ = 0;
}

absl::Status GrpcClient::ReadRange(v1::ReadRequest request,
                                   absl::FunctionRef<bool(const v1::StoredMessage&)> message) {
  Retry retry(absl::Now() + ToAbsl(options_.timeout));
  const bool limited = request.max_messages() != 0;
  while (true) {
    std::string member = channels_.Preferred();
    grpc::ClientContext context;
    auto reader = v1::Log::NewStub(channels_.To(member))->ReadRange(&context, request);
    v1::ReadResponse response;
    while (reader->Read(&response)) {
      for (const v1::StoredMessage& stored : response.messages()) {
        if (!message(stored)) {
          context.TryCancel();
          reader->Finish();
          return absl::OkStatus();
        }
      }
      // Where to go on if the connection breaks.
      request.set_from_sequence(response.next_sequence());
      uint64_t given = static_cast<uint64_t>(response.messages_size());
      if (limited) request.set_max_messages(request.max_messages() - given);
      retry.Reset();
    }
    absl::Status status = FromGrpc(reader->Finish());
    // Zero would mean "no limit": what was wanted is there.
    if (status.ok() || (limited && request.max_messages() == 0)) return absl::OkStatus();
    if (!WorthRetrying(status)) return status;
    channels_.Avoid(member);
    if (!retry.Pause()) return status;
  }
}

absl::Status GrpcClient::Subscribe(v1::SubscribeRequest request,
                                   absl::FunctionRef<bool(const v1::StoredMessage&)> message) {
  auto retry = std::make_unique<Retry>(absl::Now() + ToAbsl(options_.timeout));
  while (true) {
    std::string member = channels_.Preferred();
    grpc::ClientContext context;
    auto reader = v1::Log::NewStub(channels_.To(member))->Subscribe(&context, request);
    v1::SubscribeResponse response;
    while (reader->Read(&response)) {
      uint64_t through = response.progress().sequence();
      for (const v1::StoredMessage& stored : response.batch().messages()) {
        if (!message(stored)) {
          context.TryCancel();
          reader->Finish();
          return absl::OkStatus();
        }
        through = stored.sequence();
      }
      // From here on a broken connection is resumed behind what was given.
      request.set_start(v1::SUBSCRIBE_START_SEQUENCE);
      request.set_from_sequence(through + 1);
      retry = std::make_unique<Retry>(absl::Now() + ToAbsl(options_.timeout));
    }
    absl::Status status = FromGrpc(reader->Finish());
    if (!status.ok() && !WorthRetrying(status)) return status;
    channels_.Avoid(member);
    if (!retry->Pause()) {
      return status.ok() ? absl::UnavailableError("the members end the subscription") : status;
    }
  }
}

}  // namespace

std::unique_ptr<Client> Client::Create(ClientOptions options) {
  return std::make_unique<GrpcClient>(std::move(options));
}

}  // namespace cairn
