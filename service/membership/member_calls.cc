#include "service/membership/member_calls.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include "service/call_context.h"
#include "service/membership/member_edit.h"

namespace cairn {
namespace {

// What refuses every call alike.
std::optional<RpcError> Precheck(const ServiceContext& context, uint64_t group) {
  if (group > ToInteger(GroupId::kDefault)) return GroupNotFound(group);
  if (context.opened() == nullptr) return Starting();
  return std::nullopt;
}

// A deadline that has passed before anything was done.
template <typename Call>
std::optional<RpcError> Precheck(const ServiceContext& context, Call* call, Instant* deadline) {
  *deadline = DeadlineOf(call->context(), context);
  if (auto error = Precheck(context, call->request().group())) return error;
  if (context.Now() >= *deadline) return DeadlineBeforeProposal();
  return std::nullopt;
}

template <typename Call>
void EndChange(const ServiceContext& context, Call* call, const ControlResult& result) {
  if (const auto* refused = std::get_if<ControlRefused>(&result)) {
    return call->End(context.Explain(*refused));
  }
  const LogPosition at = std::get<ControlDone>(result).at;
  call->response().set_index(at.index);
  call->response().set_term(at.term);
  call->End(std::nullopt);
}

// Works a declaration out from the members of now and asks for it. Only the leader's members are
// surely those of now; others are refused by the group.
template <typename Call, typename Edit>
void Declare(ServiceContext& context, Call* call, Edit edit) {
  Instant deadline;
  if (auto error = Precheck(context, call, &deadline)) return call->End(std::move(error));
  Group group = context.opened()->group;
  const GroupStatus status = group.Status();
  if (status.role != Role::kLeader) {
    return call->End(context.Explain(ControlRefused{
        ControlRefused::Reason::kNotLeader, "this member does not lead the group", status.leader}));
  }
  Declaration declaration = edit(status.configuration);
  if (auto* error = std::get_if<RpcError>(&declaration)) return call->End(std::move(*error));
  group.ChangeMembership(
      std::get<DeclaredMembers>(std::move(declaration)), deadline,
      [&context, call](const ControlResult& result) { EndChange(context, call, result); },
      status.configuration_index);
}

bool Names(const std::vector<Member>& members, NodeId node) {
  return std::any_of(members.begin(), members.end(),
                     [node](const Member& member) { return member.node == node; });
}

}  // namespace

v1::MemberRole RoleOf(const GroupStatus& status) {
  switch (status.role) {
    case Role::kFollower:
      return status.learner ? v1::MEMBER_ROLE_LEARNER : v1::MEMBER_ROLE_FOLLOWER;
    case Role::kPreCandidate:
    case Role::kCandidate:
      return v1::MEMBER_ROLE_CANDIDATE;
    case Role::kLeader:
      return v1::MEMBER_ROLE_LEADER;
  }
  return v1::MEMBER_ROLE_UNSPECIFIED;
}

void HandleCall(ServiceContext& context, const std::string& cluster_id, ListMembersCall* call) {
  if (auto error = Precheck(context, call->request().group())) return call->End(std::move(error));
  const GroupStatus status = context.opened()->group.Status();
  const Configuration& members = status.configuration;
  v1::ListMembersResponse& response = call->response();
  response.set_node(ToInteger(status.node));
  response.set_cluster_id(cluster_id);
  response.set_leader(ToInteger(status.leader));
  response.set_changing(members.joint() || members.target);
  response.set_joint(members.joint());
  response.set_index(status.configuration_index);
  for (NodeId node : members.Nodes()) {
    const Member* member = members.Find(node);
    v1::MemberStanding* added = response.add_members();
    added->set_node(ToInteger(node));
    added->set_address(member->address);
    added->set_incarnation(ToInteger(member->incarnation));
    added->set_role(!members.IsVoter(node)  ? v1::MEMBER_ROLE_LEARNER
                    : node == status.leader ? v1::MEMBER_ROLE_LEADER
                                            : v1::MEMBER_ROLE_FOLLOWER);
    if (!members.target) continue;
    const bool votes = Names(members.target->voters, node);
    added->set_becomes_voter(votes && !members.IsVoter(node));
    added->set_leaves(!votes && !Names(members.target->learners, node));
  }
  call->End(std::nullopt);
}

void HandleCall(ServiceContext& context, AddMemberCall* call) {
  Declare(context, call, [call](const Configuration& current) {
    const v1::AddMemberRequest& request = call->request();
    return WithMember(
        current, {NodeId{request.node()}, Incarnation{request.incarnation()}, request.address()},
        request.learner());
  });
}

void HandleCall(ServiceContext& context, PromoteMemberCall* call) {
  Declare(context, call, [call](const Configuration& current) {
    return WithPromoted(current, NodeId{call->request().node()});
  });
}

void HandleCall(ServiceContext& context, RemoveMemberCall* call) {
  Declare(context, call, [call](const Configuration& current) {
    return WithoutMember(current, NodeId{call->request().node()});
  });
}

void HandleCall(ServiceContext& context, CancelChangeCall* call) {
  Instant deadline;
  if (auto error = Precheck(context, call, &deadline)) return call->End(std::move(error));
  Group group = context.opened()->group;
  group.CancelMembership(deadline, [&context, call](const ControlResult& result) {
    EndChange(context, call, result);
  });
}

void HandleCall(ServiceContext& context, TransferCall* call) {
  Instant deadline;
  if (auto error = Precheck(context, call, &deadline)) return call->End(std::move(error));
  Group group = context.opened()->group;
  const NodeId target{call->request().node()};
  const GroupStatus status = group.Status();
  // A repeated call must not fail for having been carried out.
  if (target != NodeId::kNone && status.leader == target) {
    call->response().set_leader(ToInteger(target));
    return call->End(std::nullopt);
  }
  // Whether it works out is known soon; proposals are refused until then.
  const Instant patience = context.Now() + context.options().election_timeout * 2;
  group.TransferLeadership(
      target, std::min(deadline, patience), [&context, call](const ControlResult& result) {
        if (const auto* refused = std::get_if<ControlRefused>(&result)) {
          return call->End(context.Explain(*refused));
        }
        call->response().set_leader(ToInteger(std::get<ControlDone>(result).leader));
        call->End(std::nullopt);
      });
}

void HandleCall(ServiceContext& context, const std::string& address, TakeSnapshotCall* call) {
  Instant deadline;
  if (auto error = Precheck(context, call, &deadline)) return call->End(std::move(error));
  Group group = context.opened()->group;
  group.Snapshot([group, address, call](const absl::StatusOr<LogPosition>& taken) {
    if (!taken.ok()) return call->End(SnapshotFailed(taken.status()));
    const GroupStatus status = group.Status();
    call->response().set_node(ToInteger(status.node));
    call->response().set_address(address);
    call->response().set_incarnation(ToInteger(status.incarnation));
    call->response().set_role(RoleOf(status));
    call->response().set_index(taken->index);
    call->response().set_term(taken->term);
    call->End(std::nullopt);
  });
}

}  // namespace cairn
