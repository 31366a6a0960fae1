#include "service/cli/cluster_view.h"

#include <algorithm>
#include <deque>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"

namespace cairn {
namespace {

uint64_t NodeOf(const ClusterView::Member& member) {
  return member.status.ok() ? member.status->node() : UINT64_MAX;
}

}  // namespace

ClusterView ViewCluster(Client& client, const std::vector<std::string>& endpoints) {
  ClusterView view;
  std::deque<std::string> to_ask(endpoints.begin(), endpoints.end());
  std::set<std::string> asked;
  std::set<uint64_t> nodes;
  while (!to_ask.empty()) {
    std::string address = std::move(to_ask.front());
    to_ask.pop_front();
    if (!asked.insert(address).second) continue;
    ClusterView::Member member{address, client.GetStatus(address)};
    if (member.status.ok()) {
      // The same member under two names is one member.
      if (!nodes.insert(member.status->node()).second) continue;
      member.address = member.status->address();
      asked.insert(member.address);
      for (const v1::GroupStatus& group : member.status->groups()) {
        for (const v1::GroupMember& other : group.members()) {
          if (!other.address().empty()) to_ask.push_back(other.address());
        }
      }
    }
    view.members.push_back(std::move(member));
  }
  std::stable_sort(view.members.begin(), view.members.end(),
                   [](const auto& a, const auto& b) { return NodeOf(a) < NodeOf(b); });
  return view;
}

size_t ClusterView::unreachable() const {
  return static_cast<size_t>(std::count_if(members.begin(), members.end(),
                                           [](const Member& m) { return !m.status.ok(); }));
}

ClusterView::Leader ClusterView::leader() const {
  Leader leader;
  for (const Member& member : members) {
    if (!member.status.ok()) continue;
    for (const v1::GroupStatus& group : member.status->groups()) {
      // A deposed leader may not know it yet: the newest term counts.
      if (group.serving_leader() && group.term() >= leader.term) {
        leader = {group.node(), group.address(), group.term()};
      }
    }
  }
  return leader;
}

bool ClusterView::Healthy(std::optional<uint64_t> max_lag, std::string* why_not) const {
  Leader leads = leader();
  if (leads.node == 0) {
    *why_not = "nobody leads";
    return false;
  }
  for (const Member& member : members) {
    if (!member.status.ok()) {
      *why_not = absl::StrCat(member.address, " does not answer");
      return false;
    }
    for (const v1::GroupStatus& group : member.status->groups()) {
      if (group.state() != v1::MEMBER_STATE_SERVING) {
        *why_not = absl::StrCat("node ", group.node(), " is not serving: ", group.reason());
        return false;
      }
      if (group.leader() != leads.node) {
        *why_not = absl::StrCat("node ", group.node(), " does not follow node ", leads.node);
        return false;
      }
      // Members of a version that says nothing of it are asked for everything.
      if (group.has_health() && !group.health().healthy()) {
        *why_not =
            absl::StrCat("node ", group.node(), " is not healthy: ", group.health().why_not());
        return false;
      }
      if (group.lag() > max_lag.value_or(group.has_health() ? UINT64_MAX : 0)) {
        *why_not = absl::StrCat("node ", group.node(), " is ", group.lag(), " entries behind");
        return false;
      }
    }
  }
  return true;
}

}  // namespace cairn
