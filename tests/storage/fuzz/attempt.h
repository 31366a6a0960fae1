// What tests that try files made by hand share: seeds, last words, limits of memory and time.

#ifndef TESTS_STORAGE_FUZZ_ATTEMPT_H_
#define TESTS_STORAGE_FUZZ_ATTEMPT_H_

#include <cstdint>
#include <functional>
#include <string>

namespace cairn {

// What is being tried, for the last words of a process that ends by a check, a signal, a lack of
// memory, or because an attempt takes more than 30 s.
void Trying(const std::string& what);

// Calls `attempt` with each seed that testdata/corpus.txt has for `name`, then with `count` seeds
// from 1 on. The environment says otherwise: CAIRN_FUZZ_FIRST is the first seed, CAIRN_FUZZ_COUNT
// how many. An attempt may have `memory_bytes` of address space more than there is now (not with a
// sanitizer). Stops at the first failure of gtest, and prints the seed.
void ForEachSeed(const std::string& name, uint64_t count, uint64_t memory_bytes,
                 const std::function<void(uint64_t seed)>& attempt);

}  // namespace cairn

#endif  // TESTS_STORAGE_FUZZ_ATTEMPT_H_
