// EncryptedFile: a file that holds its text encrypted.

#ifndef STORAGE_ENCRYPTED_ENCRYPTED_FILE_H_
#define STORAGE_ENCRYPTED_ENCRYPTED_FILE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/mutex.h"
#include "base/thread_annotations.h"
#include "storage/encrypted/sector_cipher.h"
#include "storage/file_system.h"

namespace cairn {

// What all handles of one file share, whatever name it has or had: its key, and who writes to it.
struct EncryptedFileState {
  EncryptedFileState(Cipher cipher, const SecretKey& key, RandomBytes& random)
      : sectors(cipher, key), nonces(random) {}

  SectorCipher sectors;
  Mutex writing;
  NonceSource nonces CAIRN_GUARDED_BY(writing);
  // Of the text; nothing: not known.
  std::optional<uint64_t> size CAIRN_GUARDED_BY(writing);
  // The text of the last unit, if that is not full, so that appending reads nothing.
  std::optional<std::string> tail CAIRN_GUARDED_BY(writing);
};

// Offsets and lengths are those of the text. As File says, and: a unit that is not as it was
// written cannot be read (DATA_LOSS), while those around it can. Where a part of it is written, the
// rest of it becomes bytes that pass no check.
class EncryptedFile final : public File {
 public:
  // Of `real`, the header is good and its key that of `state`. `held` is kept as long as the file.
  EncryptedFile(std::unique_ptr<File> real, std::shared_ptr<EncryptedFileState> state,
                std::shared_ptr<void> held);
  ~EncryptedFile() override;

  // What is synced.
  File& real() { return *real_; }

  const std::string& path() const override { return real_->path(); }
  absl::StatusOr<uint64_t> Size() const override;
  absl::StatusOr<size_t> Read(uint64_t offset, size_t length, char* to) const override;
  absl::StatusOr<size_t> ReadDirect(uint64_t offset, size_t length, char* to) const override;
  bool NoticesRot() const override { return true; }
  bool IsCached(uint64_t offset) const override;
  absl::Status Write(uint64_t offset, absl::string_view data) override;
  void StartWriteback(uint64_t offset, uint64_t length) override;
  void DropCached(uint64_t offset, uint64_t length) const override;
  absl::Status Resize(uint64_t length) override;

  // How long the file is that holds so much text.
  static uint64_t StoredBytes(uint64_t length);
  // All of the text is zeros now, without a unit that was written, and `length` long.
  absl::Status BecomesZeroes(uint64_t length);

 private:
  // Reads the stored units [first, first + count), as many as there are, to where it then says.
  using ReadUnits = absl::FunctionRef<absl::StatusOr<absl::string_view>(uint64_t, uint64_t)>;

  using UnitTexts = std::map<uint64_t, std::string>;

  absl::StatusOr<size_t> ReadText(uint64_t offset, size_t length, char* to,
                                  ReadUnits read_units) const;
  absl::StatusOr<size_t> ReadOnce(uint64_t offset, size_t length, char* to,
                                  ReadUnits read_units) const;
  absl::StatusOr<uint64_t> StoredUnits() const;
  absl::StatusOr<uint64_t> SizeNow() const CAIRN_REQUIRES(state_->writing);
  absl::StatusOr<std::string> TextOf(uint64_t unit, uint64_t size) const
      CAIRN_REQUIRES(state_->writing);
  absl::Status WriteUnit(uint64_t unit, absl::string_view text) CAIRN_REQUIRES(state_->writing);
  std::string Sealed(uint64_t first, uint64_t last, uint64_t new_size, uint64_t offset,
                     absl::string_view data, const UnitTexts& before)
      CAIRN_REQUIRES(state_->writing);
  absl::Status WriteText(uint64_t size, uint64_t offset, absl::string_view data)
      CAIRN_REQUIRES(state_->writing);
  absl::Status TakeBack(const absl::Status& why, uint64_t size, const UnitTexts& before)
      CAIRN_REQUIRES(state_->writing);
  absl::Status Extend(uint64_t size, uint64_t length) CAIRN_REQUIRES(state_->writing);
  absl::Status ResizeText(uint64_t size, uint64_t length) CAIRN_REQUIRES(state_->writing);

  const std::unique_ptr<File> real_;
  const std::shared_ptr<EncryptedFileState> state_;
  const std::shared_ptr<void> held_;
};

}  // namespace cairn

#endif  // STORAGE_ENCRYPTED_ENCRYPTED_FILE_H_
