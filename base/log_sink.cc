#include "base/log_sink.h"

namespace cairn {
namespace {

class DroppingLogSink final : public LogSink {
 public:
  void Log(LogLevel, absl::string_view) override {}
};

}  // namespace

LogSink& NullLogSink() {
  static DroppingLogSink sink;
  return sink;
}

}  // namespace cairn
