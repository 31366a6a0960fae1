#include "service/cli/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace cairn {
namespace {

// Waits until `descriptor` is readable. False after `deadline`.
bool WaitReadable(int descriptor, absl::Time deadline) {
  while (true) {
    absl::Duration left = deadline - absl::Now();
    pollfd waited = {descriptor, POLLIN, 0};
    int milliseconds = left <= absl::ZeroDuration()
                           ? 0
                           : static_cast<int>(absl::ToInt64Milliseconds(std::min(
                                 absl::Ceil(left, absl::Milliseconds(1)), absl::Hours(1))));
    int ready = poll(&waited, 1, milliseconds);
    if (ready > 0) return true;
    if (ready == 0 && absl::Now() >= deadline) return false;
  }
}

// Between fork and exec only what is safe in a copy of a program with threads.
[[noreturn]] void RunChild(char* const* arguments, int stdin_descriptor, int stdout_descriptor,
                           int log) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // A process group of its own: Ctrl-C in the terminal is for the parent to handle.
  setpgid(0, 0);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (dup2(stdin_descriptor, STDIN_FILENO) < 0 || dup2(stdout_descriptor, STDOUT_FILENO) < 0 ||
      dup2(log, STDERR_FILENO) < 0) {
    _exit(126);
  }
  execv(arguments[0], arguments);
  _exit(127);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::Start(
    const std::vector<std::string>& arguments, const std::string& log) {
  auto failed = [&](const char* what) {
    return absl::UnavailableError(
        absl::StrCat("cannot start ", arguments[0], ": ", what, ": ", strerror(errno)));
  };
  if (access(arguments[0].c_str(), X_OK) != 0) return failed("access");
  int log_descriptor = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log_descriptor < 0) return failed(log.c_str());
  // A socket and not a pipe for stdin: writing to it after the reader is gone is an error and no
  // signal.
  int in[2];
  int out[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) != 0) {
    close(log_descriptor);
    return failed("socketpair");
  }
  if (pipe2(out, O_CLOEXEC) != 0) {
    for (int descriptor : {log_descriptor, in[0], in[1]}) close(descriptor);
    return failed("pipe");
  }
  std::vector<char*> pointers;
  for (const std::string& argument : arguments) {
    pointers.push_back(const_cast<char*>(argument.c_str()));
  }
  pointers.push_back(nullptr);
  pid_t pid = fork();
  if (pid == 0) RunChild(pointers.data(), in[0], out[1], log_descriptor);
  for (int descriptor : {log_descriptor, in[0], out[1]}) close(descriptor);
  if (pid < 0) {
    for (int descriptor : {in[1], out[0]}) close(descriptor);
    return failed("fork");
  }
  return std::unique_ptr<ChildProcess>(new ChildProcess(pid, in[1], out[0]));
}

ChildProcess::ChildProcess(pid_t pid, int stdin_descriptor, int stdout_descriptor)
    : pid_(pid),
      stdin_(stdin_descriptor),
      stdout_(stdout_descriptor),
      process_descriptor_(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))) {}

ChildProcess::~ChildProcess() {
  Signal(SIGKILL);
  if (!exit_code_.has_value()) waitpid(pid_, nullptr, 0);
  close(stdin_);
  close(stdout_);
  if (process_descriptor_ >= 0) close(process_descriptor_);
}

absl::StatusOr<std::string> ChildProcess::ReadLine(absl::Duration patience) {
  absl::Time deadline = absl::Now() + patience;
  while (true) {
    size_t newline = unread_.find('\n');
    if (newline != std::string::npos) {
      std::string line = unread_.substr(0, newline);
      unread_.erase(0, newline + 1);
      return line;
    }
    if (!WaitReadable(stdout_, deadline)) {
      return absl::DeadlineExceededError(absl::StrCat("process ", pid_, " says nothing"));
    }
    char buffer[512];
    ssize_t length = read(stdout_, buffer, sizeof(buffer));
    if (length < 0 && errno == EINTR) continue;
    if (length <= 0) {
      return absl::UnavailableError(absl::StrCat("process ", pid_, " closed its output"));
    }
    unread_.append(buffer, static_cast<size_t>(length));
  }
}

void ChildProcess::WriteLine(const std::string& line) {
  std::string text = line + "\n";
  (void)!send(stdin_, text.data(), text.size(), MSG_NOSIGNAL);
}

void ChildProcess::Signal(int signal) {
  // Until it is reaped the pid is this process's and nobody else's.
  if (!exit_code_.has_value()) kill(pid_, signal);
}

bool ChildProcess::Running() { return !WaitExit(absl::ZeroDuration()).ok(); }

absl::StatusOr<int> ChildProcess::WaitExit(absl::Duration patience) {
  if (exit_code_.has_value()) return *exit_code_;
  if (process_descriptor_ < 0 || !WaitReadable(process_descriptor_, absl::Now() + patience)) {
    return absl::DeadlineExceededError(absl::StrCat("process ", pid_, " is still running"));
  }
  int status = 0;
  if (waitpid(pid_, &status, 0) != pid_) {
    return absl::InternalError(absl::StrCat("waitpid ", pid_, ": ", strerror(errno)));
  }
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return *exit_code_;
}

}  // namespace cairn
