#include "cairn/initial_cluster.h"

#include "gtest/gtest.h"

namespace cairn {
namespace {

TEST(InitialClusterTest, IsReadInOrderOfTheIds) {
  absl::StatusOr<Configuration> members = ParseInitialCluster("2=b:2,1=a:1");
  ASSERT_TRUE(members.ok()) << members.status();
  ASSERT_EQ(members->voters.size(), 2u);
  EXPECT_EQ(members->voters[0].node, NodeId{1});
  EXPECT_EQ(members->voters[0].address, "a:1");
  EXPECT_EQ(members->voters[1].incarnation, Incarnation::kUnknown);
}

TEST(InitialClusterTest, NonsenseIsRefused) {
  for (const char* text : {"", "1", "1=", "0=a:1", "x=a:1", "1=a", "1=a:0", "1=a:65536",
                           "1=a:1,1=b:2", "1=a:1,2=a:1", "1=a:1,"}) {
    EXPECT_FALSE(ParseInitialCluster(text).ok()) << text;
  }
}

}  // namespace
}  // namespace cairn
