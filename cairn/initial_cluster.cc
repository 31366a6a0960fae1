#include "cairn/initial_cluster.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace cairn {

bool IsAddress(const std::string& text) {
  size_t colon = text.rfind(':');
  int port = 0;
  return colon != std::string::npos && colon > 0 &&
         absl::SimpleAtoi(text.substr(colon + 1), &port) && port > 0 && port < 65536;
}

absl::StatusOr<Configuration> ParseInitialCluster(const std::string& text) {
  Configuration members;
  std::set<std::string> addresses;
  auto bad = [&](absl::string_view part, absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat("--initial_cluster: ", part, ": ", why));
  };
  for (const std::string& part : std::vector<std::string>(absl::StrSplit(text, ','))) {
    std::pair<std::string, std::string> id_address = absl::StrSplit(part, absl::MaxSplits('=', 1));
    uint64_t id = 0;
    if (!absl::SimpleAtoi(id_address.first, &id) || id == 0)
      return bad(part, "is not ID=HOST:PORT");
    if (!IsAddress(id_address.second)) return bad(part, "is not ID=HOST:PORT");
    NodeId node = static_cast<NodeId>(id);
    if (members.IsVoter(node)) return bad(part, "this id is there twice");
    if (!addresses.insert(id_address.second).second)
      return bad(part, "this address is there twice");
    members.voters.push_back({node, Incarnation::kUnknown, id_address.second});
  }
  if (members.voters.size() > 9) return bad(text, "more than 9 members");
  std::sort(members.voters.begin(), members.voters.end());
  return members;
}

}  // namespace cairn
