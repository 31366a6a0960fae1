// Quiescence: a group that has nothing to do rests. Its leader sends no heartbeats, its followers
// have no election clock, and no member looks at the time, so that a host can have thousands of
// such groups. Raft's papers do not have it.
//
// A leader that found nothing to do for some heartbeats offers rest with the next ones. A follower
// whose log ends where the leader's does, all of it committed, stops its election clock and says
// so; when every member has, the leader rests too: it is the last to sleep, so no follower ever
// waits for a heartbeat that does not come. Any event but time wakes a leader, and it wakes the
// others by its heartbeats. A follower is woken by its leader's messages, by who asks it for a
// vote, by its own clients, and by HostLost; it tells its leader.
//
// Safety does not depend on it: a member that rests is a member whose clock stands still. It
// refuses votes longer than it has promised, never shorter, and a leader's lease runs out as ever.
// Liveness depends on HostLost: while a group rests, hosts watch over each other (raft/liveness).

#include <algorithm>
#include <utility>
#include <variant>

#include "raft/core/state.h"

namespace cairn {

bool Raft::State::Quiesced() const {
  if (fenced_) return false;
  if (const auto* leader = std::get_if<Leader>(&role_)) return leader->quiet.resting;
  return std::holds_alternative<Follower>(role_) && clock_.stopped();
}

std::vector<Raft::Reliance> Raft::State::ReliesOn() const {
  std::vector<Reliance> on;
  if (!Quiesced()) return on;
  if (const auto* follower = std::get_if<Follower>(&role_)) {
    on.push_back({.peer = follower->leader, .life = follower->leader_host});
    return on;
  }
  for (const auto& [peer, state] : std::get<Leader>(role_).peers) {
    on.push_back({.peer = peer, .life = state.resting.value_or(0)});
  }
  return on;
}

// The leader --------------------------------------------------------------------------------------

Instant Raft::State::NextHeartbeat() const {
  const Duration interval = options_.heartbeat_interval;
  if (!options_.align_heartbeats) return now_ + interval;
  return Instant{(now_.nanoseconds / interval.nanoseconds + 1) * interval.nanoseconds};
}

// Everybody has everything and knows that it is committed, and nobody waits for anything.
bool Raft::State::NothingToDo(const Leader& leader) const {
  const Index last = trail_.last().index;
  const Configuration& configuration = membership_.in_force();
  if (!leads_with_commit() || commit_ != last || durable() < last) return false;
  if (control_.transfer || control_.unsafe) return false;
  if (configuration.joint() || configuration.target || !configuration.IsVoter(node())) return false;
  if (!leader.reads.empty()) return false;
  return std::all_of(leader.peers.begin(), leader.peers.end(), [&](const auto& each) {
    const auto& [peer, state] = each;
    return state.removed_at == 0 && state.progress.match() == last && Answers(leader, peer);
  });
}

void Raft::State::NoteQuietHeartbeat(Leader& leader) {
  if (options_.quiesce_after == 0) return;
  if (!NothingToDo(leader)) return Stir(leader, "there is something to do");
  Leader::Quiet& quiet = leader.quiet;
  quiet.heartbeats = std::min(quiet.heartbeats + 1, options_.quiesce_after);
  const bool offers = quiet.heartbeats == options_.quiesce_after;
  if (offers && quiet.offered == kDistantFuture) quiet.offered = now_;
}

std::optional<QuiesceOffer> Raft::State::OfferToRest(const Leader& leader) const {
  if (leader.quiet.offered > now_ || !NothingToDo(leader)) return std::nullopt;
  return QuiesceOffer{.last = trail_.last()};
}

void Raft::State::TakeRestReply(NodeId from, const HeartbeatReply& reply, Leader& leader) {
  const bool unasked = reply.sent == Instant();
  const bool of_offer = reply.sent >= leader.quiet.offered;
  if (unasked || (leader.quiet.resting && of_offer && !reply.quiesced)) {
    return Stir(leader, absl::StrCat("node ", ToInteger(from), " does not rest"));
  }
  if (leader.quiet.resting || !of_offer) return;
  leader.peers.at(from).resting = reply.quiesced ? std::optional(reply.life) : std::nullopt;
  const bool all = std::all_of(leader.peers.begin(), leader.peers.end(),
                               [](const auto& each) { return each.second.resting.has_value(); });
  if (!all || !NothingToDo(leader)) return;
  Trace("rests: everybody has ", ToString(trail_.last()));
  leader.quiet.resting = true;
  leader.heartbeat_due = kDistantFuture;
}

// Something happens: the leader does not rest, nor soon. If it did: `silent` is known not to
// answer; the others' hosts lived until now, and they with them.
void Raft::State::Stir(Leader& leader, absl::string_view why, NodeId silent) {
  if (leader.quiet.heartbeats == 0 && !leader.quiet.resting) return;
  const bool rested = std::exchange(leader.quiet, {}).resting;
  for (auto& [peer, state] : leader.peers) {
    state.resting.reset();
    if (!rested) continue;
    state.heartbeat = true;
    state.progress.LacksNothing(now_);
    if (peer != silent) state.progress.OnContact(now_);
  }
  if (!rested) return;
  Trace("wakes: ", why);
  leader.heartbeat_due = NextHeartbeat();
}

// The follower ------------------------------------------------------------------------------------

bool Raft::State::TakesOffer(const Heartbeat& heartbeat) const {
  if (!heartbeat.quiesce || options_.quiesce_after == 0) return false;
  const LogPosition last = heartbeat.quiesce->last;
  return !unsure() && doubt_.torn.empty() && trail_.holes().empty() && !restore_ &&
         !control_.transfer && !control_.unsafe && trail_.last() == last && commit_ == last.index &&
         durable() >= last.index && std::get<Follower>(role_).reads.empty();
}

void Raft::State::Rest(const QuiesceOffer& offer, bool rested) {
  if (!rested) Trace("rests at ", ToString(offer.last));
  clock_.Stop();
  std::get<Follower>(role_).leader_host = offer.life;
}

// The leader may rest as well: it is told, and answers by heartbeats if it leads.
void Raft::State::WakeFollower(absl::string_view why) {
  Trace("wakes: ", why);
  clock_.Restart(now_);
  const NodeId leader = std::get<Follower>(role_).leader;
  Send(leader, HeartbeatReply{.term = ballot_.state.term,
                              .clock = now_,
                              .priority = NeverLeads() ? kNeverLeads : options_.priority});
}

// `to` rests, and this node does not lead it: it took an offer that came late, made by who has not
// led since, or before it was removed. The host it relies on lives, and nobody would wake it.
void Raft::State::WakeResting(NodeId to) {
  Trace("wakes ", ToInteger(to), ", which rests by an old offer");
  TellRemoved(to);
  // Whoever is asked for a vote wakes; the answer does not count.
  Send(to, PreVoteRequest{.term = std::min(ballot_.state.term + 1, kMaxTerm),
                          .last = claimed_last(),
                          .campaign = random_.Next()});
}

// Both --------------------------------------------------------------------------------------------

// Before an event is handled.
void Raft::State::StirBy(const Event& event) {
  const bool reads = std::holds_alternative<ReadBarrier>(event);
  if (auto* leader = std::get_if<Leader>(&role_)) {
    const bool asks =
        std::holds_alternative<Propose>(event) || std::holds_alternative<ChangeMembership>(event) ||
        std::holds_alternative<CancelMembership>(event) ||
        std::holds_alternative<TransferLeadership>(event) ||
        std::holds_alternative<Campaign>(event) || std::holds_alternative<StepDown>(event);
    if (reads || asks) Stir(*leader, reads ? "a read" : "a request");
  } else if (Quiesced() && (reads || std::holds_alternative<SnapshotReceived>(event))) {
    WakeFollower(reads ? "a read" : "a snapshot");
  }
}

// After a message was handled; heartbeats and their answers stir by themselves. Who asks for votes
// of a member that rests was refused, since its leader may be there and rest; if it is not, it can
// be asked again.
void Raft::State::StirBy(const Message& message) {
  const bool of_heartbeat = std::holds_alternative<HeartbeatReply>(message.body);
  if (auto* leader = std::get_if<Leader>(&role_)) {
    if (!of_heartbeat) Stir(*leader, NameOf(message.body));
    return;
  }
  const bool campaign = std::holds_alternative<PreVoteRequest>(message.body) ||
                        std::holds_alternative<VoteRequest>(message.body);
  if (campaign && Quiesced()) WakeFollower(NameOf(message.body));
}

void Raft::State::On(const HostLost& lost) {
  using How = HostLost::How;
  const bool silent = lost.how == How::kSilent;
  const std::string why = absl::StrCat("the host of ", ToInteger(lost.peer),
                                       silent                        ? " is silent"
                                       : lost.how == How::kRestarted ? " has started again"
                                                                     : " has ended a part");
  if (!Quiesced()) return;
  if (auto* leader = std::get_if<Leader>(&role_)) {
    if (leader->peers.contains(lost.peer)) Stir(*leader, why, silent ? lost.peer : NodeId::kNone);
    return;
  }
  if (std::get<Follower>(role_).leader != lost.peer) return;
  if (lost.how == How::kDoubtful) return WakeFollower(why);
  Trace("wakes: ", why);
  clock_.LeaderGone(now_);
}

}  // namespace cairn
