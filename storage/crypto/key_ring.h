// KeyRing: the master keys a program has, and what new blocks are encrypted with.

#ifndef STORAGE_CRYPTO_KEY_RING_H_
#define STORAGE_CRYPTO_KEY_RING_H_

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/mutex.h"
#include "storage/crypto/aead.h"
#include "storage/crypto/random_bytes.h"

namespace cairn {

// A master key and what follows from it. The id stands in block headers and is shown to people; it
// gives nothing away of the key. The check value tells two keys with one id apart.
struct MasterKey {
  SecretKey secret;
  uint64_t id = 0;
  std::array<uint8_t, 16> check = {};

  explicit MasterKey(const SecretKey& key);
};

// "00f3a9…": 16 hexadecimal digits.
std::string KeyIdText(uint64_t id);

// Keys as a file or a command gives them: 32 bytes and nothing else, or a line with 64 hexadecimal
// digits for each key, empty lines and lines that begin with # apart. INVALID_ARGUMENT naming
// `source` and the line, never its content.
absl::StatusOr<std::vector<MasterKey>> ParseMasterKeys(absl::string_view text,
                                                       absl::string_view source);

// Threads: any.
class KeyRing {
 public:
  // New blocks are encrypted by `cipher` with the first of `keys`, or not at all if it is kNone;
  // the others are for blocks that were written before. `source` is where the keys come from, for
  // errors. `random` outlives the ring.
  KeyRing(Cipher cipher, std::vector<MasterKey> keys, std::string source, RandomBytes& random);

  Cipher cipher() const { return cipher_; }
  RandomBytes& random() const { return random_; }
  // What new blocks are encrypted with; nothing if they are not.
  std::optional<MasterKey> current() const;
  std::optional<MasterKey> Find(uint64_t id) const;
  // Another one after each Replace.
  uint64_t version() const;
  // "FILE has the keys 00f3a9…, 41c0…".
  std::string Describe() const;

  // The keys were read again. FAILED_PRECONDITION naming the key, and nothing, if there are none,
  // or one is not among them that is still needed: that of new blocks until now, or one that a user
  // names;
  // or if a user cannot tell.
  absl::Status Replace(std::vector<MasterKey> keys);

  // The ids of the keys that something is wrapped by, or why that cannot be told now; asked by
  // Replace, on its thread.
  using KeysInUse = std::function<absl::StatusOr<std::set<uint64_t>>()>;
  // Who has such things, as long as this lives.
  class User {
   public:
    User(const KeyRing& ring, KeysInUse in_use);
    ~User();
    User(const User&) = delete;
    User& operator=(const User&) = delete;

   private:
    const KeyRing& ring_;
  };

 private:
  const Cipher cipher_;
  const std::string source_;
  RandomBytes& random_;
  mutable Mutex users_mutex_;  // before mutex_
  mutable std::map<const User*, KeysInUse> users_ CAIRN_GUARDED_BY(users_mutex_);
  mutable Mutex mutex_;
  std::vector<MasterKey> keys_ CAIRN_GUARDED_BY(mutex_);
  uint64_t version_ CAIRN_GUARDED_BY(mutex_) = 1;
};

}  // namespace cairn

#endif  // STORAGE_CRYPTO_KEY_RING_H_
