// SimulatedInode: one file or directory of a SimulatedFileSystem, with what a power cut may do to
// it.

#ifndef STORAGE_SIMULATED_INODE_H_
#define STORAGE_SIMULATED_INODE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "storage/crash_choice.h"
#include "storage/sector_image.h"

namespace cairn::internal {

// Where operations get their numbers.
struct OperationCounter {
  OperationId next = 1;
  uint64_t call = 0;  // of the call that is being carried out
};

// Not thread-safe: the disk locks.
class SimulatedInode {
 public:
  using Entries = std::map<std::string, std::shared_ptr<SimulatedInode>>;

  explicit SimulatedInode(bool directory) : directory_(directory) {}
  // A file as a power cut left it.
  SimulatedInode(SectorImage content, std::set<uint64_t> unreadable);

  bool is_directory() const { return directory_; }

  // Directories: what is there, and what of it is durable. The tree keeps both.
  Entries entries;
  Entries durable_entries;

  std::string path;           // as it was last named, for people
  uint64_t failed_epoch = 0;  // the life of the process in which a write or sync failed

  // Files. Reads see the cached image.
  const SectorImage& cached() const { return cached_; }
  // What the disk holds or is about to: past what reads see, after a failed sync.
  SectorImage OnDisk() const;

  void Write(uint64_t offset, absl::string_view data, OperationCounter& counter);
  // Readers see it; the disk never does.
  void WriteLost(uint64_t offset, absl::string_view data);
  void Resize(uint64_t length, OperationCounter& counter);

  // The operations with ids below `end` become durable.
  void MakeDurable(OperationId end);
  // A failed sync: `keep` says of each sector whether it reached the disk; the others are never
  // written any more. Lengths wait for the next sync: they are in the journal.
  void LoseSectors(OperationId end, const std::function<bool()>& keep);

  void AppendPending(std::vector<PendingOperation>& to) const;
  // The file with these of the pending operations, as CrashChoice says.
  std::shared_ptr<SimulatedInode> AfterCrash(const std::set<OperationId>& kept) const;

  // Changes `length` bytes at `offset` in every copy there is: change(i, old) gives the new byte
  // at offset + i.
  using Change = std::function<char(size_t, char)>;
  void Damage(uint64_t offset, size_t length, const Change& change);
  void FailReads(uint64_t offset, uint64_t length);
  bool Readable(uint64_t offset, size_t length) const;

 private:
  struct Operation {
    OperationId id;
    uint64_t call;
    bool is_length;
    uint64_t value;  // sector or length
    Bytes content;   // of the sector
  };

  static void Apply(const Operation& operation, SectorImage& image);
  // Whether writing `content` to the sector changes nothing, whatever survives.
  bool IsOnDisk(uint64_t sector, absl::string_view content) const;
  void AddLength(OperationCounter& counter);
  // Takes the operations below `end` off the list, but for lengths if `keep_lengths`.
  void Forget(OperationId end, bool keep_lengths);

  const bool directory_;
  SectorImage cached_;
  SectorImage durable_;
  std::vector<Operation> pending_;  // in order of issue
  std::map<uint64_t, size_t> pending_of_sector_;
  size_t pending_lengths_ = 0;
  std::set<uint64_t> unreadable_;  // sectors
};

}  // namespace cairn::internal

#endif  // STORAGE_SIMULATED_INODE_H_
