// PosixError: what the system said, as a status.

#ifndef STORAGE_POSIX_ERROR_H_
#define STORAGE_POSIX_ERROR_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace cairn {

// "operation path: reason of `error`" (an errno) under the code that tells a caller what to do:
// RESOURCE_EXHAUSTED (no space, quota, size limit), PERMISSION_DENIED (also: read-only), NOT_FOUND,
// ALREADY_EXISTS, FAILED_PRECONDITION (another kind of file than wanted), INVALID_ARGUMENT (the
// path), UNAVAILABLE (descriptors, memory, busy), else INTERNAL (the device or our own mistake).
absl::Status PosixError(absl::string_view operation, absl::string_view path, int error);

}  // namespace cairn

#endif  // STORAGE_POSIX_ERROR_H_
