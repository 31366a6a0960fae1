#include "service/membership/member_edit.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cairn/initial_cluster.h"

namespace cairn {
namespace {

DeclaredMembers Where(const Configuration& current) {
  if (current.target) return {current.target->voters, current.target->learners};
  return {current.voters, current.learners};
}

Member* FindIn(std::vector<Member>& members, NodeId node) {
  const auto found = std::find_if(members.begin(), members.end(),
                                  [node](const Member& member) { return member.node == node; });
  return found == members.end() ? nullptr : &*found;
}

void Erase(std::vector<Member>& members, NodeId node) {
  std::erase_if(members, [node](const Member& member) { return member.node == node; });
}

RpcError Precondition(const char* reason, std::string message) {
  RpcError error;
  error.code = absl::StatusCode::kFailedPrecondition;
  error.reason = reason;
  error.message = std::move(message);
  error.metadata["outcome"] = kOutcomeNotApplied;
  return error;
}

}  // namespace

Declaration WithMember(const Configuration& current, const Member& member, bool learner) {
  if (member.node == NodeId::kNone || ToInteger(member.node) > kMaxIndex) {
    return InvalidField("node", "a node's id is from 1 to 2^62");
  }
  if (!IsAddress(member.address)) {
    return InvalidField("address", absl::StrCat(member.address, " is not HOST:PORT"));
  }
  if (member.incarnation != Incarnation::kUnknown && current.WasRemoved(member.node)) {
    return Precondition("MEMBER_REMOVED",
                        absl::StrCat("node ", ToInteger(member.node),
                                     " was removed from the group, and does not come back by its "
                                     "own asking: take a new id, or add it with cairn member add"));
  }
  DeclaredMembers members = Where(current);
  if (Member* voter = FindIn(members.voters, member.node)) {
    if (learner) {
      return Precondition("MEMBER_EXISTS", absl::StrCat("node ", ToInteger(member.node),
                                                        " is a voter: remove it first"));
    }
    *voter = member;
    return members;
  }
  Erase(members.learners, member.node);
  (learner ? members.learners : members.voters).push_back(member);
  return members;
}

Declaration WithPromoted(const Configuration& current, NodeId node) {
  DeclaredMembers members = Where(current);
  if (FindIn(members.voters, node) != nullptr) return members;
  const Member* learner = FindIn(members.learners, node);
  if (learner == nullptr) return MemberNotFound(node);
  members.voters.push_back(*learner);
  Erase(members.learners, node);
  return members;
}

Declaration WithoutMember(const Configuration& current, NodeId node) {
  DeclaredMembers members = Where(current);
  const bool there =
      FindIn(members.voters, node) != nullptr || FindIn(members.learners, node) != nullptr;
  // On its way out already.
  if (!there && !current.IsMember(node)) return MemberNotFound(node);
  Erase(members.voters, node);
  Erase(members.learners, node);
  return members;
}

}  // namespace cairn
