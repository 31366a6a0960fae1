// SimNetwork: the network between simulated nodes, and its faults.

#ifndef TESTS_SIM_SIM_NETWORK_H_
#define TESTS_SIM_SIM_NETWORK_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "raft/host.h"
#include "raft/peers/introduction.h"
#include "raft/peers/peer_book.h"
#include "raft/transport.h"
#include "tests/sim/counters.h"
#include "tests/sim/event_log.h"
#include "tests/sim/event_queue.h"

namespace cairn::sim {

// Rates are in 1000 envelopes.
struct NetworkOptions {
  Duration shortest_delay = Microseconds(50);
  Duration longest_delay = Microseconds(500);
  // Some envelopes take up to this.
  uint64_t slow = 0;
  Duration slowest_delay = Milliseconds(100);
  uint64_t loss = 0;
  uint64_t duplicates = 0;
  // With an envelope, an old one (of any age, to any node) comes again.
  uint64_t replays = 0;
  // Envelopes of one lane of one link never overtake each other.
  bool ordered = true;
  // Envelopes under way on one link; more are dropped.
  size_t link_capacity = 4096;
  // Losses the sender is told of (Receiver::lost).
  bool cuts_stop_arrivals = true;  // or only what is sent later; the rest has already crossed
  uint64_t noticed_losses = 500;
};

// An envelope as it arrives: decoded from what the wire keeps, sharing nothing with the original.
Envelope WireCopy(const Envelope& envelope);

// Envelopes travel by node id, so one sent to a node may meet a later start of it. One thread.
// Ownership: outlives its transports.
//
// Where hosts are known (SetHost), nodes reach and hear only whom they know, or believe, as with
// the transport of production (raft/peers/peer_book.h); each envelope introduces its sender, as the
// first of a call does there.
class SimNetwork {
 public:
  SimNetwork(EventQueue& events, EventLog& log, Counters& counters, uint64_t seed,
             const NetworkOptions& options);

  // The transport of one start of a node. It stands in for the node's earlier ones.
  std::unique_ptr<Transport> MakeTransport(NodeId node);

  // Who decides what the node's transport believes; outlives its last arrival.
  void SetHost(NodeId node, Host* host) { endpoints_[node].host = host; }

  // The node's process is gone: nothing comes from it or goes to it until the next MakeTransport.
  void CutOff(NodeId node);

  // Sees every envelope as it is sent, before any fault.
  void ObserveSends(std::function<void(const Envelope&)> observer) {
    observers_.push_back(std::move(observer));
  }

  void SetOptions(const NetworkOptions& options) { options_ = options; }
  const NetworkOptions& options() const { return options_; }

  // Nothing passes from one to the other, this way. What is under way is lost. Faults overlap: a
  // link is open again when each Block has had its Unblock.
  void Block(NodeId from, NodeId to);
  void Unblock(NodeId from, NodeId to);
  void UnblockAll() { blocked_.clear(); }
  bool Blocked(NodeId from, NodeId to) const { return blocked_.contains({from, to}); }

 private:
  friend class SimTransport;
  using Link = std::pair<NodeId, NodeId>;
  struct Endpoint {
    uint64_t start = 0;  // counts MakeTransport: a transport of an earlier start is cut off
    bool running = false;
    Transport::Receiver receiver;
    Host* host = nullptr;  // null: anybody is listened to
    PeerBook book;
  };
  struct Sent {
    Envelope envelope;
    std::vector<Introduction> introductions;
  };
  struct LinkState {
    size_t under_way = 0;
    Instant last_arrival[kLanes];  // by lane
  };

  void Send(Envelope envelope, std::vector<Introduction> introductions, uint64_t start);
  void Launch(const std::shared_ptr<const Sent>& sent, bool may_be_slow);
  void Arrive(const Sent& sent);
  bool Listens(Endpoint& endpoint, const Sent& sent);
  void Lose(const Envelope& envelope, const char* why);
  void Keep(const std::shared_ptr<const Sent>& sent);
  Duration DrawDelay(bool may_be_slow);
  bool Happens(uint64_t rate) { return rate > 0 && random_.Chance(rate, 1000); }

  EventQueue& events_;
  EventLog& log_;
  Counters& counters_;
  Random random_;
  NetworkOptions options_;
  std::vector<std::function<void(const Envelope&)>> observers_;
  std::map<NodeId, Endpoint> endpoints_;
  std::map<Link, LinkState> links_;
  std::map<Link, int> blocked_;                   // by how many faults
  std::vector<std::shared_ptr<const Sent>> old_;  // for replays
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_SIM_NETWORK_H_
