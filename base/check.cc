#include "base/check.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/check_handler.h"

namespace cairn {
namespace {

std::atomic<CheckHandler> check_handler = nullptr;

}  // namespace

void SetCheckHandler(CheckHandler handler) { check_handler = handler; }

namespace internal {

CheckFailure::CheckFailure(const char* file, int line, const char* condition) {
  stream_ << file << ":" << line << ": check failed: " << condition;
}

CheckFailure::~CheckFailure() {
  std::string text = std::move(stream_).str();
  while (!text.empty() && text.back() == ' ') text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  if (CheckHandler handler = check_handler) handler(text);
  text.push_back('\n');
  // One call, so that lines of several threads do not mix.
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
  std::abort();
}

}  // namespace internal
}  // namespace cairn
