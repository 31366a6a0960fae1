#include "service/membership/joiner.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/errors.h"

namespace cairn {
namespace {

// One try; a leader that does not answer is looked for again.
constexpr Duration kTryPatience = Seconds(5);
constexpr char kRemoved[] = "MEMBER_REMOVED";

std::optional<ClusterId> ParseClusterId(const std::string& text) {
  const std::string digits = absl::StrReplaceAll(text, {{"-", ""}});
  ClusterId id;
  const auto is_digit = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  };
  if (digits.size() != 2 * id.bytes.size() ||
      !std::all_of(digits.begin(), digits.end(), is_digit)) {
    return std::nullopt;
  }
  const std::string bytes = absl::HexStringToBytes(digits);
  std::copy(bytes.begin(), bytes.end(), id.bytes.begin());
  return id;
}

std::unique_ptr<Client> MakeClient(const std::vector<std::string>& addresses, Duration timeout) {
  ClientOptions options;
  options.endpoints = addresses;
  options.timeout = timeout;
  options.name = "cairnd --join";
  return Client::Create(std::move(options));
}

}  // namespace

absl::StatusOr<FormedCluster> FindCluster(const std::vector<std::string>& addresses, NodeId node,
                                          Duration patience) {
  absl::StatusOr<v1::ListMembersResponse> found = MakeClient(addresses, patience)->ListMembers();
  if (!found.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat("no cluster was found to join: ", found.status().message()));
  }
  const std::optional<ClusterId> id = ParseClusterId(found->cluster_id());
  if (!id) {
    return absl::InternalError(
        absl::StrCat("\"", absl::Utf8SafeCHexEscape(found->cluster_id()), "\" is no cluster id"));
  }
  FormedCluster cluster = {.id = *id, .members = {}};
  for (const v1::MemberStanding& member : found->members()) {
    if (NodeId{member.node()} == node) {
      // Added before it was there to say which disk it has.
      if (member.incarnation() == 0) continue;
      return absl::FailedPreconditionError(absl::StrCat(
          "MEMBER_AMNESIA: node ", member.node(),
          " is a member already, with the data directory of incarnation ", member.incarnation()));
    }
    cluster.members.voters.push_back(
        {NodeId{member.node()}, Incarnation{member.incarnation()}, member.address()});
  }
  if (absl::Status status = Validate(cluster.members); !status.ok()) return status;
  return cluster;
}

Joiner::Joiner(Options options)
    : options_(std::move(options)), retry_(absl::InfiniteFuture()), thread_([this] { Run(); }) {}

Joiner::~Joiner() {
  retry_.Cancel();
  thread_.join();
}

void Joiner::Run() {
  v1::AddMemberRequest request;
  request.set_node(ToInteger(options_.self.node));
  request.set_incarnation(ToInteger(options_.self.incarnation));
  request.set_address(options_.self.address);
  request.set_learner(options_.learner);
  const std::unique_ptr<Client> client = MakeClient(options_.addresses, kTryPatience);
  std::string said;
  while (!options_.joined()) {
    const absl::Status status = client->AddMember(request).status();
    const std::string news =
        status.ok()
            ? "the cluster takes this node in"
            : absl::StrCat("the cluster does not take this node in yet: ", status.message());
    if (news != said) {
      options_.log->Log(status.ok() ? LogLevel::kInfo : LogLevel::kWarning, news);
    }
    said = news;
    if (ReasonOf(status) == kRemoved) {
      return options_.removed(
          absl::FailedPreconditionError(absl::StrCat(kRemoved, ": ", status.message())));
    }
    if (!retry_.Pause()) return;
  }
}

}  // namespace cairn
