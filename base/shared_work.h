// ShareWork: one job of many parts, done by whoever has time.

#ifndef BASE_SHARED_WORK_H_
#define BASE_SHARED_WORK_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "base/executor.h"

namespace cairn {

// Calls part(0) .. part(parts - 1), each once, in this order as far as they begin: on the caller's
// thread and, beside it, on the helpers that get to it. Returns when all of them have ended.
//
// Nobody waits for a helper that has not begun: without helpers, or where they are tasks of the
// caller's own thread (in a simulator), the caller does it all. A helper may hold a task that does
// nothing any more when this returns. `part` may be called from several threads at a time.
void ShareWork(size_t parts, const std::vector<std::unique_ptr<Executor>>& helpers,
               std::function<void(size_t)> part);

}  // namespace cairn

#endif  // BASE_SHARED_WORK_H_
