#include "storage/crypto/aead.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace cairn {
namespace {

const EVP_CIPHER* AlgorithmOf(Cipher cipher) {
  CAIRN_CHECK(cipher != Cipher::kNone);
  return cipher == Cipher::kAes256Gcm ? EVP_aes_256_gcm() : EVP_chacha20_poly1305();
}

const unsigned char* Unsigned(absl::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

unsigned char* Unsigned(char* bytes) { return reinterpret_cast<unsigned char*>(bytes); }

int Length(absl::string_view bytes) { return static_cast<int>(bytes.size()); }

// What OpenSSL refuses of us is an error of ours, or no memory.
void Must(int result) { CAIRN_CHECK_EQ(result, 1) << "OpenSSL"; }

}  // namespace

const char* CipherName(Cipher cipher) {
  switch (cipher) {
    case Cipher::kAes256Gcm:
      return "aes-256-gcm";
    case Cipher::kChaCha20Poly1305:
      return "chacha20-poly1305";
    case Cipher::kNone:
      break;
  }
  return "none";
}

std::optional<Cipher> ParseCipher(absl::string_view name) {
  for (Cipher cipher : {Cipher::kNone, Cipher::kAes256Gcm, Cipher::kChaCha20Poly1305}) {
    if (name == CipherName(cipher)) return cipher;
  }
  return std::nullopt;
}

SecretKey::SecretKey(absl::string_view bytes) {
  CAIRN_CHECK_GE(bytes.size(), kBytes);
  std::memcpy(bytes_.data(), bytes.data(), kBytes);
}

SecretKey SecretKey::Draw(RandomBytes& random) {
  SecretKey key;
  random.Fill(key.bytes_.data(), kBytes);
  return key;
}

SecretKey::~SecretKey() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }

SecretKey DeriveKey(const SecretKey& key, absl::string_view text) {
  unsigned char derived[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  CAIRN_CHECK(HMAC(EVP_sha256(), key.data(), SecretKey::kBytes, Unsigned(text), text.size(),
                   derived, &length) != nullptr)
      << "OpenSSL";
  CAIRN_CHECK_EQ(length, SecretKey::kBytes);
  SecretKey result(absl::string_view(reinterpret_cast<const char*>(derived), length));
  OPENSSL_cleanse(derived, sizeof(derived));
  return result;
}

void Aead::Free::operator()(evp_cipher_ctx_st* context) const { EVP_CIPHER_CTX_free(context); }

Aead::Aead(Cipher cipher, const SecretKey& key)
    : seal_(EVP_CIPHER_CTX_new()), open_(EVP_CIPHER_CTX_new()) {
  CAIRN_CHECK(seal_ != nullptr && open_ != nullptr) << "out of memory";
  const EVP_CIPHER* algorithm = AlgorithmOf(cipher);
  CAIRN_CHECK_EQ(EVP_CIPHER_get_iv_length(algorithm), static_cast<int>(kNonceBytes));
  // The key is set up once; each text brings its nonce.
  Must(EVP_EncryptInit_ex(seal_.get(), algorithm, nullptr, key.data(), nullptr));
  Must(EVP_DecryptInit_ex(open_.get(), algorithm, nullptr, key.data(), nullptr));
}

Aead::~Aead() = default;

void Aead::Seal(const Nonce& nonce, absl::string_view also, absl::string_view plain, char* to,
                char* tag) {
  EVP_CIPHER_CTX* context = seal_.get();
  int length = 0;
  Must(EVP_EncryptInit_ex(context, nullptr, nullptr, nullptr, nonce.data()));
  Must(EVP_EncryptUpdate(context, nullptr, &length, Unsigned(also), Length(also)));
  Must(EVP_EncryptUpdate(context, Unsigned(to), &length, Unsigned(plain), Length(plain)));
  CAIRN_CHECK_EQ(length, Length(plain));
  Must(EVP_EncryptFinal_ex(context, Unsigned(to) + length, &length));
  Must(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kTagBytes, tag));
}

bool Aead::Open(const Nonce& nonce, absl::string_view also, absl::string_view sealed,
                const char* tag, char* to) {
  EVP_CIPHER_CTX* context = open_.get();
  int length = 0;
  std::array<char, kTagBytes> expected;
  std::copy_n(tag, kTagBytes, expected.begin());
  Must(EVP_DecryptInit_ex(context, nullptr, nullptr, nullptr, nonce.data()));
  Must(EVP_DecryptUpdate(context, nullptr, &length, Unsigned(also), Length(also)));
  Must(EVP_DecryptUpdate(context, Unsigned(to), &length, Unsigned(sealed), Length(sealed)));
  CAIRN_CHECK_EQ(length, Length(sealed));
  Must(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kTagBytes, expected.data()));
  return EVP_DecryptFinal_ex(context, Unsigned(to) + length, &length) == 1;
}

}  // namespace cairn
