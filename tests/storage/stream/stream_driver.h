// StreamDriver: a StreamStore on a simulated disk with small limits, and what it said of itself.

#ifndef TESTS_STORAGE_STREAM_STREAM_DRIVER_H_
#define TESTS_STORAGE_STREAM_STREAM_DRIVER_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "storage/crypto/key_ring.h"
#include "storage/encrypted/encrypted_file_system.h"
#include "storage/simulated_file_system.h"
#include "storage/stream/stream_store.h"
#include "tests/raft/manual_executor.h"
#include "tests/storage/stream/stream_twin.h"

namespace cairn {

inline constexpr char kStreamDirectory[] = "/streams";
inline constexpr char kSnapshotDirectory[] = "/snapshot";

// Blocks of a few records, checkpoints every few, nothing kept in memory that need not be.
inline StreamStoreOptions SmallStreamStore() {
  StreamStoreOptions options;
  options.block_bytes = 2000;
  options.checkpoint_bytes = 1500;
  options.checkpoint_entries = 40;
  options.tail_bytes = 0;
  options.flush_bytes = 300;
  options.max_unwritten_bytes = 1200;
  options.cached_pages = 2;
  options.max_marks = 8;
  return options;
}

class StreamDriver {
 public:
  // With `keys` what it keeps is encrypted.
  StreamDriver(FileSystem& real, StreamStoreOptions options,
               std::shared_ptr<const KeyRing> keys = nullptr)
      : executor_(&world_) {
    if (keys != nullptr) {
      encrypted_ = std::make_unique<EncryptedFileSystem>(
          real, std::move(keys), std::vector<std::string>{kStreamDirectory, kSnapshotDirectory});
    }
    FileSystem& file_system = encrypted_ != nullptr ? *encrypted_ : real;
    status_ = file_system.MakeDirectory(kStreamDirectory);
    options.file_system = &file_system;
    options.directory = kStreamDirectory;
    options.group = kTwinGroup;
    options.background = &executor_;
    options.durable = [this](LogPosition position) { durable_ = position.index; };
    options.failed = [this](absl::Status status) { failure_ = std::move(status); };
    options.clock = &world_;
    if (!status_.ok()) return;
    absl::StatusOr<std::unique_ptr<StreamStore>> store = StreamStore::Open(std::move(options));
    status_ = store.status();
    if (!store.ok()) return;
    store_ = *std::move(store);
    recovered_ = durable_ = store_->recovered().index;
    archive_ = store_->TakeRecoveredArchive();
  }

  const absl::Status& status() const { return status_; }    // of Open
  const absl::Status& failure() const { return failure_; }  // of what was written
  StreamStore& store() { return *store_; }
  Index recovered() const { return recovered_; }
  const std::string& archive() const { return archive_; }
  // What the store said is durable.
  Index durable() const { return durable_; }
  // Lets some, or all, of the work in the background happen.
  void RunBackground() { world_.RunReady(); }
  void RunFor(Duration duration) { world_.RunFor(duration); }
  bool RunOneInBackground() { return world_.RunOne(); }

 private:
  std::unique_ptr<EncryptedFileSystem> encrypted_;
  ManualWorld world_;
  ManualExecutor executor_;
  std::unique_ptr<StreamStore> store_;
  absl::Status status_;
  absl::Status failure_;
  Index recovered_ = 0;
  Index durable_ = 0;
  std::string archive_;
};

// Writes the frozen files into a directory of the file system, synced; gives their paths.
inline absl::StatusOr<std::vector<std::string>> SaveFrozen(const FrozenStreams& frozen,
                                                           FileSystem& file_system) {
  if (absl::Status made = file_system.MakeDirectory(kSnapshotDirectory); !made.ok()) return made;
  std::vector<std::string> paths;
  for (size_t i = 0; i < frozen.files().size(); ++i) {
    // In pieces, as they travel.
    std::string content;
    const uint64_t size = frozen.files()[i].bytes;
    while (content.size() < size) {
      absl::StatusOr<std::string> piece =
          frozen.Read(i, content.size(), std::min<uint64_t>(700, size - content.size()));
      if (!piece.ok()) return piece.status();
      content += *piece;
    }
    paths.push_back(absl::StrCat(kSnapshotDirectory, "/", frozen.files()[i].name));
    absl::Status written = WriteFileAtomically(file_system, paths.back(), content);
    if (!written.ok()) return written;
  }
  return paths;
}

// Restores what SaveFrozen saved.
inline absl::Status RestoreFrozen(StreamStore& store, FileSystem& file_system,
                                  std::vector<std::string> paths, LogPosition position) {
  absl::StatusOr<std::string> image = ReadWholeFile(file_system, paths.front());
  if (!image.ok()) return image.status();
  paths.erase(paths.begin());
  return store.Restore(*image, std::move(paths), position, StreamTwin::ArchiveAt(position.index));
}

}  // namespace cairn

#endif  // TESTS_STORAGE_STREAM_STREAM_DRIVER_H_
