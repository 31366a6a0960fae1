#include "tests/sim/counters.h"

#include "absl/strings/str_format.h"

namespace cairn::sim {

uint64_t Counters::Get(const std::string& name) const {
  auto found = counts_.find(name);
  return found == counts_.end() ? 0 : found->second;
}

void Counters::Add(const Counters& other) {
  for (const auto& [name, times] : other.counts_) counts_[name] += times;
}

std::string Counters::ToString() const {
  std::string text;
  for (const auto& [name, times] : counts_) absl::StrAppendFormat(&text, "%9d  %s\n", times, name);
  return text;
}

std::vector<std::string> Counters::Missing(const std::vector<std::string>& names) const {
  std::vector<std::string> missing;
  for (const std::string& name : names) {
    if (Get(name) == 0) missing.push_back(name);
  }
  return missing;
}

}  // namespace cairn::sim
