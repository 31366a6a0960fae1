#include "storage/block/block_key.h"

#include <optional>

#include "absl/strings/str_cat.h"

namespace cairn {

SecretKey MakeBlockKey(BlockHeader& header, Cipher cipher, const MasterKey& master,
                       RandomBytes& random) {
  header.encryption.cipher = cipher;
  header.encryption.revision = 1;
  SecretKey data_key = SecretKey::Draw(random);
  RewrapBlockKey(header, data_key, master, random);
  return data_key;
}

absl::StatusOr<SecretKey> RecoverBlockKey(const BlockHeader& header, const KeyRing* keys) {
  const absl::StatusOr<MasterKey> master = FindMasterKey(keys, header.key, header.key_check);
  if (!master.ok()) return master.status();
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
