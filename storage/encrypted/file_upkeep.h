// FileUpkeep: brings the files of an encrypted file system into the form that is wanted now, in the
// background.

#ifndef STORAGE_ENCRYPTED_FILE_UPKEEP_H_
#define STORAGE_ENCRYPTED_FILE_UPKEEP_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "base/executor.h"
#include "base/log_sink.h"
#include "base/time.h"
#include "storage/crypto/key_ring.h"
#include "storage/encrypted/encrypted_file_system.h"

namespace cairn {

// As of the last look at all files, less what was done since. Where there are other keys than then,
// all are to be wrapped again.
struct FileUpkeepStatus {
  uint64_t files = 0;
  uint64_t to_rewrite = 0;  // EncryptedFileSystem::Standing
  uint64_t to_rewrap = 0;
};

// Looks at all files when it begins, within two seconds after other master keys came, and each
// minute; renews one file after the other, and rests after each as long as it took. What cannot be
// renewed, as somebody writes to it or there is no room, is tried again with the next look.
//
// Threads: status on any, all else on the executor.
class FileUpkeep {
 public:
  struct Parts {
    EncryptedFileSystem* file_system = nullptr;
    std::shared_ptr<const KeyRing> keys;
    const Clock* clock = nullptr;
    std::unique_ptr<Executor> executor;
    LogSink* log = nullptr;
  };

  // Looks at all files before it returns. What the parts point to outlives it.
  explicit FileUpkeep(Parts parts);
  // Waits for the file that is being renewed.
  ~FileUpkeep();
  FileUpkeep(const FileUpkeep&) = delete;
  FileUpkeep& operator=(const FileUpkeep&) = delete;

  FileUpkeepStatus status() const;

 private:
  void Turn();
  void Look();
  void RenewOne();
  void Complain(const absl::Status& status);

  Parts parts_;

  // On the executor.
  struct Waiting {
    std::string path;
    bool rewrite = false;
  };
  std::deque<Waiting> waiting_;
  Instant next_look_;
  bool complained_ = false;  // since the last look

  std::atomic<bool> ends_ = false;
  std::atomic<uint64_t> keys_version_ = 0;  // as of the last look
  std::atomic<uint64_t> files_ = 0;
  std::atomic<uint64_t> to_rewrite_ = 0;
  std::atomic<uint64_t> to_rewrap_ = 0;
};

}  // namespace cairn

#endif  // STORAGE_ENCRYPTED_FILE_UPKEEP_H_
