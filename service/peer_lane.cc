#include "service/peer_lane.h"

#include <grpcpp/client_context.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "cairn/v1/peer.grpc.pb.h"
#include "service/wire/wire.h"

namespace cairn {
namespace {

constexpr Duration kFirstBackoff = Milliseconds(20);
constexpr Duration kLastBackoff = Milliseconds(1000);
// What waits for a peer that does not listen.
constexpr size_t kMaxClosedBytes = size_t{64} << 10;
// What the frame that opens a call counts in the window. It has no parcels.
constexpr size_t kGreetingBytes = 1;

}  // namespace

// One Exchange. Lives until OnDone, which comes after RemoveHold; the hold allows Send to write
// from its own thread. The lane's lock guards the flags.
class PeerLane::Call final : public grpc::ClientBidiReactor<v1::Frame, v1::ExchangeNote> {
 public:
  Call(std::shared_ptr<PeerLane> lane, const std::shared_ptr<grpc::Channel>& channel)
      : lane_(std::move(lane)), stub_(v1::Peer::NewStub(channel)) {}

  // The frame that opens the call asks for `receipt`, unless that is 0.
  void Start(uint64_t receipt) {
    WriteIdentity(lane_->greeting_, &frame_);
    frame_.set_lane(WireLane(lane_->lane_));
    WriteIntroductions(lane_->owner_->IntroductionsTo(lane_->peer_), &frame_);
    frame_.set_receipt(receipt);
    context_.set_wait_for_ready(true);
    stub_->async()->Exchange(&context_, this);
    AddHold();
    StartRead(&note_);
    StartWrite(&frame_);
    StartCall();
  }
  void Write() { StartWrite(&frame_); }
  void Cancel() { context_.TryCancel(); }

  void OnReadInitialMetadataDone(bool ok) override {
    if (ok) lane_->OnOpened(this);
  }
  void OnWriteDone(bool ok) override { lane_->OnWritten(this, ok); }
  void OnReadDone(bool ok) override {
    if (ok) {
      lane_->OnReceipt(this, note_.receipt());
      StartRead(&note_);
    } else {
      lane_->OnBroken(this);
    }
  }
  void OnDone(const grpc::Status& status) override {
    std::shared_ptr<PeerLane> lane = lane_;
    const bool was_opened = opened_;
    Refusal refusal = RefusalOf(status, lane->greeting_);
    // First, so that whoever waits for the calls' ends finds nothing of them left.
    delete this;
    lane->OnEnded(was_opened, std::move(refusal));
  }

  v1::Frame frame_;
  bool opened_ = false;
  bool writing_ = true;  // the greeting
  bool broken_ = false;

 private:
  const std::shared_ptr<PeerLane> lane_;
  const std::unique_ptr<v1::Peer::Stub> stub_;
  grpc::ClientContext context_;
  v1::ExchangeNote note_;
};

// The lanes a thread has sent on in its burst.
class PeerLane::Burst {
 public:
  static Burst& OfThisThread() {
    thread_local Burst burst;
    return burst;
  }
  void Begin() { active_ = true; }
  void End() {
    active_ = false;
    for (const auto& lane : std::exchange(lanes_, {})) lane->Flush();
  }
  // False without a burst.
  bool Add(PeerLane& lane) {
    if (!active_) return false;
    const bool known = std::any_of(lanes_.begin(), lanes_.end(),
                                   [&](const auto& each) { return each.get() == &lane; });
    if (!known) lanes_.push_back(lane.shared_from_this());
    return true;
  }

 private:
  bool active_ = false;
  std::vector<std::shared_ptr<PeerLane>> lanes_;
};

void PeerLane::BeginBurst() { Burst::OfThisThread().Begin(); }
void PeerLane::EndBurst() { Burst::OfThisThread().End(); }

PeerLane::PeerLane(Envelope greeting, Lane lane, size_t max_queued_bytes, LaneOwner* owner)
    : greeting_(std::move(greeting)),
      peer_(greeting_.to),
      lane_(lane),
      max_queued_bytes_(max_queued_bytes),
      owner_(owner),
      backoff_(kFirstBackoff) {}

void PeerLane::Dial(std::shared_ptr<grpc::Channel> channel) {
  {
    MutexLock lock(mutex_);
    channel_ = std::move(channel);
    // The end of the old call opens the new one.
    if (call_ != nullptr) call_->Cancel();
    backoff_ = kFirstBackoff;
  }
  Open();
}

void PeerLane::Open() {
  MutexLock lock(mutex_);
  if (stopped_ || !ended_ || channel_ == nullptr) return;
  call_channel_ = channel_;
  call_ = new Call(shared_from_this(), channel_);
  ended_ = false;
  owner_->CallBegan();
  // Under the lock, so that Stop and Dial, which cancel, find a call that has begun. None of its
  // callbacks runs on this thread.
  uint64_t receipt = 0;
  if (lane_ == Lane::kAppend) {
    window_.emplace(owner_->Now());
    receipt = window_->Sent(kGreetingBytes, /*more=*/false, owner_->Now());
  }
  call_->Start(receipt);
}

PeerLane::Call* PeerLane::TakeWrite() {
  if (call_ == nullptr || !call_->opened_ || call_->writing_ || queue_.empty()) return nullptr;
  const size_t room = window_ ? window_->Room() : kMaxFrameBytes;
  if (room == 0) return nullptr;  // until OnReceipt
  const size_t bytes = queue_.Next(&call_->frame_, room);
  if (window_) call_->frame_.set_receipt(window_->Sent(bytes, !queue_.empty(), owner_->Now()));
  call_->writing_ = true;
  owner_->FrameSent();
  return call_;
}

void PeerLane::Send(Envelope envelope) {
  Call* call = nullptr;
  bool lost = false;
  {
    MutexLock lock(mutex_);
    bool open = call_ != nullptr && call_->opened_;
    if (queue_.Push(std::move(envelope), open ? max_queued_bytes_ : kMaxClosedBytes)) {
      if (!Burst::OfThisThread().Add(*this)) call = TakeWrite();
    } else {
      lost = !std::exchange(lost_, true);
    }
  }
  if (call != nullptr) call->Write();
  if (lost) owner_->Lost(peer_);
}

void PeerLane::Flush() {
  Call* call = nullptr;
  {
    MutexLock lock(mutex_);
    call = TakeWrite();
  }
  if (call != nullptr) call->Write();
}

void PeerLane::OnOpened(Call* call) {
  Call* writer = nullptr;
  bool tell = false;
  {
    MutexLock lock(mutex_);
    tell = !stopped_;
    call->opened_ = true;
    backoff_ = kFirstBackoff;
    lost_ = false;
    writer = TakeWrite();
  }
  if (tell) owner_->PeerSays(peer_, "");
  if (writer != nullptr) writer->Write();
}

void PeerLane::OnWritten(Call* call, bool ok) {
  Call* writer = nullptr;
  bool release = false;
  {
    MutexLock lock(mutex_);
    call->writing_ = false;
    release = call->broken_;
    if (ok && !release) {
      lost_ = false;
      writer = TakeWrite();
    }
  }
  if (writer != nullptr) writer->Write();
  if (release) call->RemoveHold();
}

void PeerLane::OnReceipt(Call* call, uint64_t receipt) {
  Call* writer = nullptr;
  {
    MutexLock lock(mutex_);
    if (call != call_ || !window_) return;
    window_->Received(receipt, owner_->Now());
    writer = TakeWrite();
  }
  if (writer != nullptr) writer->Write();
}

void PeerLane::OnBroken(Call* call) {
  bool release = false;
  {
    MutexLock lock(mutex_);
    call_ = nullptr;
    call->broken_ = true;
    release = !call->writing_;
    queue_.Clear();
    lost_ = true;
  }
  if (release) call->RemoveHold();
  owner_->Lost(peer_);
}

void PeerLane::OnEnded(bool was_opened, Refusal refusal) {
  bool tell = false;
  {
    MutexLock lock(mutex_);
    tell = !stopped_;
  }
  if (tell && !refusal.text.empty()) owner_->PeerSays(peer_, refusal.text);
  if (refusal.message) owner_->Deliver(*std::move(refusal.message));
  bool release = false;
  {
    MutexLock lock(mutex_);
    ended_ = true;
    release = retired_;
    if (!stopped_) {
      Duration wait = was_opened ? Duration{} : backoff_;
      backoff_ = std::min(backoff_ * 2, kLastBackoff);
      owner_->executor().PostAt(owner_->Now() + wait, [weak = weak_from_this()] {
        if (auto lane = weak.lock()) lane->Open();
      });
    }
  }
  if (release) ReleaseLater();
  owner_->CallEnded();
}

void PeerLane::Stop() {
  MutexLock lock(mutex_);
  stopped_ = true;
  queue_.Clear();
  if (call_ != nullptr) call_->Cancel();
}

void PeerLane::Retire() {
  Stop();
  bool release = false;
  {
    MutexLock lock(mutex_);
    retired_ = true;
    release = ended_;
  }
  if (release) ReleaseLater();
}

// Whoever retires a lane, or ends its last call, may be a thread of gRPC's.
void PeerLane::ReleaseLater() {
  owner_->executor().Post([self = shared_from_this()] { self->Release(); });
}

void PeerLane::Release() {
  std::shared_ptr<grpc::Channel> channels[2];
  MutexLock lock(mutex_);
  channels[0] = std::exchange(channel_, nullptr);
  channels[1] = std::exchange(call_channel_, nullptr);
}

}  // namespace cairn
