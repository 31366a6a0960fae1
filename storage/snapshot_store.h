// SnapshotStore: one group's snapshots on this node's disk. storage/SNAPSHOTS.md describes the
// files.

#ifndef STORAGE_SNAPSHOT_STORE_H_
#define STORAGE_SNAPSHOT_STORE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/mutex.h"
#include "base/types.h"
#include "storage/file_system.h"
#include "storage/incoming_snapshot.h"
#include "storage/snapshot_manifest.h"
#include "storage/stored_snapshot.h"

namespace cairn {

// What a snapshot is made of. Threads: one at a time; calls may block.
class SnapshotContent {
 public:
  virtual ~SnapshotContent() = default;
  virtual size_t files() const = 0;
  virtual std::string NameOf(size_t file) const = 0;
  virtual uint64_t BytesOf(size_t file) const = 0;
  // Bytes that are there.
  virtual absl::StatusOr<std::string> Read(size_t file, uint64_t offset, size_t bytes) const = 0;
};

// Holds: a snapshot is published once it is whole and durable, by one rename, and a power cut at
// any moment leaves the last one that was published, or a later one, and a transfer as far as it
// had come. The last one is kept; older ones go when nobody reads them any more. A damaged one is
// never given out, and kept until a later one is here: `notes` says so.
//
// Threads: last and MarkDamaged any; the others one at a time, and they block.
class SnapshotStore {
 public:
  // Makes the directory if it is not there. FAILED_PRECONDITION for snapshots of another cluster or
  // group, or of a newer format: nothing is changed then.
  static absl::StatusOr<std::unique_ptr<SnapshotStore>> Open(FileSystem* file_system,
                                                             std::string directory,
                                                             ClusterId cluster, GroupId group);

  // The last one published; null if there is none.
  std::shared_ptr<const StoredSnapshot> last() const;

  // Saves and publishes `content` as of head.position, which is behind last(). The files of `head`
  // are filled in; its group and cluster are this store's. CANCELLED, and nothing is left, once
  // `aborted` says so.
  absl::StatusOr<std::shared_ptr<const StoredSnapshot>> Save(SnapshotManifest head,
                                                             const SnapshotContent& content,
                                                             const std::function<bool()>& aborted);

  // Begins to receive the snapshot with this manifest, or goes on with it. What was on its way
  // before gives what they have in common, and goes; last() and damaged ones give theirs.
  // INVALID_ARGUMENT for one of another cluster or group, ALREADY_EXISTS if last() is not before
  // it.
  absl::StatusOr<std::unique_ptr<IncomingSnapshot>> Receive(std::string encoded);
  // Goes on with the snapshot of this id as Receive does, by the manifest that came before.
  // NOT_FOUND if none did.
  absl::StatusOr<std::unique_ptr<IncomingSnapshot>> Resume(ContentId id);
  // Publishes what came in, all of it. DATA_LOSS: it has to be completed again. ALREADY_EXISTS if
  // last() is not before it any more.
  absl::StatusOr<std::shared_ptr<const StoredSnapshot>> Publish(IncomingSnapshot& incoming);
  // Nobody goes on with it: gives the space back.
  void Discard(const IncomingSnapshot& incoming);

  // Its files are not what they were. It is not last() any more.
  absl::Status MarkDamaged(const StoredSnapshot& snapshot, absl::string_view why);
  // What it holds is elsewhere now (a durable state machine has taken it).
  absl::Status Forget(const StoredSnapshot& snapshot);

  // What opening and later calls did that people should know, since the last call.
  std::vector<std::string> TakeNotes();

 private:
  struct Found;  // the files of one stem
  using Shared = std::shared_ptr<StoredSnapshot>;

  SnapshotStore(FileSystem* file_system, std::string directory, ClusterId cluster, GroupId group);
  absl::Status Load();
  absl::Status LoadStem(const std::string& stem, Found& found);
  absl::Status LoadManifest(const std::string& stem, Found& found);
  absl::Status CheckOwner(const SnapshotManifest& manifest) const;
  absl::StatusOr<ManifestFile> SaveFile(const std::string& path, const SnapshotContent& content,
                                        size_t file, const std::function<bool()>& aborted);
  absl::Status WriteFiles(const std::string& stem, SnapshotManifest& head,
                          const SnapshotContent& content, const std::function<bool()>& aborted);
  absl::StatusOr<IncomingSnapshot::Sources> OtherIncoming(const std::string& stem) const;
  absl::StatusOr<IncomingSnapshot::Sources> DamagedOnes() const;
  SnapshotManifest ContentOf(const std::string& stem) const;
  absl::Status Replace(Shared next);
  absl::Status RemoveManifest(const std::string& stem, absl::string_view extension);
  void RemoveData(const std::string& stem, size_t files);
  void Note(std::string note);

  FileSystem* const file_system_;
  const std::string directory_;
  const ClusterId cluster_;
  const GroupId group_;
  std::vector<std::string> damaged_;  // stems
  mutable Mutex mutex_;
  Shared last_ CAIRN_GUARDED_BY(mutex_);
  std::vector<std::string> notes_ CAIRN_GUARDED_BY(mutex_);
};

}  // namespace cairn

#endif  // STORAGE_SNAPSHOT_STORE_H_
