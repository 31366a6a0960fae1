// ServiceContext: what the services of one server share.

#ifndef SERVICE_SERVICE_CONTEXT_H_
#define SERVICE_SERVICE_CONTEXT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/executor.h"
#include "base/log_sink.h"
#include "base/mutex.h"
#include "base/thread_annotations.h"
#include "base/time.h"
#include "raft/group.h"
#include "service/call_registry.h"
#include "service/errors.h"
#include "service/stream_machine.h"

namespace cairn {

struct ServiceLimits {
  // One message: subject, headers and payload.
  size_t max_message_bytes = size_t{1} << 20;
  // One call's messages, encoded; GroupOptions::max_command_bytes is at least this.
  size_t max_batch_bytes = size_t{4} << 20;
  uint32_t max_batch_messages = 100'000;
  // One AppendStream reads no further while so much of it is not answered.
  size_t stream_inflight_bytes = size_t{8} << 20;
  uint64_t stream_inflight_batches = 8192;
  // One ReadStream takes no more while so many reads of it are not answered, nor in one request.
  uint64_t stream_inflight_reads = 8192;
  // Of a call that sets no deadline.
  Duration default_deadline = Seconds(30);
  // A client that takes nothing for so long is cut off (fault catalogue 5.2, row 32).
  Duration write_patience = Seconds(30);
};

struct ServiceOptions {
  ServiceLimits limits;
  Duration election_timeout;
  const Clock* clock = nullptr;  // these outlive the context
  LogSink* log = nullptr;
  std::vector<Executor*> readers;  // reads of the log, which block, run here
};

// The group comes later than the server, since members must be able to talk before it opens.
// Threads: any.
class ServiceContext {
 public:
  explicit ServiceContext(ServiceOptions options);
  ServiceContext(const ServiceContext&) = delete;
  ServiceContext& operator=(const ServiceContext&) = delete;

  struct Opened {
    Group group;
    StreamMachine* machine;  // owned by the group's host
  };
  // From now on calls are served. Once.
  void Open(Group group, StreamMachine* machine);
  // Null before Open.
  const Opened* opened() const { return opened_.load(std::memory_order_acquire); }

  // Ends the calls that would go on for ever; later ones are refused. Others go on.
  void Stop();
  bool stopping() const { return stopping_.load(std::memory_order_relaxed); }
  CallRegistry& endless_calls() { return endless_calls_; }

  // The group as of its last change of leadership; null before Open.
  std::shared_ptr<const GroupStatus> standing() const;
  // This member leads, and has applied an entry of its term.
  bool leads() const { return standing_->leads.load(std::memory_order_relaxed); }

  const ServiceOptions& options() const { return options_; }
  const ServiceLimits& limits() const { return options_.limits; }
  Instant Now() const { return options_.clock->Now(); }
  Executor& NextReader();

  // Bytes of appends taken and not answered, for the OVERLOADED error.
  void AddPending(size_t bytes) { pending_bytes_.fetch_add(bytes, std::memory_order_relaxed); }
  void RemovePending(size_t bytes) { pending_bytes_.fetch_sub(bytes, std::memory_order_relaxed); }

  // The errors of errors.h with this member's view of the group. `deadline` is the call's.
  RpcError Explain(const ProposalNotApplied& refusal) const;
  RpcError Explain(const ProposalUnknown& unknown, bool has_session, Instant deadline) const;
  RpcError Explain(const ReadRefused& refusal) const;
  RpcError Explain(const ControlRefused& refusal) const;

 private:
  // `group` must live as long as the result.
  ErrorContext MakeErrorContext(const GroupStatus* group) const;

  const ServiceOptions options_;
  CallRegistry endless_calls_;
  std::atomic<bool> stopping_ = false;
  std::atomic<uint64_t> next_reader_ = 0;
  std::atomic<size_t> pending_bytes_ = 0;
  std::unique_ptr<Opened> opened_storage_;
  std::atomic<const Opened*> opened_ = nullptr;
  // Shared with the group's watch, which may live longer than this object.
  struct Standing {
    std::atomic<bool> leads = false;
    mutable Mutex mutex;
    std::shared_ptr<const GroupStatus> status CAIRN_GUARDED_BY(mutex);
  };
  const std::shared_ptr<Standing> standing_ = std::make_shared<Standing>();
};

}  // namespace cairn

#endif  // SERVICE_SERVICE_CONTEXT_H_
