// ChildProcess: a program this one started, and ends.

#ifndef SERVICE_CLI_CHILD_PROCESS_H_
#define SERVICE_CLI_CHILD_PROCESS_H_

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace cairn {

// Killed when it is destroyed, and by the kernel when the thread that started it ends.
// Threads: one.
class ChildProcess {
 public:
  // `arguments[0]` is the program's path. Its stderr is appended to the file `log`.
  static absl::StatusOr<std::unique_ptr<ChildProcess>> Start(
      const std::vector<std::string>& arguments, const std::string& log);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }

  // The next line of its stdout, without the newline. UNAVAILABLE if it ended its output before,
  // DEADLINE_EXCEEDED after `patience`.
  absl::StatusOr<std::string> ReadLine(absl::Duration patience);

  // Writes a line to its stdin; lost if it does not read any more.
  void WriteLine(const std::string& line);

  // Does nothing once the process has ended.
  void Signal(int signal);

  // True until the process has ended and was reaped.
  bool Running();

  // Waits for its end: the exit code, or 128 + the signal that ended it. DEADLINE_EXCEEDED after
  // `patience`.
  absl::StatusOr<int> WaitExit(absl::Duration patience);

 private:
  ChildProcess(pid_t pid, int stdin_descriptor, int stdout_descriptor);

  const pid_t pid_;
  const int stdin_;
  const int stdout_;
  int process_descriptor_;  // becomes readable when the process ends
  std::string unread_;
  std::optional<int> exit_code_;
};

}  // namespace cairn

#endif  // SERVICE_CLI_CHILD_PROCESS_H_
