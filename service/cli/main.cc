// cairn: the command line of a Cairn cluster.

#include <iostream>

#include "CLI/CLI.hpp"
#include "service/cli/context.h"
#include "service/cli/exit_code.h"
#include "service/cli/verbs.h"

namespace cairn {
namespace {

constexpr char kFooter[] =
    "Exit codes: 0 ok, 1 usage, 2 configuration, 3 not found, 4 precondition, 5 permission,\n"
    "6 unavailable or no leader, 7 deadline, 8 resource exhausted, 9 outcome unknown,\n"
    "10 data loss, 11 some members failed, 73 data directory in use.";

int Main(int argc, char** argv) {
  CLI::App app("Keeps and reads the message streams of a Cairn cluster.", "cairn");
  app.require_subcommand(1);
  app.footer(kFooter);
  CliContext context;
  context.AddGlobalFlags(app);
  AddDemoVerbs(app, context);
  AddClusterVerbs(app, context);
  AddMemberVerbs(app, context);
  AddStreamVerbs(app, context);
  AddAppendVerb(app, context);
  AddReadVerbs(app, context);
  AddLogVerbs(app, context);
  AddBenchVerbs(app, context);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::CallForAllHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    std::cerr << "error: INVALID_ARGUMENT USAGE: " << error.what() << " (see --help)" << std::endl;
    return kExitUsage;
  }
  return context.exit_code();
}

}  // namespace
}  // namespace cairn

int main(int argc, char** argv) { return cairn::Main(argc, argv); }
