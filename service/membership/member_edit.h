// MemberEdit: what becomes of a group's members when one is added, promoted or removed, as the
// whole declaration Group::ChangeMembership takes.

#ifndef SERVICE_MEMBERSHIP_MEMBER_EDIT_H_
#define SERVICE_MEMBERSHIP_MEMBER_EDIT_H_

#include <variant>

#include "raft/core/configuration.h"
#include "raft/core/membership_plan.h"
#include "service/errors.h"

namespace cairn {

using Declaration = std::variant<DeclaredMembers, RpcError>;

// All three begin with where the group is, or is going to be: while a change is under way, asking
// for the same again gives its target, and asking for another one is for the group to refuse.

// A learner that is added as a voter becomes one; a member of another address moves. MEMBER_EXISTS
// for a voter that is added as a learner, INVALID_FIELD for a bad id or address, MEMBER_REMOVED for
// a node that was removed and asks for itself: only it knows its incarnation. It would undo what
// an operator has done, perhaps before it is told.
Declaration WithMember(const Configuration& current, const Member& member, bool learner);
// MEMBER_NOT_FOUND for a node that is none. A voter stays one.
Declaration WithPromoted(const Configuration& current, NodeId node);
// MEMBER_NOT_FOUND for a node that is none.
Declaration WithoutMember(const Configuration& current, NodeId node);

}  // namespace cairn

#endif  // SERVICE_MEMBERSHIP_MEMBER_EDIT_H_
