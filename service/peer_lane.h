// PeerLane: one direction of one lane between two nodes, over Exchange calls. For grpc_transport
// only, because it brings gRPC's headers.

#ifndef SERVICE_PEER_LANE_H_
#define SERVICE_PEER_LANE_H_

#include <grpcpp/channel.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/executor.h"
#include "base/mutex.h"
#include "base/time.h"
#include "base/types.h"
#include "raft/envelope.h"
#include "raft/peers/introduction.h"
#include "service/frame_queue.h"
#include "service/lane_window.h"
#include "service/wire/refusal.h"

namespace cairn {

// What a lane needs and tells. Threads: any.
class LaneOwner {
 public:
  virtual ~LaneOwner() = default;
  virtual Executor& executor() = 0;
  // What is said of this node in the first frame of a call to `peer`.
  virtual std::vector<Introduction> IntroductionsTo(NodeId peer) = 0;
  virtual Instant Now() = 0;
  // Envelopes to `peer` may have been lost.
  virtual void Lost(NodeId peer) = 0;
  // One more frame is on its way.
  virtual void FrameSent() = 0;
  // The peer refuses this node's frames because of `refusal`, or (empty) takes them now.
  virtual void PeerSays(NodeId peer, const std::string& refusal) = 0;
  // A message of a peer that came as the end of a call.
  virtual void Deliver(Envelope envelope) = 0;
  // A call began, a call ended. The owner waits until as many ended as began.
  virtual void CallBegan() = 0;
  virtual void CallEnded() = 0;
};

// Keeps a call open, opens it again when it ends, and drops what comes while there is no room:
// little while nobody listens, so that a peer that comes back is not told old news.
//
// One write is under way at a time; what comes meanwhile goes into the next frame. Send writes on
// the caller's thread if it can, so that a message in flight has no hand-over before the socket.
// Of entries no more is under way than delays votes and heartbeats a little (LaneWindow); who asks
// for a snapshot sees to that himself (PieceWindow).
//
// Threads: any.
class PeerLane : public std::enable_shared_from_this<PeerLane> {
 public:
  // `greeting` is an envelope whose identity all others have too; it is the first thing said on a
  // call, and the peer's answer tells that it listens. `owner` outlives the lane's calls and tasks.
  PeerLane(Envelope greeting, Lane lane, size_t max_queued_bytes, LaneOwner* owner);

  // Uses `channel` from now on.
  void Dial(std::shared_ptr<grpc::Channel> channel);
  void Send(Envelope envelope);
  // Between the two, what this thread gives to any lane waits for the end, and shares frames.
  static void BeginBurst();
  static void EndBurst();
  // Ends the call and makes no other one. CallEnded may come later.
  void Stop();
  // Lets go of the channels. After CallEnded, and on a thread that is not one of gRPC's: the last
  // channel of a process ends these threads, and none can end itself.
  void Release();
  // Stop while the transport goes on; Release follows by itself.
  void Retire();

 private:
  class Call;
  class Burst;

  // Opens a call if there is a channel and no call.
  void Open();
  // Writes what waits, if nothing is being written.
  void Flush();
  // The call, with the next frame in it and the right to write it; null if there is nothing to do.
  Call* TakeWrite() CAIRN_REQUIRES(mutex_);
  void OnOpened(Call* call);
  void OnWritten(Call* call, bool ok);
  void OnReceipt(Call* call, uint64_t receipt);
  // The call takes no more writes.
  void OnBroken(Call* call);
  void OnEnded(bool was_opened, Refusal refusal);
  void ReleaseLater();

  const Envelope greeting_;
  const NodeId peer_;
  const Lane lane_;
  const size_t max_queued_bytes_;
  LaneOwner* const owner_;
  Mutex mutex_;
  std::shared_ptr<grpc::Channel> channel_ CAIRN_GUARDED_BY(mutex_);       // of the next call
  std::shared_ptr<grpc::Channel> call_channel_ CAIRN_GUARDED_BY(mutex_);  // of the last call
  Call* call_ CAIRN_GUARDED_BY(mutex_) = nullptr;                         // takes writes
  bool ended_ CAIRN_GUARDED_BY(mutex_) = true;  // no call is under way, broken or not
  bool stopped_ CAIRN_GUARDED_BY(mutex_) = false;
  bool retired_ CAIRN_GUARDED_BY(mutex_) = false;
  bool lost_ CAIRN_GUARDED_BY(mutex_) = false;  // said so, and nothing was written since
  FrameQueue queue_ CAIRN_GUARDED_BY(mutex_);
  std::optional<LaneWindow> window_ CAIRN_GUARDED_BY(mutex_);  // of call_; none: as they come
  Duration backoff_ CAIRN_GUARDED_BY(mutex_);
};

}  // namespace cairn

#endif  // SERVICE_PEER_LANE_H_
