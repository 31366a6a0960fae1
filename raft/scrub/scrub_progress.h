// ScrubProgress: how far the scrub of a log has come, in a file of its own.

#ifndef RAFT_SCRUB_SCRUB_PROGRESS_H_
#define RAFT_SCRUB_SCRUB_PROGRESS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "base/time.h"
#include "storage/file_system.h"
#include "storage/log_scrub.h"

namespace cairn {

// Counts are since the file was made, over all starts.
struct ScrubProgress {
  bool in_round = false;
  bool in_states = false;     // the log has been read, the state machines are
  ScrubPosition position;     // of the round under way; in the states by group and its own number
  uint64_t round_bytes = 0;   // read by it so far, or by the last one
  WallTime round_began;       // zero: none ever did
  WallTime last_round_ended;  // zero: none ever did
  uint64_t rounds = 0;        // that have ended
  uint64_t bytes = 0;         // read by all
  uint64_t damaged = 0;       // entries found bad, once each time a process meets one
  uint64_t repaired = 0;      // of these, written again
  uint64_t healed = 0;        // copies written again from the other one
  friend bool operator==(const ScrubProgress&, const ScrubProgress&) = default;
};

// The file may be lost, and says nothing when it is damaged: then there is no progress yet.
std::optional<ScrubProgress> LoadScrubProgress(FileSystem& file_system, const std::string& path);
absl::Status SaveScrubProgress(FileSystem& file_system, const std::string& path,
                               const ScrubProgress& progress);

}  // namespace cairn

#endif  // RAFT_SCRUB_SCRUB_PROGRESS_H_
