// CraftedBlocks: the files of a block log as a forger sees them: pieces that can be changed, with
// every checksum, tag and hash that depends on them made to fit.

#ifndef TESTS_STORAGE_FUZZ_CRAFTED_BLOCKS_H_
#define TESTS_STORAGE_FUZZ_CRAFTED_BLOCKS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "storage/block/block_header.h"
#include "storage/crypto/key_ring.h"
#include "storage/file_system.h"

namespace cairn {

// Something with a checksum. Of an encrypted block `at` counts plain text.
struct CraftedPiece {
  enum class Kind { kHeader, kSeal, kIdRecord, kRecord, kFooter, kFrameTable, kFrame };
  Kind kind = Kind::kHeader;
  size_t block = 0;  // which file, from 0
  uint64_t at = 0;   // of a header: which copy
  size_t size = 0;
  size_t number = 0;  // of a frame
  size_t plain = 0;   // of a frame: what it expands to
};
const char* NameOf(CraftedPiece::Kind kind);

class CraftedBlocks {
 public:
  // All blocks in `directory`, each of which can be read. `keys` may be null.
  CraftedBlocks(FileSystem& file_system, std::string directory,
                std::shared_ptr<const KeyRing> keys);

  const std::vector<CraftedPiece>& pieces() const { return pieces_; }
  std::string Get(const CraftedPiece& piece) const;

  // The piece is `bytes` from now on, as long as before, but for its checksums, which fit. `chain`:
  // so does what names its hash or its tag elsewhere, and what names that.
  void Change(const CraftedPiece& piece, std::string bytes, bool chain);

  // Writes the files again.
  void Write(FileSystem& file_system) const;

 private:
  struct Block {
    std::string path;
    std::string headers[2];
    BlockHeader header;
    uint64_t unit = 0;  // of `plain`
    std::optional<SecretKey> data_key;
    std::string plain;                // what the file stores, decrypted; the headers do not count
    std::vector<uint32_t> revisions;  // of each unit of an encrypted block, 0: never written
  };

  void Load(FileSystem& file_system, const std::string& path);
  void FindPieces(size_t number);
  void FindCompressedPieces(size_t number);
  void FindByMagic(size_t number);
  void Put(const CraftedPiece& piece, absl::string_view bytes);
  void Fit(const CraftedPiece& piece, std::string& bytes) const;
  void FitWhatNamesIt(const CraftedPiece& piece, const std::string& bytes);
  // In all pieces but `but`, of one block or of all.
  void Replace(const CraftedPiece& but, bool everywhere, const std::string& was,
               const std::string& now);

  const std::string directory_;
  const std::shared_ptr<const KeyRing> keys_;
  std::vector<Block> blocks_;
  std::vector<CraftedPiece> pieces_;
  int steps_ = 0;  // of the change under way; a chain may be a ring
};

}  // namespace cairn

#endif  // TESTS_STORAGE_FUZZ_CRAFTED_BLOCKS_H_
