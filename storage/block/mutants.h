// Mutants: deliberate faults at the decisions the log's safety hangs on, so that tests can show
// that they would notice. raft/core/mutants.h has those of the consensus rules; the numbers do not
// overlap.
//
// The normal build has none. A test build selects one:
//
//   bazel test --copt=-DCAIRN_MUTANT=7 //tests/storage/block:flip_test     # has to fail
//
// Never build anything that stores data this way.

#ifndef STORAGE_BLOCK_MUTANTS_H_
#define STORAGE_BLOCK_MUTANTS_H_

#ifndef CAIRN_MUTANT
#define CAIRN_MUTANT 0
#endif

namespace cairn {

enum class StorageMutant {
  kCutOnChecksum = 7,  // a last batch that fails its checksums counts as torn, whatever else speaks
};

constexpr bool StorageMutantEnabled(StorageMutant mutant) {
  return static_cast<int>(mutant) == CAIRN_MUTANT;
}

}  // namespace cairn

#endif  // STORAGE_BLOCK_MUTANTS_H_
