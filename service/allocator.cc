// The allocator of cairnd, and of benchmarks of whole hosts: mimalloc, set for a server.
//
// What is freed goes back to the system after a while without use, and costs a page fault for each
// 4 KiB when it is taken again. mimalloc's own while is 25 ms. A busy node takes and frees the same
// frames and batches some hundred times a second, with pauses longer than that: a quarter of its
// processor time went into faults. The environment variable MIMALLOC_DECOMMIT_DELAY still counts.

#include <mimalloc.h>

namespace cairn {
namespace {

constexpr long kKeepUnusedMilliseconds = 250;

// Before main, since memory is taken before it; needs nothing that is initialised later.
__attribute__((constructor)) void SetAllocatorOptions() {
  mi_option_set_default(mi_option_decommit_delay, kKeepUnusedMilliseconds);
}

}  // namespace
}  // namespace cairn
