// SimulatedTree: the directories of a SimulatedFileSystem, as they are and as they may be after a
// power cut.

#ifndef STORAGE_SIMULATED_TREE_H_
#define STORAGE_SIMULATED_TREE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "storage/crash_choice.h"
#include "storage/simulated_inode.h"

namespace cairn::internal {

// Paths are names with slashes between them; all begin at the root, which is always there. Calls
// that can fail give an errno, 0 for success. Not thread-safe: the disk locks.
class SimulatedTree {
 public:
  using InodePointer = std::shared_ptr<SimulatedInode>;

  SimulatedTree();

  // One spelling for every path of a file: no empty names in it.
  static std::string Normalize(const std::string& path);

  int Find(const std::string& path, InodePointer* found) const;
  // An empty file that is not there yet.
  int Create(const std::string& path, OperationCounter& counter, InodePointer* made);
  int Rename(const std::string& from, const std::string& to, OperationCounter& counter);
  int Remove(const std::string& path, OperationCounter& counter);
  // With its parents. Durable at once.
  int MakeDirectory(const std::string& path);

  // The pending operations on entries of the directory become durable.
  void MakeDurable(const SimulatedInode& directory);

  // What may be lost of entries and of all files that a name leads to, or may lead to after a power
  // cut. In order of issue.
  std::vector<PendingOperation> Pending() const;
  // The tree, and all files in it, with these of the pending operations.
  SimulatedTree AfterCrash(const std::set<OperationId>& kept) const;

  // Sum of the lengths of the files that have a name.
  uint64_t TotalLength() const;

 private:
  // An entry made, moved or removed. Absent sides are null.
  struct EntryOperation {
    OperationId id;
    uint64_t call;
    PendingOperation::Kind kind;
    InodePointer inode;
    InodePointer from_directory;
    std::string from_name;
    InodePointer to_directory;
    std::string to_name;
  };
  // The directory that holds (or would hold) the last name of a path.
  struct Place {
    InodePointer directory;
    std::string name;
  };

  int FindPlace(const std::string& path, Place* place) const;
  void Add(EntryOperation operation, OperationCounter& counter);
  std::vector<const EntryOperation*> Surviving(const std::set<OperationId>& kept) const;

  InodePointer root_;
  std::vector<EntryOperation> pending_;  // in order of issue
};

}  // namespace cairn::internal

#endif  // STORAGE_SIMULATED_TREE_H_
