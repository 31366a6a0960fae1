#include "tests/core/recovery/disk_sets.h"

#include <algorithm>
#include <utility>

namespace cairn {

std::vector<DamagedDisk> DamageOf(const std::vector<Term>& terms) {
  std::vector<DamagedDisk> disks;
  for (size_t bad = 0; bad < size_t{1} << terms.size(); ++bad) {
    DamagedDisk disk = {.terms = terms};
    for (size_t at = 0; at < terms.size(); ++at) disk.good.push_back((bad >> at & 1) == 0);
    disks.push_back(disk);
    if (disk.bad_end() == disk.size()) continue;
    disk.torn = true;
    disks.push_back(std::move(disk));
  }
  return disks;
}

void ForEachGroup(const std::vector<DamagedDisk>& disks, size_t nodes, Random& random,
                  absl::FunctionRef<bool(const DamagedDisks&)> visit) {
  std::vector<size_t> chosen(nodes, 0);  // in order
  for (;;) {
    std::vector<size_t> shuffled = chosen;
    for (size_t i = 1; i < nodes; ++i) std::swap(shuffled[i], shuffled[random.Below(i + 1)]);
    DamagedDisks group;
    for (const size_t each : shuffled) group.push_back(disks[each]);
    if (!visit(group)) return;
    size_t last = nodes;
    while (last > 0 && chosen[last - 1] == disks.size() - 1) --last;
    if (last == 0) return;
    std::fill(chosen.begin() + static_cast<std::ptrdiff_t>(last) - 1, chosen.end(),
              chosen[last - 1] + 1);
  }
}

}  // namespace cairn
