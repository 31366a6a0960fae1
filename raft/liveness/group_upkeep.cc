#include "raft/liveness/group_upkeep.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "base/random.h"

namespace cairn {
namespace {

// Neither 0, which means none, nor so high that it wraps.
HostLife DrawLife(uint64_t seed) { return (Random(seed).Next() >> 1) | 1; }

const char* What(HostLost::How how) {
  switch (how) {
    case HostLost::How::kSilent:
      return "does not answer";
    case HostLost::How::kRestarted:
      return "has started again";
    case HostLost::How::kDoubtful:
      return "has ended its part in some group";
  }
  return "";
}

}  // namespace

GroupUpkeep::GroupUpkeep(Parts parts, uint64_t seed)
    : parts_(std::move(parts)), life_(DrawLife(seed)), watch_(Random(~seed).Next() >> 1) {}

void GroupUpkeep::WakeAt(GroupId group, Instant when) {
  timers_.emplace(when, group);
  Schedule();
}

void GroupUpkeep::Rests(GroupId group, const std::vector<Raft::Reliance>& on,
                        HostWatch::Timing timing) {
  if (on.empty()) return watch_.Awake(group);
  watch_.Rests(group, on, timing, parts_.clock->Now());
  Schedule();
}

void GroupUpkeep::Receive(NodeId from, const HostHeartbeat& heartbeat) {
  const Instant now = parts_.clock->Now();
  watch_.Receive(now, from, heartbeat, life());
  DriveWatch(now);
  Schedule();
}

void GroupUpkeep::DriveWatch(Instant now) {
  if (watch_.NextWakeup() <= now) watch_.Tick(now, life());
  for (const HostWatch::Outgoing& out : watch_.TakeOutgoing()) parts_.send(out.to, out.heartbeat);
  std::map<std::pair<NodeId, HostLost::How>, size_t> groups;
  for (const HostWatch::Lost& lost : watch_.TakeLost()) {
    ++groups[{lost.host.peer, lost.host.how}];
    parts_.lost(lost.group, lost.host);
  }
  for (const auto& [host, count] : groups) {
    parts_.log->Log(LogLevel::kInfo,
                    absl::StrCat("node ", ToInteger(host.first), " ", What(host.second), ": ",
                                 count, " groups that rested wake up"));
  }
}

void GroupUpkeep::Schedule() {
  Instant next = watch_.NextWakeup();
  if (!timers_.empty()) next = std::min(next, timers_.begin()->first);
  if (next >= next_wakeup_) return;
  next_wakeup_ = next;
  parts_.runner->PostAt(next, [this, next] {
    if (next_wakeup_ != next) return;
    next_wakeup_ = kDistantFuture;
    Run(parts_.clock->Now());
  });
}

void GroupUpkeep::Run(Instant now) {
  parts_.transport->BeginBurst();
  DriveWatch(now);
  for (size_t i = 0; i < kTimersATurn && !timers_.empty() && timers_.begin()->first <= now; ++i) {
    const auto [when, group] = *timers_.begin();
    timers_.erase(timers_.begin());
    parts_.due(group, when);
  }
  parts_.transport->EndBurst();
  Schedule();
}

}  // namespace cairn
