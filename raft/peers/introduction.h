// Introduction: what a node says of itself to one that may not know it yet.

#ifndef RAFT_PEERS_INTRODUCTION_H_
#define RAFT_PEERS_INTRODUCTION_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/types.h"

namespace cairn {

// "By the configuration at `at` in my log of this group I am a member of it, dialled at `address`."
//
// A member that was down while the members changed knows neither the new ones nor where they are,
// and learns it from nobody else than them: membership decides who is counted, not who is listened
// to (paper 6). What a node says so is no proof; it keeps out who does not claim to be a member,
// and who was one once.
struct Introduction {
  GroupId group = GroupId::kNone;
  LogPosition at;
  std::string address;
  // The sender's in that group, if that configuration names it; kUnknown: it names none.
  Incarnation disk = Incarnation::kUnknown;
  // By the same configuration: those with which the sender was a member before, and is none; the
  // last ones that went (raft/peers/successors.h).
  std::vector<Incarnation> disks_before = {};

  friend auto operator<=>(const Introduction&, const Introduction&) = default;
};

// Of so many groups a node introduces itself in one greeting. One that is believed is enough.
inline constexpr size_t kMaxIntroductions = 16;
inline constexpr size_t kMaxAddressBytes = 256;
inline constexpr size_t kMaxDisksBefore = 16;

// INVALID_ARGUMENT for what no honest node says: no group, an impossible position, an address that
// is empty or too long, too many disks.
absl::Status Validate(const Introduction& introduction);

// Whether it may be true, and news, for who knows all entries of the group up to `commit`, the last
// configuration among them at `configuration`. What stands there this node knows, and does not need
// to be told: a node that it does not name is no member any more, or never was one.
bool MayBeNews(const Introduction& introduction, Index commit, LogPosition configuration);

}  // namespace cairn

#endif  // RAFT_PEERS_INTRODUCTION_H_
