// LoopbackNetwork: transports of one process that hand envelopes to each other.

#ifndef TESTS_RAFT_LOOPBACK_NETWORK_H_
#define TESTS_RAFT_LOOPBACK_NETWORK_H_

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/executor.h"
#include "base/mutex.h"
#include "base/time.h"
#include "raft/host.h"
#include "raft/peers/introduction.h"
#include "raft/peers/peer_book.h"
#include "raft/sender_check.h"
#include "raft/transport.h"

namespace cairn {

// Envelopes are delivered as tasks of `executor`, a little later and in order. A node that is cut
// off neither sends nor receives.
//
// With CloseDoors nodes reach only whom they know, where they believe it is, and listen only to
// those, as the transport of production does (service/grpc_transport.h); each envelope is like the
// first one of a call.
//
// Threads: any.
class LoopbackNetwork {
 public:
  // Looks at, changes or drops (false) each envelope on its way.
  using Filter = std::function<bool(Envelope&)>;

  // Delivery takes `delay` of the executor's time; zero: as soon as the executor runs.
  LoopbackNetwork(Executor* executor, const Clock* clock, Duration delay)
      : executor_(executor), clock_(clock), delay_(delay) {}

  std::unique_ptr<Transport> MakeTransport(NodeId node) {
    return std::make_unique<LoopbackTransport>(this, node);
  }

  void CutOff(NodeId node) {
    MutexLock lock(mutex_);
    cut_off_.insert(node);
  }
  void Rejoin(NodeId node) {
    MutexLock lock(mutex_);
    cut_off_.erase(node);
  }
  void SetFilter(Filter filter) {
    MutexLock lock(mutex_);
    filter_ = std::move(filter);
  }
  void CloseDoors() {
    MutexLock lock(mutex_);
    closed_ = true;
  }
  // Where `node` can be reached; before that it is at "address" and its id.
  void Move(NodeId node, const std::string& address) {
    MutexLock lock(mutex_);
    moved_[node] = address;
  }
  // Behind closed doors `host` says what is believed; it outlives the transport's last envelope.
  void SetHost(NodeId node, Host* host) {
    MutexLock lock(mutex_);
    hosts_[node] = host;
  }
  // Envelopes of nodes that were not listened to.
  size_t refused() const {
    MutexLock lock(mutex_);
    return refused_;
  }
  size_t delivered() const {
    MutexLock lock(mutex_);
    return delivered_;
  }

 private:
  // The receivers of a started transport. Held while one is called, so that Stop waits for it.
  struct Endpoint {
    Mutex mutex;
    bool open CAIRN_GUARDED_BY(mutex) = true;
    Transport::Receiver receiver CAIRN_GUARDED_BY(mutex);
    PeerBook* book = nullptr;  // of the transport
  };

  class LoopbackTransport final : public Transport {
   public:
    LoopbackTransport(LoopbackNetwork* network, NodeId node) : network_(network), node_(node) {}
    ~LoopbackTransport() override { Stop(); }
    void SetPeer(NodeId node, const std::string& address) override {
      MutexLock lock(network_->mutex_);
      book_.Name(node, address);
    }
    void Introduce(NodeId node, const Introduction& self) override {
      MutexLock lock(network_->mutex_);
      introductions_[node] = self;
    }
    void Send(Envelope envelope) override {
      Introduction self;
      {
        MutexLock lock(network_->mutex_);
        if (!network_->Reaches(book_.AddressOf(envelope.to), envelope.to)) return;
        self = introductions_[envelope.to];
      }
      network_->Send(std::move(envelope), std::move(self));
    }
    void Start(Receiver receiver) override { network_->Start(node_, std::move(receiver), &book_); }
    void Stop() override { network_->Stop(node_); }

   private:
    LoopbackNetwork* const network_;
    const NodeId node_;
    // Under the network's lock. Tests have one group.
    PeerBook book_;
    std::map<NodeId, Introduction> introductions_;
  };

  bool Reaches(const std::string& address, NodeId node) CAIRN_REQUIRES(mutex_) {
    const auto moved = moved_.find(node);
    return !closed_ ||
           address == (moved != moved_.end() ? moved->second
                                             : "address" + std::to_string(ToInteger(node)));
  }

  // Whether the node at `book` listens to this one, which says `self` of itself.
  bool Listens(const Envelope& envelope, const Introduction& self, PeerBook& book) {
    Host* host = nullptr;
    std::vector<std::pair<NodeId, Introduction>> introduced;
    {
      MutexLock lock(mutex_);
      if (!closed_) return true;
      host = hosts_.at(envelope.to);
      introduced = book.introduced();
    }
    for (const auto& [node, introduction] : introduced) {
      if (host->Believes(node, introduction)) continue;
      MutexLock lock(mutex_);
      book.Drop(node, introduction);
    }
    const bool believed = Validate(self).ok() && host->Believes(envelope.from, self);
    const bool removed = host->WasRemoved(envelope.from);
    MutexLock lock(mutex_);
    if (believed) book.Meet(envelope.from, {self});
    const Standing standing = book.Hear(envelope.from);
    if (standing == Standing::kUnknown && !removed) ++refused_;
    if (standing == Standing::kUnknown) return removed;
    return standing == Standing::kPeer || MayStrangerSay(envelope.body);
  }

  void Start(NodeId node, Transport::Receiver receiver, PeerBook* book) {
    auto endpoint = std::make_shared<Endpoint>();
    endpoint->book = book;
    {
      MutexLock lock(endpoint->mutex);
      endpoint->receiver = std::move(receiver);
    }
    MutexLock lock(mutex_);
    endpoints_[node] = std::move(endpoint);
  }

  void Stop(NodeId node) {
    std::shared_ptr<Endpoint> endpoint;
    {
      MutexLock lock(mutex_);
      auto found = endpoints_.find(node);
      if (found == endpoints_.end()) return;
      endpoint = std::move(found->second);
      endpoints_.erase(found);
    }
    MutexLock lock(endpoint->mutex);
    endpoint->open = false;
  }

  void Send(Envelope envelope, Introduction self) {
    {
      MutexLock lock(mutex_);
      if (cut_off_.contains(envelope.from)) return;
      if (filter_ != nullptr && !filter_(envelope)) return;
    }
    // AnyInvocable may be move-only; an envelope is.
    Task deliver = [this, envelope = std::move(envelope), self = std::move(self)]() mutable {
      Deliver(std::move(envelope), self);
    };
    if (delay_ == Duration{}) {
      executor_->Post(std::move(deliver));
    } else {
      executor_->PostAt(clock_->Now() + delay_, std::move(deliver));
    }
  }

  void Deliver(Envelope envelope, const Introduction& self) {
    std::shared_ptr<Endpoint> endpoint;
    {
      MutexLock lock(mutex_);
      if (cut_off_.contains(envelope.from) || cut_off_.contains(envelope.to)) return;
      auto found = endpoints_.find(envelope.to);
      if (found == endpoints_.end()) return;
      endpoint = found->second;
      ++delivered_;
    }
    MutexLock lock(endpoint->mutex);
    if (!endpoint->open || !Listens(envelope, self, *endpoint->book)) return;
    endpoint->receiver.receive(std::move(envelope));
  }

  Executor* const executor_;
  const Clock* const clock_;
  const Duration delay_;
  mutable Mutex mutex_;
  std::map<NodeId, std::shared_ptr<Endpoint>> endpoints_ CAIRN_GUARDED_BY(mutex_);
  std::set<NodeId> cut_off_ CAIRN_GUARDED_BY(mutex_);
  Filter filter_ CAIRN_GUARDED_BY(mutex_);
  size_t delivered_ CAIRN_GUARDED_BY(mutex_) = 0;
  bool closed_ CAIRN_GUARDED_BY(mutex_) = false;
  std::map<NodeId, std::string> moved_ CAIRN_GUARDED_BY(mutex_);
  std::map<NodeId, Host*> hosts_ CAIRN_GUARDED_BY(mutex_);
  size_t refused_ CAIRN_GUARDED_BY(mutex_) = 0;
};

}  // namespace cairn

#endif  // TESTS_RAFT_LOOPBACK_NETWORK_H_
