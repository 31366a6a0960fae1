// nats_load: publishes to a JetStream stream in a closed loop, over NATS' text protocol, and waits
// for each acknowledgement; prints what `cairn bench` prints. Makes the stream if it is not there.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <iostream>
#include <map>
#include <string>
#include <thread>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "service/cli/load.h"

namespace cairn {
namespace {

struct Flags {
  int port = 4222;
  size_t inflight = 64;
  size_t bytes = 256;
  int seconds = 5;
  int replicas = 3;
};

// One connection. Threads: Request and Send on any; answers are delivered on the reader's thread.
class NatsConnection {
 public:
  using Answer = absl::AnyInvocable<void(const std::string& payload)>;

  // Exits the program if nobody listens: there is nothing to measure.
  explicit NatsConnection(int port) : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1;
    setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
      std::cerr << "cannot connect: " << strerror(errno) << std::endl;
      exit(1);
    }
    Send(
        "CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\nSUB _INBOX.* "
        "1\r\n");
    reader_ = std::thread([this] { ReadAnswers(); });
  }

  ~NatsConnection() {
    shutdown(socket_, SHUT_RDWR);
    reader_.join();
    close(socket_);
  }

  // Publishes with an inbox of its own; `answer` gets what comes back to it.
  void Request(const std::string& subject, const std::string& payload, Answer answer) {
    std::string frame;
    {
      MutexLock lock(mutex_);
      uint64_t inbox = ++last_inbox_;
      waiting_[inbox] = std::move(answer);
      frame = absl::StrCat("PUB ", subject, " _INBOX.", inbox, " ", payload.size(), "\r\n", payload,
                           "\r\n");
    }
    Send(frame);
  }

 private:
  void Send(const std::string& bytes) {
    MutexLock lock(write_mutex_);
    size_t sent = 0;
    while (sent < bytes.size()) {
      ssize_t n = send(socket_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) return;  // the reader sees the end too
      sent += static_cast<size_t>(n);
    }
  }

  void ReadAnswers() {
    std::string buffer;
    char piece[65536];
    while (true) {
      ssize_t n = recv(socket_, piece, sizeof(piece), 0);
      if (n <= 0) return;
      buffer.append(piece, static_cast<size_t>(n));
      size_t used = 0;
      while (size_t length = TakeFrame(absl::string_view(buffer).substr(used))) used += length;
      buffer.erase(0, used);
    }
  }

  // Handles the frame at the front of `bytes`; its length, or 0 if it is not all there yet.
  size_t TakeFrame(absl::string_view bytes) {
    size_t end = bytes.find("\r\n");
    if (end == absl::string_view::npos) return 0;
    std::vector<absl::string_view> words = absl::StrSplit(bytes.substr(0, end), ' ');
    if (words[0] == "PING") Send("PONG\r\n");
    if (words[0] != "MSG" && words[0] != "HMSG") return end + 2;
    size_t size = 0;
    uint64_t inbox = 0;
    if (!absl::SimpleAtoi(words.back(), &size) ||
        !absl::SimpleAtoi(words[1].substr(strlen("_INBOX.")), &inbox)) {
      return end + 2;
    }
    if (bytes.size() < end + 2 + size + 2) return 0;
    Answer answer;
    {
      MutexLock lock(mutex_);
      auto found = waiting_.find(inbox);
      if (found != waiting_.end()) {
        answer = std::move(found->second);
        waiting_.erase(found);
      }
    }
    if (answer) answer(std::string(bytes.substr(end + 2, size)));
    return end + 2 + size + 2;
  }

  const int socket_;
  std::thread reader_;
  Mutex write_mutex_;
  Mutex mutex_;
  uint64_t last_inbox_ CAIRN_GUARDED_BY(mutex_) = 0;
  std::map<uint64_t, Answer> waiting_ CAIRN_GUARDED_BY(mutex_);
};

absl::Status StatusOfAck(const std::string& answer) {
  bool good =
      answer.find("\"seq\"") != std::string::npos && answer.find("\"error\"") == std::string::npos;
  return good ? absl::OkStatus() : absl::UnavailableError(answer);
}

void MakeStream(NatsConnection& connection, int replicas) {
  Mutex mutex;
  CondVar answered;
  bool done = false;
  connection.Request("$JS.API.STREAM.CREATE.bench",
                     absl::StrCat("{\"name\":\"bench\",\"subjects\":[\"bench\"],\"storage\":"
                                  "\"file\",\"num_replicas\":",
                                  replicas, "}"),
                     [&](const std::string& answer) {
                       if (answer.find("\"error\"") != std::string::npos) {
                         std::cerr << answer << std::endl;
                       }
                       MutexLock lock(mutex);
                       done = true;
                       answered.NotifyAll();
                     });
  MutexLock lock(mutex);
  while (!done) answered.Wait(mutex);
}

int Run(const Flags& flags) {
  NatsConnection connection(flags.port);
  MakeStream(connection, flags.replicas);
  const std::string payload(flags.bytes, 'v');
  absl::Duration seconds = absl::Seconds(flags.seconds);
  Load load({flags.inflight, seconds, std::min(absl::Seconds(1), seconds / 5)});
  load.Run([&](Load::Done done) {
    connection.Request(
        "bench", payload,
        [done = std::move(done)](const std::string& answer) mutable { done(StatusOfAck(answer)); });
  });
  std::cout << load.ToRow().ToJson() << std::endl;
  if (load.error().ok()) return 0;
  std::cerr << load.error() << std::endl;
  return 1;
}

}  // namespace
}  // namespace cairn

int main(int argc, char** argv) {
  CLI::App app("Loads a NATS JetStream stream.", "nats_load");
  cairn::Flags flags;
  app.add_option("--port", flags.port)->capture_default_str();
  app.add_option("--inflight", flags.inflight)->capture_default_str();
  app.add_option("--bytes", flags.bytes)->capture_default_str();
  app.add_option("--seconds", flags.seconds)->capture_default_str();
  app.add_option("--replicas", flags.replicas)->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  return cairn::Run(flags);
}
