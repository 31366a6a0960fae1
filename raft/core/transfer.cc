// Leadership by wish: handing it over (thesis 3.10), campaigning and stepping down when asked.

#include <algorithm>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "raft/core/state.h"

namespace cairn {

void Raft::State::Refuse(uint64_t request, ControlRefusal refusal, std::string text) {
  Answer({.request = request, .refusal = refusal, .text = std::move(text)});
}

void Raft::State::Answer(ControlOutcome outcome) {
  if (outcome.request == 0) return;  // nobody asked: the leader hands over because it leaves
  if (outcome.leader == NodeId::kNone) outcome.leader = leader();
  effects_.controls.push_back(std::move(outcome));
}

bool Raft::State::Transferring() const {
  return control_.transfer && std::holds_alternative<Leader>(role_) &&
         control_.transfer->term == ballot_.state.term;
}

void Raft::State::On(const TransferLeadership& transfer) {
  auto* leader = std::get_if<Leader>(&role_);
  if (leader == nullptr) return Refuse(transfer.request, ControlRefusal::kNotLeader, "");
  if (control_.transfer) {
    return Refuse(transfer.request, ControlRefusal::kInProgress,
                  absl::StrCat("leadership is being handed over to node ",
                               ToInteger(control_.transfer->target)));
  }
  const NodeId target = transfer.target == NodeId::kNone ? BestSuccessor(*leader) : transfer.target;
  if (std::string fault = SuccessorFault(*leader, target); !fault.empty()) {
    return Refuse(transfer.request, ControlRefusal::kBadTarget, std::move(fault));
  }
  BeginTransfer({.request = transfer.request,
                 .target = target,
                 .term = ballot_.state.term,
                 .deadline = transfer.deadline});
}

void Raft::State::BeginTransfer(Transfer transfer) {
  Trace("hands over to ", ToInteger(transfer.target), ": takes no proposals");
  control_.transfer = transfer;
}

// The voter that holds most, then the one of the best priority; kNone if there is none.
NodeId Raft::State::BestSuccessor(const Leader& leader) const {
  NodeId best = NodeId::kNone;
  std::tuple<Index, int64_t> best_rank;
  for (const NodeId voter : OtherVoters(membership_.in_force(), node())) {
    if (!SuccessorFault(leader, voter).empty()) continue;
    const Leader::Peer& peer = leader.peers.at(voter);
    const std::tuple rank(peer.progress.match(), -int64_t{peer.priority});
    if (best == NodeId::kNone || rank > best_rank)
      std::tie(best, best_rank) = std::tuple(voter, rank);
  }
  return best;
}

// Why `target` cannot take the leadership over; empty if it can.
std::string Raft::State::SuccessorFault(const Leader& leader, NodeId target) const {
  const Configuration& configuration = membership_.in_force();
  const std::string name = absl::StrCat("node ", ToInteger(target));
  if (target == NodeId::kNone) return "no other voter that answers could lead";
  if (target == node()) return absl::StrCat(name, " leads already");
  if (!configuration.IsMember(target)) return absl::StrCat(name, " is no member");
  if (!configuration.IsVoter(target)) return absl::StrCat(name, " is a learner");
  if (!Answers(leader, target)) {
    return absl::StrCat(name, " was not heard of within an election timeout");
  }
  if (leader.peers.at(target).priority == kNeverLeads) {
    return absl::StrCat(name, " never campaigns");
  }
  return "";
}

// A leader that is no voter any more, by a committed configuration (thesis 4.2.2).
void Raft::State::HandOverAndLeave(const Leader& leader) {
  const NodeId target = BestSuccessor(leader);
  if (target == NodeId::kNone) {
    Trace("steps down: is no voter, and nobody to hand over to answers");
    ChangeRole(Follower{});
    return;
  }
  BeginTransfer({.target = target,
                 .term = ballot_.state.term,
                 .deadline = now_ + options_.election_timeout,
                 .then_step_down = true});
}

// When a leader whose disk does not come on hands over.
Instant Raft::State::SlowDiskDue(const Leader& leader) const {
  const Instant since = leader.disk_lag.behind_since();
  const bool watched = options_.slow_disk_timeout > Duration{} && !control_.transfer;
  return watched && since != kDistantFuture ? since + options_.slow_disk_timeout : kDistantFuture;
}

// A quorum commits without this leader's disk, but it answers only what that has.
void Raft::State::WatchOwnDisk() {
  auto* leader = std::get_if<Leader>(&role_);
  if (leader == nullptr) return;
  leader->disk_lag.Look(commit_, durable(), now_);
  if (now_ < SlowDiskDue(*leader)) return;
  leader->disk_lag.Restart(now_);  // tries again later, if nothing comes of it
  const NodeId target = BestSuccessor(*leader);
  if (target == NodeId::kNone) {
    Trace("its disk is slow, and nobody to hand over to answers");
    return;
  }
  Trace("its disk is slow: durable ", durable(), " of ", commit_, " committed");
  effects_.slow_disk_successor = target;
  BeginTransfer(
      {.target = target, .term = ballot_.state.term, .deadline = now_ + options_.election_timeout});
}

// What is to do for the transfer under way after every event; nothing without one.
void Raft::State::DriveTransfer() {
  if (!control_.transfer) return;
  Transfer& transfer = *control_.transfer;
  if (!Transferring()) return FinishTransfer(transfer);
  Leader& leader = std::get<Leader>(role_);
  const Leader::Peer& peer = leader.peers.at(transfer.target);
  const std::string held =
      absl::StrCat("node ", ToInteger(transfer.target), " holds ", peer.progress.match(), " of ",
                   trail_.last().index, " entries");
  if (now_ >= transfer.deadline) return AbortTransfer(absl::StrCat("deadline: ", held));
  if (!Answers(leader, transfer.target)) {
    return AbortTransfer(absl::StrCat("the target does not answer: ", held));
  }
  // Repeated with the heartbeats, since it may be lost.
  if (peer.progress.match() < trail_.last().index || now_ < transfer.ask_again) return;
  Trace("asks ", ToInteger(transfer.target), " to campaign at once");
  transfer.ask_again = now_ + options_.heartbeat_interval;
  // The target's campaign makes voters break what they have promised, now or, if this message is
  // late, long after the hand-over was given up.
  leader.lease.End();
  Send(transfer.target, TimeoutNow{.term = ballot_.state.term});
}

// The leadership that was to be handed over has ended.
void Raft::State::FinishTransfer(const Transfer& transfer) {
  const NodeId successor = leader();
  if (successor != NodeId::kNone && ballot_.state.term > transfer.term) {
    if (successor == transfer.target) {
      Answer({.request = transfer.request, .leader = successor});
    } else {
      Refuse(transfer.request, ControlRefusal::kTimeout,
             absl::StrCat("node ", ToInteger(successor), " leads instead"));
    }
  } else if (now_ >= transfer.deadline) {
    Refuse(transfer.request, ControlRefusal::kTimeout, "no new leader is known by the deadline");
  } else {
    return;
  }
  control_.transfer.reset();
}

// Still leads, and goes on leading, unless it has to leave.
void Raft::State::AbortTransfer(std::string why) {
  const Transfer transfer = *std::exchange(control_.transfer, std::nullopt);
  Trace("gives up the hand-over to ", ToInteger(transfer.target), ": ", why);
  Refuse(transfer.request, ControlRefusal::kTimeout, std::move(why));
  if (!transfer.then_step_down) return;
  Trace("steps down: is no voter");
  ChangeRole(Follower{});
}

void Raft::State::Handle(NodeId from, const TimeoutNow&) {
  if (!FollowLeader(from)) return;
  if (std::string fault = CampaignFault(); !fault.empty()) {
    Trace("does not take over from ", ToInteger(from), ": ", fault);
    return;
  }
  Trace("takes over from ", ToInteger(from));
  BecomeCandidate(true);
}

void Raft::State::On(const Campaign& campaign) {
  std::string fault = CampaignFault();
  if (std::holds_alternative<Leader>(role_)) fault = "leads already";
  // It has promised its leader to vote for nobody else, itself included.
  if (fault.empty() && RefusesElections()) fault = "a leader may be live";
  if (!fault.empty()) return Refuse(campaign.request, ControlRefusal::kNothingToDo, fault);
  Answer({.request = campaign.request});
  BecomePreCandidate("asked to");
}

// TimeoutNow says nothing of this node's disk. The successor need not hold all that this leader
// does, only enough to win: what a quorum has not, nobody was promised.
void Raft::State::On(const DiskFailed&) {
  auto* leader = std::get_if<Leader>(&role_);
  const NodeId target = leader == nullptr ? NodeId::kNone : BestSuccessor(*leader);
  if (target != NodeId::kNone) leader->lease.End();
  Trace("its disk has failed: takes part no more");
  fenced_ = true;
  ChangeRole(Follower{});
  if (target != NodeId::kNone) {
    Trace("asks ", ToInteger(target), " to campaign at once");
    Send(target, TimeoutNow{.term = ballot_.state.term});
  }
  if (const auto transfer = std::exchange(control_.transfer, std::nullopt)) {
    Refuse(transfer->request, ControlRefusal::kTimeout, "the node's disk has failed");
  }
}

void Raft::State::On(const HoldCandidacy& held) {
  control_.candidacy_held = held.hold;
  const bool stands =
      std::holds_alternative<PreCandidate>(role_) || std::holds_alternative<Candidate>(role_);
  if (!held.hold || !stands) return;
  Trace("steps down: is not to campaign now");
  ChangeRole(Follower{});
}

void Raft::State::On(const StepDown& step_down) {
  if (!std::holds_alternative<Leader>(role_)) {
    return Refuse(step_down.request, ControlRefusal::kNotLeader, "");
  }
  Trace("steps down: asked to");
  ChangeRole(Follower{});
  Answer({.request = step_down.request});
}

}  // namespace cairn
