#include "raft/identity.h"

#include <string>

#include "gtest/gtest.h"
#include "storage/posix_file_system.h"
#include "tests/storage/test_directory.h"

namespace cairn {
namespace {

Configuration Members(Incarnation first) {
  Configuration members;
  members.voters = {{NodeId{1}, first, "127.0.0.1:7101"},
                    {NodeId{2}, Incarnation::kUnknown, "127.0.0.1:7102"}};
  return members;
}

NodeIdentity MakeIdentity() {
  NodeIdentity identity;
  identity.initial_members = Members(Incarnation{77});
  identity.cluster = MakeClusterId(identity.initial_members, "token");
  identity.node = NodeId{1};
  identity.incarnation = Incarnation{77};
  identity.log_store = "block";
  return identity;
}

class IdentityTest : public ::testing::Test {
 protected:
  std::string Path(const std::string& name) { return directory_.path() + "/" + name; }
  std::string Content(const std::string& name) {
    return ReadWholeFile(file_system_, Path(name)).value();
  }
  void Write(const std::string& name, const std::string& content) {
    ASSERT_TRUE(WriteFileAtomically(file_system_, Path(name), content).ok());
  }
  absl::StatusOr<NodeIdentity> Load() { return LoadIdentity(file_system_, directory_.path()); }
  void Save(const NodeIdentity& identity) {
    ASSERT_TRUE(SaveIdentity(file_system_, directory_.path(), identity).ok());
  }

  TestDirectory directory_;
  PosixFileSystem file_system_;
};

TEST_F(IdentityTest, ANewDirectoryHasNone) { EXPECT_TRUE(absl::IsNotFound(Load().status())); }

TEST_F(IdentityTest, MakesItsDirectory) {
  std::string directory = directory_.path() + "/data/of/node";
  EXPECT_TRUE(absl::IsNotFound(LoadIdentity(file_system_, directory).status()));
  ASSERT_TRUE(SaveIdentity(file_system_, directory, MakeIdentity()).ok());
  EXPECT_TRUE(LoadIdentity(file_system_, directory).ok());
}

TEST_F(IdentityTest, KeepsEveryField) {
  NodeIdentity identity = MakeIdentity();
  identity.formed = true;
  Save(identity);
  absl::StatusOr<NodeIdentity> found = Load();
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->cluster, identity.cluster);
  EXPECT_EQ(found->node, identity.node);
  EXPECT_EQ(found->incarnation, identity.incarnation);
  EXPECT_EQ(found->initial_members, identity.initial_members);
  EXPECT_TRUE(found->formed);
  EXPECT_EQ(found->log_store, "block");
}

TEST_F(IdentityTest, OneDamagedOrMissingCopyIsHealed) {
  Save(MakeIdentity());
  std::string intact = Content("identity");
  for (const char* name : {"identity", "identity.copy"}) {
    for (size_t at = 0; at < intact.size(); at += 5) {
      std::string damaged = intact;
      damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
      Write(name, damaged);
      ASSERT_TRUE(Load().ok()) << "byte " << at;
      ASSERT_EQ(Content(name), intact) << "byte " << at;
    }
    Write(name, "");
    ASSERT_TRUE(Load().ok());
    ASSERT_TRUE(file_system_.Remove(Path(name)).ok());
    ASSERT_TRUE(Load().ok());
    EXPECT_EQ(Content(name), intact);
  }
}

TEST_F(IdentityTest, TwoDamagedCopiesAreLossAndNotANewNode) {
  Save(MakeIdentity());
  Write("identity", "CAIRNWHO");
  Write("identity.copy", Content("identity.copy") + "x");
  EXPECT_TRUE(absl::IsDataLoss(Load().status()));
  ASSERT_TRUE(file_system_.Remove(Path("identity.copy")).ok());
  EXPECT_TRUE(absl::IsDataLoss(Load().status()));
}

TEST_F(IdentityTest, AfterAPowerCutBetweenTheCopiesTheFormedOneCounts) {
  NodeIdentity identity = MakeIdentity();
  Save(identity);
  std::string unformed = Content("identity");
  identity.formed = true;
  identity.initial_members.voters[1].incarnation = Incarnation{88};
  Save(identity);
  std::string formed = Content("identity");
  for (const char* name : {"identity", "identity.copy"}) {
    Write(name, unformed);
    absl::StatusOr<NodeIdentity> found = Load();
    ASSERT_TRUE(found.ok());
    EXPECT_TRUE(found->formed);
    EXPECT_EQ(found->initial_members, identity.initial_members);
    EXPECT_EQ(Content(name), formed);
  }
}

TEST_F(IdentityTest, CopiesOfDifferentNodesAreRefused) {
  Save(MakeIdentity());
  std::string first = Content("identity");
  NodeIdentity other = MakeIdentity();
  other.incarnation = Incarnation{78};
  Save(other);
  Write("identity", first);
  EXPECT_TRUE(absl::IsDataLoss(Load().status()));
}

TEST_F(IdentityTest, CreatesOnceAndThenChecks) {
  bool formatted = false;
  NodeIdentity wanted = MakeIdentity();
  ASSERT_TRUE(LoadOrCreateIdentity(file_system_, directory_.path(), wanted, &formatted).ok());
  EXPECT_TRUE(formatted);
  wanted.incarnation = Incarnation{99};  // drawn by the next start
  absl::StatusOr<NodeIdentity> found =
      LoadOrCreateIdentity(file_system_, directory_.path(), wanted, &formatted);
  ASSERT_TRUE(found.ok());
  EXPECT_FALSE(formatted);
  EXPECT_EQ(found->incarnation, Incarnation{77});
  wanted.node = NodeId{2};
  absl::Status status =
      LoadOrCreateIdentity(file_system_, directory_.path(), wanted, &formatted).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_EQ(status.message(), "the data belongs to node 1, not to node 2");
}

TEST_F(IdentityTest, ContradictionsNameBothSides) {
  NodeIdentity found = MakeIdentity();
  NodeIdentity wanted = found;
  EXPECT_TRUE(CheckIdentity(found, wanted).ok());
  wanted.log_store = "memory";
  EXPECT_EQ(CheckIdentity(found, wanted).message(),
            "the data belongs to log store block, not to log store memory");
  wanted = found;
  wanted.cluster = MakeClusterId(found.initial_members, "other token");
  absl::Status status = CheckIdentity(found, wanted);
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_NE(status.message().find(ToString(found.cluster)), absl::string_view::npos);
  EXPECT_NE(status.message().find(ToString(wanted.cluster)), absl::string_view::npos);
}

TEST(ClusterIdTest, DependsOnIdsAddressesAndTokenAlone) {
  ClusterId id = MakeClusterId(Members(Incarnation{1}), "token");
  EXPECT_EQ(id, MakeClusterId(Members(Incarnation{2}), "token"));
  EXPECT_NE(id, MakeClusterId(Members(Incarnation{1}), "token2"));
  Configuration other = Members(Incarnation{1});
  other.voters[1].address = "127.0.0.1:7103";
  EXPECT_NE(id, MakeClusterId(other, "token"));
  other = Members(Incarnation{1});
  other.voters[1].node = NodeId{3};
  EXPECT_NE(id, MakeClusterId(other, "token"));
  // The id is on every disk and in every frame: it must not change with the program.
  EXPECT_EQ(ToString(id), "64295e22-ae3e-33ca-f963-4dc68a4f1f7a");
}

}  // namespace
}  // namespace cairn
