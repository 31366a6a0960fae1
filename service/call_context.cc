#include "service/call_context.h"

#include <algorithm>
#include <chrono>

namespace cairn {

namespace {
constexpr Duration kLongestLead = Milliseconds(20);
}  // namespace

bool HasDeadline(const grpc::ServerContextBase& call) {
  return call.deadline() != std::chrono::system_clock::time_point::max();
}

Instant DeadlineOf(const grpc::ServerContextBase& call, const ServiceContext& context) {
  Instant now = context.Now();
  if (!HasDeadline(call)) return now + context.limits().default_deadline;
  auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(
      call.deadline() - std::chrono::system_clock::now());
  Duration lead = std::min(Nanoseconds(left.count()) / 10, kLongestLead);
  return now + Nanoseconds(left.count()) - std::max(lead, Duration{});
}

bool MustNotForward(const grpc::ServerContextBase& call) {
  auto found = call.client_metadata().find("cairn-no-forward");
  return found != call.client_metadata().end() && found->second == "true";
}

}  // namespace cairn
