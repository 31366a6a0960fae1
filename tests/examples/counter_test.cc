// The counter of examples/counter as three processes: replicated, durable, linearizable.

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "service/cli/child_process.h"
#include "service/cli/free_ports.h"

namespace cairn {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(60);

class CounterTest : public testing::Test {
 protected:
  void SetUp() override {
    absl::StatusOr<std::vector<int>> ports = FreePorts(3);
    ASSERT_TRUE(ports.ok()) << ports.status();
    std::vector<std::string> members;
    for (size_t i = 0; i < 3; ++i) {
      members.push_back(absl::StrCat(i + 1, "=127.0.0.1:", (*ports)[i]));
    }
    cluster_ = absl::StrJoin(members, ",");
    for (int node = 1; node <= 3; ++node) Start(node);
  }

  void Start(int node) {
    std::string directory = absl::StrCat(getenv("TEST_TMPDIR"), "/counter", node);
    absl::StatusOr<std::unique_ptr<ChildProcess>> process =
        ChildProcess::Start({"examples/counter/counter", absl::StrCat(node), directory, cluster_},
                            absl::StrCat(directory, ".log"));
    ASSERT_TRUE(process.ok()) << process.status();
    counters_[node - 1] = std::move(*process);
  }

  std::string Ask(int node, const std::string& line) {
    counters_[node - 1]->WriteLine(line);
    absl::StatusOr<std::string> answer = counters_[node - 1]->ReadLine(kPatience);
    return answer.ok() ? *answer : answer.status().ToString();
  }

  // Asks until a quorum answers: at first the three have to find each other.
  std::string AskUntilThereIsAQuorum(int node) {
    absl::Time deadline = absl::Now() + kPatience;
    std::string answer;
    do {
      answer = Ask(node, "get");
    } while (answer == "no quorum" && absl::Now() < deadline);
    return answer;
  }

  std::string cluster_;
  std::unique_ptr<ChildProcess> counters_[3];
};

TEST_F(CounterTest, CountsOnAllMembersAndOverRestarts) {
  // Two are a quorum without the third, which may not know its leader yet.
  for (int node = 1; node <= 3; ++node) ASSERT_EQ(AskUntilThereIsAQuorum(node), "0");
  EXPECT_EQ(Ask(1, "add 3"), "3");
  EXPECT_EQ(Ask(2, "add -1"), "2") << "a member that does not lead passes it on";
  for (int node = 1; node <= 3; ++node) EXPECT_EQ(AskUntilThereIsAQuorum(node), "2");

  for (std::unique_ptr<ChildProcess>& counter : counters_) counter.reset();  // SIGKILL
  for (int node = 1; node <= 3; ++node) Start(node);
  EXPECT_EQ(AskUntilThereIsAQuorum(3), "2");
  EXPECT_EQ(Ask(3, "add 5"), "7");
}

}  // namespace
}  // namespace cairn
