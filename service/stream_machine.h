// StreamMachine: the built-in state machine, named streams of messages.

#ifndef SERVICE_STREAM_MACHINE_H_
#define SERVICE_STREAM_MACHINE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/executor.h"
#include "base/mutex.h"
#include "base/thread_annotations.h"
#include "base/types.h"
#include "raft/state_machine.h"
#include "service/stream_command.h"
#include "storage/stream/stream_store.h"
#include "storage/stream/subject_filter.h"

namespace cairn {

// A message as it is read back. The views live during the visit only.
struct StoredMessageView {
  uint64_t sequence = 0;
  LogPosition at;
  WallTime time;
  absl::string_view subject;  // never empty
  const MessageView& message;
};

// Keeps streams in a StreamStore, in the directory it is given. In memory it has names, filters and
// the store's sparse index.
//
// Threads: Open, Apply, AppliedUpTo, Freeze and Restore as StateMachine says; everything else on
// any thread, beside them. Read blocks on the disk.
class StreamMachine final : public StateMachine {
 public:
  // The store writes and syncs on `background`, and makes a checkpoint after so many bytes, and
  // another file.
  explicit StreamMachine(std::unique_ptr<Executor> background,
                         uint64_t checkpoint_bytes = uint64_t{64} << 20,
                         uint64_t block_bytes = uint64_t{64} << 20);
  ~StreamMachine() override;

  bool durable() const override { return true; }
  absl::StatusOr<LogPosition> Open(const OpenContext& context) override;
  void Apply(ApplyBatch& batch) override;
  void AppliedUpTo(LogPosition position, WallTime time) override;
  bool MakeDurable() override;
  std::unique_ptr<SnapshotSource> Freeze() override;
  absl::Status Restore(const SnapshotReader& snapshot, LogPosition position) override;
  absl::Status Mend(const StatePatch& patch, LogPosition position) override;
  StateScrubStep Scrub(uint64_t& at, uint64_t max_bytes) override;

  struct Info {
    StreamDefinition definition;
    StreamState state;
  };
  std::optional<Info> Find(absl::string_view name) const;
  // Streams whose names are behind `after`, by name in byte order, at most `limit`.
  std::vector<Info> List(absl::string_view after, size_t limit) const;
  // Everything up to here is applied and can be read.
  Index applied_index() const;

  struct ReadEnd {
    uint64_t next_sequence = 0;  // everything below, from the start on, was visited
    uint64_t last_sequence = 0;  // of the stream, when the read began
  };
  // Visits the messages of `stream` from `from` (0: the first) on, in order, until `visit` gives
  // false (the message then counts as not visited), or the end, or about `max_bytes` of the stream
  // were read. At least one message is visited if there is one.
  //
  // NOT_FOUND (no such stream), OUT_OF_RANGE (`from` above last_sequence + 1), DATA_LOSS (the first
  // message cannot be read; it names file and byte). A later one that cannot be read ends the read
  // before it.
  absl::StatusOr<ReadEnd> Read(absl::string_view stream, uint64_t from, size_t max_bytes,
                               absl::FunctionRef<bool(const StoredMessageView&)> visit) const;

  // Calls `appended` after messages were appended to the stream and can be read, until the Watch is
  // destroyed; the destructor waits for a call under way. `appended` runs on the apply sequence, so
  // it is quick, does not block and does not destroy a Watch.
  class Watch;
  // Null if there is no such stream.
  std::unique_ptr<Watch> WatchAppends(absl::string_view stream,
                                      absl::AnyInvocable<void()> appended);

 private:
  class Watcher;
  class Frozen;
  struct Stream {
    StreamId id = 0;
    SubjectFilters filters;
    std::vector<std::shared_ptr<Watcher>> watchers;
    bool touched = false;  // appended to since the last AppliedUpTo
  };
  using Streams = std::map<std::string, Stream, std::less<>>;

  StreamReply ApplyOne(const ApplyEntry& entry) CAIRN_REQUIRES(mutex_);
  StreamReply Create(const ApplyEntry& entry) CAIRN_REQUIRES(mutex_);
  StreamReply Append(const ApplyEntry& entry) CAIRN_REQUIRES(mutex_);
  Info InfoOf(const Stream& stream) const;
  // The streams of the store, by name.
  absl::StatusOr<Streams> LoadStreams() const;

  const std::unique_ptr<Executor> background_;
  const uint64_t checkpoint_bytes_;
  const uint64_t block_bytes_;
  ReplicaArchive* archive_ = nullptr;   // set by Open, may be null
  std::unique_ptr<StreamStore> store_;  // set by Open
  mutable Mutex mutex_;
  Streams streams_ CAIRN_GUARDED_BY(mutex_);
  Index applied_ CAIRN_GUARDED_BY(mutex_) = 0;
  std::vector<Stream*> touched_ CAIRN_GUARDED_BY(mutex_);
};

class StreamMachine::Watch {
 public:
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

 private:
  friend class StreamMachine;
  Watch(StreamMachine* machine, std::string stream, std::shared_ptr<Watcher> watcher);
  StreamMachine* machine_;
  std::string stream_;
  std::shared_ptr<Watcher> watcher_;
};

}  // namespace cairn

#endif  // SERVICE_STREAM_MACHINE_H_
