// What benchmarks of whole hosts in one process share.

#ifndef BENCH_MICRO_HOST_WORK_H_
#define BENCH_MICRO_HOST_WORK_H_

#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/check.h"
#include "raft/state_machine.h"

namespace cairn {

using SteadyTime = std::chrono::steady_clock::time_point;
inline SteadyTime Now() { return std::chrono::steady_clock::now(); }
inline double SecondsSince(SteadyTime start) {
  return std::chrono::duration<double>(Now() - start).count();
}
inline void Sleep(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

inline uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = getenv(name);
  uint64_t number = 0;
  return text != nullptr && absl::SimpleAtoi(text, &number) ? number : otherwise;
}

// Ports nobody listens on now; held until all are drawn.
inline std::vector<int> FreePorts(size_t count) {
  std::vector<int> sockets;
  std::vector<int> ports;
  for (size_t i = 0; i < count; ++i) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    CAIRN_CHECK(fd >= 0 && bind(fd, generic, length) == 0);
    CAIRN_CHECK(getsockname(fd, generic, &length) == 0);
    sockets.push_back(fd);
    ports.push_back(ntohs(address.sin_port));
  }
  for (int fd : sockets) close(fd);
  return ports;
}

class NullMachine final : public StateMachine {
 public:
  void Apply(ApplyBatch& batch) override { applied_ += batch.size(); }

 private:
  size_t applied_ = 0;
};

inline double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// In the format of tools/bench_report.py; each case is told as soon as it is there.
class Report {
 public:
  void Add(const std::string& what, const std::vector<std::pair<std::string, double>>& metrics) {
    std::vector<std::string> parts;
    for (const auto& [name, value] : metrics)
      parts.push_back(absl::StrCat("\"", name, "\": ", value));
    std::cerr << what << ": " << absl::StrJoin(parts, ", ") << std::endl;
    results_.push_back(absl::StrCat(R"({"case": ")", what, R"(", "system": "cairn", "metrics": {)",
                                    absl::StrJoin(parts, ", "), "}}"));
  }
  void Write(const std::string& output) const {
    std::ofstream(output) << "{\"results\": [\n" << absl::StrJoin(results_, ",\n") << "\n]}\n";
  }

 private:
  std::vector<std::string> results_;
};

}  // namespace cairn

#endif  // BENCH_MICRO_HOST_WORK_H_
