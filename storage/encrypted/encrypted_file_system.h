// EncryptedFileSystem: a file system that keeps some of its files encrypted.

#ifndef STORAGE_ENCRYPTED_ENCRYPTED_FILE_SYSTEM_H_
#define STORAGE_ENCRYPTED_ENCRYPTED_FILE_SYSTEM_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "storage/crypto/key_ring.h"
#include "storage/encrypted/encrypted_file.h"
#include "storage/encrypted/encrypted_header.h"
#include "storage/encrypted/open_files.h"
#include "storage/file_system.h"

namespace cairn {

// Gives the text of files below some directories, whether they are encrypted or not, and encrypts
// what is new there. All else is `real`'s: other files, names, directories, locks.
//
// Holds: what FileSystem and File say, power cuts included, by the sector of the text's place; and
// 1. No nonce is used twice (FORMAT.md).
// 2. A key that is missing is no damage: Open is FAILED_PRECONDITION (IsMissingKey) that names file
//    and key, and nothing changes.
// 3. A file is what the keys say now (encrypted by the cipher, or plain) when it is made, when it
// is
//    opened to be written, if there is room for that, and after Renew.
// A file both of whose headers are gone reads as the bytes it has: as rot. One that is opened to be
// written and holds 512 zeros, or nothing, is an empty one.
//
// Costs a sync for each file that is made. No direct writes where there are keys.
// Threads: as FileSystem.
class EncryptedFileSystem final : public FileSystem {
 public:
  // `keys` may be null: nothing that is new is encrypted, and nothing that is can be read. `roots`
  // are directories. `real` outlives this.
  EncryptedFileSystem(FileSystem& real, std::shared_ptr<const KeyRing> keys,
                      std::vector<std::string> roots);

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenOptions options) override;
  absl::Status Preallocate(File& file, uint64_t length) override;
  absl::Status ReserveZeroes(File& file, uint64_t length) override;
  void Sync(File& file, SyncDone done) override;
  absl::Status SyncNow(File& file) override;
  absl::Status SyncDirectory(const std::string& directory) override {
    return real_.SyncDirectory(directory);
  }
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status MakeDirectory(const std::string& path) override { return real_.MakeDirectory(path); }
  absl::StatusOr<bool> Exists(const std::string& path) override { return real_.Exists(path); }
  // Without what a crash left of files that were being written anew.
  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override;
  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) override {
    return real_.Lock(path);
  }
  absl::StatusOr<std::optional<std::string>> LockHolder(const std::string& path) override {
    return real_.LockHolder(path);
  }
  absl::StatusOr<std::string> BootId() override { return real_.BootId(); }

  // All files below the roots.
  absl::StatusOr<std::vector<std::string>> Files();
  // OK if each of them can be opened with the keys there are, or is damaged; else as Open.
  absl::Status CheckKeys();
  // The master keys by which any of them is wrapped.
  absl::StatusOr<std::set<uint64_t>> KeysInUse();

  // What a file is, and what it should be.
  enum class Standing {
    kRight,
    kToRewrap,   // its key is wrapped by another master key than new ones are, or stands there once
    kToRewrite,  // it has another cipher than new ones, none, or one where there shall be none
  };
  // Errors of reading; NOT_FOUND if it is gone.
  absl::StatusOr<Standing> StandingOf(const std::string& path);
  // Makes it right, whatever stands between. FAILED_PRECONDITION or ABORTED if somebody writes to
  // it, or it was changed meanwhile; then, and with any error, it is what it was.
  absl::Status Renew(const std::string& path);
  // Removes what a crash left. Before anything else is done.
  absl::Status RemoveLeftovers();
  // What is being written anew is given up soon, and nothing is from now on.
  void StopRenewing() { ends_ = true; }

 private:
  bool IsEncryptedPlace(const std::string& path) const;
  absl::Status Walk(const std::string& directory,
                    absl::FunctionRef<void(const std::string&)> visit);
  absl::StatusOr<std::vector<std::string>> AllFiles();
  absl::StatusOr<EncryptedHeaders> HeadersOf(const std::string& path);
  Standing Judge(const EncryptedHeaders& headers) const;
  absl::StatusOr<std::unique_ptr<File>> Wrap(std::unique_ptr<File> real, OpenMode mode,
                                             std::shared_ptr<void> held);
  absl::StatusOr<std::unique_ptr<File>> MakeEncrypted(std::unique_ptr<File> real,
                                                      const MasterKey& master,
                                                      std::shared_ptr<void> held);
  static absl::StatusOr<bool> IsFresh(const File& file);
  static File& RealOf(File& file);
  absl::Status Zero(EncryptedFile& file, uint64_t length,
                    absl::FunctionRef<absl::Status(File&, uint64_t)> write_zeros);
  absl::Status Rewrite(const std::string& path, bool& took_its_place);
  absl::Status Copy(const std::string& from, const std::string& to);
  absl::Status Rewrap(const std::string& path);

  FileSystem& real_;
  const std::shared_ptr<const KeyRing> keys_;
  const std::vector<std::string> roots_;
  const std::shared_ptr<OpenFiles> open_files_ = std::make_shared<OpenFiles>();
  std::atomic<bool> ends_ = false;
};

}  // namespace cairn

#endif  // STORAGE_ENCRYPTED_ENCRYPTED_FILE_SYSTEM_H_
