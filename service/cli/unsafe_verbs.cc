// member unsafe-evict, member unsafe-rescue-quorum: for a majority that is lost for good.

#include <algorithm>
#include <iostream>
#include <iterator>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "client/errors.h"
#include "client/retry.h"
#include "service/cli/cluster_view.h"
#include "service/cli/context.h"
#include "service/cli/exit_code.h"
#include "service/cli/output.h"
#include "service/cli/verbs.h"

namespace cairn {
namespace {

struct UnsafeArguments {
  std::vector<uint64_t> evicted;
  uint64_t quorum = 0;
  Duration expiry = Seconds(300);
  bool really = false;
  bool plan = false;
};

// A voter that answers.
struct Survivor {
  std::string address;
  v1::GroupStatus group;
};

struct Picture {
  std::vector<Survivor> survivors;  // the longest log first
  std::vector<uint64_t> silent;     // voters that do not answer
};

bool LongerLog(const Survivor& a, const Survivor& b) {
  const v1::GroupStatus& x = a.group;
  const v1::GroupStatus& y = b.group;
  return x.last_term() != y.last_term() ? x.last_term() > y.last_term()
                                        : x.last_index() > y.last_index();
}

Picture Look(CliContext& context) {
  Picture picture;
  std::set<uint64_t> answering;
  std::set<uint64_t> voters;
  for (ClusterView::Member& member : ViewCluster(context.client(), context.endpoints()).members) {
    if (!member.status.ok()) continue;
    for (const v1::GroupStatus& group : member.status->groups()) {
      bool votes = false;
      for (const v1::GroupMember& other : group.members()) {
        if (other.learner()) continue;
        voters.insert(other.node());
        votes |= other.node() == group.node();
      }
      if (!votes || !answering.insert(group.node()).second) continue;
      picture.survivors.push_back({member.address, group});
    }
  }
  std::stable_sort(picture.survivors.begin(), picture.survivors.end(), LongerLog);
  std::set_difference(voters.begin(), voters.end(), answering.begin(), answering.end(),
                      std::back_inserter(picture.silent));
  return picture;
}

bool Names(const std::vector<uint64_t>& nodes, uint64_t node) {
  return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

// What speaks against it from here, beyond what the members themselves refuse.
absl::Status Precheck(const Picture& picture, const UnsafeArguments& arguments) {
  if (picture.survivors.empty()) return absl::UnavailableError("no voter answers");
  for (const Survivor& survivor : picture.survivors) {
    if (!Names(arguments.evicted, survivor.group.node())) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("node ", survivor.group.node(), " answers: it is not lost"));
  }
  for (uint64_t node : picture.silent) {
    if (arguments.quorum > 0 || Names(arguments.evicted, node)) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("node ", node,
                     " does not answer and is not to be evicted: every voter that is "
                     "left has to vote, so bring it back or evict it, too"));
  }
  return absl::OkStatus();
}

v1::UnsafeRecoverRequest RequestOf(const UnsafeArguments& arguments, bool really) {
  v1::UnsafeRecoverRequest request;
  for (uint64_t node : arguments.evicted) request.add_evicted(node);
  request.set_quorum(arguments.quorum);
  request.mutable_expiry()->set_seconds(arguments.expiry.nanoseconds / 1'000'000'000);
  request.mutable_expiry()->set_nanos(
      static_cast<int32_t>(arguments.expiry.nanoseconds % 1'000'000'000));
  request.set_unsafe_really(really);
  return request;
}

std::string SinceLeader(const v1::UnsafeRecoverResponse& plan) {
  if (!plan.has_since_leader()) return "none since its start";
  const double seconds = static_cast<double>(plan.since_leader().seconds()) +
                         static_cast<double>(plan.since_leader().nanos()) / 1e9;
  return absl::StrFormat("%.1f s", seconds);
}

// One line a survivor, then what it comes to. Nothing is done.
absl::Status PrintPlan(CliContext& context, const Picture& picture,
                       const UnsafeArguments& arguments) {
  v1::UnsafeRecoverResponse best;
  uint64_t known_committed = 0;
  for (const Survivor& survivor : picture.survivors) {
    absl::StatusOr<v1::UnsafeRecoverResponse> plan =
        context.client().UnsafeRecover(survivor.address, RequestOf(arguments, false));
    if (!plan.ok()) return plan.status();
    context.output().Print(Row()
                               .Add("node", plan->node())
                               .Add("address", survivor.address)
                               .Add("last_index", plan->last_index())
                               .Add("last_term", plan->last_term())
                               .Add("commit_index", plan->commit_index())
                               .Add("applied_index", plan->applied_index())
                               .Add("since_leader", SinceLeader(*plan)));
    known_committed = std::max<uint64_t>(known_committed, plan->commit_index());
    if (best.node() == 0) best = *plan;
  }
  const uint64_t unsure =
      best.last_index() > known_committed ? best.last_index() - known_committed : 0;
  context.output().Print(Row()
                             .Add("longest_log", best.node())
                             .Add("votes_needed", best.votes_needed())
                             .Add("majority", best.natural_quorum())
                             .Add("known_committed", known_committed)
                             .Add("kept_and_unsure", unsure)
                             .Add("may_be_lost", best.may_be_lost()));
  context.output().Flush();
  return absl::OkStatus();
}

// Tells every survivor, the one of the longest log first. A later one may follow it already.
absl::Status Tell(CliContext& context, const Picture& picture, const UnsafeArguments& arguments) {
  for (const Survivor& survivor : picture.survivors) {
    absl::StatusOr<v1::UnsafeRecoverResponse> told =
        context.client().UnsafeRecover(survivor.address, RequestOf(arguments, true));
    const bool follows = !told.ok() && ReasonOf(told.status()) == "MAJORITY_NOT_LOST" &&
                         &survivor != &picture.survivors.front();
    if (!told.ok() && !follows) return told.status();
    context.output().Print(Row()
                               .Add("node", survivor.group.node())
                               .Add("outcome", follows ? "follows a leader already" : "told"));
  }
  context.output().Flush();
  return absl::OkStatus();
}

int AwaitLeader(CliContext& context) {
  Retry retry(absl::Now() + absl::Nanoseconds(context.timeout().nanoseconds));
  while (true) {
    const ClusterView view = ViewCluster(context.client(), context.endpoints());
    if (const ClusterView::Leader leader = view.leader(); leader.node != 0) {
      for (const ClusterView::Member& member : view.members) {
        if (!member.status.ok() || member.status->node() != leader.node) continue;
        const v1::UnsafeRecoveries& unsafe = member.status->groups(0).unsafe_recoveries();
        context.output().Print(Row()
                                   .Add("leader", leader.node)
                                   .Add("outcome", "done")
                                   .Add("unsafe_recoveries", unsafe.count()));
        return kExitOk;
      }
    }
    if (!retry.Pause()) {
      return context.Fail(absl::DeadlineExceededError(
          "the members were told, and nobody leads yet; see cairn status"));
    }
  }
}

int Run(CliContext& context, const UnsafeArguments& arguments) {
  const Picture picture = Look(context);
  if (absl::Status status = Precheck(picture, arguments); !status.ok()) {
    return context.Fail(status);
  }
  if (absl::Status status = PrintPlan(context, picture, arguments); !status.ok()) {
    return context.Fail(status);
  }
  if (!arguments.really) {
    std::cerr << "note: nothing was done; with --unsafe-really it is" << std::endl;
    return kExitOk;
  }
  if (absl::Status status = Tell(context, picture, arguments); !status.ok()) {
    return context.Fail(status);
  }
  return AwaitLeader(context);
}

CLI::App& AddUnsafeVerb(CLI::App& member, CliContext& context, const std::string& name,
                        const std::string& description,
                        const std::shared_ptr<UnsafeArguments>& arguments) {
  CLI::App& verb = context.AddVerb(member, name, description,
                                   [&context, arguments] { return Run(context, *arguments); });
  CLI::Option* plan =
      verb.add_flag("--plan", arguments->plan, "only says what would be lost (without flags, too)");
  verb.add_flag("--unsafe-really", arguments->really,
                "does it: tells every member that answers, the longest log first")
      ->excludes(plan);
  AddDurationFlag(verb, "--expiry", &arguments->expiry,
                  "as before after this long, if nobody was elected; 1h at most");
  return verb;
}

}  // namespace

void AddUnsafeMemberVerbs(CLI::App& member, CliContext& context) {
  auto evict = std::make_shared<UnsafeArguments>();
  AddUnsafeVerb(
      member, context, "unsafe-evict",
      "UNSAFE: a majority is lost for good: goes on without these members. What they alone "
      "have acknowledged is lost, and status says so for ever",
      evict)
      .add_option("ID", evict->evicted, "the lost members, with commas between")
      ->required()
      ->delimiter(',')
      ->check(CLI::PositiveNumber);
  auto rescue = std::make_shared<UnsafeArguments>();
  AddUnsafeVerb(
      member, context, "unsafe-rescue-quorum",
      "UNSAFE: a majority is lost for good: so many voters are enough, until the lost ones "
      "are removed with cairn member remove or it expires",
      rescue)
      .add_option("N", rescue->quorum, "voters that are enough, fewer than a majority")
      ->required()
      ->check(CLI::PositiveNumber);
}

}  // namespace cairn
