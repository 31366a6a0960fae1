#include "service/cli/context.h"

#include <iostream>
#include <map>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "service/cli/exit_code.h"

namespace cairn {

void AddDurationFlag(CLI::App& app, const std::string& flag, Duration* value,
                     const std::string& description) {
  app.add_option_function<std::string>(
         flag,
         [flag, value](const std::string& text) {
           absl::Duration parsed;
           if (!absl::ParseDuration(text, &parsed) || parsed <= absl::ZeroDuration() ||
               parsed > absl::Hours(24 * 365)) {
             throw CLI::ValidationError(flag, text + " is no duration such as 10s or 250ms");
           }
           *value = Nanoseconds(absl::ToInt64Nanoseconds(parsed));
         },
         description)
      ->type_name("DURATION")
      ->default_str(absl::FormatDuration(absl::Nanoseconds(value->nanoseconds)));
}

void CliContext::AddGlobalFlags(CLI::App& app) {
  endpoint_list_ = kDemoEndpoints;
  app.add_option("--endpoints", endpoint_list_, "members to talk to, HOST:PORT with commas between")
      ->envname("CAIRN_ENDPOINTS")
      ->capture_default_str();
  app.add_option("-o,--output", format_, "table or json (one object a line)")
      ->transform(CLI::CheckedTransformer(std::map<std::string, OutputFormat>{
          {"table", OutputFormat::kTable}, {"json", OutputFormat::kJson}}))
      ->default_str("table");
  AddDurationFlag(app, "--timeout", &timeout_, "for each call, retries included");
}

CLI::App& CliContext::AddVerb(CLI::App& parent, const std::string& name,
                              const std::string& description, std::function<int()> run) {
  CLI::App* verb = parent.add_subcommand(name, description);
  verb->fallthrough();
  verb->callback([this, run = std::move(run)] {
    exit_code_ = run();
    if (output_ != nullptr) output_->Flush();
  });
  return *verb;
}

std::vector<std::string> CliContext::endpoints() const {
  return absl::StrSplit(endpoint_list_, ',', absl::SkipEmpty());
}

Client& CliContext::client() {
  if (client_ == nullptr) {
    ClientOptions options;
    options.endpoints = endpoints();
    options.timeout = timeout_;
    options.name = "cairn";
    client_ = Client::Create(std::move(options));
  }
  return *client_;
}

Output& CliContext::output() {
  if (output_ == nullptr) output_ = std::make_unique<Output>(format_, std::cout);
  return *output_;
}

int CliContext::Fail(const absl::Status& status, bool mutation) const {
  std::cerr << ErrorLine(status) << std::endl;
  return ExitCodeOf(status, mutation);
}

}  // namespace cairn
