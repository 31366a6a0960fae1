// DemoControl: how `cairn demo kill leader` in one terminal reaches `cairn demo` in another: a
// socket in the demo's directory, one line in each direction.

#ifndef SERVICE_CLI_DEMO_CONTROL_H_
#define SERVICE_CLI_DEMO_CONTROL_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace cairn {

// The side that has the cluster. Threads: one.
class DemoControl {
 public:
  // FAILED_PRECONDITION if another demo runs in `directory`.
  static absl::StatusOr<std::unique_ptr<DemoControl>> Listen(const std::string& directory);
  ~DemoControl();
  DemoControl(const DemoControl&) = delete;
  DemoControl& operator=(const DemoControl&) = delete;

  // Answers requests with `handle(action, node)` until a signal of `signals_descriptor` (a
  // signalfd) comes.
  void Serve(int signals_descriptor,
             const std::function<absl::Status(const std::string& action, const std::string& node)>&
                 handle);

 private:
  DemoControl(int listener, std::string path) : listener_(listener), path_(std::move(path)) {}

  const int listener_;
  const std::string path_;
};

// The other side: asks the demo that runs in `directory`. NOT_FOUND if none does.
absl::Status AskDemo(const std::string& directory, const std::string& action,
                     const std::string& node);

}  // namespace cairn

#endif  // SERVICE_CLI_DEMO_CONTROL_H_
