// Which mutant a program has: deliberate faults, so that tests can show that they would notice.
// raft/core/mutants.h and storage/mutants.h name them.
//
// The normal build has none: chosen_mutant is 0, and the compiler drops the branches. A test build
// has one of them by number, or all of them to choose from at its start (CAIRN_MUTANTS_BY_FLAG,
// tests/sim/mutants.bzl).
//
// Never build anything that stores data this way.

#ifndef BASE_CHOSEN_MUTANT_H_
#define BASE_CHOSEN_MUTANT_H_

namespace cairn {

#ifdef CAIRN_MUTANTS_BY_FLAG
// Set before anything else runs.
inline int chosen_mutant = 0;
#else
#ifndef CAIRN_MUTANT
#define CAIRN_MUTANT 0
#endif
constexpr int chosen_mutant = CAIRN_MUTANT;
#endif

}  // namespace cairn

#endif  // BASE_CHOSEN_MUTANT_H_
