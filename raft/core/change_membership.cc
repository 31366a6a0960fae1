// Membership changes (thesis 4): how the leader takes a declared target and walks there, and how a
// node learns that it is no member any more.

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "raft/core/membership_plan.h"
#include "raft/core/mutants.h"
#include "raft/core/state.h"

namespace cairn {

void Raft::State::On(const ChangeMembership& change) {
  auto* leader = std::get_if<Leader>(&role_);
  if (leader == nullptr) return Refuse(change.request, ControlRefusal::kNotLeader, "");
  const Configuration& current = membership_.in_force();
  if (absl::Status status = CheckDeclared(current, change.members); !status.ok()) {
    return Refuse(change.request, ControlRefusal::kInvalid, std::string(status.message()));
  }
  const MembershipTarget target = MakeTarget(current, change.members);
  if (!ReadyForChange(change.request)) return;
  if (LeadsTo(current, target)) {
    return Answer({.request = change.request, .at = membership_.position()});
  }
  if (!NoChangeUnderWay(change.request)) return;
  if (change.based_on != 0 && change.based_on != membership_.position().index) {
    return Refuse(change.request, ControlRefusal::kInProgress,
                  absl::StrCat("the members have changed meanwhile: ", ToString(current)));
  }
  for (const Member& voter : target.voters) {
    if (current.IsVoter(voter.node) || !current.IsMember(voter.node)) continue;
    if (CaughtUp(*leader, voter.node)) continue;
    return Refuse(change.request, ControlRefusal::kLagging,
                  absl::StrCat("learner ", ToInteger(voter.node), " holds ",
                               leader->peers.at(voter.node).progress.match(), " of ",
                               trail_.last().index, " entries and has not caught up"));
  }
  // Who is new is waited for.
  const auto answers = [&](NodeId voter) {
    return !current.IsMember(voter) || Answers(*leader, voter);
  };
  const std::string fault = QuorumFault(target.voters, answers, Rule().most);
  if (!fault.empty()) {
    return Refuse(change.request, ControlRefusal::kWouldLoseQuorum, fault);
  }
  const LogPosition at = AppendConfiguration(FirstStep(current, target));
  Answer({.request = change.request, .at = at});
}

void Raft::State::On(const CancelMembership& cancel) {
  if (!std::holds_alternative<Leader>(role_)) {
    return Refuse(cancel.request, ControlRefusal::kNotLeader, "");
  }
  if (!ReadyForChange(cancel.request)) return;
  const Configuration& current = membership_.in_force();
  if (current.joint()) {
    return Refuse(cancel.request, ControlRefusal::kInProgress,
                  absl::StrCat("the change is joint and is finished: ", ToString(current)));
  }
  if (!current.target) {
    return Refuse(cancel.request, ControlRefusal::kNothingToDo, "no change is under way");
  }
  if (commit_ < membership_.position().index) {
    return Refuse(cancel.request, ControlRefusal::kInProgress, "the change is not committed yet");
  }
  const LogPosition at = AppendConfiguration(StepBack(current));
  Answer({.request = cancel.request, .at = at});
}

// Nothing before the leader's own first commit: its log may end in a change that a quorum does not
// know, and that was the flaw of single-server changes (raft-dev, 2015).
bool Raft::State::MayChange() const {
  return leads_with_commit() || MutantEnabled(Mutant::kChangeBeforeOwnCommit);
}

bool Raft::State::ReadyForChange(uint64_t request) {
  if (Transferring()) {
    Refuse(request, ControlRefusal::kInProgress, "leadership is being handed over");
  } else if (!MayChange()) {
    Refuse(request, ControlRefusal::kNotReady,
           absl::StrCat("the leader has not committed an entry of term ", ballot_.state.term));
  } else {
    return true;
  }
  return false;
}

bool Raft::State::NoChangeUnderWay(uint64_t request) {
  const Configuration& current = membership_.in_force();
  const bool idle = !current.joint() && !current.target && commit_ >= membership_.position().index;
  if (!idle) {
    Refuse(request, ControlRefusal::kInProgress,
           absl::StrCat("a change is under way: ", ToString(current)));
  }
  return idle;
}

// Appends the next configuration; it is in force from here on (thesis 4.1).
LogPosition Raft::State::AppendConfiguration(Configuration next) {
  next.removed = RemovedAfter(membership_.in_force(), next);
  next.former_disks = FormerDisksAfter(membership_.in_force(), next);
  const std::string fault = TransitionFault(membership_.in_force(), next);
  CAIRN_CHECK(fault.empty()) << fault;
  const LogPosition at =
      AppendOwn({.source = AppendRun::Source::kConfiguration, .configuration = std::move(next)}, 1);
  FollowConfiguration(std::get<Leader>(role_));
  return at;
}

// New members are fed from here on, beginning with the entry that names them, so that they answer
// where their log ends; those that go, until they know.
void Raft::State::FollowConfiguration(Leader& leader) {
  const Configuration& configuration = membership_.in_force();
  const Leader::Peer fresh = {.progress = Progress(trail_.last().index, now_)};
  for (const NodeId member : OtherMembers(configuration, node())) {
    const auto [peer, added] = leader.peers.try_emplace(member, fresh);
    // A node that comes back before it was forgotten may be another disk.
    if (!added && peer->second.removed_at != 0) peer->second = fresh;
  }
  for (auto& [peer, state] : leader.peers) {
    if (!configuration.IsMember(peer) && state.removed_at == 0) {
      state.removed_at = membership_.position().index;
    }
  }
}

// One step on the way, if it is time for it. Called after every event; does nothing while nothing
// is under way.
void Raft::State::DriveMembership() {
  auto* leader = std::get_if<Leader>(&role_);
  if (leader == nullptr) return;
  const Configuration& current = membership_.in_force();
  ForgetRemoved(*leader);
  // Also one change after the other: the next configuration is appended when the one before is
  // committed, and a leader's first one when its own term is.
  if (Transferring() || !MayChange() || commit_ < membership_.position().index) return;
  if (current.joint() || current.target) {
    std::optional<Configuration> next = NextStep(
        current, [&](NodeId learner) { return CaughtUp(*leader, learner); },
        [&](NodeId voter) { return Answers(*leader, voter); }, Rule().most);
    if (next) AppendConfiguration(*std::move(next));
  } else if (!current.IsVoter(node())) {
    HandOverAndLeave(*leader);
  }
}

void Raft::State::ForgetRemoved(Leader& leader) {
  for (auto peer = leader.peers.begin(); peer != leader.peers.end();) {
    Leader::Peer& state = peer->second;
    const bool removed = state.removed_at != 0 && commit_ >= state.removed_at;
    if (removed && state.forget_at == kDistantFuture) {
      state.forget_at = now_ + options_.election_timeout;
    }
    peer = now_ >= state.forget_at ? leader.peers.erase(peer) : std::next(peer);
  }
}

// Whether `learner` may become a voter.
bool Raft::State::CaughtUp(Leader& leader, NodeId learner) const {
  const auto peer = leader.peers.find(learner);
  if (peer == leader.peers.end() || !Answers(leader, learner)) return false;
  LagGate& lag = peer->second.lag;
  lag.Look(peer->second.progress.match(), trail_.last().index, now_);
  return lag.CaughtUp(now_, options_.election_timeout);
}

// Whether `node` was heard of within an election timeout.
bool Raft::State::Answers(const Leader& leader, NodeId id) const {
  if (id == node()) return true;
  const auto peer = leader.peers.find(id);
  return peer != leader.peers.end() && peer->second.progress.heard() &&
         now_ - peer->second.progress.last_contact() < options_.election_timeout;
}

// Removal -----------------------------------------------------------------------------------------

// Tells a node that asks for votes, or cannot before it knows more, that it is no member, if that
// is committed. It may know better: then it is a member of a later configuration, and this log
// lags.
void Raft::State::TellRemoved(NodeId to) {
  const auto& [at, configuration] = membership_.committed(commit_);
  if (at.index == 0 || configuration.IsMember(to) || membership_.in_force().IsMember(to)) return;
  Trace("tells ", ToInteger(to), " that it is no member by ", ToString(at));
  Send(to, RemovedNotice{.term = ballot_.state.term, .at = at});
}

void Raft::State::Handle(NodeId from, const RemovedNotice& notice) {
  const LogPosition own = membership_.position();
  const bool member = IsMeantBy(membership_.in_force());
  const bool was_member =
      membership_.AnyFrom(0, [this](const Configuration& each) { return IsMeantBy(each); });
  if (was_member && Contradicts(notice.at)) {
    RaiseFence(
        Fence::Reason::kSafetyViolation,
        absl::StrCat("by the configuration ", ToString(notice.at), " of node ", ToInteger(from),
                     " this node is no member, and it knows another entry "
                     "committed there: it was evicted unsafely while its group went on. "
                     "Committed here up to ",
                     commit_));
    return;
  }
  if (!was_member || notice.at < own || (notice.at == own && member)) {
    Trace("ignores RemovedNotice of ", ToInteger(from), " by ", ToString(notice.at),
          ": knows the configuration ", ToString(own));
    return;
  }
  NoteRemoved(notice.at, from);
}

// A node that hears of no leader and cannot campaign may be no member any more, and nobody would
// come by to tell. The question is a pre-vote whose answer does not count.
void Raft::State::AskWhetherRemoved() {
  if (control_.removed >= membership_.position()) return;
  for (const NodeId voter : OtherVoters(membership_.in_force(), node())) {
    Send(voter, PreVoteRequest{.term = std::min(ballot_.state.term + 1, kMaxTerm),
                               .last = claimed_last(),
                               .campaign = random_.Next()});
  }
}

// Whether it makes this node a member, on the disk it has.
bool Raft::State::IsMeantBy(const Configuration& configuration) const {
  const Member* self = configuration.Find(node());
  if (self == nullptr) return false;
  if (self->incarnation == Incarnation::kUnknown) return !options_.only_by_disk;
  return NamesDisk(configuration, node(), options_.incarnation);
}

// Whether its vote alone is a quorum.
bool Raft::State::IsAlone(const Configuration& configuration) const {
  const auto other = [this](const Member& member) { return member.node != node(); };
  return std::none_of(configuration.voters.begin(), configuration.voters.end(), other) &&
         std::none_of(configuration.outgoing_voters.begin(), configuration.outgoing_voters.end(),
                      other);
}

// Whether the log itself says, with certainty, that this node is no member any more.
void Raft::State::LearnRemoval() {
  const LogPosition at = membership_.position();
  if (control_.removed >= at || commit_ < at.index || at.index == 0) return;
  if (NamesDisk(membership_.in_force(), node(), options_.incarnation)) return;
  // Named without its disk, another one may have been meant, whose end this is, and a later entry
  // may name this one. If it was meant nobody feeds it any more, and it asks (AskWhetherRemoved).
  const bool was_meant = membership_.AnyFrom(0, [this](const Configuration& each) {
    const Member* self = each.Find(node());
    return self != nullptr && self->incarnation == options_.incarnation;
  });
  if (!was_meant) return;
  // A leader first hands over.
  if (!std::holds_alternative<Leader>(role_)) NoteRemoved(at, node());
}

void Raft::State::NoteRemoved(LogPosition at, NodeId told_by) {
  if (control_.removed >= at) return;
  Trace("is removed from the group by configuration ", ToString(at),
        told_by == node() ? "" : absl::StrCat(", says ", ToInteger(told_by)));
  control_.removed = at;
  effects_.removed = at;
}

// Why this node may not campaign; empty for a voter with the disk the log knows, whose log is in
// order. While the configuration that removes it is not committed, a node may be needed: others
// can be unable to win against its log (thesis 4.2.2). It is not counted then, and leaves when it
// has committed that.
std::string Raft::State::CampaignFault() const {
  const bool leaving =
      commit_ < membership_.position().index && !membership_.in_force().IsVoter(node());
  const Configuration& configuration = leaving ? membership_.before() : membership_.in_force();
  if (fenced_) return "is fenced";
  if (unsure()) return "cannot tell what it has promised";
  if (!doubt_.torn.empty()) return "has undecided entries";
  if (doubt_.state_lost) return "has lost the state that its log goes on from";
  if (HoleToApply() != 0) return "has entries that it cannot read";
  if (!configuration.IsVoter(node())) return "no voter";
  if (!NamesDisk(configuration, node(), options_.incarnation)) {
    return "the voter of this id has another disk";
  }
  // Where others have to vote, they see to it that who leads has what was committed: that the one
  // before is no voter any more, too.
  if (!IsMeantBy(configuration) && IsAlone(configuration)) {
    return "the only voter may be the one of this id that was deleted here";
  }
  if (control_.removed > membership_.position()) return "removed from the group";
  if (options_.never_campaigns) return "never campaigns";
  if (control_.candidacy_held) return "is not to campaign now";
  if (ballot_.state.term >= kMaxTerm) return "no term is left";
  return "";
}

}  // namespace cairn
