// CrashChoice: which of the operations that were never synced a power cut leaves on a simulated
// disk.

#ifndef STORAGE_CRASH_CHOICE_H_
#define STORAGE_CRASH_CHOICE_H_

#include <compare>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"

namespace cairn {

// Names an operation of a SimulatedFileSystem; grows in the order of issue.
using OperationId = uint64_t;

// The smallest thing that a power cut leaves whole or not at all.
struct PendingOperation {
  enum class Kind {
    kSector,  // one sector's new content
    kLength,  // the new length of a file
    kCreate,  // entries of directories:
    kRename,
    kRemove,
  };
  OperationId id = 0;
  Kind kind = Kind::kSector;
  uint64_t call = 0;    // the same for all that one call (Write, Resize, Rename, …) changed
  std::string path;     // of the file, as it was last named
  uint64_t offset = 0;  // kSector: of its first byte; kLength: the length
};

// The operations that survive. Two more rules hold whatever is chosen, because file systems journal
// what they know about one file in order: a length survives only with the earlier lengths of its
// file, an entry only with the earlier entries of its file.
struct CrashChoice {
  std::set<OperationId> kept;
  friend auto operator<=>(const CrashChoice&, const CrashChoice&) = default;
};

enum class CrashPolicy {
  kDropAll,
  kKeepAll,
  kKeepPrefix,    // those issued before some moment
  kRandomSubset,  // each with one half
  kTornCall,      // those issued before some call, and a subset of what this call wrote
};

// A choice of that kind among `pending` (in order of issue).
CrashChoice ChooseCrash(CrashPolicy policy, const std::vector<PendingOperation>& pending,
                        Random& random);

// The choices to try at one moment (fault catalogue 4.5), each once, in a fixed order: every subset
// if there are at most `exhaustive` operations; otherwise none, all, each prefix, all but one, only
// one, each call torn at each sector with the calls before it whole, and `samples` random subsets.
struct CrashEnumeration {
  size_t exhaustive = 12;
  size_t samples = 256;
};
std::vector<CrashChoice> EnumerateCrashes(const std::vector<PendingOperation>& pending,
                                          const CrashEnumeration& options, Random& random);

}  // namespace cairn

#endif  // STORAGE_CRASH_CHOICE_H_
