// What operators ask of a group's membership and leadership, and what becomes of it.

#ifndef RAFT_CONTROL_CONTROL_H_
#define RAFT_CONTROL_CONTROL_H_

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "base/time.h"
#include "base/types.h"
#include "raft/core/membership_plan.h"

namespace cairn {

// A change is done when its first step is committed: from then on the group goes to the target by
// itself, whoever leads (raft/core/membership_plan.h), and status shows how far it is. A transfer
// is done when `leader` leads.
struct ControlDone {
  LogPosition at;  // of a change's first step, or of the configuration that has it done already
  NodeId leader = NodeId::kNone;
};

// Not done. Sure for every reason but kUnknown.
struct ControlRefused {
  enum class Reason {
    kNotLeader,        // only the leader can; `leader` is a hint
    kNotReady,         // the leader has not committed an entry of its own term yet
    kInProgress,       // another change or transfer is under way
    kInvalid,          // no members a group could have
    kWouldLoseQuorum,  // too few of the voters to be answer
    kLagging,          // a learner that shall vote is too far behind
    kBadTarget,        // nobody who could take the leadership over
    kTimeout,          // a transfer was not done by its deadline
    kNothingToDo,      // nothing to cancel; leads already; cannot campaign
    kNotLost,          // a leader may be live, or a majority is left
    kUnknown,          // the change was appended, and leadership lost; it may take place
    kOverloaded,       // too many such requests wait
    kStopping,
    kFenced,
    kNotFormed,
  };
  Reason reason = Reason::kNotLeader;
  std::string message;  // for people, with the arithmetic
  NodeId leader = NodeId::kNone;
};
const char* NameOf(ControlRefused::Reason reason);

using ControlResult = std::variant<ControlDone, ControlRefused>;
using ControlCallback = absl::AnyInvocable<void(ControlResult)>;

// How long an override holds unless it is said.
inline constexpr Duration kUsualOverride = Seconds(300);

// The events of the core (raft/core/events.h) without their numbers.
struct MembershipRequest {
  DeclaredMembers members;
  Index based_on = 0;  // GroupStatus::configuration_index the members were worked out from; 0: any
};
struct CancelRequest {};
struct TransferRequest {
  NodeId target = NodeId::kNone;  // kNone: the best voter
};
struct CampaignRequest {};
struct StepDownRequest {};
// Either `evicted` or `quorum`. The wall time it is asked at is kept in the log.
struct UnsafeRecoveryRequest {
  std::vector<NodeId> evicted = {};
  uint64_t quorum = 0;
  Duration expiry = kUsualOverride;
  bool only_check = false;  // nothing is done; done: it would not be refused
};
using ControlRequest = std::variant<MembershipRequest, CancelRequest, TransferRequest,
                                    CampaignRequest, StepDownRequest, UnsafeRecoveryRequest>;

// One call. Answered exactly once: at the latest, with kStopping, when it is destroyed.
class ControlCall {
 public:
  ControlCall(ControlRequest request, Instant deadline, ControlCallback done)
      : request_(std::move(request)), deadline_(deadline), done_(std::move(done)) {}
  ~ControlCall();
  ControlCall(ControlCall&& other) noexcept;
  ControlCall& operator=(ControlCall&&) = delete;

  const ControlRequest& request() const { return request_; }
  Instant deadline() const { return deadline_; }
  void Answer(ControlResult result);

 private:
  ControlRequest request_;
  Instant deadline_;
  ControlCallback done_;  // null once answered
};

}  // namespace cairn

#endif  // RAFT_CONTROL_CONTROL_H_
