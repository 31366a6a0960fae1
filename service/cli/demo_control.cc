#include "service/cli/demo_control.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace cairn {
namespace {

absl::StatusOr<sockaddr_un> AddressIn(const std::string& directory) {
  std::string path = directory + "/control";
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat("the path ", path, " is too long for a socket"));
  }
  memcpy(address.sun_path, path.data(), path.size());
  return address;
}

// A connected socket, or -1.
int Connect(const sockaddr_un& address) {
  int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return -1;
  if (connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
    return descriptor;
  }
  close(descriptor);
  return -1;
}

// Everything up to a newline or the end.
std::string ReadLine(int descriptor) {
  std::string line;
  char c = 0;
  while (line.size() < 4096 && read(descriptor, &c, 1) == 1 && c != '\n') line += c;
  return line;
}

void WriteLine(int descriptor, const std::string& line) {
  std::string text = line + "\n";
  // A reader that is gone does not want the answer.
  (void)!send(descriptor, text.data(), text.size(), MSG_NOSIGNAL);
}

}  // namespace

absl::StatusOr<std::unique_ptr<DemoControl>> DemoControl::Listen(const std::string& directory) {
  absl::StatusOr<sockaddr_un> address = AddressIn(directory);
  if (!address.ok()) return address.status();
  int other = Connect(*address);
  if (other >= 0) {
    close(other);
    return absl::FailedPreconditionError(absl::StrCat("a demo runs in ", directory, " already"));
  }
  unlink(address->sun_path);  // of a demo that was killed
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0 ||
      bind(listener, reinterpret_cast<sockaddr*>(&*address), sizeof(*address)) != 0 ||
      listen(listener, 4) != 0) {
    std::string reason = strerror(errno);
    if (listener >= 0) close(listener);
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", address->sun_path, ": ", reason));
  }
  return std::unique_ptr<DemoControl>(new DemoControl(listener, address->sun_path));
}

DemoControl::~DemoControl() {
  close(listener_);
  unlink(path_.c_str());
}

void DemoControl::Serve(
    int signals_descriptor,
    const std::function<absl::Status(const std::string&, const std::string&)>& handle) {
  while (true) {
    pollfd waited[] = {{listener_, POLLIN, 0}, {signals_descriptor, POLLIN, 0}};
    if (poll(waited, 2, -1) < 0) continue;
    if (waited[1].revents != 0) return;
    int caller = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (caller < 0) continue;
    std::vector<std::string> words = absl::StrSplit(ReadLine(caller), ' ');
    absl::Status status = words.size() == 2
                              ? handle(words[0], words[1])
                              : absl::InvalidArgumentError("a request is ACTION NODE");
    WriteLine(caller, absl::StrCat(status.raw_code(), " ", std::string(status.message())));
    close(caller);
  }
}

absl::Status AskDemo(const std::string& directory, const std::string& action,
                     const std::string& node) {
  absl::StatusOr<sockaddr_un> address = AddressIn(directory);
  if (!address.ok()) return address.status();
  int demo = Connect(*address);
  if (demo < 0) return absl::NotFoundError(absl::StrCat("no demo runs in ", directory));
  WriteLine(demo, absl::StrCat(action, " ", node));
  std::string answer = ReadLine(demo);
  close(demo);
  std::pair<std::string, std::string> parts = absl::StrSplit(answer, absl::MaxSplits(' ', 1));
  int code = 0;
  if (!absl::SimpleAtoi(parts.first, &code)) {
    return absl::UnavailableError("the demo ended before it answered");
  }
  return absl::Status(static_cast<absl::StatusCode>(code), parts.second);
}

}  // namespace cairn
