#include "tests/sim/forgotten_promise.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "raft/core/messages.h"
#include "tests/sim/sub_seed.h"

namespace cairn::sim {
namespace {

bool In(const std::vector<NodeId>& nodes, NodeId node) {
  return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

}  // namespace

ForgottenPromise::ForgottenPromise(SimCluster& cluster, std::function<void(SimNode&)> restart)
    : cluster_(cluster),
      world_(cluster.world()),
      restart_(std::move(restart)),
      member_(cluster.plan().rotting()),
      random_(SubSeed(cluster.plan().seed, "forgotten promise")) {
  cluster_.network().ObserveSends([this](const Envelope& envelope) { Sent(envelope); });
}

void ForgottenPromise::Begin() {
  if (stage_ != Stage::kNone) return;
  group_ = static_cast<GroupId>(1 + random_.Below(cluster_.plan().groups));
  promise_ = static_cast<Promise>(random_.Below(3));
  const Ledger& ledger = cluster_.referees().at(group_)->ledger();
  const SimNode* leader = cluster_.Leader(group_);
  if (leader == nullptr || !member().running()) return;
  if (!DrawSides(leader->id(), ledger.configuration())) return;
  term_ = ledger.last_term();
  stage_ = Stage::kAwaited;
  AskForPromise(leader->id());
  EndAfter(cluster_.plan().group.election_timeout * 4);
}

bool ForgottenPromise::DrawSides(NodeId leader, const Configuration& members) {
  if (members.joint() || members.voters.size() % 2 == 0 || !members.IsVoter(member_)) return false;
  const bool by_leader = promise_ != Promise::kVoteForSuccessor;
  if (leader == member_ && !by_leader) return false;
  witnesses_.clear();
  askers_.clear();
  Nodes others;
  for (const Member& voter : members.voters) {
    if (voter.node != member_ && voter.node != leader) others.push_back(voter.node);
  }
  for (size_t i = others.size(); i > 1; --i) std::swap(others[i - 1], others[random_.Below(i)]);
  // One who leads comes first.
  if (leader != member_) others.insert(by_leader ? others.begin() : others.end(), leader);
  witnesses_.assign(others.begin(),
                    others.begin() + static_cast<std::ptrdiff_t>(members.voters.size() / 2));
  for (const NodeId node : cluster_.Present()) {
    if (node != member_ && !In(witnesses_, node)) askers_.push_back(node);
  }
  return !witnesses_.empty();
}

void ForgottenPromise::AskForPromise(NodeId leader) {
  if (promise_ != Promise::kVoteForSuccessor) {
    Nodes side = witnesses_;
    side.push_back(member_);
    Cut(side, askers_);
  }
  if (promise_ == Promise::kAcknowledgement) return;
  const auto to = std::find_if(witnesses_.begin(), witnesses_.end(),
                               [leader](NodeId node) { return node != leader; });
  SimNode& node = cluster_.node(leader);
  Group* group = node.group(group_);
  if (to == witnesses_.end()) return group->StepDown([](const ControlResult&) {});
  const Instant deadline = node.Now() + cluster_.plan().group.election_timeout;
  group->TransferLeadership(*to, deadline, [](const ControlResult&) {});
}

// Nodes may not end here: they are in the middle of it.
void ForgottenPromise::Sent(const Envelope& envelope) {
  if (stage_ != Stage::kAwaited || envelope.group != group_) return;
  const auto* body = std::get_if<MessageBody>(&envelope.body);
  if (body == nullptr) return;
  // The leader must not hear that somebody succeeds it.
  if (promise_ == Promise::kVoteForSuccessor && cut_.empty()) {
    const auto* request = std::get_if<VoteRequest>(body);
    if (request == nullptr || request->term <= term_ || !In(witnesses_, envelope.from)) return;
    return Cut(witnesses_, askers_);
  }
  if (!IsPromise(envelope)) return;
  stage_ = Stage::kForgotten;
  world_.events.After(Duration(), [this, round = round_] {
    if (round == round_) Forget();
  });
}

bool ForgottenPromise::IsPromise(const Envelope& envelope) const {
  if (promise_ == Promise::kAcknowledgement) {
    return (envelope.from == member_ || In(witnesses_, envelope.from)) && Commits();
  }
  const auto* vote = std::get_if<VoteReply>(&std::get<MessageBody>(envelope.body));
  return vote != nullptr && vote->granted && vote->term > term_ && envelope.from == member_ &&
         In(witnesses_, envelope.to);
}

// Whether an entry is committed that none of those has who are to ask.
bool ForgottenPromise::Commits() const {
  const Ledger& ledger = cluster_.referees().at(group_)->ledger();
  return std::all_of(askers_.begin(), askers_.end(), [&ledger](NodeId node) {
    const auto log = ledger.logs().find(node);
    return log == ledger.logs().end() || log->second.live().last() < ledger.commit();
  });
}

void ForgottenPromise::Forget() {
  static constexpr const char* kNames[] = {"acknowledgement forgotten", "vote forgotten",
                                           "vote for a successor forgotten"};
  ++round_;
  if (!member().running()) return End();
  member().PowerCut(CrashPolicy::kDropAll);
  if (member().disk().LoseEnd()) world_.counters.Count(kNames[static_cast<size_t>(promise_)]);
  restart_(member());
  // By then the promise has arrived.
  world_.events.After(cluster_.plan().network.longest_delay, [this, round = round_] {
    if (round != round_) return;
    Nodes side = askers_;
    side.push_back(member_);
    Cut(side, witnesses_);
  });
  const int64_t timeouts = 3 + static_cast<int64_t>(random_.Below(4));
  EndAfter(cluster_.plan().group.election_timeout * timeouts);
}

void ForgottenPromise::Stop() {
  ++round_;
  stage_ = Stage::kNone;
}

void ForgottenPromise::End() {
  Mend();
  Stop();
}

void ForgottenPromise::EndAfter(Duration length) {
  world_.events.After(length, [this, round = round_] {
    if (round == round_) End();
  });
}

void ForgottenPromise::Cut(const Nodes& side, const Nodes& other) {
  Mend();
  for (const NodeId one : side) {
    for (const NodeId another : other) {
      cut_.emplace_back(one, another);
      cut_.emplace_back(another, one);
    }
  }
  for (auto [from, to] : cut_) cluster_.network().Block(from, to);
}

void ForgottenPromise::Mend() {
  for (auto [from, to] : std::exchange(cut_, {})) cluster_.network().Unblock(from, to);
}

}  // namespace cairn::sim
