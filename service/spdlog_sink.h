// SpdlogSink: the server's log on stderr.

#ifndef SERVICE_SPDLOG_SINK_H_
#define SERVICE_SPDLOG_SINK_H_

#include <memory>

#include "base/log_sink.h"
#include "service/config.h"

namespace spdlog {
class async_logger;
namespace details {
class thread_pool;
}  // namespace details
}  // namespace spdlog

namespace cairn {

// Lines go through a bounded queue to a thread that writes them; when that thread cannot keep up
// (a blocked pipe), the oldest are dropped and callers never wait (fault catalogue P8). What people
// sent us is escaped.
class SpdlogSink final : public LogSink {
 public:
  SpdlogSink(LogLevel level, LogFormat format);
  ~SpdlogSink() override;

  void Log(LogLevel level, absl::string_view message) override;

  void SetLevel(LogLevel level);

 private:
  const LogFormat format_;
  std::shared_ptr<spdlog::details::thread_pool> pool_;
  std::shared_ptr<spdlog::async_logger> logger_;
};

}  // namespace cairn

#endif  // SERVICE_SPDLOG_SINK_H_
