// Counters: how often a run came into a state that is worth testing. A fault that never happens
// tests nothing.

#ifndef TESTS_SIM_COUNTERS_H_
#define TESTS_SIM_COUNTERS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace cairn::sim {

// By name, in byte order. One thread.
class Counters {
 public:
  void Count(const std::string& name, uint64_t times = 1) { counts_[name] += times; }
  uint64_t Get(const std::string& name) const;
  void Add(const Counters& other);

  // One line each: name, how often.
  std::string ToString() const;
  // Those of `names` that never happened.
  std::vector<std::string> Missing(const std::vector<std::string>& names) const;

 private:
  std::map<std::string, uint64_t> counts_;
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_COUNTERS_H_
