#include "service/cli/progress.h"

#include <unistd.h>

#include <iostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"

namespace cairn {

ProgressLine::ProgressLine(std::string what, uint64_t total)
    : what_(std::move(what)),
      total_(total),
      terminal_(isatty(STDERR_FILENO) != 0),
      start_(absl::Now()),
      next_write_(start_ + absl::Seconds(1)) {}

ProgressLine::~ProgressLine() {
  if (written_ && terminal_) std::cerr << std::endl;
}

void ProgressLine::Update(uint64_t done) {
  absl::Time now = absl::Now();
  if (now >= next_write_) Write(done, now);
}

void ProgressLine::Write(uint64_t done, absl::Time now) {
  double seconds = absl::ToDoubleSeconds(now - start_);
  double rate = static_cast<double>(done) / seconds;
  std::string line = absl::StrFormat("%s %d", what_, done);
  if (total_ != 0) {
    absl::StrAppendFormat(&line, " of %d (%d%%)", total_, done * 100 / total_);
    if (rate > 0 && done < total_) {
      absl::StrAppendFormat(&line, ", %.0f s left", static_cast<double>(total_ - done) / rate);
    }
  }
  absl::StrAppendFormat(&line, ", %.0f/s", rate);
  if (terminal_) {
    std::cerr << "\r\x1b[K" << line << std::flush;
  } else {
    std::cerr << line << std::endl;
  }
  next_write_ = now + (terminal_ ? absl::Milliseconds(200) : absl::Seconds(5));
  written_ = true;
}

}  // namespace cairn
