// LogSink: where Cairn's messages for people go. The program decides; the library never prints.

#ifndef BASE_LOG_SINK_H_
#define BASE_LOG_SINK_H_

#include "absl/strings/string_view.h"

namespace cairn {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// Threads: Log may be called from any thread and must not block. A sink that cannot keep up drops
// and counts what it dropped.
class LogSink {
 public:
  virtual ~LogSink() = default;
  virtual void Log(LogLevel level, absl::string_view message) = 0;
};

// A sink that drops everything; the default of a library.
LogSink& NullLogSink();

}  // namespace cairn

#endif  // BASE_LOG_SINK_H_
