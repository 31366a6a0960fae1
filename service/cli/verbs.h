// The families of verbs. Each adds its own to the command line; one source file a family.

#ifndef SERVICE_CLI_VERBS_H_
#define SERVICE_CLI_VERBS_H_

namespace CLI {
class App;
}  // namespace CLI

namespace cairn {

class CliContext;

void AddStreamVerbs(CLI::App& app, CliContext& context);   // stream create|list|info
void AddAppendVerb(CLI::App& app, CliContext& context);    // append
void AddReadVerbs(CLI::App& app, CliContext& context);     // read, tail
void AddClusterVerbs(CLI::App& app, CliContext& context);  // status, metrics, wait, …
void AddMemberVerbs(CLI::App& app, CliContext& context);   // member list|add|…, leader transfer
void AddUnsafeMemberVerbs(CLI::App& member, CliContext& context);  // member unsafe-…
void AddLogVerbs(CLI::App& app, CliContext& context);              // log ls|cat|verify… (offline)
void AddLogConvertVerb(CLI::App& log, CliContext& context);        // log convert (offline)
void AddBenchVerbs(CLI::App& app, CliContext& context);            // bench append|read
void AddDemoVerbs(CLI::App& app, CliContext& context);  // demo, demo kill|pause|resume|restart

}  // namespace cairn

#endif  // SERVICE_CLI_VERBS_H_
