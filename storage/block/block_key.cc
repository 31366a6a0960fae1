#include "storage/block/block_key.h"

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

bool IsMissingKey(const absl::Status& status) { return status.GetPayload(kMissingKey).has_value(); }

SecretKey MakeBlockKey(BlockHeader& header, Cipher cipher, const MasterKey& master,
                       RandomBytes& random) {
  header.encryption.cipher = cipher;
  header.encryption.revision = 1;
  SecretKey data_key = SecretKey::Draw(random);
  RewrapBlockKey(header, data_key, master, random);
  return data_key;
}

absl::StatusOr<SecretKey> RecoverBlockKey(const BlockHeader& header, const KeyRing* keys) {
  if (keys == nullptr) {
    return MissingKey(absl::StrCat("encrypted with key ", KeyIdText(header.key),
                                   ", and no key was given: give it"));
  }
  const std::optional<MasterKey> master = keys->Find(header.key);
  if (!master || master->check != header.key_check) {
    return MissingKey(absl::StrCat("encrypted with key ", KeyIdText(header.key), ", but ",
                                   keys->Describe(), ": give that key too"));
  }
  std::optional<SecretKey> data_key =
      UnwrapKey(master->secret, header.KeyPlace(), header.encryption.data_key);
  if (!data_key) {
    return absl::DataLossError(absl::StrCat("what stands there as its data key is damaged: key ",
                                            KeyIdText(header.key), " does not open it"));
  }
  return *data_key;
}

void RewrapBlockKey(BlockHeader& header, const SecretKey& data_key, const MasterKey& master,
                    RandomBytes& random) {
  header.key = master.id;
  header.key_check = master.check;
  header.encryption.data_key = WrapKey(master.secret, header.KeyPlace(), data_key, random);
}

}  // namespace cairn
