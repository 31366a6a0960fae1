#include "raft/control/pending_controls.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include "base/check.h"

namespace cairn {
namespace {

using Reason = ControlRefused::Reason;

// Operators ask seldom; more at a time are a mistake.
constexpr size_t kMaxWaiting = 64;

Reason ReasonOf(ControlRefusal refusal) {
  switch (refusal) {
    case ControlRefusal::kNone:
      break;
    case ControlRefusal::kNotLeader:
      return Reason::kNotLeader;
    case ControlRefusal::kNotReady:
      return Reason::kNotReady;
    case ControlRefusal::kInProgress:
      return Reason::kInProgress;
    case ControlRefusal::kInvalid:
      return Reason::kInvalid;
    case ControlRefusal::kWouldLoseQuorum:
      return Reason::kWouldLoseQuorum;
    case ControlRefusal::kLagging:
      return Reason::kLagging;
    case ControlRefusal::kBadTarget:
      return Reason::kBadTarget;
    case ControlRefusal::kTimeout:
      return Reason::kTimeout;
    case ControlRefusal::kNothingToDo:
      return Reason::kNothingToDo;
    case ControlRefusal::kNotLost:
      return Reason::kNotLost;
  }
  CAIRN_CHECK(false) << "no refusal";
  return Reason::kUnknown;
}

struct MakeEvent {
  uint64_t request;
  Instant deadline;
  WallTime wall_now;

  Event operator()(const MembershipRequest& asked) {
    return ChangeMembership{
        .request = request, .members = asked.members, .based_on = asked.based_on};
  }
  Event operator()(const CancelRequest&) { return CancelMembership{request}; }
  Event operator()(const TransferRequest& asked) {
    return TransferLeadership{.request = request, .target = asked.target, .deadline = deadline};
  }
  Event operator()(const CampaignRequest&) { return Campaign{request}; }
  Event operator()(const StepDownRequest&) { return StepDown{request}; }
  Event operator()(const UnsafeRecoveryRequest& asked) {
    return UnsafeRecover{.request = request,
                         .evicted = asked.evicted,
                         .quorum = asked.quorum,
                         .expiry = asked.expiry,
                         .asked = wall_now,
                         .only_check = asked.only_check};
  }
};

}  // namespace

std::optional<Event> PendingControls::Ask(ControlCall call, WallTime wall_now) {
  if (asked_.size() + accepted_.size() >= kMaxWaiting) {
    call.Answer(ControlRefused{Reason::kOverloaded, "too many requests wait", NodeId::kNone});
    return std::nullopt;
  }
  const uint64_t request = ++last_request_;
  Event event = std::visit(MakeEvent{request, call.deadline(), wall_now}, call.request());
  asked_.emplace(request, std::move(call));
  return event;
}

void PendingControls::Take(const ControlOutcome& outcome) {
  const auto found = asked_.find(outcome.request);
  if (found == asked_.end()) return;
  ControlCall call = std::move(found->second);
  asked_.erase(found);
  if (outcome.refusal != ControlRefusal::kNone) {
    std::string text = outcome.text;
    if (outcome.refusal == ControlRefusal::kNotLeader) text = "this member does not lead the group";
    call.Answer(ControlRefused{ReasonOf(outcome.refusal), std::move(text), outcome.leader});
  } else if (outcome.at.index == 0) {
    call.Answer(ControlDone{{}, outcome.leader});
  } else {
    accepted_.emplace(outcome.at.index, Accepted{outcome.at.term, outcome.leader, std::move(call)});
  }
}

void PendingControls::Settle(std::multimap<Index, Accepted>::iterator at, Term committed_term) {
  Accepted accepted = std::move(at->second);
  const LogPosition position = {at->first, accepted.term};
  accepted_.erase(at);
  if (committed_term == accepted.term) {
    accepted.call.Answer(ControlDone{position, accepted.leader});
  } else {
    accepted.call.Answer(ControlRefused{Reason::kUnknown,
                                        "another leader's entry stands in the place of the change",
                                        NodeId::kNone});
  }
}

void PendingControls::Expire(Instant now) {
  // The core keeps the deadlines of transfers, and answers them.
  for (auto at = accepted_.begin(); at != accepted_.end();) {
    if (at->second.call.deadline() > now) {
      ++at;
      continue;
    }
    at->second.call.Answer(ControlRefused{
        Reason::kUnknown, "the change is appended and not committed yet", at->second.leader});
    at = accepted_.erase(at);
  }
}

Instant PendingControls::NextDeadline() const {
  Instant next = kDistantFuture;
  for (const auto& [index, accepted] : accepted_) next = std::min(next, accepted.call.deadline());
  return next;
}

void PendingControls::RefuseAll(ControlRefused::Reason reason, absl::string_view message) {
  for (auto& [request, call] : std::exchange(asked_, {})) {
    call.Answer(ControlRefused{reason, std::string(message), NodeId::kNone});
  }
  for (auto& [index, accepted] : std::exchange(accepted_, {})) {
    accepted.call.Answer(ControlRefused{Reason::kUnknown, std::string(message), NodeId::kNone});
  }
}

}  // namespace cairn
