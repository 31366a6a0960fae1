#include "raft/peers/successors.h"

#include <algorithm>

namespace cairn {
namespace {

bool KnowsAsFormer(const Introduction& introduction, Incarnation disk) {
  const auto& before = introduction.disks_before;
  return std::find(before.begin(), before.end(), disk) != before.end();
}

// Of the entries of one log the later one has the higher term or index; of two logs the one that
// counts is the one with the later term.
bool IsLater(LogPosition at, LogPosition other) {
  return at.term != other.term ? at.term > other.term : at.index > other.index;
}

}  // namespace

bool Successors::Believe(NodeId node, Incarnation named, const Introduction& introduction) {
  const Incarnation disk = introduction.disk;
  // Older versions do not say it.
  if (named == Incarnation::kUnknown || disk == Incarnation::kUnknown || disk == named) return true;
  if (!KnowsAsFormer(introduction, named)) return false;
  MutexLock lock(mutex_);
  const auto [known, added] = latest_.try_emplace(node, introduction);
  if (!added && IsLater(introduction.at, known->second.at)) known->second = introduction;
  return true;
}

bool Successors::Has(NodeId node, Incarnation named, Incarnation disk, Index commit) const {
  MutexLock lock(mutex_);
  const auto known = latest_.find(node);
  return known != latest_.end() && disk != named && known->second.disk == disk &&
         known->second.at.index > commit && KnowsAsFormer(known->second, named);
}

}  // namespace cairn
