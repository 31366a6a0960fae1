#include "raft/liveness/host_watch.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace cairn {
namespace {

// Of one peer. With usual timings it is silent long before.
constexpr size_t kMaxOpen = 64;
// A start draws a life anywhere; what ended since then is far less than this.
constexpr uint64_t kMostEnded = uint64_t{1} << 32;

bool SameReliance(const std::vector<Raft::Reliance>& a, const std::vector<Raft::Reliance>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.peer == y.peer && x.life == y.life;
  });
}

// How long an answer may wait. It is one to a question that is an interval old by then, and two in
// a row may be lost.
Duration PatienceFor(Duration interval, Duration timeout) {
  return std::clamp((timeout - interval * 4) / 2, Duration{}, interval);
}

// What an answer of life `now` means to who relies on life `then`; nothing if it says nothing new.
std::optional<HostLost::How> Judge(HostLife then, HostLife now) {
  if (now == then) return std::nullopt;
  if (now - then < kMostEnded) return HostLost::How::kDoubtful;
  // The answer was on its way when the group was told of a later life.
  if (then - now < kMostEnded) return std::nullopt;
  return HostLost::How::kRestarted;
}

}  // namespace

void HostWatch::Rests(GroupId group, const std::vector<Raft::Reliance>& on, Timing timing,
                      Instant now) {
  const auto known = groups_.find(group);
  if (known != groups_.end() && SameReliance(known->second.on, on)) return;
  Awake(group);
  for (const Raft::Reliance& reliance : on) {
    const auto [found, added] = peers_.try_emplace(reliance.peer);
    Peer& peer = found->second;
    // The first question goes at once.
    if (added) peer.alive = peer.ask = now;
    Reliant& reliant = peer.reliant[reliance.life];
    reliant.groups.insert(group);
    reliant.since = now;
    peer.intervals.insert(timing.heartbeat_interval);
    peer.timeouts.insert(timing.election_timeout);
  }
  groups_[group] = {on, timing};
}

void HostWatch::Awake(GroupId group) {
  const auto known = groups_.find(group);
  if (known == groups_.end()) return;
  for (const Raft::Reliance& reliance : known->second.on) {
    const auto found = peers_.find(reliance.peer);
    if (found == peers_.end()) continue;
    Peer& peer = found->second;
    const auto reliant = peer.reliant.find(reliance.life);
    if (reliant == peer.reliant.end() || reliant->second.groups.erase(group) == 0) continue;
    if (reliant->second.groups.empty()) peer.reliant.erase(reliant);
    peer.intervals.erase(peer.intervals.find(known->second.timing.heartbeat_interval));
    peer.timeouts.erase(peer.timeouts.find(known->second.timing.election_timeout));
    if (peer.reliant.empty()) Forget(found);
  }
  groups_.erase(known);
}

// It is asked no more, so what is owed goes now.
void HostWatch::Forget(std::map<NodeId, Peer>::iterator peer) {
  const auto& [id, of_peer] = *peer;
  if (of_peer.owed != 0) {
    outgoing_.push_back({id, {.question = of_peer.owed, .life = of_peer.told}});
  }
  peers_.erase(peer);
}

void HostWatch::Receive(Instant now, NodeId from, const HostHeartbeat& heartbeat, HostLife life) {
  if (!heartbeat.reply_wanted) return TakeAnswer(from, heartbeat.question, heartbeat.life);
  if (heartbeat.answered != 0) TakeAnswer(from, heartbeat.answered, heartbeat.life);
  const auto peer = peers_.find(from);
  // That this life is another one is to be known at once.
  if (peer != peers_.end() && peer->second.told == life &&
      peer->second.ask <= now + heartbeat.patience && heartbeat.patience > Duration{}) {
    peer->second.owed = std::max(peer->second.owed, heartbeat.question);
  } else {
    outgoing_.push_back({from, {.question = heartbeat.question, .life = life}});
  }
}

void HostWatch::TakeAnswer(NodeId from, uint64_t number, HostLife life) {
  const auto found = peers_.find(from);
  if (found == peers_.end()) return;
  Peer& peer = found->second;
  const auto question =
      std::find_if(peer.open.begin(), peer.open.end(),
                   [number](const Question& open) { return open.number == number; });
  if (question == peer.open.end()) return;
  const Instant asked = question->asked;
  peer.alive = std::max(peer.alive, asked);
  peer.open.erase(peer.open.begin(), question + 1);
  // All rely on the life it has: the usual case.
  if (peer.reliant.size() == 1 && peer.reliant.begin()->first == life) return;
  const std::map<HostLife, Reliant> reliant = peer.reliant;
  for (const auto& [then, groups] : reliant) {
    const std::optional<HostLost::How> how = Judge(then, life);
    // What was answered before they began to rest may be older than what they rely on.
    if (how && asked > groups.since) Lose(from, groups.groups, *how);
  }
}

void HostWatch::Lose(NodeId peer, const std::set<GroupId>& groups, HostLost::How how) {
  for (GroupId group : groups) {
    lost_.push_back({group, {.peer = peer, .how = how}});
    Awake(group);
  }
}

Instant HostWatch::NextWakeup() const {
  Instant next = kDistantFuture;
  for (const auto& [id, peer] : peers_) {
    next = std::min({next, peer.ask, peer.alive + *peer.timeouts.begin()});
  }
  return next;
}

void HostWatch::Tick(Instant now, HostLife life) {
  std::vector<std::pair<NodeId, std::set<GroupId>>> silent;
  for (auto& [id, peer] : peers_) {
    if (now - peer.alive >= *peer.timeouts.begin()) {
      for (const auto& [known, reliant] : peer.reliant) silent.emplace_back(id, reliant.groups);
    } else if (now >= peer.ask) {
      peer.open.push_back({++last_question_, now});
      if (peer.open.size() > kMaxOpen) peer.open.pop_front();
      const Duration interval = *peer.intervals.begin();
      peer.ask = now + interval;
      outgoing_.push_back({id,
                           {.question = last_question_,
                            .reply_wanted = true,
                            .life = life,
                            .patience = PatienceFor(interval, *peer.timeouts.begin()),
                            .answered = std::exchange(peer.owed, 0)}});
      peer.told = life;
    }
  }
  for (const auto& [id, groups] : silent) Lose(id, groups, HostLost::How::kSilent);
}

std::vector<HostWatch::Outgoing> HostWatch::TakeOutgoing() { return std::exchange(outgoing_, {}); }

std::vector<HostWatch::Lost> HostWatch::TakeLost() { return std::exchange(lost_, {}); }

}  // namespace cairn
