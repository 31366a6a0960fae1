// Unsafe recovery from a lost majority (raft/core/unsafe_override.h): who may be told, and how long
// it holds; what the leader it elects writes down is in elections.cc. And what becomes of the
// evicted who come back.

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "raft/core/state.h"
#include "raft/core/unsafe_override.h"

namespace cairn {

void Raft::State::On(const UnsafeRecover& recover) {
  const auto refuse = [&](ControlRefusal refusal, std::string text) {
    Refuse(recover.request, refusal, std::move(text));
  };
  if (std::string fault = RecoveryFault(); !fault.empty()) {
    return refuse(ControlRefusal::kNothingToDo, std::move(fault));
  }
  if (std::string sign = SignOfLeader(); !sign.empty()) {
    return refuse(ControlRefusal::kNotLost, std::move(sign));
  }
  if (std::string fault = DemandFault(recover); !fault.empty()) {
    return refuse(ControlRefusal::kInvalid, std::move(fault));
  }
  if (recover.quorum == 0) {
    if (std::string left = MajorityLeft(membership_.in_force(), recover.evicted); !left.empty()) {
      return refuse(ControlRefusal::kNotLost, std::move(left));
    }
  }
  const std::optional<UnsafeOverride>& held = control_.unsafe;
  if (held && (held->quorum == 0) != (recover.quorum == 0)) {
    return refuse(ControlRefusal::kInProgress, absl::StrCat("already: ", ToString(*held)));
  }
  Answer({.request = recover.request});
  if (recover.only_check) return;
  control_.unsafe = UnsafeOverride{.evicted = recover.evicted,
                                   .quorum = recover.quorum,
                                   .expires = now_ + recover.expiry,
                                   .asked = recover.asked,
                                   .expiry = recover.expiry};
  std::sort(control_.unsafe->evicted.begin(), control_.unsafe->evicted.end());
  Trace("UNSAFE: ", ToString(*control_.unsafe), " from now on");
  BecomePreCandidate("unsafe recovery");
}

// Why this node could not lead the recovered group; empty if it could.
std::string Raft::State::RecoveryFault() const {
  if (std::string fault = CampaignFault(); !fault.empty()) return fault;
  if (!membership_.in_force().IsVoter(node())) return "no voter";
  // Without a logged configuration a group has committed nothing: it is formed anew instead.
  if (!membership_.logged()) return "holds no log of the group";
  return "";
}

// What speaks against a lost majority; empty if nothing does.
std::string Raft::State::SignOfLeader() const {
  if (std::holds_alternative<Leader>(role_)) return "this member leads";
  if (leader() != NodeId::kNone) {
    return absl::StrCat("node ", ToInteger(leader()), " leads");
  }
  if (RefusesElections()) return "a leader may be live: wait for an election timeout";
  return "";
}

// What is wrong with the request as such; empty if nothing is.
std::string Raft::State::DemandFault(const UnsafeRecover& recover) const {
  if (recover.expiry <= Duration{} || recover.expiry > kLongestOverride) {
    return absl::StrCat("an override holds for more than nothing and at most ",
                        ToMilliseconds(kLongestOverride) / 1000, " s");
  }
  const Configuration& configuration = membership_.in_force();
  if (recover.quorum == 0) return EvictionFault(configuration, node(), recover.evicted);
  if (!recover.evicted.empty()) return "either members are evicted or the quorum is lowered";
  size_t current = NaturalQuorum(configuration);
  if (control_.unsafe && control_.unsafe->quorum > 0) {
    current = std::min(current, control_.unsafe->quorum);
  }
  if (recover.quorum < current) return "";
  return absl::StrCat("a quorum of ", recover.quorum, " is not less than ", current,
                      ", as many as decide now");
}

bool Raft::State::OverrideActs() const {
  return control_.unsafe && ActsOn(*control_.unsafe, membership_.in_force());
}

// How votes and acknowledgements are counted now.
QuorumRule Raft::State::Rule() const {
  if (!control_.unsafe) return {};
  return RuleOf(*control_.unsafe, membership_.in_force());
}

bool Raft::State::Evicts(NodeId id) const {
  const auto evicted = Rule().evicted;
  return std::find(evicted.begin(), evicted.end(), id) != evicted.end();
}

void Raft::State::ExpireOverride() {
  if (control_.unsafe && now_ >= control_.unsafe->expires) EndOverride("it has expired");
}

// Called after every event: once the committed configuration makes it pointless, it is over.
void Raft::State::DriveOverride() {
  if (!control_.unsafe || OverrideActs() || commit_ < membership_.position().index) return;
  EndOverride("no longer needed");
}

// A campaign that counted on it is over, too.
void Raft::State::EndOverride(absl::string_view why) {
  const bool acted = OverrideActs();
  Trace("every voter of the configuration is counted again: ", why);
  control_.unsafe.reset();
  const bool campaigns =
      std::holds_alternative<PreCandidate>(role_) || std::holds_alternative<Candidate>(role_);
  if (acted && campaigns) ChangeRole(Follower{});
}

// Those who come back ---------------------------------------------------------------------------

// Whether nothing `id` says counts any more. While the eviction is not committed, the evicted are
// heard like everybody: one that speaks is not lost, and another leader may undo it.
bool Raft::State::EvictedForGood(NodeId id) const {
  const Configuration& committed = membership_.committed(commit_).second;
  const std::vector<NodeId>& evicted = committed.unsafe_recoveries.evicted_ever;
  return std::binary_search(evicted.begin(), evicted.end(), id) && !committed.IsMember(id) &&
         !membership_.in_force().IsMember(id);
}

// Whether the committed entry at `at` contradicts what this node knows to be committed. That takes
// two majorities that never met: this node was evicted, and went on.
bool Raft::State::Contradicts(LogPosition at) const {
  if (at.index < base().index || trail_.Matches(at)) return false;
  // Terms never fall from entry to entry.
  return at.index <= commit_ || trail_.TermAt(commit_) > at.term;
}

}  // namespace cairn
