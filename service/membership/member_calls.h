// The calls of service Cluster that look at members and change them. For cluster_service only,
// because it brings gRPC's headers.

#ifndef SERVICE_MEMBERSHIP_MEMBER_CALLS_H_
#define SERVICE_MEMBERSHIP_MEMBER_CALLS_H_

#include <string>

#include "cairn/v1/cluster.pb.h"
#include "service/service_context.h"
#include "service/unary_call.h"

namespace cairn {

using ListMembersCall = UnaryCall<v1::ListMembersRequest, v1::ListMembersResponse>;
using AddMemberCall = UnaryCall<v1::AddMemberRequest, v1::ChangeMembersResponse>;
using PromoteMemberCall = UnaryCall<v1::PromoteMemberRequest, v1::ChangeMembersResponse>;
using RemoveMemberCall = UnaryCall<v1::RemoveMemberRequest, v1::ChangeMembersResponse>;
using CancelChangeCall = UnaryCall<v1::CancelMemberChangeRequest, v1::ChangeMembersResponse>;
using UnsafeRecoverCall = UnaryCall<v1::UnsafeRecoverRequest, v1::UnsafeRecoverResponse>;
using TransferCall = UnaryCall<v1::TransferLeadershipRequest, v1::TransferLeadershipResponse>;
using TakeSnapshotCall = UnaryCall<v1::TakeSnapshotRequest, v1::TakeSnapshotResponse>;

// What the member does in the group now.
v1::MemberRole RoleOf(const GroupStatus& status);

// Each ends its call once. `context` outlives the call.
void HandleCall(ServiceContext& context, const std::string& cluster_id, ListMembersCall* call);
void HandleCall(ServiceContext& context, AddMemberCall* call);
void HandleCall(ServiceContext& context, PromoteMemberCall* call);
void HandleCall(ServiceContext& context, RemoveMemberCall* call);
void HandleCall(ServiceContext& context, CancelChangeCall* call);
void HandleCall(ServiceContext& context, TransferCall* call);
void HandleCall(ServiceContext& context, UnsafeRecoverCall* call);
void HandleCall(ServiceContext& context, const std::string& address, TakeSnapshotCall* call);

}  // namespace cairn

#endif  // SERVICE_MEMBERSHIP_MEMBER_CALLS_H_
