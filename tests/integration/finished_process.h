// FinishedProcess: what a program that was run to its end has left.

#ifndef TESTS_INTEGRATION_FINISHED_PROCESS_H_
#define TESTS_INTEGRATION_FINISHED_PROCESS_H_

#include <string>
#include <vector>

#include "service/cli/child_process.h"

namespace cairn {

struct FinishedProcess {
  int exit_code = -1;
  std::vector<std::string> output;  // the lines of its stdout
  std::string errors;               // its stderr

  std::string last_error_line() const;
  // For messages of tests.
  std::string ToString() const;
};

// Waits for the end of `process`, whose stderr is the file `log`. A process that does not end in a
// minute fails the test; its exit code is -1.
FinishedProcess Finish(ChildProcess& process, const std::string& log);

// Starts `arguments` and waits for the end. What `log` held before is gone.
FinishedProcess RunToEnd(const std::vector<std::string>& arguments, const std::string& log);

}  // namespace cairn

#endif  // TESTS_INTEGRATION_FINISHED_PROCESS_H_
