#include "raft/core/progress.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace cairn {
namespace {

// A probe that is refused was sent for nothing.
constexpr size_t kProbeBytes = size_t{64} << 10;

}  // namespace

size_t Progress::inflight_messages() const {
  const auto* replicating = std::get_if<Replicating>(&state_);
  return replicating ? replicating->window.messages() : 0;
}

size_t Progress::inflight_bytes() const {
  const auto* replicating = std::get_if<Replicating>(&state_);
  return replicating ? replicating->window.bytes() : 0;
}

void Progress::OnContact(Instant now) {
  last_contact_ = std::max(last_contact_, now);
  heard_ = true;
}

size_t Progress::FreeBytes(const SendLimits& limits) const {
  if (outstanding_.request != 0) return 0;
  if (const auto* probing = std::get_if<Probing>(&state_)) {
    return probing->waiting ? 0 : std::min(kProbeBytes, limits.bytes);
  }
  const auto* replicating = std::get_if<Replicating>(&state_);
  return replicating == nullptr || replicating->waiting ? 0 : replicating->window.FreeBytes(limits);
}

void Progress::OnRequested(uint64_t request) {
  CAIRN_CHECK_NE(request, uint64_t{0});
  CAIRN_CHECK_EQ(outstanding_.request, uint64_t{0});
  outstanding_ = {request, next_};
}

void Progress::OnSent(uint64_t request, Index last, size_t bytes, Instant now) {
  if (request == 0 || request != outstanding_.request) return;
  bool current = outstanding_.next == next_;
  outstanding_ = {};
  if (!current || snapshotting()) return;
  if (std::holds_alternative<Probing>(state_)) {
    state_ = last < next_ ? Probing{.waiting = true} : Probing{true, last, bytes};
    return;
  }
  auto& replicating = std::get<Replicating>(state_);
  if (last < next_) {
    replicating.waiting = true;
    return;
  }
  // Silence counts from the first message without an answer.
  if (replicating.window.empty()) replicating.last_news = now;
  replicating.window.Add(last, bytes);
  next_ = last + 1;
}

void Progress::NeedSnapshot() {
  if (!snapshotting()) state_ = Snapshotting{};
}

bool Progress::TakeOffer() {
  auto* waiting = std::get_if<Snapshotting>(&state_);
  return waiting != nullptr && std::exchange(waiting->offer, false);
}

bool Progress::OnAck(Index match, Instant now) {
  if (match <= match_) return false;
  match_ = match;
  last_progress_ = now;
  if (const auto* probing = std::get_if<Probing>(&state_)) {
    const Probing probe = *probing;
    // A peer that has the entry before the probe has taken the probe, or will; what it does not
    // acknowledge yet is on the way to its disk.
    const bool taken = match + 1 >= next_ && probe.last > match;
    auto& replicating = state_.emplace<Replicating>();
    if (taken) replicating.window.Add(probe.last, probe.bytes);
    replicating.last_news = now;
    next_ = (taken ? probe.last : match) + 1;
    return true;
  }
  if (snapshotting()) state_ = Replicating{};
  auto& replicating = std::get<Replicating>(state_);
  replicating.window.ReleaseUpTo(match);
  replicating.last_news = now;
  next_ = std::max(next_, match + 1);
  return true;
}

bool Progress::OnRefused(Index refused_index, LogPosition hint, const Trail& trail) {
  if (snapshotting()) return false;
  // Of probes only the last one counts.
  if (refused_index == 0 || refused_index >= next_ || (probing() && refused_index != next_ - 1))
    return false;
  // A log that ends before the leader's begins shares nothing that is there to send.
  const bool before = hint.index < trail.base().index;
  const Index shared =
      std::min(before ? hint.index : trail.LastSharedWith(hint).index, refused_index - 1);
  if (refused_index <= match_) match_ = std::min(match_, shared);
  next_ = std::max(match_, shared) + 1;
  state_ = Probing{};
  return true;
}

void Progress::OnUnreachable() {
  if (snapshotting()) return;
  next_ = probing() ? next_ : match_ + 1;
  state_ = Probing{.waiting = true};
}

void Progress::OnHeartbeat(Instant now, Duration patience) {
  if (auto* probing = std::get_if<Probing>(&state_)) {
    probing->waiting = false;
    return;
  }
  if (auto* waiting = std::get_if<Snapshotting>(&state_)) {
    waiting->offer = true;
    return;
  }
  auto& replicating = std::get<Replicating>(state_);
  replicating.waiting = false;
  if (!replicating.window.empty() && now - replicating.last_news > patience) {
    next_ = match_ + 1;
    state_ = Probing{};
  }
}

}  // namespace cairn
