#include "raft/core/membership.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"

namespace cairn {

Membership::Membership(LogPosition base_position, Configuration base,
                       std::vector<std::pair<LogPosition, Configuration>> logged) {
  history_.emplace_back(base_position, std::move(base));
  for (auto& [at, configuration] : logged) Append(at, std::move(configuration));
}

void Membership::Append(LogPosition at, Configuration configuration) {
  CAIRN_CHECK_GT(at.index, position().index) << "configurations come in log order";
  history_.emplace_back(at, std::move(configuration));
}

void Membership::Insert(LogPosition at, const Configuration& configuration) {
  const auto behind = std::find_if(history_.begin(), history_.end(), [at](const auto& known) {
    return known.first.index >= at.index;
  });
  const bool known = behind != history_.end() && behind->first.index == at.index;
  // What stands before the first one is in force no more, wherever the log begins.
  if (known || behind == history_.begin()) return;
  history_.emplace(behind, at, configuration);
}

void Membership::Learn(LogPosition at, const Configuration& configuration) {
  std::erase_if(history_, [at](const auto& known) { return known.first.index <= at.index; });
  history_.emplace(history_.begin(), at, configuration);
}

bool Membership::Truncate(Index first_removed) {
  CAIRN_CHECK_LT(history_.front().first.index, first_removed) << "the base is never truncated";
  const size_t before = history_.size();
  while (position().index >= first_removed) history_.pop_back();
  return history_.size() != before;
}

const std::pair<LogPosition, Configuration>& Membership::committed(Index commit) const {
  const auto found = std::find_if(
      history_.rbegin(), std::prev(history_.rend()),
      [commit](const auto& configuration) { return configuration.first.index <= commit; });
  return *found;
}

bool Membership::AnyFrom(Index index, absl::FunctionRef<bool(const Configuration&)> holds) const {
  for (auto at = history_.rbegin(); at != history_.rend(); ++at) {
    if (holds(at->second)) return true;
    if (at->first.index <= index) return false;
  }
  return false;
}

bool NamesDisk(const Configuration& configuration, NodeId node, Incarnation incarnation) {
  const Member* member = configuration.Find(node);
  return member != nullptr &&
         (member->incarnation == incarnation || member->incarnation == Incarnation::kUnknown ||
          incarnation == Incarnation::kUnknown);
}

bool IsOneOfSeveral(const Configuration& configuration, NodeId self) {
  return configuration.IsMember(self) && !OtherMembers(configuration, self).empty();
}

void Membership::Compact(Index base) {
  auto in_force = std::next(history_.begin());
  while (in_force != history_.end() && in_force->first.index <= base) ++in_force;
  history_.erase(history_.begin(), std::prev(in_force));
}

std::vector<NodeId> OtherVoters(const Configuration& configuration, NodeId self) {
  std::vector<NodeId> voters;
  for (const NodeId node : configuration.Nodes()) {
    if (node != self && configuration.IsVoter(node)) voters.push_back(node);
  }
  return voters;
}

std::vector<NodeId> OtherMembers(const Configuration& configuration, NodeId self) {
  std::vector<NodeId> members = configuration.Nodes();
  std::erase(members, self);
  return members;
}

}  // namespace cairn
