#include "service/grpc_transport.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cairn/initial_cluster.h"
#include "service/peer_lane.h"
#include "service/wire/http2_window.h"

namespace cairn {
namespace {

// How often it is asked again whether who introduced itself is believed.
constexpr Duration kDoubtInterval = Seconds(1);

std::shared_ptr<grpc::Channel> Connect(const std::string& address) {
  grpc::ChannelArguments arguments;
  // A connection of its own, not one shared with the program's other channels.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);
  // Also makes the kernel give up data that nobody acknowledges, so that a connection through a
  // healed partition is not waited for.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5'000);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  SetHttp2Window(arguments);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

// Outside the transport's lock: the receiver, and what the lanes tell.
class GrpcTransport::Owner final : public LaneOwner {
 public:
  explicit Owner(const GrpcTransportOptions& options) : options_(options) {}

  Executor& executor() override { return *options_.executor; }
  Instant Now() override { return options_.clock->Now(); }

  void Start(Receiver receiver) {
    MutexLock lock(mutex_);
    receiver_ = std::move(receiver);
    started_ = true;
  }

  // Afterwards no call is under way and the receiver is not called.
  void Stop() {
    MutexLock lock(mutex_);
    started_ = false;
    while (active_ > 0 || calls_ > 0) changed_.Wait(mutex_);
  }

  void Deliver(Envelope envelope) override {
    if (!Enter()) return;
    receiver_.receive(std::move(envelope));
    Leave();
  }
  void Lost(NodeId peer) override {
    if (!Enter()) return;
    receiver_.lost(peer);
    Leave();
  }

  void Introduce(NodeId peer, const Introduction& self) {
    MutexLock lock(mutex_);
    std::deque<Introduction>& all = introductions_[peer];
    std::erase_if(all, [&](const Introduction& other) { return other.group == self.group; });
    all.push_front(self);
    if (all.size() <= kMaxIntroductions) return;
    // To know the sender one is enough; what tells of disks before counts for its group alone.
    const auto spare = std::find_if(all.rbegin(), all.rend(), [](const Introduction& each) {
      return each.disks_before.empty();
    });
    all.erase(spare == all.rend() ? std::prev(all.end()) : std::prev(spare.base()));
  }
  std::vector<Introduction> IntroductionsTo(NodeId peer) override {
    MutexLock lock(mutex_);
    const auto found = introductions_.find(peer);
    if (found == introductions_.end()) return {};
    return {found->second.begin(), found->second.end()};
  }

  void FrameSent() override { frames_.fetch_add(1, std::memory_order_relaxed); }
  uint64_t frames() const { return frames_.load(std::memory_order_relaxed); }

  void PeerSays(NodeId peer, const std::string& refusal) override {
    {
      MutexLock lock(mutex_);
      std::string& known = refusals_[peer];
      if (known == refusal) return;
      known = refusal;
    }
    uint64_t node = ToInteger(peer);
    if (refusal.empty()) {
      options_.log->Log(LogLevel::kInfo, absl::StrCat("node ", node, " takes our frames again"));
    } else {
      options_.log->Log(LogLevel::kError,
                        absl::StrCat("node ", node, " refuses our frames: ", refusal));
    }
  }
  void Forget(NodeId peer) {
    MutexLock lock(mutex_);
    refusals_.erase(peer);
  }
  std::vector<std::string> Refusals() const {
    MutexLock lock(mutex_);
    std::vector<std::string> refusals;
    for (const auto& [peer, refusal] : refusals_) {
      if (refusal.empty()) continue;
      refusals.push_back(absl::StrCat("node ", ToInteger(peer), " refuses our frames: ", refusal));
    }
    return refusals;
  }

  void CallBegan() override {
    MutexLock lock(mutex_);
    ++calls_;
  }
  void CallEnded() override {
    MutexLock lock(mutex_);
    --calls_;
    changed_.NotifyAll();
  }

 private:
  bool Enter() {
    MutexLock lock(mutex_);
    if (started_) ++active_;
    return started_;
  }
  void Leave() {
    MutexLock lock(mutex_);
    if (--active_ == 0 && !started_) changed_.NotifyAll();
  }

  const GrpcTransportOptions options_;
  std::atomic<uint64_t> frames_ = 0;
  Receiver receiver_;  // set before started_, used only between Enter and Leave
  mutable Mutex mutex_;
  CondVar changed_;
  bool started_ CAIRN_GUARDED_BY(mutex_) = false;
  int active_ CAIRN_GUARDED_BY(mutex_) = 0;
  int calls_ CAIRN_GUARDED_BY(mutex_) = 0;
  std::map<NodeId, std::string> refusals_ CAIRN_GUARDED_BY(mutex_);
  // The newest first, one a group.
  std::map<NodeId, std::deque<Introduction>> introductions_ CAIRN_GUARDED_BY(mutex_);
};

GrpcTransport::GrpcTransport(const GrpcTransportOptions& options)
    : options_(options), owner_(std::make_unique<Owner>(options)) {}

GrpcTransport::~GrpcTransport() { Stop(); }

void GrpcTransport::SetPeer(NodeId node, const std::string& address) {
  if (node == options_.node) return;
  {
    MutexLock lock(mutex_);
    book_.Name(node, address);
  }
  Follow(node);
}

void GrpcTransport::Introduce(NodeId node, const Introduction& self) {
  owner_->Introduce(node, self);
}

void GrpcTransport::Follow(NodeId node) {
  MutexLock one_after_the_other(following_);
  std::string address;
  Lanes lanes;
  {
    MutexLock lock(mutex_);
    address = book_.AddressOf(node);
    const auto known = peers_.find(node);
    if (stopped_ || (known == peers_.end() ? "" : known->second.address) == address) return;
    if (address.empty()) {
      lanes = known->second.lanes;
      peers_.erase(known);
    } else {
      lanes = LanesTo(node, address);
    }
  }
  if (address.empty()) {
    for (const auto& lane : lanes) lane->Retire();
    owner_->Forget(node);
    return;
  }
  std::shared_ptr<grpc::Channel> channel = Connect(address);
  for (const auto& lane : lanes) lane->Dial(channel);
}

// Notes the address, and makes the lanes of a new peer.
const GrpcTransport::Lanes& GrpcTransport::LanesTo(NodeId node, const std::string& address) {
  Peer& peer = peers_[node];
  peer.address = address;
  if (peer.lanes[0] != nullptr) return peer.lanes;
  Envelope greeting;
  greeting.cluster = options_.cluster;
  greeting.from = options_.node;
  greeting.to = node;
  greeting.from_incarnation = options_.incarnation;
  for (Lane lane : {Lane::kControl, Lane::kAppend, Lane::kSnapshot}) {
    peer.lanes[static_cast<size_t>(lane)] =
        std::make_shared<PeerLane>(greeting, lane, options_.max_queued_bytes, owner_.get());
  }
  return peer.lanes;
}

Standing GrpcTransport::Hear(NodeId node, const std::vector<Introduction>* introductions,
                             Believes believes) {
  DropWhatIsNotBelieved(believes);
  std::vector<Introduction> believed;
  if (introductions != nullptr) {
    std::copy_if(introductions->begin(), introductions->end(), std::back_inserter(believed),
                 [&](const Introduction& introduction) {
                   return IsAddress(introduction.address) && believes(node, introduction);
                 });
  }
  if (believed.empty()) {
    MutexLock lock(mutex_);
    return book_.Hear(node);
  }
  NodeId forgotten = NodeId::kNone;
  Standing standing = Standing::kUnknown;
  {
    MutexLock lock(mutex_);
    doubt_at_ = std::min(doubt_at_, options_.clock->Now() + kDoubtInterval);
    forgotten = book_.Meet(node, std::move(believed));
    standing = book_.Hear(node);
  }
  if (forgotten != NodeId::kNone) Follow(forgotten);
  Follow(node);
  return standing;
}

std::shared_ptr<PeerLane> GrpcTransport::LaneTo(NodeId node, Lane lane) const {
  MutexLock lock(mutex_);
  auto peer = peers_.find(node);
  return peer == peers_.end() ? nullptr : peer->second.lanes[static_cast<size_t>(lane)];
}

void GrpcTransport::Send(Envelope envelope) {
  if (auto lane = LaneTo(envelope.to, LaneOf(envelope))) lane->Send(std::move(envelope));
}

void GrpcTransport::BeginBurst() { PeerLane::BeginBurst(); }
void GrpcTransport::EndBurst() { PeerLane::EndBurst(); }
uint64_t GrpcTransport::frames() const { return owner_->frames(); }

void GrpcTransport::Start(Receiver receiver) { owner_->Start(std::move(receiver)); }

void GrpcTransport::Stop() {
  std::vector<std::shared_ptr<PeerLane>> lanes;
  {
    MutexLock lock(mutex_);
    stopped_ = true;
    for (const auto& [node, peer] : peers_) {
      lanes.insert(lanes.end(), peer.lanes.begin(), peer.lanes.end());
    }
  }
  for (const auto& lane : lanes) lane->Stop();
  owner_->Stop();
  for (const auto& lane : lanes) lane->Release();
}

void GrpcTransport::Deliver(Envelope envelope) { owner_->Deliver(std::move(envelope)); }

void GrpcTransport::DropWhatIsNotBelieved(Believes believes) {
  std::vector<std::pair<NodeId, Introduction>> introduced;
  {
    MutexLock lock(mutex_);
    const Instant now = options_.clock->Now();
    if (now < doubt_at_) return;
    introduced = book_.introduced();
    doubt_at_ = introduced.empty() ? kDistantFuture : now + kDoubtInterval;
  }
  for (const auto& [node, introduction] : introduced) {
    if (believes(node, introduction)) continue;
    bool moved = false;
    bool forgotten = false;
    {
      MutexLock lock(mutex_);
      moved = book_.Drop(node, introduction);
      forgotten = book_.AddressOf(node).empty();
    }
    if (!moved) continue;
    Follow(node);
    // It may have news, and says them at the beginning of a call.
    if (forgotten) {
      calls_.EndAll(node, absl::PermissionDeniedError(
                              absl::StrCat("UNKNOWN_PEER: what node ", ToInteger(node),
                                           " has said of itself is not so any more")));
    }
  }
}

std::vector<std::string> GrpcTransport::Refusals() const { return owner_->Refusals(); }

}  // namespace cairn
