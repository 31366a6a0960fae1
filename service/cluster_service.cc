#include "service/cluster_service.h"

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <optional>
#include <utility>

#include "cairn/v1/cluster.grpc.pb.h"
#include "service/membership/member_calls.h"
#include "service/monitoring/load_report.h"
#include "service/unary_call.h"

namespace cairn {
namespace {

google::protobuf::Duration ToProto(Duration duration) {
  google::protobuf::Duration proto;
  proto.set_seconds(duration.nanoseconds / 1'000'000'000);
  proto.set_nanos(static_cast<int32_t>(duration.nanoseconds % 1'000'000'000));
  return proto;
}

v1::MemberState StateOf(NodeState state) {
  switch (state) {
    case NodeState::kStarting:
      return v1::MEMBER_STATE_STARTING;
    case NodeState::kServing:
      return v1::MEMBER_STATE_SERVING;
    case NodeState::kDegraded:
      return v1::MEMBER_STATE_DEGRADED;
    case NodeState::kRepairing:
      return v1::MEMBER_STATE_REPAIRING;
    case NodeState::kFenced:
      return v1::MEMBER_STATE_FENCED;
    case NodeState::kHalted:
      return v1::MEMBER_STATE_HALTED;
  }
  return v1::MEMBER_STATE_UNSPECIFIED;
}

void WriteMembers(const Configuration& configuration, v1::GroupStatus* to) {
  for (NodeId node : configuration.Nodes()) {
    const Member* member = configuration.Find(node);
    v1::GroupMember* added = to->add_members();
    added->set_node(ToInteger(node));
    added->set_address(member->address);
    added->set_incarnation(ToInteger(member->incarnation));
    added->set_learner(!configuration.IsVoter(node));
  }
}

void WriteRecoveries(const UnsafeRecoveries& from, v1::UnsafeRecoveries* to) {
  to->set_count(from.count);
  for (NodeId node : from.evicted) to->add_evicted(ToInteger(node));
  to->set_quorum(from.quorum);
  to->set_index(from.at.index);
  to->set_term(from.at.term);
  to->mutable_asked()->set_seconds(from.asked.nanoseconds / 1'000'000'000);
  to->mutable_asked()->set_nanos(static_cast<int32_t>(from.asked.nanoseconds % 1'000'000'000));
}

void WriteGroup(const GroupStatus& from, const std::string& address, Instant now,
                v1::GroupStatus* to) {
  to->set_group(ToInteger(from.group));
  to->set_node(ToInteger(from.node));
  to->set_address(address);
  to->set_role(RoleOf(from));
  to->set_term(from.term);
  to->set_leader(ToInteger(from.leader));
  if (const Member* leader = from.configuration.Find(from.leader)) {
    to->set_leader_address(leader->address);
  }
  to->set_first_index(from.first_index);
  to->set_snapshot_index(from.snapshot_index);
  to->set_last_index(from.last_index);
  to->set_commit_index(from.commit_index);
  to->set_applied_index(from.applied_index);
  to->set_lag(from.health.lag);
  to->set_state(StateOf(from.state));
  to->set_reason(from.reason);
  to->set_disk_full(from.disk_full);
  to->set_serving_leader(from.serving_leader);
  to->set_formed(from.formed);
  to->set_durable_index(from.durable_index);
  to->set_sessions(from.sessions);
  to->set_incarnation(ToInteger(from.incarnation));
  to->set_last_term(from.last_term);
  if (from.leader_heard_at) {
    *to->mutable_since_leader() = ToProto(std::max(now - *from.leader_heard_at, Duration{}));
  }
  if (from.configuration.unsafe_recoveries.count > 0) {
    WriteRecoveries(from.configuration.unsafe_recoveries, to->mutable_unsafe_recoveries());
  }
  WriteMembers(from.configuration, to);
  for (const PeerStatus& peer : from.peers) {
    v1::PeerProgress* added = to->add_peers();
    added->set_node(ToInteger(peer.node));
    added->set_match_index(peer.match);
    added->set_next_index(peer.next);
    added->set_probing(peer.probing);
    added->set_inflight_bytes(peer.inflight_bytes);
    *added->mutable_since_contact() = ToProto(peer.since_contact);
    added->set_inflight_messages(peer.inflight_messages);
  }
  WriteLoad(from, to);
}

void WriteTime(WallTime from, google::protobuf::Timestamp* to) {
  to->set_seconds(from.nanoseconds / 1'000'000'000);
  to->set_nanos(static_cast<int32_t>(from.nanoseconds % 1'000'000'000));
}

void WriteScrub(const ScrubStatus& from, v1::LogScrub* to) {
  const ScrubProgress& progress = from.progress;
  to->set_bytes_per_second(from.options.bytes_per_second);
  *to->mutable_period() = ToProto(from.options.period);
  to->set_running(progress.in_round);
  to->set_block(progress.position.block);
  to->set_offset(progress.position.offset);
  to->set_round_bytes(progress.round_bytes);
  if (progress.round_began != WallTime())
    WriteTime(progress.round_began, to->mutable_round_began());
  if (progress.rounds > 0) WriteTime(progress.last_round_ended, to->mutable_last_round_ended());
  to->set_rounds(progress.rounds);
  to->set_bytes(progress.bytes);
  to->set_entries_damaged(progress.damaged);
  to->set_entries_repaired(progress.repaired);
  to->set_copies_healed(progress.healed);
}

void WriteLosses(const LossReport& from, v1::GetStatusResponse* to) {
  const LossReport::Counts counts = from.counts();
  if (counts.damaged + counts.torn + counts.notes == 0) return;
  v1::LostData* lost = to->mutable_lost_data();
  lost->set_damaged(counts.damaged);
  lost->set_repaired(counts.repaired);
  lost->set_covered(counts.covered);
  lost->set_dropped(counts.dropped);
  lost->set_open(counts.open);
  lost->set_torn(counts.torn);
  lost->set_notes(counts.notes);
  lost->set_file(from.path());
}

using StatusCall = UnaryCall<v1::GetStatusRequest, v1::GetStatusResponse>;

template <typename Base>
using RawMembers = v1::Cluster::WithRawCallbackMethod_ListMembers<
    v1::Cluster::WithRawCallbackMethod_AddMember<v1::Cluster::WithRawCallbackMethod_PromoteMember<
        v1::Cluster::WithRawCallbackMethod_RemoveMember<
            v1::Cluster::WithRawCallbackMethod_CancelMemberChange<
                v1::Cluster::WithRawCallbackMethod_TransferLeadership<
                    v1::Cluster::WithRawCallbackMethod_UnsafeRecover<
                        v1::Cluster::WithRawCallbackMethod_TakeSnapshot<Base>>>>>>>>;

class ClusterServiceImpl final
    : public RawMembers<v1::Cluster::WithRawCallbackMethod_GetStatus<v1::Cluster::Service>> {
 public:
  ClusterServiceImpl(ServiceContext* context, NodeDescription description)
      : context_(*context), description_(std::move(description)) {}

  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context,
                                      const grpc::ByteBuffer* request,
                                      grpc::ByteBuffer* response) override {
    return StatusCall::Start(context, request, response, [this](StatusCall* call) {
      WriteStatus(context_, description_, &call->response());
      call->End(std::nullopt);
    });
  }

  grpc::ServerUnaryReactor* ListMembers(grpc::CallbackServerContext* context,
                                        const grpc::ByteBuffer* request,
                                        grpc::ByteBuffer* response) override {
    return ListMembersCall::Start(context, request, response, [this](ListMembersCall* call) {
      HandleCall(context_, ToString(description_.cluster), call);
    });
  }
  grpc::ServerUnaryReactor* AddMember(grpc::CallbackServerContext* context,
                                      const grpc::ByteBuffer* request,
                                      grpc::ByteBuffer* response) override {
    return Start<AddMemberCall>(context, request, response);
  }
  grpc::ServerUnaryReactor* PromoteMember(grpc::CallbackServerContext* context,
                                          const grpc::ByteBuffer* request,
                                          grpc::ByteBuffer* response) override {
    return Start<PromoteMemberCall>(context, request, response);
  }
  grpc::ServerUnaryReactor* RemoveMember(grpc::CallbackServerContext* context,
                                         const grpc::ByteBuffer* request,
                                         grpc::ByteBuffer* response) override {
    return Start<RemoveMemberCall>(context, request, response);
  }
  grpc::ServerUnaryReactor* CancelMemberChange(grpc::CallbackServerContext* context,
                                               const grpc::ByteBuffer* request,
                                               grpc::ByteBuffer* response) override {
    return Start<CancelChangeCall>(context, request, response);
  }
  grpc::ServerUnaryReactor* TransferLeadership(grpc::CallbackServerContext* context,
                                               const grpc::ByteBuffer* request,
                                               grpc::ByteBuffer* response) override {
    return Start<TransferCall>(context, request, response);
  }
  grpc::ServerUnaryReactor* UnsafeRecover(grpc::CallbackServerContext* context,
                                          const grpc::ByteBuffer* request,
                                          grpc::ByteBuffer* response) override {
    return Start<UnsafeRecoverCall>(context, request, response);
  }
  grpc::ServerUnaryReactor* TakeSnapshot(grpc::CallbackServerContext* context,
                                         const grpc::ByteBuffer* request,
                                         grpc::ByteBuffer* response) override {
    return TakeSnapshotCall::Start(context, request, response, [this](TakeSnapshotCall* call) {
      HandleCall(context_, description_.address, call);
    });
  }

 private:
  template <typename Call>
  grpc::ServerUnaryReactor* Start(grpc::CallbackServerContext* context,
                                  const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
    return Call::Start(context, request, response,
                       [this](Call* call) { HandleCall(context_, call); });
  }

  ServiceContext& context_;
  const NodeDescription description_;
};

}  // namespace

void WriteStatus(const ServiceContext& context, const NodeDescription& description,
                 v1::GetStatusResponse* to) {
  to->set_node(ToInteger(description.node));
  to->set_cluster_id(ToString(description.cluster));
  to->set_address(description.address);
  to->set_log_store(description.log_store);
  to->set_version(description.version);
  *to->mutable_uptime() = ToProto(context.Now() - description.started);
  if (description.warnings) {
    for (std::string& warning : description.warnings()) to->add_warnings(std::move(warning));
  }
  if (const auto scrub = description.scrub ? description.scrub() : std::nullopt) {
    WriteScrub(*scrub, to->mutable_scrub());
  }
  if (const auto files =
          description.encrypted_files ? description.encrypted_files() : std::nullopt) {
    v1::EncryptedFiles* encrypted = to->mutable_encrypted_files();
    encrypted->set_files(files->files);
    encrypted->set_to_rewrite(files->to_rewrite);
    encrypted->set_to_rewrap(files->to_rewrap);
  }
  if (description.refused_frames) {
    for (const auto& [reason, count] : description.refused_frames()) {
      v1::RefusalCount* added = to->add_refused_frames();
      added->set_reason(reason);
      added->set_count(count);
    }
  }
  if (description.losses != nullptr) WriteLosses(*description.losses, to);
  if (const ServiceContext::Opened* opened = context.opened()) {
    const GroupStatus status = opened->group.Status();
    WriteGroup(status, description.address, context.Now(), to->add_groups());
    WriteLoad(status.log_writer, to->mutable_log_writer());
  }
}

std::unique_ptr<grpc::Service> MakeClusterService(ServiceContext* context,
                                                  NodeDescription description) {
  return std::make_unique<ClusterServiceImpl>(context, std::move(description));
}

}  // namespace cairn
