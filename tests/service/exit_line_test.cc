#include "service/exit_line.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

constexpr char kDirectory[] = "/data/one";

TEST(ExitLineTest, SaysWhatWhereAndWhatToDo) {
  ExitLine line{kServerDirectoryInUse, "held by process 7", kDirectory, "stop it"};
  EXPECT_EQ(line.ToString(), "cairnd: held by process 7 (/data/one): stop it");
}

TEST(ExitLineTest, IsOneLineWhateverTheTextsHold) {
  ExitLine line{kServerInternal, "two\nlines\r", "a\tplace", "do\x01 this"};
  EXPECT_THAT(line.ToString(), MatchesRegex("[ -~]+"));
}

TEST(ExitLineTest, EachReasonNotToStartHasItsCode) {
  const struct {
    absl::Status status;
    int code;
  } kCases[] = {
      {absl::InvalidArgumentError("--no_such_flag"), 64},
      {absl::AlreadyExistsError("held by process 7"), 73},
      {absl::NotFoundError("no parent directory"), 73},
      {absl::InternalError("read: Input/output error"), 74},
      {absl::ResourceExhaustedError("no space"), 74},
      {absl::UnavailableError("too many open files"), 74},
      {absl::DataLossError("no intact copy of the identity"), 75},
      {absl::PermissionDeniedError("open: Permission denied"), 77},
      {absl::FailedPreconditionError("the data belongs to node 1, not to node 2"), 78},
  };
  for (const auto& [status, code] : kCases) {
    ExitLine line = ExitOfStart(status, kDirectory);
    EXPECT_EQ(line.code, code) << status;
    EXPECT_EQ(line.what, status.message());
    EXPECT_FALSE(line.where.empty()) << status;
    EXPECT_FALSE(line.what_to_do.empty()) << status;
  }
}

TEST(ExitLineTest, FlagsAreBadOrAskForWhatIsNotAllowed) {
  EXPECT_EQ(ExitOfConfig(absl::InvalidArgumentError("--no_such_flag")).code, kServerBadFlags);
  EXPECT_EQ(ExitOfConfig(absl::FailedPreconditionError("--listen=0.0.0.0:1 would talk")).code,
            kServerMismatch);
}

TEST(ExitLineTest, AMemberThatWasRemovedHasNotFailed) {
  ExitLine line =
      ExitOfStop(NodeState::kHalted,
                 absl::FailedPreconditionError("MEMBER_REMOVED: node 1 is no member"), kDirectory);
  EXPECT_EQ(line.code, kServerStopped);
}

TEST(ExitLineTest, AFencedNodeHadAFailureOfStorage) {
  ExitLine line = ExitOfStop(NodeState::kFenced, absl::InternalError("sync failed"), kDirectory);
  EXPECT_EQ(line.code, kServerStorageFailed);
  EXPECT_EQ(line.where, kDirectory);
  EXPECT_THAT(line.what_to_do, HasSubstr("disk"));
}

TEST(ExitLineTest, ALogThatContradictsItsLeadersIsKept) {
  ExitLine line = ExitOfStop(NodeState::kFenced, absl::InternalError("safety violation: entry 3/1"),
                             kDirectory);
  EXPECT_EQ(line.code, kServerStorageFailed);
  EXPECT_THAT(line.what_to_do, HasSubstr("keep the directory"));
}

TEST(ExitLineTest, AHaltedNodeHasDamageOrNoMemory) {
  EXPECT_EQ(ExitOfStop(NodeState::kHalted, absl::DataLossError("entry 7"), kDirectory).code,
            kServerDataDamaged);
  ExitLine line = ExitOfStop(NodeState::kHalted,
                             absl::FailedPreconditionError("MEMBER_AMNESIA: node 3"), kDirectory);
  EXPECT_EQ(line.code, kServerMismatch);
  EXPECT_THAT(line.what_to_do, HasSubstr("new id"));
  EXPECT_NE(ExitOfStart(absl::FailedPreconditionError("node 1, not 2"), kDirectory).what_to_do,
            line.what_to_do);
}

TEST(ExitLineTest, ACheckThatFailedIsInternal) {
  ExitLine line = ExitOfCheck("raft/node.cc:71: check failed: a < b (2 vs. 1) in group 3");
  EXPECT_EQ(line.code, kServerInternal);
  EXPECT_EQ(line.what, "check failed: a < b (2 vs. 1) in group 3");
  EXPECT_EQ(line.where, "raft/node.cc:71");
  EXPECT_EQ(ExitOfCheck("no place").what, "no place");
}

}  // namespace
}  // namespace cairn
