#include <cstdint>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/retry.h"
#include "service/cli/cluster_view.h"
#include "service/cli/context.h"
#include "service/cli/exit_code.h"
#include "service/cli/message_row.h"
#include "service/cli/output.h"
#include "service/cli/verbs.h"
#include "service/monitoring/metrics_page.h"

namespace cairn {
namespace {

// MEMBER_ROLE_LEADER -> leader.
std::string PlainName(const std::string& enum_name, const char* prefix) {
  return absl::AsciiStrToLower(absl::StripPrefix(enum_name, prefix));
}

Row StatusRow(const v1::GetStatusResponse& status, const v1::GroupStatus& group,
              const std::string& role, const std::string& state) {
  std::vector<Row> peers;
  for (const v1::PeerProgress& peer : group.peers()) peers.push_back(MessageRow(peer));
  return Row()
      .Add("group", group.group())
      .Add("node", group.node())
      .Add("address", group.address())
      .Add("role", role)
      .Add("term", group.term())
      .Add("leader", group.leader())
      .Add("first_index", group.first_index())
      .Add("last_index", group.last_index())
      .Add("commit_index", group.commit_index())
      .Add("applied_index", group.applied_index())
      .Add("lag", group.lag())
      .Add("state", state)
      .Add("healthy", group.health().healthy())
      .Add("log_store", status.log_store())
      .Add("version", status.version())
      .Add("unsafe_recoveries", group.unsafe_recoveries().count())
      .Add("disk_full", group.disk_full())
      .Add("damaged", status.lost_data().damaged())
      .Add("damaged_open", status.lost_data().open())
      .AddObject("health", MessageRow(group.health()))
      .AddObject("queues", MessageRow(group.queues()))
      .AddObject("counters", MessageRow(group.counters()))
      .AddObjects("peers", peers)
      .AddObject("log_writer", MessageRow(status.log_writer()))
      .AddObject("encrypted_files",
                 status.has_encrypted_files() ? MessageRow(status.encrypted_files()) : Row())
      .AddObject("scrub", status.has_scrub() ? MessageRow(status.scrub()) : Row());
}

// A member that does not answer: what is not known is zero or empty.
Row UnreachableRow(const std::string& address) {
  v1::GroupStatus group;
  group.set_address(address);
  return StatusRow(v1::GetStatusResponse(), group, "unreachable", "");
}

// What a table has no room for.
void NoteOddities(const v1::GroupStatus& group) {
  if (!group.reason().empty()) {
    std::cerr << "note: node " << group.node() << " is "
              << PlainName(v1::MemberState_Name(group.state()), "MEMBER_STATE_") << ": "
              << group.reason() << std::endl;
  }
  const v1::UnsafeRecoveries& unsafe = group.unsafe_recoveries();
  if (unsafe.count() == 0) return;
  const std::string how =
      unsafe.quorum() > 0
          ? absl::StrCat("a quorum of ", unsafe.quorum())
          : absl::StrCat("without node ", absl::StrJoin(unsafe.evicted(), ", node "));
  const absl::Time asked = absl::FromUnixSeconds(unsafe.asked().seconds());
  std::cerr << "note: node " << group.node() << ": the group was recovered unsafely "
            << unsafe.count() << (unsafe.count() == 1 ? " time" : " times") << ", last " << how
            << " at entry " << unsafe.index() << ", asked for at "
            << absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", asked, absl::UTCTimeZone()) << std::endl;
}

// The exit code of who asked all members.
int TellUnreachable(CliContext& context, const ClusterView& view) {
  if (view.unreachable() == 0) return kExitOk;
  for (const ClusterView::Member& member : view.members) {
    if (!member.status.ok()) context.Fail(member.status.status());
  }
  return view.unreachable() == view.members.size() ? kExitUnavailable : kExitSomeFailed;
}

int RunStatus(CliContext& context) {
  ClusterView view = ViewCluster(context.client(), context.endpoints());
  for (const ClusterView::Member& member : view.members) {
    if (!member.status.ok()) {
      context.output().Print(UnreachableRow(member.address));
      continue;
    }
    for (const v1::GroupStatus& group : member.status->groups()) {
      context.output().Print(StatusRow(
          *member.status, group, PlainName(v1::MemberRole_Name(group.role()), "MEMBER_ROLE_"),
          PlainName(v1::MemberState_Name(group.state()), "MEMBER_STATE_")));
      NoteOddities(group);
    }
    for (const std::string& warning : member.status->warnings()) {
      std::cerr << "warning: node " << member.status->node() << ": " << warning << std::endl;
    }
  }
  context.output().Flush();
  return TellUnreachable(context, view);
}

// One page for all members, as a file that Prometheus' node exporter collects, or for people.
int RunMetrics(CliContext& context) {
  ClusterView view = ViewCluster(context.client(), context.endpoints());
  std::vector<v1::GetStatusResponse> answers;
  for (const ClusterView::Member& member : view.members) {
    if (member.status.ok()) answers.push_back(*member.status);
  }
  std::cout << MetricsPage(answers) << std::flush;
  return TellUnreachable(context, view);
}

int RunWait(CliContext& context, std::optional<uint64_t> max_lag) {
  Retry retry(absl::Now() + absl::Nanoseconds(context.timeout().nanoseconds));
  std::string why_not;
  while (!ViewCluster(context.client(), context.endpoints()).Healthy(max_lag, &why_not)) {
    if (!retry.Pause()) {
      return context.Fail(absl::DeadlineExceededError(absl::StrCat("not healthy: ", why_not)));
    }
  }
  context.output().Print(Row().Add("healthy", true));
  return kExitOk;
}

// What makes a stock gRPC client follow the leader. Retried are methods that may be called twice:
// after a broken connection nothing is known of an append, which only a session makes repeatable.
constexpr char kServiceConfig[] =
    R"({"healthCheckConfig":{"serviceName":"leader"},)"
    R"("loadBalancingConfig":[{"round_robin":{}}],)"
    R"("methodConfig":[{"name":[)"
    R"({"service":"cairn.v1.Log","method":"Read"},{"service":"cairn.v1.Log","method":"ReadRange"},)"
    R"({"service":"cairn.v1.Log","method":"ReadStream"},)"
    R"({"service":"cairn.v1.Log","method":"Subscribe"},)"
    R"({"service":"cairn.v1.Streams"},)"
    R"({"service":"cairn.v1.Cluster","method":"GetStatus"},)"
    R"({"service":"cairn.v1.Cluster","method":"ListMembers"}],)"
    R"("waitForReady":true,"retryPolicy":{"maxAttempts":5,"initialBackoff":"0.02s",)"
    R"("maxBackoff":"0.5s","backoffMultiplier":2,"retryableStatusCodes":["UNAVAILABLE"]}},)"
    R"({"name":[{"service":"cairn.v1.Log"},{"service":"cairn.v1.Sessions"},)"
    R"({"service":"cairn.v1.Cluster"}],)"
    R"("waitForReady":true}]})";

}  // namespace

void AddClusterVerbs(CLI::App& app, CliContext& context) {
  context.AddVerb(app, "status", "how each member is doing",
                  [&context] { return RunStatus(context); });

  context.AddVerb(app, "metrics", "health, queues and counters of all members, for Prometheus",
                  [&context] { return RunMetrics(context); });

  auto healthy = std::make_shared<bool>(false);
  auto max_lag = std::make_shared<std::optional<uint64_t>>();
  CLI::App& wait =
      context.AddVerb(app, "wait", "waits until the cluster is healthy (--timeout)",
                      // The flag is written to as long as there is a verb.
                      [&context, healthy, max_lag] { return RunWait(context, *max_lag); });
  wait.add_flag("--healthy", *healthy,
                "every member serves, follows one leader and has caught up with it")
      ->required();
  wait.add_option("--max_lag", *max_lag,
                  "and lags behind what is committed by no more than so many entries (default: the "
                  "bound of each member, cairnd --max_healthy_lag)");

  context.AddVerb(app, "service-config",
                  "prints the configuration that makes a stock gRPC client follow the leader", [] {
                    std::cout << kServiceConfig << std::endl;
                    return static_cast<int>(kExitOk);
                  });
}

}  // namespace cairn
