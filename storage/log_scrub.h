// LogScrub: reads all that a log disk keeps, a piece at a time, to find what has rotted before
// somebody needs it.

#ifndef STORAGE_LOG_SCRUB_H_
#define STORAGE_LOG_SCRUB_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/types.h"

namespace cairn {

// Where reading goes on. The numbers are the store's: of the block log the number of a block, where
// the next batch begins and its id record ends, and its number; of RocksDB a group and an index.
// All zero: at the beginning of a round. A position of an earlier process will do, and so will any
// other numbers: what makes no sense begins the block, or the round, anew.
struct ScrubPosition {
  uint64_t block = 0;
  uint64_t offset = 0;
  uint64_t id_end = 0;
  uint64_t batch = 0;
  friend bool operator==(const ScrubPosition&, const ScrubPosition&) = default;
};

// An entry that is in the log, and cannot be read where it stands.
struct ScrubFinding {
  GroupId group = GroupId::kNone;
  LogPosition at;
  absl::Status why;  // DATA_LOSS, naming file and offset
};

struct ScrubStep {
  uint64_t bytes = 0;  // read
  bool round_ended = false;
  std::vector<ScrubFinding> damaged;
  std::vector<std::string> healed;  // one of two copies was bad, and is good again; a sentence each
  // A copy is bad and another one serves: the store moves what is in use away from there.
  std::vector<std::string> avoided;
};

struct CompressStep {
  uint64_t bytes = 0;                 // read and written; 0: there is nothing to do for now
  std::vector<std::string> problems;  // a sentence each
};

// Reads past caches where that is possible. A read that fails is as rot. Takes no lock that writers
// wait for while it reads, and keeps nothing open between two steps: what is dropped or recycled
// meanwhile is left out.
//
// Threads: one at a time, beside all use of the log. The log disk outlives it.
class LogScrub {
 public:
  virtual ~LogScrub() = default;

  // Reads on from `position` and moves it: about `max_bytes`, more where one batch has more, less
  // at the end of the round.
  virtual ScrubStep Step(ScrubPosition& position, uint64_t max_bytes) = 0;

  // Besides, what was written some time ago may be made smaller.
  virtual bool compresses() const { return false; }
  // Does some of that: reads and writes about `max_bytes`.
  virtual CompressStep Compress(uint64_t /*max_bytes*/) { return {}; }
};

}  // namespace cairn

#endif  // STORAGE_LOG_SCRUB_H_
