#include "tests/sim/sim_keys.h"

namespace cairn::sim {

SimKeys::SimKeys(uint64_t seed) : random_(seed), used_(random_.OneIn(4)), bytes_(random_.Next()) {}

std::shared_ptr<const KeyRing> SimKeys::Next() {
  if (!used_) return nullptr;
  if (keys_.empty() || random_.OneIn(3)) {
    keys_.insert(keys_.begin(), MasterKey(SecretKey::Draw(bytes_)));
  }
  Cipher cipher = random_.OneIn(2) ? Cipher::kAes256Gcm : Cipher::kChaCha20Poly1305;
  if (random_.OneIn(4)) cipher = Cipher::kNone;
  // As often as not the one of the process before.
  if (current_ != nullptr && random_.OneIn(2)) cipher = current_->cipher();
  current_ = std::make_shared<KeyRing>(cipher, keys_, "the simulation", bytes_);
  return current_;
}

}  // namespace cairn::sim
