#include "storage/crypto/missing_key.h"

#include <optional>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace cairn {
namespace {

constexpr char kMissingKey[] = "cairn.dev/missing-key";

absl::Status MissingKey(absl::string_view what) {
  absl::Status status = absl::FailedPreconditionError(what);
  status.SetPayload(kMissingKey, absl::Cord());
  return status;
}

}  // namespace

absl::StatusOr<MasterKey> FindMasterKey(const KeyRing* keys, uint64_t id,
                                        const std::array<uint8_t, 16>& check) {
  if (keys == nullptr) {
    return MissingKey(
        absl::StrCat("encrypted with key ", KeyIdText(id), ", and no key was given: give it"));
  }
  const std::optional<MasterKey> master = keys->Find(id);
  if (!master || master->check != check) {
    return MissingKey(absl::StrCat("encrypted with key ", KeyIdText(id), ", but ", keys->Describe(),
                                   ": give that key too"));
  }
  return *master;
}

bool IsMissingKey(const absl::Status& status) { return status.GetPayload(kMissingKey).has_value(); }

absl::Status MissingKeyOf(absl::string_view what, const absl::Status& status) {
  return MissingKey(absl::StrCat(what, " is ", status.message()));
}

}  // namespace cairn
