// Mutants: deliberate faults at the decisions Raft's safety hangs on, so that tests can show that
// they would notice.
//
// The normal build has none: MutantEnabled is false, and the compiler drops the branch. A test
// build selects exactly one by number:
//
//   bazel test --copt=-DCAIRN_MUTANT=1 //tests/core:raft_soak_test     # has to fail
//
// Never build anything that stores data this way.

#ifndef RAFT_CORE_MUTANTS_H_
#define RAFT_CORE_MUTANTS_H_

#include "base/chosen_mutant.h"

namespace cairn {

enum class Mutant {
  kNone = 0,
  kAckBeforeSync = 1,        // append acknowledgements leave before the entries are durable
  kCandidacyBeforeSync = 2,  // RequestVote leaves, and the own vote counts, before the sync
  kVoteNotSaved = 3,         // votes are not written to the log
  kReadWithoutRound = 4,     // a leader answers reads without asking a quorum
  kCountOldTerms = 5,        // entries of older terms are committed by counting (paper figure 8)
  kDurableByIndex = 6,       // a completion counts for its indexes, truncated meanwhile or not
  // 7 is the block store's.
  kLeaseFromReply = 8,          // promises count from the moment the answer comes in
  kCountLearners = 9,           // learners' acknowledgements are counted like voters'
  kChangeBeforeOwnCommit = 10,  // a leader changes members before it has committed an entry
  kConfigurationOnCommit = 11,  // a configuration counts when it is committed, not when appended
  kConfigurationStays = 12,     // a configuration outlives the truncation of its entry
  kOneMajority = 13,            // a majority of the new voters decides while joint
  // 14 is the snapshot store's.
  kLeaderOverwrites = 15,    // a leader puts a command in the place of its last uncommitted entry
  kUnsureVotes = 16,         // who cannot tell what it has promised votes all the same
  kUnsureAcknowledges = 17,  // and acknowledges, whatever the leader has named
  // Found by tests of the core alone (tests/core/mutants), not by the simulator.
  kOneDenialFewer = 18,  // an entry is dropped although one voter more could have acknowledged it
  kUnsureDenies = 19,    // who cannot tell what it has held says that it lacks an entry
  kAnswersKept = 20,     // answers count although what was asked about has changed
  kTakesOthers = 21,     // takes what is given for a torn entry, though it is another one
};

inline bool MutantEnabled(Mutant mutant) {
  return mutant != Mutant::kNone && static_cast<int>(mutant) == chosen_mutant;
}

}  // namespace cairn

#endif  // RAFT_CORE_MUTANTS_H_
