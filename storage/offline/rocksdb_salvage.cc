#include "storage/offline/rocksdb_salvage.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/block/block_log.h"

namespace cairn {
namespace {

SalvageSource SourceOf(const RocksDbInspector& log) {
  SalvageSource source;
  source.directory = log.directory();
  source.writer = log.writer();
  source.identity = log.identity();
  source.read = [&log](GroupId group, uint64_t count, const auto& take, const auto& unreadable) {
    log.Read(group, 0, count, take, unreadable);
  };
  return source;
}

}  // namespace

SalvagePlan PlanSalvage(const RocksDbInspector& log) {
  SalvagePlan plan;
  const SalvageSource source = SourceOf(log);
  for (const auto& [id, kept] : log.groups()) {
    SalvagedGroup& group = plan.groups.emplace_back();
    group.group = id;
    group.hard_state = kept.head().hard_state;
    group.hard_state_lost = kept.head().unsure;
    group.base = kept.head().base;
    group.base_hash = kept.head().base_hash;
    PlanEntries(source, kept.head().last.index, group);
  }
  for (const auto& [id, status] : log.damaged()) {
    SalvagedGroup& group = plan.groups.emplace_back();
    group.group = id;
    group.hard_state_lost = true;
    group.reason = std::string(status.message());
    plan.unreadable.push_back(absl::StrCat("group-", ToInteger(id)));
  }
  std::sort(plan.groups.begin(), plan.groups.end(),
            [](const auto& a, const auto& b) { return a.group < b.group; });
  plan.acknowledgement = AcknowledgementOf(plan);
  return plan;
}

absl::Status Salvage(const RocksDbInspector& log, const SalvagePlan& plan,
                     const std::string& acknowledgement, FileSystem& file_system,
                     const std::string& directory, std::shared_ptr<const KeyRing> keys) {
  BlockLogOptions options;
  options.directory = directory;
  options.geometry.block_bytes = uint64_t{16} << 20;  // as a node makes them
  options.keys = std::move(keys);
  return Salvage(SourceOf(log), plan, acknowledgement, file_system, std::move(options));
}

}  // namespace cairn
