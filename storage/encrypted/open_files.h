// OpenFiles: which files of an encrypted file system are in use, and which are being written anew.

#ifndef STORAGE_ENCRYPTED_OPEN_FILES_H_
#define STORAGE_ENCRYPTED_OPEN_FILES_H_

#include <map>
#include <memory>
#include <set>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "base/mutex.h"
#include "base/thread_annotations.h"
#include "storage/encrypted/encrypted_file.h"
#include "storage/encrypted/encrypted_header.h"

namespace cairn {

// A file is written anew beside the old one and renamed over it. Until then nobody may write to the
// old one, nor give its name to another one, or take it away: else the new one is not wanted. And
// from then until the new name is durable nobody is let in.
// Threads: any.
class OpenFiles : public std::enable_shared_from_this<OpenFiles> {
 public:
  // What all handles of one file share, made by the first of them.
  std::shared_ptr<EncryptedFileState> StateOf(const FileId& id, Cipher cipher, const SecretKey& key,
                                              RandomBytes& random);

  // Somebody writes to `path` until what this gives is gone, under whatever name the file then has.
  std::shared_ptr<void> HoldForWriting(const std::string& path);
  // `change` takes away what has that name.
  absl::Status Remove(const std::string& path, absl::FunctionRef<absl::Status()> change);
  // `change` gives what has the name `from` the name `to`, whatever had it.
  absl::Status Rename(const std::string& from, const std::string& to,
                      absl::FunctionRef<absl::Status()> change);

  // False if somebody writes to the file or takes it away, or it is being written anew already.
  bool BeginAnew(const std::string& path);
  // False if the old file is not what it was any more. Else nobody gets at it until EndAnew.
  bool MayTakeItsPlace(const std::string& path);
  // In any case after BeginAnew.
  void EndAnew(const std::string& path);

 private:
  struct Held {
    std::string path;
  };
  enum class Anew { kSame, kDisturbed, kTakesItsPlace };

  void LetGo(const Held* held);
  void Disturb(const std::string& path) CAIRN_REQUIRES(mutex_);
  bool TakesThePlaceOf(const std::string& path) const CAIRN_REQUIRES(mutex_);

  Mutex mutex_;
  CondVar ended_;
  std::map<FileId, std::weak_ptr<EncryptedFileState>> states_ CAIRN_GUARDED_BY(mutex_);
  std::map<const Held*, std::unique_ptr<Held>> held_ CAIRN_GUARDED_BY(mutex_);
  std::multiset<std::string> leaving_ CAIRN_GUARDED_BY(mutex_);  // being removed
  std::map<std::string, Anew> anew_ CAIRN_GUARDED_BY(mutex_);
};

}  // namespace cairn

#endif  // STORAGE_ENCRYPTED_OPEN_FILES_H_
