#include "tests/sim/checkers/bounds_checker.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace cairn::sim {
namespace {

constexpr NodeId kA{1};

class BoundsCheckerTest : public ::testing::Test {
 protected:
  static GroupOptions Options() {
    GroupOptions options;
    options.max_inflight_bytes = 100;
    options.max_sessions = 2;
    options.log_cache_bytes = 50;
    return options;
  }
  bool violated() const { return violations_.first().substr(0, 3) == "I23"; }

  EventQueue events_;
  EventLog log_{events_, nullptr};
  Violations violations_{log_};
  BoundsChecker checker_{Options(), violations_};
};

TEST_F(BoundsCheckerTest, OneLargeCommandAloneFits) {
  checker_.Taken(kA, 500);
  checker_.Answered(kA, 500);
  checker_.Taken(kA, 60);
  checker_.Taken(kA, 40);
  EXPECT_FALSE(violated());
  checker_.Taken(kA, 1);
  EXPECT_TRUE(violated());
}

TEST_F(BoundsCheckerTest, AProcessThatEndsForgets) {
  checker_.Taken(kA, 60);
  checker_.ProcessEnded(kA);
  checker_.Answered(kA, 60);
  checker_.Taken(kA, 60);
  checker_.Taken(kA, 40);
  EXPECT_FALSE(violated());
}

TEST_F(BoundsCheckerTest, Sessions) {
  GroupStatus status;
  status.sessions = 2;
  checker_.Shown(kA, status);
  EXPECT_FALSE(violated());
  status.sessions = 3;
  checker_.Shown(kA, status);
  EXPECT_TRUE(violated());
}

TEST_F(BoundsCheckerTest, WindowOfAPeer) {
  GroupStatus status;
  status.peers.resize(1);
  status.peers[0].inflight_bytes = size_t{4} << 20;
  checker_.Shown(kA, status);
  EXPECT_FALSE(violated());
  status.peers[0].inflight_bytes = size_t{6} << 20;
  checker_.Shown(kA, status);
  EXPECT_TRUE(violated());
}

TEST_F(BoundsCheckerTest, MemoryAtRest) {
  GroupStatus status;
  status.cached_bytes = 50;
  checker_.ShownAtRest(kA, status);
  EXPECT_FALSE(violated());
  status.cached_bytes = 51;
  checker_.ShownAtRest(kA, status);
  EXPECT_TRUE(violated());
}

TEST_F(BoundsCheckerTest, FilesOfSnapshots) {
  checker_.SnapshotFiles(kA, {"1.manifest", "1.0", "2.manifest", "2.0", "3.incoming", "4.tmp"});
  EXPECT_FALSE(violated());
  checker_.SnapshotFiles(kA, {"1.tmp", "2.tmp", "3.tmp"});
  EXPECT_TRUE(violated());
}

TEST_F(BoundsCheckerTest, ManyFilesOfSnapshots) {
  checker_.SnapshotFiles(kA, std::vector<std::string>(33, "1.0"));
  EXPECT_TRUE(violated());
}

TEST_F(BoundsCheckerTest, Tasks) {
  checker_.Waiting(kA, 5000);
  EXPECT_FALSE(violated());
  checker_.Waiting(kA, 5001);
  EXPECT_TRUE(violated());
}

TEST_F(BoundsCheckerTest, MessagesPerCommit) {
  Envelope envelope;
  envelope.body = MessageBody(AppendReply());
  checker_.Sent(envelope);
  envelope.body = SnapshotPiece();
  checker_.Sent(envelope);
  EXPECT_EQ(checker_.messages(), 1u);
  // Each to two peers: three commits of four messages, two heartbeats, and what is beside.
  checker_.Committed({.commits = 3, .peers = 2, .messages = 2 * (12 + 4 + 4), .took = {}});
  EXPECT_FALSE(violated()) << violations_.first();
  checker_.Committed({.commits = 3, .peers = 2, .messages = 2 * (12 + 4 + 4) + 1, .took = {}});
  EXPECT_TRUE(violated());
}

}  // namespace
}  // namespace cairn::sim
