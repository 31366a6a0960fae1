#include "raft/core/membership_plan.h"

#include <algorithm>
#include <cstddef>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/check.h"

namespace cairn {
namespace {

bool Names(const std::vector<Member>& members, NodeId node) {
  return std::any_of(members.begin(), members.end(),
                     [node](const Member& member) { return member.node == node; });
}

void SortByNode(std::vector<Member>& members) {
  std::sort(members.begin(), members.end(),
            [](const Member& a, const Member& b) { return a.node < b.node; });
}

// The members of the target, where they are named: their addresses may be new ones.
std::vector<Member> Updated(std::vector<Member> members, const MembershipTarget& target) {
  for (Member& member : members) {
    for (const auto* named : {&target.voters, &target.learners}) {
      for (const Member& update : *named) {
        if (update.node == member.node) member = update;
      }
    }
  }
  return members;
}

std::vector<Member> Completed(const Configuration& current, std::vector<Member> members) {
  for (Member& member : members) {
    const Member* known = current.Find(member.node);
    if (known != nullptr && known->incarnation != Incarnation::kUnknown) {
      member.incarnation = known->incarnation;
    }
  }
  SortByNode(members);
  return members;
}

Configuration Reached(const Configuration& current, const MembershipTarget& target) {
  return {.voters = target.voters,
          .outgoing_voters = {},
          .learners = target.learners,
          .target = {},
          .unsafe_recoveries = current.unsafe_recoveries};
}

}  // namespace

absl::Status CheckDeclared(const Configuration& current, const DeclaredMembers& declared) {
  if (declared.voters.empty()) return absl::InvalidArgumentError("a group without voters");
  const size_t count = declared.voters.size() + declared.learners.size();
  if (count > kMaxMembers) {
    return absl::InvalidArgumentError(absl::StrCat(count, " members, ", kMaxMembers, " at most"));
  }
  std::set<NodeId> nodes;
  std::set<std::string> addresses;
  for (const auto* members : {&declared.voters, &declared.learners}) {
    for (const Member& member : *members) {
      const uint64_t id = ToInteger(member.node);
      if (member.node == NodeId::kNone) return absl::InvalidArgumentError("a member with id 0");
      if (!nodes.insert(member.node).second) {
        return absl::InvalidArgumentError(absl::StrCat("node ", id, " is named twice"));
      }
      if (member.address.empty()) {
        return absl::InvalidArgumentError(absl::StrCat("node ", id, " has no address"));
      }
      if (!addresses.insert(member.address).second) {
        return absl::InvalidArgumentError(
            absl::StrCat("address ", member.address, " is named twice"));
      }
      const Member* known = current.Find(member.node);
      if (known != nullptr && known->incarnation != Incarnation::kUnknown &&
          member.incarnation != Incarnation::kUnknown && member.incarnation != known->incarnation) {
        return absl::InvalidArgumentError(
            absl::StrCat("node ", id, " is a member with the data directory of incarnation ",
                         ToInteger(known->incarnation), ", not ", ToInteger(member.incarnation),
                         ": remove it, and let the new one join under a new id"));
      }
    }
  }
  return absl::OkStatus();
}

MembershipTarget MakeTarget(const Configuration& current, const DeclaredMembers& declared) {
  return {.voters = Completed(current, declared.voters),
          .learners = Completed(current, declared.learners),
          .voters_before = current.voters,
          .learners_before = current.learners};
}

bool LeadsTo(const Configuration& current, const MembershipTarget& target) {
  const std::vector<Member>& voters = current.target ? current.target->voters : current.voters;
  const std::vector<Member>& learners =
      current.target ? current.target->learners : current.learners;
  return voters == target.voters && learners == target.learners &&
         (current.target.has_value() || !current.joint());
}

Configuration FirstStep(const Configuration& current, const MembershipTarget& target) {
  CAIRN_CHECK(!current.joint() && !current.target) << "one change at a time";
  if (SameNodes(current.voters, target.voters)) return Reached(current, target);
  Configuration next = {.voters = Updated(current.voters, target),
                        .outgoing_voters = {},
                        .learners = Updated(current.learners, target),
                        .target = target,
                        .unsafe_recoveries = current.unsafe_recoveries};
  for (const auto* members : {&target.voters, &target.learners}) {
    for (const Member& member : *members) {
      if (!current.IsMember(member.node)) next.learners.push_back(member);
    }
  }
  SortByNode(next.learners);
  return next;
}

std::optional<Configuration> NextStep(const Configuration& current,
                                      absl::FunctionRef<bool(NodeId)> caught_up,
                                      absl::FunctionRef<bool(NodeId)> answers, size_t most) {
  if (current.joint()) {
    if (current.target && SameNodes(current.voters, current.target->voters)) {
      return Reached(current, *current.target);
    }
    Configuration next = current;
    next.outgoing_voters.clear();
    return next;
  }
  if (!current.target) return std::nullopt;
  const MembershipTarget& target = *current.target;
  for (const Member& voter : target.voters) {
    if (!current.IsVoter(voter.node) && !caught_up(voter.node)) return std::nullopt;
  }
  if (!QuorumFault(target.voters, answers, most).empty()) return std::nullopt;
  Configuration next = {.voters = target.voters,
                        .outgoing_voters = current.voters,
                        .learners = current.learners,
                        .target = target,
                        .unsafe_recoveries = current.unsafe_recoveries};
  std::erase_if(next.learners,
                [&](const Member& member) { return Names(target.voters, member.node); });
  return next;
}

Configuration StepBack(const Configuration& current) {
  CAIRN_CHECK(current.target && !current.joint());
  return {.voters = current.target->voters_before,
          .outgoing_voters = {},
          .learners = current.target->learners_before,
          .target = {},
          .unsafe_recoveries = current.unsafe_recoveries};
}

std::string QuorumFault(const std::vector<Member>& voters, absl::FunctionRef<bool(NodeId)> answers,
                        size_t most) {
  std::vector<std::string> answering;
  for (const Member& voter : voters) {
    if (answers(voter.node)) answering.push_back(absl::StrCat(ToInteger(voter.node)));
  }
  const size_t needed = std::min(voters.size() / 2 + 1, most);
  if (answering.size() >= needed) return "";
  std::string who = "none answers";
  if (answering.size() == 1) who = absl::StrCat("only node ", answering[0], " answers");
  if (answering.size() > 1) {
    who = absl::StrCat("only nodes ", absl::StrJoin(answering, ", "), " answer");
  }
  return absl::StrCat("needs ", needed, " of ", voters.size(), " voters, ", who);
}

std::string TransitionFault(const Configuration& before, const Configuration& after) {
  const UnsafeRecoveries& inherited = before.unsafe_recoveries;
  const UnsafeRecoveries& recoveries = after.unsafe_recoveries;
  // Of an operator's making: its quorums need not meet those before.
  if (recoveries.count == inherited.count + 1) return "";
  if (recoveries != inherited) {
    return absl::StrCat(ToString(after), " follows ", ToString(before),
                        ": unsafe recoveries are forgotten");
  }
  const bool from_one = !before.joint();
  bool meets = false;
  if (from_one && !after.joint()) {
    meets = SameNodes(before.voters, after.voters);
  } else if (from_one) {
    meets = SameNodes(before.voters, after.outgoing_voters);
  } else if (!after.joint()) {
    meets = SameNodes(before.voters, after.voters);
  } else {
    meets = SameNodes(before.voters, after.voters) &&
            SameNodes(before.outgoing_voters, after.outgoing_voters);
  }
  if (meets) return "";
  return absl::StrCat(ToString(after), " follows ", ToString(before),
                      ": their quorums need not meet");
}

}  // namespace cairn
