// Forwarder: commands proposed on a member that does not lead, on their way to the leader.

#ifndef RAFT_FORWARDING_FORWARDER_H_
#define RAFT_FORWARDING_FORWARDER_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/time.h"
#include "base/types.h"
#include "raft/envelope.h"
#include "raft/mailbox.h"
#include "raft/proposal_call.h"

namespace cairn {

// Packs commands into requests, one frame each, and answers their calls with the leader's results.
// What was sent and not answered is unknown after a while; soon after the leader has changed, since
// the old one may still say what became of it: where leadership was handed over, it does. What the
// leader surely did not take because it no longer leads is given back, to be proposed anew.
//
// Commands with a ProposalOrder go one request of that order at a time: envelopes may be lost and
// overtake each other.
//
// Threads: one at a time.
class Forwarder {
 public:
  struct Options {
    size_t frame_bytes = size_t{64} << 10;  // of a request, unless one command is larger
    Duration timeout;                       // for an answer
    Duration grace = {};                    // for an answer of a leader that leads no more
    uint64_t life = 0;                      // ForwardedProposals::life
  };
  struct Outgoing {
    NodeId to = NodeId::kNone;
    ForwardedProposals forwarded;
  };

  explicit Forwarder(const Options& options) : options_(options) {}

  // Who leads from now on; kNone if unknown. Calls sent to another leader, or in another term,
  // become unknown when the grace is over.
  void SetLeader(NodeId leader, Term term, Instant now = {});
  NodeId leader() const { return leader_; }

  // Whether commands of `order` are on their way or wait here: later ones have to go through here,
  // too, whoever leads.
  bool Busy(const std::shared_ptr<ProposalOrder>& order) const {
    return order != nullptr && busy_orders_.contains(order.get());
  }
  // Sends the request's commands to the leader, which is known; or keeps them behind those of its
  // order that are on their way.
  void Forward(Instant now, ProposalRequest request);
  void Receive(NodeId from, ForwardedResults results);
  // Answers what has waited too long.
  void Expire(Instant now);
  void GiveUpAll(absl::string_view message);

  // What to send, once.
  std::vector<Outgoing> TakeOutgoing(Instant now);
  // What is surely not applied and was not answered, in the order it was proposed.
  std::vector<ProposalRequest> TakeRetries() { return std::exchange(retries_, {}); }

  bool has_retries() const { return !retries_.empty(); }

  Instant NextDeadline() const { return next_deadline_; }
  bool idle() const { return sent_.empty() && packing_.empty(); }

 private:
  // Commands of one order, or of none.
  struct Request {
    std::shared_ptr<ProposalOrder> order;
    std::vector<PreparedEntry> entries;
    std::vector<ProposalSpan> spans;  // of the entries, in a row; without a call once answered
    size_t bytes = 0;
    Term expected_term = 0;            // of all its calls
    int tries = 0;                     // before this one
    NodeId to = NodeId::kNone;         // sent ones
    Term term = 0;                     // of the leader it was sent to
    Instant give_up = kDistantFuture;  // sent ones: no answer is awaited after it
  };
  using Requests = std::list<Request>;

  Request& Open(const ProposeOptions& options, size_t bytes, int tries);
  void Send(Instant now, Request request);
  bool IsOrphan(const Request& request) const {
    return request.to != leader_ || request.term != term_;
  }
  // What waits behind a request of `order` whose leader has changed goes another way.
  void GiveBackOrder(ProposalOrder* order);
  // The leader took nothing of it, or was not asked.
  void GiveBack(Request request);
  void AnswerResults(Request& request, std::vector<ProposalResult> results);
  // Answers the spans that wait no longer with `result`; true if nobody waits any more.
  bool ExpireSpans(Instant now, Request& request, const ProposalResult& result);
  static void DropAnswered(Request& request);
  Request Take(std::map<uint64_t, Request>::iterator sent);

  const Options options_;
  NodeId leader_ = NodeId::kNone;
  Term term_ = 0;
  uint64_t last_request_ = 0;
  std::map<uint64_t, Request> sent_;  // by request number
  // Not sent yet: being filled, or waiting for an earlier one of its order.
  Requests packing_;
  // The last of each order (null: of no order) in packing_, and orders with a request in sent_.
  // Never iterated over.
  std::unordered_map<ProposalOrder*, Requests::iterator> open_;
  std::unordered_set<ProposalOrder*> busy_orders_;
  std::vector<Outgoing> outgoing_;
  std::vector<ProposalRequest> retries_;
  Instant next_deadline_ = kDistantFuture;
};

}  // namespace cairn

#endif  // RAFT_FORWARDING_FORWARDER_H_
