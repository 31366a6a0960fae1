#include "service/cli/exit_code.h"

#include "client/errors.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

using absl::StatusCode;

TEST(ExitCodeTest, OpenOutcomeIsToldApartForMutationsOnly) {
  absl::Status unknown = MakeClientError(StatusCode::kUnavailable, "OUTCOME_UNKNOWN", "x", true);
  EXPECT_EQ(ExitCodeOf(unknown, true), 9);
  EXPECT_EQ(ExitCodeOf(unknown, false), 6);
}

TEST(ExitCodeTest, FollowsTheContract) {
  EXPECT_EQ(ExitCodeOf(absl::OkStatus(), true), 0);
  EXPECT_EQ(ExitCodeOf(absl::InvalidArgumentError(""), true), 1);
  EXPECT_EQ(ExitCodeOf(absl::NotFoundError(""), true), 3);
  EXPECT_EQ(ExitCodeOf(absl::FailedPreconditionError(""), true), 4);
  EXPECT_EQ(ExitCodeOf(absl::AbortedError(""), true), 4);
  EXPECT_EQ(ExitCodeOf(absl::OutOfRangeError(""), true), 4);
  EXPECT_EQ(ExitCodeOf(absl::PermissionDeniedError(""), true), 5);
  EXPECT_EQ(ExitCodeOf(absl::UnavailableError(""), true), 6);
  EXPECT_EQ(ExitCodeOf(absl::DeadlineExceededError(""), true), 7);
  EXPECT_EQ(ExitCodeOf(absl::ResourceExhaustedError(""), true), 8);
  EXPECT_EQ(ExitCodeOf(absl::DataLossError(""), true), 10);
}

TEST(ErrorLineTest, NamesCodeAndReasonAndEscapes) {
  EXPECT_EQ(
      ErrorLine(MakeClientError(StatusCode::kNotFound, "STREAM_NOT_FOUND", "no\nstream", false)),
      "error: NOT_FOUND STREAM_NOT_FOUND: no\\nstream");
  EXPECT_EQ(ErrorLine(absl::UnavailableError("gone")), "error: UNAVAILABLE: gone");
}

}  // namespace
}  // namespace cairn
