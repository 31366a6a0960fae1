#include <iostream>
#include <memory>
#include <string>

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
#include "service/cli/output.h"
#include "service/cli/verbs.h"

namespace cairn {
namespace {

// MEMBER_ROLE_LEADER -> leader.
std::string PlainName(const std::string& enum_name, const char* prefix) {
  return absl::AsciiStrToLower(absl::StripPrefix(enum_name, prefix));
}

std::string TimeOf(bool known, const google::protobuf::Timestamp& time) {
  if (!known) return "";
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromUnixSeconds(time.seconds()),
                          absl::UTCTimeZone());
}

// How the member's log is read in the background; of programs' interest.
Row ScrubRow(const v1::LogScrub& scrub) {
  return Row()
      .Add("running", scrub.running())
      .Add("block", scrub.block())
      .Add("offset", scrub.offset())
      .Add("round_bytes", scrub.round_bytes())
      .Add("round_began", TimeOf(scrub.has_round_began(), scrub.round_began()))
      .Add("last_round_ended", TimeOf(scrub.has_last_round_ended(), scrub.last_round_ended()))
      .Add("rounds", scrub.rounds())
      .Add("bytes", scrub.bytes())
      .Add("entries_damaged", scrub.entries_damaged())
      .Add("entries_repaired", scrub.entries_repaired())
      .Add("copies_healed", scrub.copies_healed());
}

const char* ScrubText(const v1::GetStatusResponse& status) {
  if (!status.has_scrub()) return "off";
  return status.scrub().running() ? "running" : "waiting";
}

Row StatusRow(const v1::GetStatusResponse& status, const v1::GroupStatus& group) {
  return Row()
      .Add("group", group.group())
      .Add("node", group.node())
      .Add("address", group.address())
      .Add("role", PlainName(v1::MemberRole_Name(group.role()), "MEMBER_ROLE_"))
      .Add("term", group.term())
      .Add("leader", group.leader())
      .Add("first_index", group.first_index())
      .Add("last_index", group.last_index())
      .Add("commit_index", group.commit_index())
      .Add("applied_index", group.applied_index())
      .Add("lag", group.lag())
      .Add("state", PlainName(v1::MemberState_Name(group.state()), "MEMBER_STATE_"))
      .Add("log_store", status.log_store())
      .Add("version", status.version())
      .Add("unsafe_recoveries", group.unsafe_recoveries().count())
      .Add("disk_full", group.disk_full())
      .Add("damaged", status.lost_data().damaged())
      .Add("damaged_open", status.lost_data().open())
      .Add("scrub", status.has_scrub() ? ScrubRow(status.scrub()) : Row(), ScrubText(status));
}

// A member that does not answer: what is not known is zero or empty.
Row UnreachableRow(const std::string& address) {
  v1::GroupStatus group;
  group.set_address(address);
  Row known = StatusRow(v1::GetStatusResponse(), group);
  Row row;
  for (const Row::Field& field : known.fields()) {
    if (field.name == "scrub") {
      row.Add("scrub", Row(), "");
    } else if (field.name == "role") {
      row.Add("role", "unreachable");
    } else if (field.json == "0") {
      row.Add(field.name, uint64_t{0});
    } else if (field.json == "false") {
      row.Add(field.name, false);
    } else {
      row.Add(field.name, field.name == "state" ? "" : field.text);
    }
  }
  return row;
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
  std::cerr << "note: node " << group.node() << ": the group was recovered unsafely "
            << unsafe.count() << (unsafe.count() == 1 ? " time" : " times") << ", last " << how
            << " at entry " << unsafe.index() << ", asked for at " << TimeOf(true, unsafe.asked())
            << std::endl;
}

int RunStatus(CliContext& context) {
  ClusterView view = ViewCluster(context.client(), context.endpoints());
  for (const ClusterView::Member& member : view.members) {
    if (!member.status.ok()) {
      context.output().Print(UnreachableRow(member.address));
      continue;
    }
    for (const v1::GroupStatus& group : member.status->groups()) {
      context.output().Print(StatusRow(*member.status, group));
      NoteOddities(group);
    }
    for (const std::string& warning : member.status->warnings()) {
      std::cerr << "warning: node " << member.status->node() << ": " << warning << std::endl;
    }
  }
  context.output().Flush();
  if (view.unreachable() == 0) return kExitOk;
  for (const ClusterView::Member& member : view.members) {
    if (!member.status.ok()) context.Fail(member.status.status());
  }
  return view.unreachable() == view.members.size() ? kExitUnavailable : kExitSomeFailed;
}

int RunWait(CliContext& context) {
  Retry retry(absl::Now() + absl::Nanoseconds(context.timeout().nanoseconds));
  std::string why_not;
  while (!ViewCluster(context.client(), context.endpoints()).Healthy(&why_not)) {
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

  auto healthy = std::make_shared<bool>(false);
  CLI::App& wait = context.AddVerb(app, "wait", "waits until the cluster is healthy (--timeout)",
                                   // The flag is written to as long as there is a verb.
                                   [&context, healthy] { return RunWait(context); });
  wait.add_flag("--healthy", *healthy, "every member serves and follows one leader")->required();

  context.AddVerb(app, "service-config",
                  "prints the configuration that makes a stock gRPC client follow the leader", [] {
                    std::cout << kServiceConfig << std::endl;
                    return static_cast<int>(kExitOk);
                  });
}

}  // namespace cairn
