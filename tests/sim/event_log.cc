#include "tests/sim/event_log.h"

#include "absl/strings/str_format.h"
#include "base/check.h"

namespace cairn::sim {

void EventLog::Mix(uint64_t fact) {
  hash_ ^= fact;
  hash_ *= 0x9e3779b97f4a7c15;
  hash_ ^= hash_ >> 29;
}

void EventLog::Hash(NodeId node, absl::string_view what, std::initializer_list<uint64_t> facts) {
  ++count_;
  Mix(static_cast<uint64_t>(events_.now().nanoseconds));
  Mix(ToInteger(node));
  for (char letter : what) Mix(static_cast<unsigned char>(letter));
  for (uint64_t fact : facts) Mix(fact);
}

void EventLog::Print(NodeId node, absl::string_view what, absl::string_view details) {
  CAIRN_CHECK(tracing());
  std::string who = node == NodeId::kNone ? "--" : absl::StrFormat("n%d", ToInteger(node));
  double seconds = static_cast<double>(events_.now().nanoseconds) / 1e9;
  *trace_ << absl::StreamFormat("%11.6f %s %-10s %s\n", seconds, who, what, details);
}

}  // namespace cairn::sim
