// EncryptedHeader: what an encrypted file begins with. FORMAT.md.

#ifndef STORAGE_ENCRYPTED_ENCRYPTED_HEADER_H_
#define STORAGE_ENCRYPTED_ENCRYPTED_HEADER_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/crypto/aead.h"
#include "storage/crypto/key_ring.h"
#include "storage/crypto/random_bytes.h"
#include "storage/crypto/wrapped_key.h"
#include "storage/file_system.h"

namespace cairn {

// Drawn for each file that is made, and its own whatever name it has.
using FileId = std::array<uint8_t, 16>;

struct EncryptedHeader {
  // It stands twice, each a sector, in pages of their own; then come the units.
  static constexpr uint64_t kCopyAt = 4096;
  static constexpr uint64_t kBytes = 8192;

  Cipher cipher = Cipher::kNone;
  FileId id = {};
  uint64_t key = 0;  // id of the master key
  std::array<uint8_t, 16> key_check = {};
  WrappedKey data_key;
  friend bool operator==(const EncryptedHeader&, const EncryptedHeader&) = default;

  // kSectorBytes long.
  std::string Encode() const;
  // Nothing if it is no header, or a damaged one. FAILED_PRECONDITION for a newer version or a
  // cipher that is not known.
  static absl::StatusOr<std::optional<EncryptedHeader>> Decode(absl::string_view sector);

  // Draws the id of a new file and wraps `data_key` by `master`.
  static EncryptedHeader Make(Cipher cipher, const MasterKey& master, const SecretKey& data_key,
                              RandomBytes& random);
  // Wraps `data_key`, the file's own, by another master key.
  void Rewrap(const SecretKey& data_key, const MasterKey& master, RandomBytes& random);
  // FAILED_PRECONDITION (IsMissingKey) if the master key is not there. DATA_LOSS if it is and does
  // not open the data key.
  absl::StatusOr<SecretKey> DataKey(const KeyRing* keys) const;

 private:
  std::string KeyPlace() const;
};

// Both copies of what a file begins with, as far as they are good ones.
struct EncryptedHeaders {
  std::optional<EncryptedHeader> first;
  std::optional<EncryptedHeader> second;

  bool none() const { return !first && !second; }
  const EncryptedHeader& any() const { return first ? *first : *second; }
};

// None of a file that is not encrypted. Errors are those of reading, but a copy that cannot be read
// counts as a bad one where the other one can; and as Decode gives them.
absl::StatusOr<EncryptedHeaders> ReadEncryptedHeaders(const File& file);

// The data key by whichever copy gives it. A key that is missing goes before damage.
absl::StatusOr<SecretKey> DataKeyOf(const EncryptedHeaders& headers, const KeyRing* keys);

// One copy after the other, each on the disk before the next step, so that whatever power cuts
// leave there is a good one: the bad one, if there is one, comes first.
absl::Status WriteEncryptedHeaders(FileSystem& file_system, File& file,
                                   const EncryptedHeader& header, bool second_first = false);

}  // namespace cairn

#endif  // STORAGE_ENCRYPTED_ENCRYPTED_HEADER_H_
