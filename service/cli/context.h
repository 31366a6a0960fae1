// CliContext: what all verbs of cairn share.

#ifndef SERVICE_CLI_CONTEXT_H_
#define SERVICE_CLI_CONTEXT_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/time.h"
#include "client/client.h"
#include "service/cli/output.h"

namespace CLI {
class App;
}  // namespace CLI

namespace cairn {

// The global flags, and what follows from them. Lives until the process ends.
class CliContext {
 public:
  // Adds the global flags to `app`.
  void AddGlobalFlags(CLI::App& app);

  // Adds a verb: `run` is what it does, its result the exit code. Global flags may stand behind it.
  CLI::App& AddVerb(CLI::App& parent, const std::string& name, const std::string& description,
                    std::function<int()> run);

  std::vector<std::string> endpoints() const;
  Duration timeout() const { return timeout_; }
  OutputFormat format() const { return format_; }

  // A client of the endpoints; the same one at each call.
  Client& client();
  // stdout in the format asked for.
  Output& output();

  // Prints the error line on stderr and gives the exit code.
  int Fail(const absl::Status& status, bool mutation = false) const;

  // Exit code of the verb that ran.
  int exit_code() const { return exit_code_; }
  void set_exit_code(int exit_code) { exit_code_ = exit_code; }

 private:
  std::string endpoint_list_;
  OutputFormat format_ = OutputFormat::kTable;
  Duration timeout_ = Seconds(10);
  std::unique_ptr<Client> client_;
  std::unique_ptr<Output> output_;
  int exit_code_ = 0;
};

// Flags like 10s, 250ms, 1m.
void AddDurationFlag(CLI::App& app, const std::string& flag, Duration* value,
                     const std::string& description);

// Where `cairn demo` listens, and so the default of --endpoints.
inline constexpr char kDemoEndpoints[] = "127.0.0.1:7101,127.0.0.1:7102,127.0.0.1:7103";

}  // namespace cairn

#endif  // SERVICE_CLI_CONTEXT_H_
