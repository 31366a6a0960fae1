// SectorCipher: how the units of an encrypted file stand on the disk. FORMAT.md.

#ifndef STORAGE_ENCRYPTED_SECTOR_CIPHER_H_
#define STORAGE_ENCRYPTED_SECTOR_CIPHER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/mutex.h"
#include "base/thread_annotations.h"
#include "storage/crypto/aead.h"
#include "storage/crypto/random_bytes.h"
#include "storage/file_system.h"

namespace cairn {

// A unit is a sector, which a disk writes whole or not at all: so a unit that is written again
// holds the old or the new text after a power cut, as a sector of a plain file does. In it stand a
// nonce, the encrypted text with its length, and a tag.
inline constexpr size_t kUnitBytes = kSectorBytes;
// Of the text.
inline constexpr size_t kUnitTextBytes =
    kUnitBytes - Aead::kNonceBytes - sizeof(uint16_t) - Aead::kTagBytes;

// Nonces of which none is given twice, by this object or another one: a number that is drawn, and
// one that counts. Threads: one at a time.
class NonceSource {
 public:
  explicit NonceSource(RandomBytes& random) : random_(random) {}
  Aead::Nonce Next();

 private:
  RandomBytes& random_;
  Aead::Nonce last_ = {};
  bool drawn_ = false;
};

// The cipher of one file. Threads: any.
class SectorCipher {
 public:
  SectorCipher(Cipher cipher, const SecretKey& key);

  // Some units. Threads: one at a time.
  class Use {
   public:
    explicit Use(SectorCipher& cipher);
    ~Use();
    Use(const Use&) = delete;

    // Writes kUnitBytes to `to`. `text` is at most kUnitTextBytes long.
    void Seal(const Aead::Nonce& nonce, uint64_t unit, absl::string_view text, char* to);
    // Writes the text to `to`, kUnitTextBytes long with zeros behind it, and gives its length; a
    // unit that was never written is all zeros. Nothing if it is not as it was written, there.
    std::optional<size_t> Open(uint64_t unit, const char* from, char* to);

   private:
    SectorCipher& cipher_;
    std::unique_ptr<Aead> aead_;
  };

 private:
  const Cipher cipher_;
  const SecretKey key_;
  Mutex mutex_;
  std::vector<std::unique_ptr<Aead>> idle_ CAIRN_GUARDED_BY(mutex_);
};

}  // namespace cairn

#endif  // STORAGE_ENCRYPTED_SECTOR_CIPHER_H_
