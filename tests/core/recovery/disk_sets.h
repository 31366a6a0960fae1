// What a disk can have lost, and all groups of such disks.

#ifndef TESTS_CORE_RECOVERY_DISK_SETS_H_
#define TESTS_CORE_RECOVERY_DISK_SETS_H_

#include <cstddef>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/random.h"
#include "base/types.h"
#include "tests/core/recovery/damaged_group.h"

namespace cairn {

// The log of these terms, and each subset of its entries bad; what is bad at the end both torn and
// not.
std::vector<DamagedDisk> DamageOf(const std::vector<Term>& terms);

// Calls `visit` with each choice of `nodes` of these disks. Which node has which changes nothing
// but the order of events, so of the ways that differ in that alone one is tried, drawn. Stops when
// `visit` returns false.
void ForEachGroup(const std::vector<DamagedDisk>& disks, size_t nodes, Random& random,
                  absl::FunctionRef<bool(const DamagedDisks&)> visit);

}  // namespace cairn

#endif  // TESTS_CORE_RECOVERY_DISK_SETS_H_
