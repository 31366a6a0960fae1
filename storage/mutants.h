// Mutants: deliberate faults at the decisions the safety of what is stored hangs on, so that tests
// can show that they would notice. raft/core/mutants.h has those of the consensus rules; the
// numbers do not overlap.
//
// The normal build has none. A test build selects one:
//
//   bazel test --copt=-DCAIRN_MUTANT=7 //tests/storage/block:flip_test     # has to fail
//
// Never build anything that stores data this way.

#ifndef STORAGE_MUTANTS_H_
#define STORAGE_MUTANTS_H_

#include "base/chosen_mutant.h"

namespace cairn {

enum class StorageMutant {
  kCutOnChecksum = 7,  // a last batch that fails its checksums counts as torn, whatever else speaks
  kLateSnapshot = 14,  // a snapshot received takes the place of a later one saved meanwhile
};

inline bool StorageMutantEnabled(StorageMutant mutant) {
  return static_cast<int>(mutant) == chosen_mutant;
}

}  // namespace cairn

#endif  // STORAGE_MUTANTS_H_
