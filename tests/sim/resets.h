// Resets: the members of a group that are, or were, reset.

#ifndef TESTS_SIM_RESETS_H_
#define TESTS_SIM_RESETS_H_

#include <map>
#include <optional>

#include "base/types.h"

namespace cairn::sim {

// One at a time: from Begin until the group's members name what came of it, or nobody tries any
// more. One thread.
class Resets {
 public:
  // From now on the node's part of the group may be gone.
  void Begin(NodeId node) { now_ = Now{node}; }
  bool MayBeGone(NodeId node) const { return now_ && now_->node == node && !now_->decided; }
  // Nothing was changed; or it was found whole after the process had ended.
  void Refused(NodeId node) {
    if (MayBeGone(node)) now_.reset();
  }
  // It is gone; the node is another member now.
  void Begun(NodeId node, Incarnation incarnation) {
    incarnations_[node] = incarnation;
    if (now_ && now_->node == node) now_->decided = true;
  }
  // The new member is one, or never will be.
  void End(NodeId node) {
    if (now_ && now_->node == node) now_.reset();
  }
  bool under_way() const { return now_.has_value(); }
  // Of what came of the last reset; kUnknown if there was none.
  Incarnation incarnation(NodeId node) const {
    const auto found = incarnations_.find(node);
    return found == incarnations_.end() ? Incarnation::kUnknown : found->second;
  }

 private:
  struct Now {
    NodeId node = NodeId::kNone;
    bool decided = false;
  };
  std::optional<Now> now_;
  std::map<NodeId, Incarnation> incarnations_;
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_RESETS_H_
