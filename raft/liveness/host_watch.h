// HostWatch: whether the hosts on which resting groups rely still live.

#ifndef RAFT_LIVENESS_HOST_WATCH_H_
#define RAFT_LIVENESS_HOST_WATCH_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <vector>

#include "base/time.h"
#include "base/types.h"
#include "raft/core/raft.h"
#include "raft/envelope.h"

namespace cairn {

// Members of a group that rests say nothing to each other (raft/core/quiesce.cc). In their place
// each host asks each host that one of its resting groups relies on, once a heartbeat interval and
// for all groups together. It is silent when the last question it has answered is one election
// timeout old. Of groups with different timings the shortest count.
//
// Mostly two hosts rely on each other. Then the answer goes with the next question, if that is soon
// enough for who has asked, and each says one thing an interval.
//
// A host's life is a number drawn at its start, which grows by one when its part in some group ends
// (the group was closed, or its storage failed): then a leader may be gone although its host lives.
// Members tell each other the life they rest in; a group that relies on another life than the one
// an answer names is told. Only answers to questions of this life, still open, count, so neither
// late nor repeated envelopes mean anything.
//
// Deterministic. Threads: one at a time.
class HostWatch {
 public:
  struct Timing {
    Duration heartbeat_interval;
    Duration election_timeout;
  };
  struct Outgoing {
    NodeId to = NodeId::kNone;
    HostHeartbeat heartbeat;
  };
  struct Lost {
    GroupId group = GroupId::kNone;
    HostLost host;
  };

  // Questions are numbered from `first_question` on, drawn at random.
  explicit HostWatch(uint64_t first_question) : last_question_(first_question) {}

  // `group` rests and relies on these hosts, which are another's than this one. May be said again.
  void Rests(GroupId group, const std::vector<Raft::Reliance>& on, Timing timing, Instant now);
  // It does not, or is gone.
  void Awake(GroupId group);

  // A question of `from`, or an answer, or both. `life` is this host's.
  void Receive(Instant now, NodeId from, const HostHeartbeat& heartbeat, HostLife life);
  // When there is something to do without anything coming in; kDistantFuture: never.
  Instant NextWakeup() const;
  void Tick(Instant now, HostLife life);

  std::vector<Outgoing> TakeOutgoing();
  // Groups whose reliance has failed. They count as awake from then on.
  std::vector<Lost> TakeLost();

  size_t resting() const { return groups_.size(); }

 private:
  // The groups that rely on a peer in one life.
  struct Reliant {
    std::set<GroupId> groups;
    Instant since;  // when the last one was added
  };
  struct Question {
    uint64_t number = 0;
    Instant asked;
  };
  struct Peer {
    std::map<HostLife, Reliant> reliant;
    std::multiset<Duration> intervals;
    std::multiset<Duration> timeouts;
    Instant alive;  // when the last answered question was asked, or since when it is watched
    Instant ask;
    std::deque<Question> open;
    uint64_t owed = 0;  // its question that the next one of ours answers; 0: none
    HostLife told = 0;  // our life in what it was asked last
  };
  struct Group {
    std::vector<Raft::Reliance> on;
    Timing timing;
  };

  void TakeAnswer(NodeId from, uint64_t number, HostLife life);
  void Forget(std::map<NodeId, Peer>::iterator peer);
  void Lose(NodeId peer, const std::set<GroupId>& groups, HostLost::How how);

  uint64_t last_question_;
  std::map<NodeId, Peer> peers_;
  std::map<GroupId, Group> groups_;
  std::vector<Outgoing> outgoing_;
  std::vector<Lost> lost_;
};

}  // namespace cairn

#endif  // RAFT_LIVENESS_HOST_WATCH_H_
