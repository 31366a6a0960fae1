#include "raft/repair/state_repair.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "raft/core/membership.h"

namespace cairn {
namespace {

// Who offers a snapshot and does not bring it is passed over in the end.
constexpr uint32_t kMostTimes = 120;
// The wait after a state that did not help doubles so often.
constexpr int kMostDoublings = 8;

}  // namespace

// The one that offers goes on, else the leader, else the one behind who was asked last. Also one
// that had lost its own: it may have got it back.
NodeId StateRepair::Choose(const Raft& raft) const {
  if (answered_ && times_ < kMostTimes) return asked_;
  const NodeId leader = raft.leader();
  if (leader != NodeId::kNone && leader != asked_) return leader;
  const std::vector<NodeId> members = OtherMembers(raft.configuration(), raft.node());
  if (members.empty()) return NodeId::kNone;
  const auto next = std::upper_bound(members.begin(), members.end(), asked_);
  return next == members.end() ? members.front() : *next;
}

std::optional<EntryRepair::Asking> StateRepair::Next(Instant now, const Raft& raft) {
  const bool damaged = damage_.parts > 0 && !damage_.mending;
  const Index needed = raft.state_needed();
  if (needed == 0 && !damaged) {
    due_ = kDistantFuture;
    return std::nullopt;
  }
  if (due_ == kDistantFuture && needed == 0 && damage_.failures > 0) {
    due_ = now + interval_ * (int64_t{1} << damage_.failures);
  }
  if (due_ != kDistantFuture && now < due_) return std::nullopt;
  due_ = now + interval_;
  const NodeId peer = Choose(raft);
  times_ = peer == asked_ ? times_ + 1 : 1;
  asked_ = peer;
  answered_ = false;
  if (peer == NodeId::kNone) return std::nullopt;
  // No request for entries: a state of nothing is none.
  const Index at_least = needed != 0 ? needed : std::max(damage_.applied, Index{1});
  EntryRequest request = {++last_request_, {}, at_least};
  // Who is unsure may have forgotten the term it was committed in.
  if (raft.state_lost() && !raft.unsure()) {
    request.state_term = raft.base().term;
    request.term = raft.term();
  }
  return EntryRepair::Asking{peer, std::move(request)};
}

void StateRepair::Damaged(Index applied, size_t parts) {
  damage_.parts = parts;
  damage_.applied = applied;
  damage_.more = damage_.mending;
}

size_t StateRepair::Mended(bool whole) {
  damage_.mending = false;
  damage_.failures = whole ? 0 : std::min(damage_.failures + 1, kMostDoublings);
  if (!whole) due_ = kDistantFuture;
  if (!whole || damage_.more) {
    damage_.more = false;
    return 0;
  }
  return std::exchange(damage_.parts, 0);
}

void StateRepair::Take(NodeId from, const EntryReply& reply, const Raft& raft) {
  if (!raft.configuration().IsMember(from) && from != raft.leader()) return;
  // Also unasked: who stops because of it says so.
  if (reply.state == StateAnswer::kLost) {
    lost_too_.insert(from);
    return;
  }
  if (reply.request != last_request_ || from != asked_) return;
  answered_ = reply.state == StateAnswer::kOffered;
  lost_too_.erase(from);
}

bool StateRepair::TakeNowhere(Instant now, const Raft& raft) {
  if (!AllHaveLostIt(raft)) {
    all_lost_since_.reset();
    return false;
  }
  if (!all_lost_since_) all_lost_since_ = now;
  // Of who has joined since the list of members that is left was in force one may lead by then.
  const Duration patience = raft.knows_members() ? Duration{} : interval_ * kPatience;
  return now - *all_lost_since_ >= patience;
}

bool StateRepair::AllHaveLostIt(const Raft& raft) const {
  if (!raft.state_lost() || lost_too_.empty()) return false;
  // Which members there are is lost, too: a leader may be one that this node has not heard of.
  if (raft.leader() != NodeId::kNone && !lost_too_.contains(raft.leader())) return false;
  if (!IsOneOfSeveral(raft.configuration(), raft.node())) return false;
  const std::vector<NodeId> members = OtherMembers(raft.configuration(), raft.node());
  return std::all_of(members.begin(), members.end(),
                     [this](NodeId member) { return lost_too_.contains(member); });
}

}  // namespace cairn
