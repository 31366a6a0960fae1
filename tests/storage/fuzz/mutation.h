// Mutation: changes bytes as a person, a bug or a fault would.

#ifndef TESTS_STORAGE_FUZZ_MUTATION_H_
#define TESTS_STORAGE_FUZZ_MUTATION_H_

#include <string>

#include "absl/strings/string_view.h"
#include "base/random.h"

namespace cairn {

// Changes `bytes` in one way, or a few, and keeps their length: a bit, a byte, a field of 16, 32 or
// 64 bits (nothing, all, a power of two, a little more or less, an order of magnitude), a stretch
// of zeros, one that is there twice or stands elsewhere, a piece of `other`. Says what it did.
std::string Mutate(Random& random, absl::string_view other, std::string& bytes);

// The same, but the length may change as well: cut, longer, a piece of `other` in it.
std::string MutateLength(Random& random, absl::string_view other, std::string& bytes);

}  // namespace cairn

#endif  // TESTS_STORAGE_FUZZ_MUTATION_H_
