// Scrubber: has a host's log, and what its state machines keep, read in the background, slowly,
// again and again.

#ifndef RAFT_SCRUB_SCRUBBER_H_
#define RAFT_SCRUB_SCRUBBER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/executor.h"
#include "base/log_sink.h"
#include "base/mutex.h"
#include "base/time.h"
#include "base/types.h"
#include "raft/scrub/scrub_progress.h"
#include "storage/file_system.h"
#include "storage/log_scrub.h"

namespace cairn {

struct ScrubOptions {
  // Read at most, and read and written to compress; 0: neither is done.
  uint64_t bytes_per_second = 0;
  Duration period = Seconds(24 * 60 * 60);  // from the beginning of one round to that of the next
};

struct ScrubStatus {
  ScrubOptions options;
  ScrubProgress progress;
};

// Where the log compresses what is old, this is done here as well, also between two rounds; scrub
// and compression share the rate.
//
// Where an entry is found bad, there are often more. From then on it hurries: it reads kHurryFactor
// times the rate, compresses nothing, and the next round follows at once, until kHurryBytes, or a
// whole round, brought no further find. So what has rotted at one time is repaired together. What
// is known to be bad already does not hurry it.
//
// A round that takes longer than the period is followed by the next one at once. A start goes on
// where the last process was, as far as it had written that down.
//
// Threads: the work is done on an executor of its own; status and Repaired from any thread.
class Scrubber {
 public:
  static constexpr uint64_t kHurryFactor = 8;
  static constexpr uint64_t kHurryBytes = uint64_t{64} << 20;

  struct Parts {
    const Clock* clock = nullptr;
    std::unique_ptr<Executor> executor;
    LogScrub* scrub = nullptr;
    // Where the progress is kept.
    FileSystem* file_system = nullptr;
    std::string path;
    LogSink* log = nullptr;
    ScrubOptions options;  // not off
    // These entries are bad, those of one group by index. On the executor.
    std::function<void(const std::vector<ScrubFinding>&)> found;
    // A step of what state machines keep, which follows the log in each round; as LogScrub::Step,
    // but that machines tell themselves of what is damaged. May be null.
    std::function<ScrubStep(ScrubPosition& position, uint64_t max_bytes)> states = nullptr;
  };

  // What the parts point to outlives it.
  explicit Scrubber(Parts parts);
  ~Scrubber();
  Scrubber(const Scrubber&) = delete;
  Scrubber& operator=(const Scrubber&) = delete;

  // Nothing runs any more when it returns; waits for the piece being read. The destructor does the
  // same.
  void Stop() { End(parts_.executor); }

  ScrubStatus status() const;
  // There is a group that can be told: what was found of it, and is not repaired, is told again.
  // Before Stop.
  void Opened(GroupId group);
  // These entries, perhaps found bad here, are written again.
  void Repaired(GroupId group, Index first, Index last);

 private:
  void Begin();
  void Turn();
  bool BeginRound(Instant now);
  bool Scrub(Instant now, uint64_t& bytes);
  uint64_t Compress();
  void Take(const ScrubStep& step);
  void TellAgain(GroupId group);
  void Note(const ScrubFinding& finding);
  void EndRound();
  uint64_t Rate() const;
  void Save(Instant now);
  uint64_t StepBytes() const;

  Parts parts_;

  // On the executor.
  Instant next_round_;  // by the period
  Instant save_after_;
  uint64_t round_ = 1;  // of this process
  struct Hurry {
    uint64_t bytes = 0;  // are read without a find before it ends; 0: there is none
    bool found = false;  // something new, in this round
  };
  Hurry hurry_;

  mutable Mutex mutex_;
  ScrubProgress progress_ CAIRN_GUARDED_BY(mutex_);
  struct Open {
    ScrubFinding finding;
    uint64_t round = 0;  // that met it last
  };
  // Found bad and not repaired yet, as far as is known.
  std::map<std::pair<GroupId, Index>, Open> open_ CAIRN_GUARDED_BY(mutex_);
};

}  // namespace cairn

#endif  // RAFT_SCRUB_SCRUBBER_H_
