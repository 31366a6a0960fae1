#include "service/cli/child_process.h"

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(30);

class ChildProcessTest : public testing::Test {
 protected:
  std::unique_ptr<ChildProcess> Shell(const std::string& script) {
    absl::StatusOr<std::unique_ptr<ChildProcess>> process =
        ChildProcess::Start({"/bin/sh", "-c", script}, log_);
    EXPECT_TRUE(process.ok()) << process.status();
    return process.ok() ? std::move(*process) : nullptr;
  }

  const std::string log_ = absl::StrCat(getenv("TEST_TMPDIR"), "/log");
};

TEST_F(ChildProcessTest, ReadsLinesAndTheExitCode) {
  std::unique_ptr<ChildProcess> process = Shell("echo one; echo two; echo note >&2; exit 7");
  EXPECT_EQ(process->ReadLine(kPatience).value(), "one");
  EXPECT_EQ(process->ReadLine(kPatience).value(), "two");
  EXPECT_TRUE(absl::IsUnavailable(process->ReadLine(kPatience).status()));
  EXPECT_EQ(process->WaitExit(kPatience).value(), 7);
  EXPECT_FALSE(process->Running());
  std::ifstream log(log_);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(log), {}), "note\n");
}

TEST_F(ChildProcessTest, CanBeWrittenTo) {
  std::unique_ptr<ChildProcess> process = Shell("read word; echo got $word");
  process->WriteLine("it");
  EXPECT_EQ(process->ReadLine(kPatience).value(), "got it");
  ASSERT_TRUE(process->WaitExit(kPatience).ok());
  process->WriteLine("nobody reads");
}

TEST_F(ChildProcessTest, GivesUpWaiting) {
  std::unique_ptr<ChildProcess> process = Shell("echo up; read forever");
  ASSERT_TRUE(process->ReadLine(kPatience).ok());
  EXPECT_TRUE(absl::IsDeadlineExceeded(process->ReadLine(absl::Milliseconds(1)).status()));
  EXPECT_TRUE(absl::IsDeadlineExceeded(process->WaitExit(absl::Milliseconds(1)).status()));
  EXPECT_TRUE(process->Running());
  process->Signal(SIGTERM);
  EXPECT_EQ(process->WaitExit(kPatience).value(), 128 + SIGTERM);
}

TEST_F(ChildProcessTest, EndsWithItsObject) {
  std::unique_ptr<ChildProcess> process = Shell("echo up; read forever");
  ASSERT_TRUE(process->ReadLine(kPatience).ok());
  pid_t pid = process->pid();
  process.reset();
  EXPECT_EQ(kill(pid, 0), -1) << "it was killed and reaped";
}

TEST_F(ChildProcessTest, AMissingProgramIsAnError) {
  EXPECT_FALSE(ChildProcess::Start({"/nonexistent"}, log_).ok());
}

}  // namespace
}  // namespace cairn
