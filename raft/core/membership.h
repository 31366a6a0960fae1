// Membership: the history of a group's configurations as this node's log has it.

#ifndef RAFT_CORE_MEMBERSHIP_H_
#define RAFT_CORE_MEMBERSHIP_H_

#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/types.h"
#include "raft/core/configuration.h"

namespace cairn {

// A configuration is in force from the moment its entry is appended (thesis 4.1), committed or
// not, and no longer once the entry is truncated; so the history back to the log's base is kept:
// the one in force there, and those behind it. Membership decides who is counted, not who is
// answered.
class Membership {
 public:
  // `base` is in force at the log's base, and stood at `base_position`, at or before it ({0, 0}: no
  // entry held it); `logged` are those of the entries behind the base, in log order.
  Membership(LogPosition base_position, Configuration base,
             std::vector<std::pair<LogPosition, Configuration>> logged);

  const Configuration& in_force() const { return history_.back().second; }
  LogPosition position() const { return history_.back().first; }
  // False in a new group before its first leader has logged the initial members.
  bool logged() const { return position().index > 0; }

  // The one before what is in force; the same where the log knows none.
  const Configuration& before() const {
    return history_.size() > 1 ? history_[history_.size() - 2].second : in_force();
  }
  // The last configuration whose entry is committed, `commit` being the commit index; of the
  // entries before the base nothing is known, and they are committed.
  const std::pair<LogPosition, Configuration>& committed(Index commit) const;
  // Whether `holds` is true of the configuration in force at `index` or of a later one: those by
  // which an entry there can have been committed.
  bool AnyFrom(Index index, absl::FunctionRef<bool(const Configuration&)> holds) const;

  // `at` is behind every configuration before.
  void Append(LogPosition at, Configuration configuration);
  // An entry that could not be read is there again: one more, or one that is known.
  void Insert(LogPosition at, const Configuration& configuration);
  // `configuration`, of the entry at `at`, which is committed, was in force there: what stands
  // before is forgotten. Not behind the log's end.
  void Learn(LogPosition at, const Configuration& configuration);
  // The entries from `first_removed` on are gone; true if that changed what is in force.
  bool Truncate(Index first_removed);
  // `base` is the log's base now.
  void Compact(Index base);

 private:
  std::vector<std::pair<LogPosition, Configuration>> history_;  // never empty
};

// Whether `configuration` names `node` with this disk, as far as both disks are known.
bool NamesDisk(const Configuration& configuration, NodeId node, Incarnation incarnation);
// Whether `self` is one of several members. If not, whoever is a member has other ones than these:
// they began with others, or without it.
bool IsOneOfSeveral(const Configuration& configuration, NodeId self);
// The other nodes whose votes count, ordered by id: voters of both halves.
std::vector<NodeId> OtherVoters(const Configuration& configuration, NodeId self);
// All members but `self`, ordered by id.
std::vector<NodeId> OtherMembers(const Configuration& configuration, NodeId self);

}  // namespace cairn

#endif  // RAFT_CORE_MEMBERSHIP_H_
