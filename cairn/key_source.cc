#include "cairn/key_source.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

extern char** environ;  // NOLINT: POSIX declares it in no header

namespace cairn {
namespace {

constexpr size_t kMaxBytes = 64 << 10;

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() { Close(); }
  Descriptor(const Descriptor&) = delete;
  int number() const { return number_; }
  void Close() {
    if (number_ >= 0) close(number_);
    number_ = -1;
  }

 private:
  int number_;
};

// A text that is overwritten when it is gone.
class Text {
 public:
  ~Text() { OPENSSL_cleanse(bytes_, sizeof(bytes_)); }
  char* end() { return bytes_ + size_; }
  size_t room() const { return kMaxBytes - size_; }
  void Grow(size_t bytes) { size_ += bytes; }
  absl::string_view view() const { return {bytes_, size_}; }

 private:
  char bytes_[kMaxBytes];
  size_t size_ = 0;
};

absl::Status Refuse(const KeySource& source, absl::string_view why) {
  return absl::FailedPreconditionError(absl::StrCat(source.ToString(), ": ", why));
}

absl::Status CheckMode(const KeySource& source, int descriptor) {
  struct stat information;
  if (fstat(descriptor, &information) != 0) return Refuse(source, std::strerror(errno));
  if (!S_ISREG(information.st_mode)) return Refuse(source, "is no file");
  if ((information.st_mode & (S_IWGRP | S_IRWXO)) != 0) {
    return absl::PermissionDeniedError(absl::StrCat(
        source.ToString(), ": others have access to the key, mode ",
        absl::StrFormat("%04o", information.st_mode & 07777), ": chmod 600 ", source.file));
  }
  return absl::OkStatus();
}

absl::Status ReadFile(const KeySource& source, Text& text) {
  // Not to wait for somebody who writes, where it is a pipe.
  const Descriptor file(open(source.file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.number() < 0) {
    if (errno == EACCES) {
      return absl::PermissionDeniedError(absl::StrCat(source.file, ": ", std::strerror(errno)));
    }
    return Refuse(source, std::strerror(errno));
  }
  if (absl::Status status = CheckMode(source, file.number()); !status.ok()) return status;
  while (text.room() > 0) {
    const ssize_t got = read(file.number(), text.end(), text.room());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Refuse(source, std::strerror(errno));
    if (got == 0) return absl::OkStatus();
    text.Grow(static_cast<size_t>(got));
  }
  return Refuse(source, "is too long for keys");
}

// Starts the command with its stdout in `output`, as leader of a group of processes.
absl::StatusOr<pid_t> Start(const KeySource& source, int output) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);  // a server blocks some
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  std::string shell = "/bin/sh";
  std::string option = "-c";
  std::string command = source.command;
  char* arguments[] = {shell.data(), option.data(), command.data(), nullptr};
  pid_t process = 0;
  const int error = posix_spawn(&process, shell.c_str(), &actions, &attributes, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) return Refuse(source, std::strerror(error));
  return process;
}

// Reads all that the command writes, or says why not.
absl::Status ReadOutput(const KeySource& source, int descriptor, absl::Time deadline, Text& text) {
  while (true) {
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) return Refuse(source, "it took too long");
    pollfd waited = {descriptor, POLLIN, 0};
    const int ready = poll(&waited, 1, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1);
    if (ready <= 0) continue;
    if (text.room() == 0) return Refuse(source, "is too long for keys");
    const ssize_t got = read(descriptor, text.end(), text.room());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Refuse(source, std::strerror(errno));
    if (got == 0) return absl::OkStatus();
    text.Grow(static_cast<size_t>(got));
  }
}

// How the process ended. One that has written all may still not end.
absl::StatusOr<int> WaitFor(const KeySource& source, pid_t process, absl::Time deadline) {
  constexpr absl::Duration kPause = absl::Milliseconds(5);
  while (true) {
    int ended = 0;
    const pid_t found = waitpid(process, &ended, WNOHANG);
    if (found == process) return ended;
    if (found < 0 && errno != EINTR) return Refuse(source, std::strerror(errno));
    if (absl::Now() >= deadline) return Refuse(source, "it took too long");
    absl::SleepFor(kPause);
  }
}

absl::Status RunCommand(const KeySource& source, Text& text) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Refuse(source, std::strerror(errno));
  const Descriptor from(ends[0]);
  Descriptor to(ends[1]);
  absl::StatusOr<pid_t> process = Start(source, to.number());
  if (!process.ok()) return process.status();
  to.Close();
  const absl::Time deadline = absl::Now() + absl::Nanoseconds(source.patience.nanoseconds);
  const absl::Status read = ReadOutput(source, from.number(), deadline, text);
  const absl::StatusOr<int> ended = read.ok() ? WaitFor(source, *process, deadline) : read;
  if (!ended.ok()) {
    kill(-*process, SIGKILL);
    while (waitpid(*process, nullptr, 0) < 0 && errno == EINTR) {
    }
    return ended.status();
  }
  if (*ended == 0) return absl::OkStatus();
  return Refuse(source, WIFEXITED(*ended)
                            ? absl::StrCat("the command failed with ", WEXITSTATUS(*ended))
                            : absl::StrCat("the command was ended by signal ", WTERMSIG(*ended)));
}

}  // namespace

std::string KeySource::ToString() const {
  return command.empty() ? file : absl::StrCat("the output of ", command);
}

absl::StatusOr<std::vector<MasterKey>> LoadMasterKeys(const KeySource& source) {
  Text text;
  absl::Status status = source.command.empty() ? ReadFile(source, text) : RunCommand(source, text);
  if (!status.ok()) return status;
  absl::StatusOr<std::vector<MasterKey>> keys = ParseMasterKeys(text.view(), source.ToString());
  if (!keys.ok()) return absl::FailedPreconditionError(keys.status().message());
  return keys;
}

}  // namespace cairn
