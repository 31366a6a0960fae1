// The call of service Cluster that recovers from a lost majority.

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "raft/core/unsafe_override.h"
#include "service/membership/loss_estimate.h"
#include "service/membership/member_calls.h"

namespace cairn {
namespace {

// nullopt: no duration at all.
std::optional<Duration> ExpiryOf(const v1::UnsafeRecoverRequest& request) {
  if (!request.has_expiry()) return kUsualOverride;
  const google::protobuf::Duration& expiry = request.expiry();
  // What is longer than any override is refused below; here it must not overflow.
  if (expiry.seconds() < 0 || expiry.seconds() > ToMilliseconds(kLongestOverride)) {
    return std::nullopt;
  }
  return Seconds(expiry.seconds()) + Nanoseconds(expiry.nanos());
}

void WriteEstimate(const ServiceContext& context, const UnsafeRecoveryRequest& asked,
                   v1::UnsafeRecoverResponse* to) {
  const GroupStatus status = context.opened()->group.Status();
  to->set_node(ToInteger(status.node));
  to->set_done(!asked.only_check);
  to->set_last_index(status.last_index);
  to->set_last_term(status.last_term);
  to->set_commit_index(status.commit_index);
  to->set_applied_index(status.applied_index);
  std::optional<Duration> since_leader;
  if (status.leader_heard_at) {
    since_leader = std::max(context.Now() - *status.leader_heard_at, Duration{});
    to->mutable_since_leader()->set_seconds(since_leader->nanoseconds / 1'000'000'000);
    to->mutable_since_leader()->set_nanos(
        static_cast<int32_t>(since_leader->nanoseconds % 1'000'000'000));
  }
  to->set_natural_quorum(NaturalQuorum(status.configuration));
  to->set_votes_needed(asked.quorum > 0 ? asked.quorum
                                        : VotersLeft(status.configuration, asked.evicted));
  to->set_may_be_lost(LossEstimate({.last = {status.last_index, status.last_term},
                                    .commit = status.commit_index,
                                    .since_leader = since_leader}));
}

}  // namespace

void HandleCall(ServiceContext& context, UnsafeRecoverCall* call) {
  const v1::UnsafeRecoverRequest& request = call->request();
  if (request.group() > ToInteger(GroupId::kDefault)) {
    return call->End(GroupNotFound(request.group()));
  }
  if (context.opened() == nullptr) return call->End(Starting());
  const std::optional<Duration> expiry = ExpiryOf(request);
  if (!expiry) {
    return call->End(InvalidField("expiry", "from 1 ns to 1 h"));
  }
  UnsafeRecoveryRequest asked = {.evicted = {},
                                 .quorum = request.quorum(),
                                 .expiry = *expiry,
                                 .only_check = !request.unsafe_really()};
  for (uint64_t node : request.evicted()) asked.evicted.push_back(NodeId{node});
  Group group = context.opened()->group;
  group.RecoverUnsafely(asked, [&context, call, asked](const ControlResult& result) {
    if (const auto* refused = std::get_if<ControlRefused>(&result)) {
      return call->End(context.Explain(*refused));
    }
    WriteEstimate(context, asked, &call->response());
    call->End(std::nullopt);
  });
}

}  // namespace cairn
