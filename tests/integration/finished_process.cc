#include "tests/integration/finished_process.h"

#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

constexpr absl::Duration kPatience = absl::Minutes(1);

}  // namespace

std::string FinishedProcess::last_error_line() const {
  std::vector<std::string> lines = absl::StrSplit(errors, '\n', absl::SkipEmpty());
  return lines.empty() ? "" : lines.back();
}

std::string FinishedProcess::ToString() const {
  return absl::StrCat("exit ", exit_code, "\nstdout:\n", absl::StrJoin(output, "\n"), "\nstderr:\n",
                      errors);
}

FinishedProcess Finish(ChildProcess& process, const std::string& log) {
  FinishedProcess finished;
  absl::StatusOr<std::string> line = process.ReadLine(kPatience);
  for (; line.ok(); line = process.ReadLine(kPatience)) finished.output.push_back(*line);
  absl::StatusOr<int> exit_code = process.WaitExit(kPatience);
  EXPECT_TRUE(exit_code.ok()) << exit_code.status();
  if (exit_code.ok()) finished.exit_code = *exit_code;
  std::ifstream file(log, std::ios::binary);
  finished.errors.assign(std::istreambuf_iterator<char>(file), {});
  return finished;
}

FinishedProcess RunToEnd(const std::vector<std::string>& arguments, const std::string& log) {
  std::remove(log.c_str());
  absl::StatusOr<std::unique_ptr<ChildProcess>> process = ChildProcess::Start(arguments, log);
  EXPECT_TRUE(process.ok()) << process.status();
  return process.ok() ? Finish(**process, log) : FinishedProcess();
}

}  // namespace cairn
