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

#include "base/executor.h"
#include "base/mutex.h"
#include "base/time.h"
#include "raft/transport.h"

namespace cairn {

// Envelopes are delivered as tasks of `executor`, a little later and in order. A node that is cut
// off neither sends nor receives.
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
  };

  class LoopbackTransport final : public Transport {
   public:
    LoopbackTransport(LoopbackNetwork* network, NodeId node) : network_(network), node_(node) {}
    ~LoopbackTransport() override { Stop(); }
    void SetPeer(NodeId, const std::string&) override {}
    void Send(Envelope envelope) override { network_->Send(std::move(envelope)); }
    void Start(Receiver receiver) override { network_->Start(node_, std::move(receiver)); }
    void Stop() override { network_->Stop(node_); }

   private:
    LoopbackNetwork* const network_;
    const NodeId node_;
  };

  void Start(NodeId node, Transport::Receiver receiver) {
    auto endpoint = std::make_shared<Endpoint>();
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

  void Send(Envelope envelope) {
    {
      MutexLock lock(mutex_);
      if (cut_off_.contains(envelope.from)) return;
      if (filter_ != nullptr && !filter_(envelope)) return;
    }
    // AnyInvocable may be move-only; an envelope is.
    Task deliver = [this, envelope = std::move(envelope)]() mutable {
      Deliver(std::move(envelope));
    };
    if (delay_ == Duration{}) {
      executor_->Post(std::move(deliver));
    } else {
      executor_->PostAt(clock_->Now() + delay_, std::move(deliver));
    }
  }

  void Deliver(Envelope envelope) {
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
    if (endpoint->open) endpoint->receiver.receive(std::move(envelope));
  }

  Executor* const executor_;
  const Clock* const clock_;
  const Duration delay_;
  mutable Mutex mutex_;
  std::map<NodeId, std::shared_ptr<Endpoint>> endpoints_ CAIRN_GUARDED_BY(mutex_);
  std::set<NodeId> cut_off_ CAIRN_GUARDED_BY(mutex_);
  Filter filter_ CAIRN_GUARDED_BY(mutex_);
  size_t delivered_ CAIRN_GUARDED_BY(mutex_) = 0;
};

}  // namespace cairn

#endif  // TESTS_RAFT_LOOPBACK_NETWORK_H_
