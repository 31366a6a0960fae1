// What members of a group say to each other: one struct per RPC, no field with two meanings.
// Messages may be lost, delayed, repeated and reordered.

#ifndef RAFT_CORE_MESSAGES_H_
#define RAFT_CORE_MESSAGES_H_

#include <cstdint>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "base/time.h"
#include "base/types.h"
#include "raft/core/configuration.h"

namespace cairn {

// A priority in a HeartbeatReply: the sender never campaigns.
inline constexpr uint32_t kNeverLeads = 0xffffffff;

// Names one campaign of one candidate; a reply echoes it, so that a reply to an earlier campaign
// of the same term is never counted.
using CampaignId = uint64_t;
// Names one round of a leader's quorum confirmation. Never used twice, also not by a later leader
// of the same node (etcd#20418). 0 means "none".
using ReadContext = uint64_t;
// Names one life of a host, as its host heartbeats say (raft/liveness/host_watch.h). Opaque to the
// core, filled in by the node above; 0 means "none".
using HostLife = uint64_t;

// Would you vote for me in `term`? Changes nothing at the receiver (thesis 9.6).
struct PreVoteRequest {
  Term term = 0;  // the term the candidate would campaign in
  LogPosition last = {};
  CampaignId campaign = 0;
};
struct PreVoteReply {
  Term term = 0;  // the receiver's own term if it refuses, else the request's
  bool granted = false;
  CampaignId campaign = 0;
};

// Paper figure 2, RequestVote. Sent only when the term, the own vote and `last` are durable.
struct VoteRequest {
  Term term = 0;
  LogPosition last = {};
  CampaignId campaign = 0;
  // The leader of the term before asked the sender to campaign (TimeoutNow), so it is no
  // disturbance and goes before leader stickiness (thesis 3.10).
  bool forced = false;
};
struct VoteReply {
  Term term = 0;
  bool granted = false;
  CampaignId campaign = 0;
};

// Paper figure 2, AppendEntries with at least one entry. The entries themselves travel beside the
// message as encoded records; the core sees their shape only.
struct AppendEntries {
  Term term = 0;
  LogPosition previous = {};       // of the entry before the first one
  std::vector<TermRun> runs = {};  // shape of the entries; runs.back().last_index is the last index
  // The configuration entries among them, decoded.
  std::vector<std::pair<LogPosition, Configuration>> configurations = {};
  Index commit = 0;
  LogPosition acknowledged = {};  // as in Heartbeat

  Index last_index() const { return runs.empty() ? previous.index : runs.back().last_index; }
};

// Success: everything up to `match` is durable at the sender of the reply and equals the leader's
// log. Refusal: `previous` of the refused request did not match; the log can match at most at
// `hint` (the last entry of the term run that could, paper 5.3 end).
struct AppendReply {
  Term term = 0;
  bool success = false;
  Index match = 0;          // success only
  LogPosition hint = {};    // refusal only
  Index refused_index = 0;  // refusal only: previous.index of the refused request
};

// A leader that has nothing to do offers to rest (raft/core/quiesce.cc): whose log ends here too,
// all of it committed, stops its election clock until something happens.
struct QuiesceOffer {
  LogPosition last = {};
  HostLife life = 0;  // of the leader's host
};

// Leader's sign of life. `commit` is cut by the receiver to what it knows to match.
struct Heartbeat {
  Term term = 0;
  Index commit = 0;  // min(leader's commit, what the receiver is known to match)
  ReadContext context = 0;
  Instant sent = {};  // by the leader's clock; echoed
  std::optional<QuiesceOffer> quiesce = {};
  // The last entry that the receiver has acknowledged to this leader in this term, {0, 0} if none:
  // whose log lacks it now has an older disk than it had.
  LogPosition acknowledged = {};
};
// Also unasked: a follower that rested says that it does no more; `sent` is 0 then.
struct HeartbeatReply {
  Term term = 0;
  ReadContext context = 0;
  Instant sent = {};  // Heartbeat::sent
  // From when the heartbeat came in, the replier grants nobody else a vote or a pre-vote for this
  // long on its clock. 0: it promises nothing.
  Duration promise = {};
  Instant clock = {};     // of the replier, when it replied
  uint32_t priority = 0;  // RaftOptions::priority of the sender, or kNeverLeads
  bool quiesced = false;  // takes the offer: its election clock stands still
  HostLife life = 0;      // quiesced only: of the sender's host
};

// A member asks the leader for an index at which its clients may read (thesis 6.4).
struct ReadIndexRequest {
  Term term = 0;
  uint64_t request = 0;  // the asking node's, echoed
  bool lease = false;    // the leader may answer by its lease
};
struct ReadIndexReply {
  Term term = 0;
  uint64_t request = 0;
  bool ready = false;  // false: refused, ask again
  Index index = 0;
  bool lease = false;  // answered by the lease: for reads that allow it
};

// From a node that claims entries and cannot read them: the last ones may be torn (their id records
// are there, the records are not), or one is rotten. Which of the entries behind `good` do you
// hold? See docs/decisions.md, "Torn tails", and raft/core/entry_query.h.
struct TailQuery {
  Term term = 0;
  uint64_t query = 0;              // echoed
  LogPosition good = {};           // the entry before the first one in doubt
  std::vector<TermRun> torn = {};  // the shape of the asker's log behind it
};
struct TailReply {
  Term term = 0;
  uint64_t query = 0;
  // Last of the asked entries up to which the replier holds all, durable or not; good.index: none.
  Index have_through = 0;
  Index known_commit = 0;
  // The first asked entry that the replier claims and cannot read either: a hole in its log, or its
  // own torn tail. 0: none.
  Index faulty_from = 0;
  Index torn_from = 0;
  Index claimed_through = 0;  // the last one it claims so, or holds
  // Where there is such a hole: the state machine of the replier has applied it, up to here.
  Index in_state = 0;
};

// The leader hands its leadership over: the receiver campaigns at once (thesis 3.10).
struct TimeoutNow {
  Term term = 0;
};

// An answer to whoever asks for votes and is no member: the configuration at `at`, which is
// committed, does not name it. Whoever knows a later one that does is not meant.
struct RemovedNotice {
  Term term = 0;
  LogPosition at = {};
};

// From a member that cannot tell what it has promised (raft/core/rejoin.h), to the leader it hears.
struct RejoinRequest {
  Term term = 0;
  uint64_t nonce = 0;  // drawn since its start; echoed
};
// To whoever is to be sure again once it holds the entry there, which is of `term`.
struct RejoinReply {
  Term term = 0;
  uint64_t nonce = 0;
  Index barrier = 0;
};

using MessageBody =
    std::variant<PreVoteRequest, PreVoteReply, VoteRequest, VoteReply, AppendEntries, AppendReply,
                 Heartbeat, HeartbeatReply, ReadIndexRequest, ReadIndexReply, TailQuery, TailReply,
                 TimeoutNow, RemovedNotice, RejoinRequest, RejoinReply>;

struct Message {
  NodeId from = NodeId::kNone;
  NodeId to = NodeId::kNone;
  MessageBody body = {};
};

// The `term` field every body has.
Term TermOf(const MessageBody& body);
// "VoteRequest", as traces and metrics name it.
const char* NameOf(const MessageBody& body);

}  // namespace cairn

#endif  // RAFT_CORE_MESSAGES_H_
