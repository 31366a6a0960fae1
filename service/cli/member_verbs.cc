#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "client/retry.h"
#include "service/cli/cluster_view.h"
#include "service/cli/context.h"
#include "service/cli/exit_code.h"
#include "service/cli/output.h"
#include "service/cli/verbs.h"

namespace cairn {
namespace {

// What is to become of a member by the change under way.
std::string ChangeOf(const v1::MemberStanding& member) {
  if (member.becomes_voter()) return "becomes voter";
  return member.leaves() ? "leaves" : "";
}

int RunList(CliContext& context) {
  absl::StatusOr<v1::ListMembersResponse> members = context.client().ListMembers();
  if (!members.ok()) return context.Fail(members.status());
  for (const v1::MemberStanding& member : members->members()) {
    std::string role = absl::AsciiStrToLower(
        absl::StripPrefix(v1::MemberRole_Name(member.role()), "MEMBER_ROLE_"));
    context.output().Print(Row()
                               .Add("node", member.node())
                               .Add("address", member.address())
                               .Add("role", role)
                               .Add("incarnation", member.incarnation())
                               .Add("change", ChangeOf(member)));
  }
  return kExitOk;
}

// Waits until no change is under way; the error is what is to be reported.
absl::Status AwaitChange(CliContext& context) {
  Retry retry(absl::Now() + absl::Nanoseconds(context.timeout().nanoseconds));
  while (true) {
    absl::StatusOr<v1::ListMembersResponse> members = context.client().ListMembers();
    if (members.ok() && !members->changing()) return absl::OkStatus();
    if (!retry.Pause()) {
      if (!members.ok()) return members.status();
      return absl::DeadlineExceededError(
          "the change was accepted and goes on; see cairn member list");
    }
  }
}

int Report(CliContext& context, uint64_t node, bool wait,
           const absl::StatusOr<v1::ChangeMembersResponse>& changed) {
  if (!changed.ok()) return context.Fail(changed.status(), true);
  if (wait) {
    if (absl::Status status = AwaitChange(context); !status.ok()) return context.Fail(status);
  }
  context.output().Print(Row()
                             .Add("node", node)
                             .Add("outcome", wait ? "done" : "accepted")
                             .Add("index", changed->index())
                             .Add("term", changed->term()));
  return kExitOk;
}

struct Arguments {
  std::string member;  // ID=ADDRESS
  uint64_t node = 0;
  bool learner = false;
  bool wait = false;
};

int RunAdd(CliContext& context, const Arguments& arguments) {
  v1::AddMemberRequest request;
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(arguments.member, absl::MaxSplits('=', 1));
  uint64_t node = 0;
  if (!absl::SimpleAtoi(parts.first, &node) || node == 0 || parts.second.empty()) {
    return context.Fail(
        absl::InvalidArgumentError(absl::StrCat(arguments.member, " is not ID=HOST:PORT")));
  }
  request.set_node(node);
  request.set_address(parts.second);
  request.set_learner(arguments.learner);
  return Report(context, node, arguments.wait, context.client().AddMember(request));
}

void AddWaitFlag(CLI::App& verb, bool* wait) {
  verb.add_flag("--wait", *wait, "until the change is done (--timeout)");
}

void AddMemberFamily(CLI::App& app, CliContext& context) {
  CLI::App* member = app.add_subcommand("member", "who the members are");
  member->require_subcommand(1);
  member->fallthrough();
  auto arguments = std::make_shared<Arguments>();

  context.AddVerb(*member, "list", "all members, by the leader's log",
                  [&context] { return RunList(context); });

  CLI::App& add = context.AddVerb(
      *member, "add",
      "adds a node that runs with --join: as a learner, then, once it has caught up, as a voter",
      [&context, arguments] { return RunAdd(context, *arguments); });
  add.add_option("ID=ADDRESS", arguments->member, "the node and what others dial")->required();
  add.add_flag("--learner", arguments->learner, "it never votes, until it is promoted");
  AddWaitFlag(add, &arguments->wait);

  CLI::App& promote = context.AddVerb(
      *member, "promote", "makes a learner that has caught up a voter", [&context, arguments] {
        return Report(context, arguments->node, arguments->wait,
                      context.client().PromoteMember(arguments->node));
      });
  CLI::App& remove =
      context.AddVerb(*member, "remove", "removes a member; the leader hands over before it goes",
                      [&context, arguments] {
                        return Report(context, arguments->node, arguments->wait,
                                      context.client().RemoveMember(arguments->node));
                      });
  for (CLI::App* verb : {&promote, &remove}) {
    verb->add_option("ID", arguments->node, "the member")->required();
    AddWaitFlag(*verb, &arguments->wait);
  }

  context.AddVerb(
      *member, "cancel", "undoes the change under way, unless it is joint already",
      [&context] { return Report(context, 0, false, context.client().CancelMemberChange()); });
  AddUnsafeMemberVerbs(*member, context);
}

// Each member saves its own state; those that do not are errors, and the others count.
int RunSnapshot(CliContext& context) {
  const ClusterView view = ViewCluster(context.client(), context.endpoints());
  std::vector<absl::Status> failed;
  for (const ClusterView::Member& member : view.members) {
    const absl::StatusOr<v1::TakeSnapshotResponse> taken =
        member.status.ok() ? context.client().TakeSnapshot(member.address)
                           : absl::StatusOr<v1::TakeSnapshotResponse>(member.status.status());
    v1::TakeSnapshotResponse row;
    row.set_address(member.address);
    if (member.status.ok()) row.set_node(member.status->node());
    if (taken.ok()) {
      row = *taken;
    } else {
      failed.push_back(taken.status());
    }
    const std::string role =
        absl::AsciiStrToLower(absl::StripPrefix(v1::MemberRole_Name(row.role()), "MEMBER_ROLE_"));
    context.output().Print(Row()
                               .Add("node", row.node())
                               .Add("address", row.address())
                               .Add("role", taken.ok() ? role : "")
                               .Add("incarnation", row.incarnation())
                               .Add("outcome", taken.ok() ? "done" : "failed")
                               .Add("index", row.index())
                               .Add("term", row.term()));
  }
  context.output().Flush();
  if (failed.empty()) return kExitOk;
  int code = kExitOk;
  for (const absl::Status& status : failed) code = context.Fail(status);
  return failed.size() == view.members.size() ? code : static_cast<int>(kExitSomeFailed);
}

int RunTransfer(CliContext& context, uint64_t node) {
  absl::StatusOr<uint64_t> leader = context.client().TransferLeadership(node);
  if (!leader.ok()) return context.Fail(leader.status(), true);
  context.output().Print(Row().Add("leader", *leader).Add("outcome", "done"));
  return kExitOk;
}

}  // namespace

void AddMemberVerbs(CLI::App& app, CliContext& context) {
  AddMemberFamily(app, context);

  context.AddVerb(app, "snapshot",
                  "has each member save its state now and drop the log before it, as far as "
                  "cairnd --retained_log_bytes allows",
                  [&context] { return RunSnapshot(context); });

  CLI::App* leader = app.add_subcommand("leader", "who leads");
  leader->require_subcommand(1);
  leader->fallthrough();
  auto node = std::make_shared<uint64_t>(0);
  CLI::App& transfer =
      context.AddVerb(*leader, "transfer", "hands leadership over to another voter",
                      [&context, node] { return RunTransfer(context, *node); });
  transfer.add_option("ID", *node, "who shall lead (default: the voter that holds most)");
}

}  // namespace cairn
