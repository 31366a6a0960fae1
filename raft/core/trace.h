// TraceSink: each decision of a Raft and its reason, as text.

#ifndef RAFT_CORE_TRACE_H_
#define RAFT_CORE_TRACE_H_

#include "absl/strings/string_view.h"
#include "base/time.h"
#include "base/types.h"

namespace cairn {

// Lines are short, lower case and stable: the scenarios of tests/core/testdata compare them.
class TraceSink {
 public:
  virtual ~TraceSink() = default;
  virtual void Trace(Instant now, NodeId node, absl::string_view decision) = 0;
};

}  // namespace cairn

#endif  // RAFT_CORE_TRACE_H_
