#include "service/spdlog_sink.h"

#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/json_string.h"
#include "spdlog/async.h"
#include "spdlog/sinks/stdout_sinks.h"

namespace cairn {
namespace {

constexpr size_t kQueuedLines = 8192;

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

// Logs are ASCII: what others say may turn the direction of a terminal's text, or look like it.
std::string HexEscapeNonAscii(absl::string_view text) {
  std::string ascii;
  for (char c : text) {
    if (absl::ascii_isascii(static_cast<unsigned char>(c))) {
      ascii += c;
    } else {
      absl::StrAppend(&ascii, absl::CHexEscape(absl::string_view(&c, 1)));
    }
  }
  return ascii;
}

}  // namespace

SpdlogSink::SpdlogSink(LogLevel level, LogFormat format)
    : format_(format),
      pool_(std::make_shared<spdlog::details::thread_pool>(kQueuedLines, 1)),
      logger_(std::make_shared<spdlog::async_logger>(
          "cairnd", std::make_shared<spdlog::sinks::stderr_sink_mt>(), pool_,
          spdlog::async_overflow_policy::overrun_oldest)) {
  logger_->set_level(ToSpdlog(level));
  logger_->flush_on(spdlog::level::warn);
  logger_->set_pattern(format == LogFormat::kJson
                           ? R"({"time":"%Y-%m-%dT%H:%M:%S.%fZ","level":"%l","message":%v})"
                           : "%Y-%m-%dT%H:%M:%S.%fZ %l %v",
                       spdlog::pattern_time_type::utc);
}

// Its pool writes what is queued before its thread ends.
SpdlogSink::~SpdlogSink() = default;

void SpdlogSink::Log(LogLevel level, absl::string_view message) {
  spdlog::level::level_enum spdlog_level = ToSpdlog(level);
  if (!logger_->should_log(spdlog_level)) return;
  std::string text = format_ == LogFormat::kJson ? JsonString(HexEscapeNonAscii(message))
                                                 : absl::CHexEscape(message);
  logger_->log(spdlog_level, spdlog::string_view_t(text.data(), text.size()));
}

void SpdlogSink::SetLevel(LogLevel level) { logger_->set_level(ToSpdlog(level)); }

}  // namespace cairn
