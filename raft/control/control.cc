#include "raft/control/control.h"

#include <utility>

namespace cairn {

const char* NameOf(ControlRefused::Reason reason) {
  using Reason = ControlRefused::Reason;
  switch (reason) {
    case Reason::kNotLeader:
      return "not leader";
    case Reason::kNotReady:
      return "not ready";
    case Reason::kInProgress:
      return "in progress";
    case Reason::kInvalid:
      return "invalid";
    case Reason::kWouldLoseQuorum:
      return "would lose the quorum";
    case Reason::kLagging:
      return "lagging";
    case Reason::kBadTarget:
      return "bad target";
    case Reason::kTimeout:
      return "timeout";
    case Reason::kNothingToDo:
      return "nothing to do";
    case Reason::kNotLost:
      return "the majority is not lost";
    case Reason::kUnknown:
      return "unknown";
    case Reason::kOverloaded:
      return "overloaded";
    case Reason::kStopping:
      return "stopping";
    case Reason::kFenced:
      return "fenced";
    case Reason::kNotFormed:
      return "not formed";
  }
  return "";
}

ControlCall::ControlCall(ControlCall&& other) noexcept
    : request_(std::move(other.request_)),
      deadline_(other.deadline_),
      done_(std::exchange(other.done_, nullptr)) {}

ControlCall::~ControlCall() {
  Answer(ControlRefused{ControlRefused::Reason::kStopping, "the node is stopping", {}});
}

void ControlCall::Answer(ControlResult result) {
  if (ControlCallback done = std::exchange(done_, nullptr)) done(std::move(result));
}

}  // namespace cairn
