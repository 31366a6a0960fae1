#include "storage/posix_error.h"

#include <errno.h>

#include "gtest/gtest.h"

namespace cairn {
namespace {

TEST(PosixErrorTest, ErrorsNameOperationPathAndReason) {
  const absl::Status status = PosixError("write", "/data/block", EIO);
  EXPECT_EQ(status.message(), "write /data/block: Input/output error");
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
}

TEST(PosixErrorTest, ErrorsTellWhatToDo) {
  const auto code = [](int error) { return PosixError("open", "x", error).code(); };
  EXPECT_EQ(code(ENOSPC), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(code(EDQUOT), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(code(EACCES), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(code(EPERM), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(code(EROFS), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(code(ENOENT), absl::StatusCode::kNotFound);
  EXPECT_EQ(code(EEXIST), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(code(ENOTDIR), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(code(ENAMETOOLONG), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code(EMFILE), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace cairn
