#include "storage/crypto/wrapped_key.h"

#include <openssl/crypto.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace cairn {
namespace {

constexpr Aead::Nonce kOnlyNonce = {};

template <size_t size>
absl::string_view View(const std::array<uint8_t, size>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

SecretKey WrappingKey(const SecretKey& master, absl::string_view place, const WrappedKey& wrapped) {
  return DeriveKey(master, absl::StrCat("cairn block key 1", View(wrapped.salt), place));
}

}  // namespace

WrappedKey WrapKey(const SecretKey& master, absl::string_view place, const SecretKey& data_key,
                   RandomBytes& random) {
  WrappedKey wrapped;
  random.Fill(wrapped.salt.data(), wrapped.salt.size());
  Aead aead(Cipher::kAes256Gcm, WrappingKey(master, place, wrapped));
  aead.Seal(kOnlyNonce, place, data_key.view(), reinterpret_cast<char*>(wrapped.sealed.data()),
            reinterpret_cast<char*>(wrapped.tag.data()));
  return wrapped;
}

std::optional<SecretKey> UnwrapKey(const SecretKey& master, absl::string_view place,
                                   const WrappedKey& wrapped) {
  Aead aead(Cipher::kAes256Gcm, WrappingKey(master, place, wrapped));
  char opened[SecretKey::kBytes];
  std::optional<SecretKey> key;
  if (aead.Open(kOnlyNonce, place, View(wrapped.sealed),
                reinterpret_cast<const char*>(wrapped.tag.data()), opened)) {
    key.emplace(absl::string_view(opened, sizeof(opened)));
  }
  OPENSSL_cleanse(opened, sizeof(opened));
  return key;
}

}  // namespace cairn
