// What an orderly end of a server leaves to the others: whole servers in one process.

#include "cairn/server.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <future>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/system_clock.h"
#include "gtest/gtest.h"
#include "service/cli/free_ports.h"

namespace cairn {
namespace {

class NullMachine final : public StateMachine {
 public:
  void Apply(ApplyBatch&) override {}
};

// Three servers with three groups. Nobody campaigns by itself while the test lasts: an election
// timeout is longer than that.
class ServerTest : public testing::Test {
 protected:
  static constexpr uint64_t kGroups = 3;

  ServerTest() {
    const std::vector<int> ports = FreePorts(3).value();
    const std::string members = absl::StrCat("1=127.0.0.1:", ports[0], ",2=127.0.0.1:", ports[1],
                                             ",3=127.0.0.1:", ports[2]);
    for (uint64_t node = 1; node <= 3; ++node) {
      ServerOptions options;
      options.node = NodeId{node};
      options.data_directory = absl::StrCat(
          getenv("TEST_TMPDIR"), "/", testing::UnitTest::GetInstance()->current_test_info()->name(),
          "/node", node);
      options.initial_members = ParseInitialCluster(members).value();
      options.log_store = "memory";
      servers_[node] = Server::Start(options).value();
      for (uint64_t group = 1; group <= kGroups; ++group) {
        GroupOptions group_options;
        group_options.election_timeout = Seconds(600);
        group_options.quiesce_after = 0;
        // Leadership of the last group is for node 2, that of the others for node 3.
        group_options.priority = (node == 2) == (group == kGroups) ? 0 : 1;
        groups_[node].push_back(
            *servers_[node]->Open(GroupId{group}, std::make_unique<NullMachine>(), group_options));
      }
    }
    for (auto& [node, server] : servers_) EXPECT_TRUE(server->Listen().ok());
  }
  ~ServerTest() override {
    for (auto& [node, server] : servers_) server->Shutdown(Duration());
  }

  Group& At(uint64_t node, uint64_t group) { return groups_.at(node)[group - 1]; }
  // Asks until the node leads, which takes until the servers have met, and until both others have
  // all, and have said with a heartbeat which priority they have.
  void MakeLead(uint64_t node, uint64_t group) {
    const Instant deadline = SystemClock().Now() + Seconds(60);
    Instant since = kDistantFuture;  // all have all, so they answer nothing but heartbeats
    std::set<NodeId> heard;          // with one of these
    GroupStatus status;
    Instant looked = {};
    while (heard.size() < 2) {
      const Instant before = SystemClock().Now();
      ASSERT_LT(before, deadline);
      const GroupStatus last = std::exchange(status, At(node, group).Status());
      if (!status.serving_leader || !HaveAll(status)) {
        since = kDistantFuture;
        heard.clear();
        Encourage(node, group, status.role);
      } else if (since == kDistantFuture) {
        since = SystemClock().Now();
      } else if (PeersAreNew(last, status)) {
        for (const PeerStatus& peer : status.peers) {
          // What is said of the peers now was not said yet in `last`, which is later than `looked`.
          if (looked - peer.since_contact > since) heard.insert(peer.node);
        }
      }
      looked = before;
    }
  }
  static bool HaveAll(const GroupStatus& status) {
    const auto has_all = [&](const PeerStatus& peer) {
      return peer.match == status.last_index && peer.inflight_messages == 0;
    };
    return status.peers.size() == 2 &&
           std::all_of(status.peers.begin(), status.peers.end(), has_all);
  }
  // They are said anew from time to time.
  static bool PeersAreNew(const GroupStatus& last, const GroupStatus& now) {
    return last.peers.size() == now.peers.size() &&
           last.peers[0].since_contact != now.peers[0].since_contact;
  }
  void Encourage(uint64_t node, uint64_t group, Role role) {
    if (role == Role::kLeader) {
      At(node, group).Propose("a")->Wait();
      return;
    }
    std::promise<void> answered;
    At(node, group).Campaign([&](const ControlResult&) { answered.set_value(); });
    answered.get_future().wait();
  }

  std::map<uint64_t, std::unique_ptr<Server>> servers_;
  std::map<uint64_t, std::vector<Group>> groups_;
};

TEST_F(ServerTest, WhatEndsInOrderLeavesEachGroupToTheBestOfTheOthers) {
  for (uint64_t group = 1; group <= kGroups; ++group) {
    MakeLead(1, group);
    if (HasFatalFailure()) return;
  }
  const Term term = At(1, 1).Status().term;
  servers_.at(1)->Shutdown(Seconds(20));
  for (uint64_t group = 1; group <= kGroups; ++group) {
    SCOPED_TRACE(group);
    const uint64_t successor = group == kGroups ? 2 : 3;
    ASSERT_EQ(At(successor, group).Status().role, Role::kLeader);
    const ProposalResult result = At(successor, group).Propose("b")->Wait();
    EXPECT_TRUE(std::holds_alternative<ProposalApplied>(result));
  }
  EXPECT_EQ(At(3, 1).Status().term, term + 1) << "at the first try";
}

// Without patience nobody is asked: no timeout passes, so nobody leads.
TEST_F(ServerTest, WithoutPatienceNothingIsHandedOver) {
  MakeLead(1, 1);
  if (HasFatalFailure()) return;
  servers_.at(1)->Shutdown(Duration());
  EXPECT_NE(At(2, 1).Status().role, Role::kLeader);
  EXPECT_NE(At(3, 1).Status().role, Role::kLeader);
}

}  // namespace
}  // namespace cairn
