#include "raft/peers/formation.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/check.h"
#include "base/random.h"

namespace cairn {
namespace {

Member* FindMember(Configuration& members, NodeId node) {
  for (Member& member : members.voters) {
    if (member.node == node) return &member;
  }
  return nullptr;
}

bool IsComplete(const Configuration& members) {
  return std::all_of(members.voters.begin(), members.voters.end(), [](const Member& member) {
    return member.incarnation != Incarnation::kUnknown;
  });
}

}  // namespace

Formation::Formation(const NodeIdentity& identity, const Options& options, Instant now)
    : node_(identity.node),
      options_(options),
      members_(identity.initial_members),
      // Any start will do that an answer to an earlier life's question does not meet.
      last_question_(Random(options.seed).Next() >> 2) {
  Member* self = FindMember(members_, node_);
  CAIRN_CHECK(self != nullptr) << "node " << ToInteger(node_) << " is not an initial member";
  if (identity.formed) {
    CAIRN_CHECK(IsComplete(members_)) << "a formed cluster with unknown incarnations";
    state_ = State::kFormed;
    return;
  }
  for (Member& member : members_.voters) member.incarnation = Incarnation::kUnknown;
  self->incarnation = identity.incarnation;
  for (const Member& member : members_.voters) {
    if (member.node == node_) continue;
    Peer& peer = peers_[member.node];
    peer.answered = last_question_;
    peer.interval = options_.interval;
  }
  for (auto& [node, peer] : peers_) Ask(now, node);
  FormIfAllAgree();  // a single member agrees with itself
}

void Formation::Receive(Instant now, NodeId from, Incarnation incarnation, const Hello& hello) {
  if (from == node_ || FindMember(members_, from) == nullptr) return;
  if (hello.reply_wanted) {
    outgoing_.push_back({from, MakeHello(hello.question, false)});
    // Who asks is there to be asked.
    if (state_ == State::kAsking && !Agrees(peers_[from])) AskSoon(now, from);
    return;
  }
  if (state_ == State::kAsking) TakeAnswer(now, from, incarnation, hello);
}

void Formation::TakeAnswer(Instant now, NodeId from, Incarnation incarnation, const Hello& hello) {
  Peer& peer = peers_[from];
  bool asked = hello.question > peer.answered && hello.question <= last_question_;
  if (!NamesTheSameMembers(hello.members)) return;
  if (hello.formed) return TakeFormed(from, hello, asked);
  if (!asked || incarnation == Incarnation::kUnknown) return;
  Member* member = FindMember(members_, from);
  bool changed = member->incarnation != incarnation;
  peer.answered = changed ? last_question_ : hello.question;
  peer.shown = hello.members;
  member->incarnation = incarnation;
  FormIfAllAgree();
  if (state_ != State::kAsking || !changed) return;
  for (auto& [node, other] : peers_) {
    if (!Agrees(other)) AskSoon(now, node);
  }
}

// `asked`: the answer to a question of this life. Good news may also come unasked, since the table
// of a cluster never changes; what stops this node for good must not be an old message.
void Formation::TakeFormed(NodeId from, const Hello& hello, bool asked) {
  if (!IsComplete(hello.members)) return;
  Incarnation own = FindMember(members_, node_)->incarnation;
  const Member* self = hello.members.Find(node_);
  if (self->incarnation == own) {
    members_ = hello.members;
    Form();
  } else if (asked) {
    state_ = State::kRefused;
    refusal_ = absl::StrCat(
        "MEMBER_AMNESIA: node ", ToInteger(from), " says that the cluster has formed with another ",
        "data directory of node ", ToInteger(node_), " (incarnation ", ToInteger(self->incarnation),
        ", this one is ", ToInteger(own), "): bring that one back, or remove member ",
        ToInteger(node_), " and add this node as a new member");
  } else {
    peers_[from].next_question = Instant{};  // ask: it knows
  }
}

void Formation::FormIfAllAgree() {
  if (state_ != State::kAsking || !IsComplete(members_)) return;
  bool all = std::all_of(peers_.begin(), peers_.end(),
                         [this](const auto& peer) { return Agrees(peer.second); });
  if (all) Form();
}

void Formation::Form() {
  state_ = State::kFormed;
  outgoing_.clear();
  // Saves the others the wait for their next question.
  for (const auto& [node, peer] : peers_) outgoing_.push_back({node, MakeHello(0, false)});
}

void Formation::Tick(Instant now) {
  if (state_ != State::kAsking) return;
  for (auto& [node, peer] : peers_) {
    if (peer.next_question <= now) Ask(now, node);
  }
}

void Formation::Ask(Instant now, NodeId to) {
  Peer& peer = peers_[to];
  peer.asked_at = now;
  peer.next_question = now + peer.interval;
  peer.interval = std::min(peer.interval * 2, options_.backoff);
  outgoing_.push_back({to, MakeHello(++last_question_, true)});
}

void Formation::AskSoon(Instant now, NodeId to) {
  Peer& peer = peers_[to];
  peer.interval = options_.interval;
  Instant earliest = peer.asked_at + options_.interval / 4;
  if (earliest <= now) {
    Ask(now, to);
  } else {
    peer.next_question = std::min(peer.next_question, earliest);
  }
}

std::vector<Formation::Outgoing> Formation::TakeOutgoing() { return std::exchange(outgoing_, {}); }

Instant Formation::NextWakeup() const {
  Instant next = kDistantFuture;
  if (state_ != State::kAsking) return next;
  for (const auto& [node, peer] : peers_) next = std::min(next, peer.next_question);
  return next;
}

std::string Formation::Missing() const {
  std::vector<std::string> silent;
  std::vector<std::string> undecided;
  for (const auto& [node, peer] : peers_) {
    if (members_.Find(node)->incarnation == Incarnation::kUnknown) {
      silent.push_back(absl::StrCat(ToInteger(node)));
    } else if (!Agrees(peer)) {
      undecided.push_back(absl::StrCat(ToInteger(node)));
    }
  }
  if (!silent.empty()) return absl::StrCat("no answer yet from ", absl::StrJoin(silent, ", "));
  return absl::StrCat("not yet agreed: ", absl::StrJoin(undecided, ", "));
}

Hello Formation::MakeHello(uint64_t question, bool reply_wanted) const {
  Hello hello;
  hello.formed = state_ == State::kFormed;
  hello.members = members_;
  hello.question = question;
  hello.reply_wanted = reply_wanted;
  return hello;
}

bool Formation::Agrees(const Peer& peer) const { return peer.shown == members_; }

bool Formation::NamesTheSameMembers(const Configuration& table) const {
  return std::equal(
      table.voters.begin(), table.voters.end(), members_.voters.begin(), members_.voters.end(),
      [](const Member& a, const Member& b) { return a.node == b.node && a.address == b.address; });
}

}  // namespace cairn
