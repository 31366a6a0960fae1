// CommittedTails: who follows a group's committed entries, each at its own pace.

#ifndef RAFT_TAIL_COMMITTED_TAILS_H_
#define RAFT_TAIL_COMMITTED_TAILS_H_

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "base/time.h"
#include "base/types.h"
#include "storage/log_store.h"
#include "storage/record.h"

namespace cairn {

struct TailEntries {
  std::vector<RecordRun> runs;  // in a row, not empty
  Index next = 0;               // where to ask from next
};
// The log was dropped past the place that was asked for.
struct TailCompacted {
  Index first_available = 0;
};
struct TailRefused {
  enum class Reason {
    kDeadline,    // nothing new came
    kOverloaded,  // too many ask at once
    kUnreadable,  // DATA_LOSS: the entry cannot be read here; another member may have it
    kStopping,    // the host or the group ends
    kFenced,
    kNotFormed,
  };
  Reason reason = Reason::kStopping;
  std::string message;
};
using TailResult = std::variant<TailEntries, TailCompacted, TailRefused>;
using TailCallback = absl::AnyInvocable<void(TailResult)>;

// One question. Answered exactly once: at the latest, with kStopping, when it is destroyed.
class TailRequest {
 public:
  TailRequest(Index first, size_t max_bytes, std::optional<Instant> deadline, TailCallback done)
      : first_(first == 0 ? 1 : first),
        max_bytes_(max_bytes),
        deadline_(deadline.value_or(kDistantFuture)),
        done_(std::move(done)) {}
  ~TailRequest();
  TailRequest(TailRequest&& other) noexcept;
  TailRequest& operator=(TailRequest&& other) noexcept;

  Index first() const { return first_; }
  Instant deadline() const { return deadline_; }
  // The entries up to `up_to` may be read.
  void set_up_to(Index up_to) { up_to_ = up_to; }
  void Answer(TailResult result);
  // Answers with what `store` has. Blocks on the disk.
  void ReadFrom(const LogStore& store);

 private:
  Index first_;
  Index up_to_ = 0;
  size_t max_bytes_;
  Instant deadline_;
  TailCallback done_;  // null once answered
};

// Holds only who waits; no entry is kept for anybody.
// Threads: one at a time.
class CommittedTails {
 public:
  static constexpr size_t kMaxWaiting = 1024;

  void Ask(TailRequest request);
  // Those who wait for an entry up to `committed`.
  std::vector<TailRequest> TakeDue(Index committed);
  void Expire(Instant now);
  void RefuseAll(const TailRefused& refusal);
  Instant NextDeadline() const;
  bool empty() const { return waiting_.empty(); }

 private:
  std::vector<TailRequest> waiting_;
};

}  // namespace cairn

#endif  // RAFT_TAIL_COMMITTED_TAILS_H_
