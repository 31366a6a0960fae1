// The roles of a node, each with the state that exists only in it. Leaving a role forgets it.

#ifndef RAFT_CORE_ROLES_H_
#define RAFT_CORE_ROLES_H_

#include <cstdint>
#include <map>
#include <optional>
#include <variant>

#include "base/time.h"
#include "base/types.h"
#include "raft/core/disk_lag.h"
#include "raft/core/lag_gate.h"
#include "raft/core/lease.h"
#include "raft/core/messages.h"
#include "raft/core/progress.h"
#include "raft/core/reads.h"
#include "raft/core/rejoin.h"
#include "raft/core/uncommitted.h"

namespace cairn {

struct Follower {
  NodeId leader = NodeId::kNone;  // of the current term, heard lately; kNone if unknown
  // This log equals the leader's up to here. In one term a leader's log only grows, so this never
  // goes back while one leader is followed.
  Index verified = 0;
  Index acknowledged = 0;     // the highest match sent to the leader
  bool answer_again = false;  // the leader has repeated entries acknowledged before
  HostLife leader_host = 0;   // while this follower rests
  ForwardedReads reads;
};

// Asks whether a campaign could succeed, before it disturbs anybody (thesis 9.6).
struct PreCandidate {
  CampaignId campaign = 0;
  std::map<NodeId, bool> votes = {};
};

struct Candidate {
  CampaignId campaign = 0;
  std::map<NodeId, bool> votes = {};
};

struct Leader {
  Leader(Term term, Index first_of_term, Instant first_heartbeat, int64_t max_clock_drift)
      : reads(term),
        lease(max_clock_drift),
        first_index(first_of_term),
        heartbeat_due(first_heartbeat),
        last_request(term << 32) {}

  struct Peer {
    Progress progress;
    Index told_commit = 0;          // by the last heartbeat or append asked for
    bool heartbeat = false;         // due
    uint32_t priority = 0;          // as it says itself
    LogPosition acknowledged = {};  // the last entry it ever acknowledged in this term
    LagGate lag = {};               // of a learner
    // No member any more, by the configuration there. It is fed until it has heard so or that is
    // committed for an election timeout.
    Index removed_at = 0;
    Instant forget_at = kDistantFuture;
    // It has taken the offer that stands; the life of its host.
    std::optional<HostLife> resting = {};
    RejoinBarrier rejoin = {};
  };
  // Whether the group rests, or is about to.
  struct Quiet {
    uint32_t heartbeats = 0;           // so many in a row found nothing to do
    Instant offered = kDistantFuture;  // since when heartbeats offer it
    bool resting = false;              // everybody has taken the offer
  };
  std::map<NodeId, Peer> peers;  // every member but this node, and those just removed
  LeaderReads reads;
  Lease lease;
  Uncommitted uncommitted;
  DiskLag disk_lag;
  Quiet quiet;
  // The first entry of this leader's term; only counting from there on commits (paper 5.4.2).
  Index first_index;
  Instant heartbeat_due;
  Instant commit_notice_due = kDistantFuture;  // told_commit lags for some peer
  // SendEntries::request. Starts with the term, so that no leadership answers to another's.
  uint64_t last_request;
};

using RoleState = std::variant<Follower, PreCandidate, Candidate, Leader>;

}  // namespace cairn

#endif  // RAFT_CORE_ROLES_H_
