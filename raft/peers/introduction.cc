#include "raft/peers/introduction.h"

#include "absl/strings/str_cat.h"

namespace cairn {

absl::Status Validate(const Introduction& introduction) {
  const LogPosition at = introduction.at;
  if (introduction.group == GroupId::kNone) {
    return absl::InvalidArgumentError("an introduction for no group");
  }
  if (at.index == 0 || at.index > kMaxIndex || at.term == 0 || at.term > kMaxTerm) {
    return absl::InvalidArgumentError(
        absl::StrCat("TERM_RANGE: an introduction by configuration ", ToString(at)));
  }
  if (introduction.address.empty() || introduction.address.size() > kMaxAddressBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("an introduction with an address of ", introduction.address.size(), " bytes"));
  }
  if (introduction.disks_before.size() > kMaxDisksBefore) {
    return absl::InvalidArgumentError(
        absl::StrCat("an introduction with ", introduction.disks_before.size(), " disks before"));
  }
  return absl::OkStatus();
}

bool MayBeNews(const Introduction& introduction, Index commit, LogPosition configuration) {
  return introduction.at.index > commit && introduction.at.term >= configuration.term;
}

}  // namespace cairn
