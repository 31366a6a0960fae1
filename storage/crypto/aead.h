// Aead: authenticated encryption, by OpenSSL.

#ifndef STORAGE_CRYPTO_AEAD_H_
#define STORAGE_CRYPTO_AEAD_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/strings/string_view.h"
#include "storage/crypto/random_bytes.h"

struct evp_cipher_ctx_st;

namespace cairn {

// The numbers stand in block headers.
enum class Cipher : uint32_t {
  kNone = 0,
  kAes256Gcm = 1,
  kChaCha20Poly1305 = 2,
};

// "aes-256-gcm", "chacha20-poly1305", "none"; nothing for another text.
const char* CipherName(Cipher cipher);
std::optional<Cipher> ParseCipher(absl::string_view name);

// 256 bits that nobody else has. Memory is overwritten when they are no longer needed.
class SecretKey {
 public:
  static constexpr size_t kBytes = 32;
  // Takes the first kBytes of `bytes`.
  explicit SecretKey(absl::string_view bytes);
  static SecretKey Draw(RandomBytes& random);
  SecretKey(const SecretKey&) = default;
  SecretKey& operator=(const SecretKey&) = default;
  ~SecretKey();

  const uint8_t* data() const { return bytes_.data(); }
  absl::string_view view() const {
    return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
  }

 private:
  SecretKey() = default;
  std::array<uint8_t, kBytes> bytes_ = {};
};

// HMAC-SHA-256 of `text` under `key`, 32 bytes.
SecretKey DeriveKey(const SecretKey& key, absl::string_view text);

// One cipher under one key. No nonce may be given to Seal twice with other bytes to encrypt or to
// authenticate: with both ciphers that gives the texts away, and lets anybody forge more.
// Threads: one at a time; several objects may have the same key.
class Aead {
 public:
  static constexpr size_t kNonceBytes = 12;
  static constexpr size_t kTagBytes = 16;
  using Nonce = std::array<uint8_t, kNonceBytes>;

  // `cipher` is not kNone.
  Aead(Cipher cipher, const SecretKey& key);
  ~Aead();
  Aead(Aead&&) = delete;

  // Writes as many bytes as `plain` has to `to`, and kTagBytes to `tag`. `also` is authenticated
  // and not encrypted.
  void Seal(const Nonce& nonce, absl::string_view also, absl::string_view plain, char* to,
            char* tag);
  // The reverse. False if any of it is not as it was given to, or made by, Seal; what is in `to`
  // then must not be used.
  bool Open(const Nonce& nonce, absl::string_view also, absl::string_view sealed, const char* tag,
            char* to);

 private:
  struct Free {
    void operator()(evp_cipher_ctx_st* context) const;
  };
  std::unique_ptr<evp_cipher_ctx_st, Free> seal_;
  std::unique_ptr<evp_cipher_ctx_st, Free> open_;
};

}  // namespace cairn

#endif  // STORAGE_CRYPTO_AEAD_H_
