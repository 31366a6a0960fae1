// ProgressLine: what a long step says on stderr while it runs.

#ifndef SERVICE_CLI_PROGRESS_H_
#define SERVICE_CLI_PROGRESS_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace cairn {

// One line that is written over on a terminal, and written anew every few seconds elsewhere.
// Silent for steps shorter than a second. Threads: one.
class ProgressLine {
 public:
  // `total` 0: not known.
  ProgressLine(std::string what, uint64_t total);
  ~ProgressLine();

  void Update(uint64_t done);

 private:
  void Write(uint64_t done, absl::Time now);

  const std::string what_;
  const uint64_t total_;
  const bool terminal_;
  const absl::Time start_;
  absl::Time next_write_;
  bool written_ = false;
};

}  // namespace cairn

#endif  // SERVICE_CLI_PROGRESS_H_
