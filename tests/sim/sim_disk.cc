#include "tests/sim/sim_disk.h"

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "storage/block/block_log.h"
#include "storage/block/log_verifier.h"
#include "tests/sim/observed_log_disk.h"
#include "tests/sim/sub_seed.h"

namespace cairn::sim {
namespace {

constexpr size_t kWrittenRanges = 64;

bool IsBlock(absl::string_view path) { return absl::EndsWith(path, ".block"); }

}  // namespace

SimDisk::SimDisk(World& world, const FaultPlan& plan, NodeId node)
    : world_(world),
      plan_(plan),
      node_(node),
      latency_random_(SubSeed(plan.seed, "disk latency", ToInteger(node))),
      fault_random_(SubSeed(plan.seed, "disk faults", ToInteger(node))),
      keys_(SubSeed(plan.seed, "encryption", ToInteger(node))) {
  auto schedule = [this](Task task) { EndSyncLater(std::move(task)); };
  file_system_ = std::make_unique<SimulatedFileSystem>(
      SimulatedFileSystem::Options{.schedule = schedule, .seed = fault_random_.Next()});
  file_system_->set_fault_hook([this](const FileAccess& access) { return OnAccess(access); });
  if (plan.memory_store) {
    medium_ = std::make_shared<MemoryLogMedium>(MemoryLogMedium::Options{schedule});
  }
}

absl::StatusOr<std::unique_ptr<LogDisk>> SimDisk::OpenLog(const NodeIdentity& identity) {
  if (medium_ != nullptr) return std::make_unique<MemoryLogDisk>(medium_);
  return OpenBlockLog(*file_system_, identity, keys_.Next(), process_.background);
}

absl::StatusOr<std::unique_ptr<LogDisk>> SimDisk::OpenBlockLog(FileSystem& file_system,
                                                               const NodeIdentity& identity,
                                                               std::shared_ptr<const KeyRing> keys,
                                                               Executor* background) const {
  BlockLogOptions options;
  options.directory = absl::StrCat(kDirectory, "/log");
  options.identity = {identity.cluster, identity.node, identity.incarnation};
  options.geometry = {.block_bytes = plan_.block_bytes, .unit_bytes = plan_.unit_bytes};
  options.recent_bytes = plan_.recent_bytes;
  options.copy_distance = plan_.copy_distance;
  if (plan_.compression_distance > 0) options.compression = LogCompression::kZstd;
  options.compression_distance = plan_.compression_distance;
  options.keys = std::move(keys);
  options.background = background;
  return BlockLog::Open(file_system, std::move(options));
}

absl::StatusOr<LogImage> SimDisk::RecoverWorstCase(GroupId group) const {
  std::unique_ptr<LogDisk> disk;
  std::unique_ptr<SimulatedFileSystem> image;
  if (medium_ != nullptr) {
    disk = std::make_unique<MemoryLogDisk>(medium_->CrashImage());
  } else {
    image = file_system_->WorstCaseImage();
    absl::StatusOr<NodeIdentity> identity = LoadIdentity(*image, kDirectory);
    if (!identity.ok()) return identity.status();
    absl::StatusOr<std::unique_ptr<LogDisk>> opened =
        OpenBlockLog(*image, *identity, keys_.current(), nullptr);
    if (!opened.ok()) return opened.status();
    disk = *std::move(opened);
  }
  absl::StatusOr<OpenedLog> opened = disk->OpenGroup(group);
  if (!opened.ok()) return opened.status();
  return ImageOf(*opened);
}

std::string SimDisk::RotInSealedBlocks() {
  std::string rot;
  if (medium_ != nullptr) return rot;
  Observe([&] {
    const auto log =
        LogInspector::Open(*file_system_, absl::StrCat(kDirectory, "/log"), keys_.current());
    if (!log.ok() || !(*log)->scan().ok()) return;
    const std::string head = (*log)->blocks().at((*log)->scan()->head).path;
    for (const VerifiedFile& file : VerifyLog(**log)) {
      if (file.path >= head) continue;
      for (const LogFinding& finding : file.faulty) {
        // Term and vote stand in the head, which is not scrubbed: the process has them.
        if (finding.group == GroupId::kNone || finding.entries.first == 0) continue;
        absl::StrAppend(&rot, " entry ", finding.entries.first, " of group ",
                        ToInteger(finding.group), " at ", finding.offset, " of ", finding.path);
      }
    }
  });
  return rot;
}

void SimDisk::Crash(CrashPolicy policy) {
  accesses_to_cut_ = 0;
  fail_next_sync_ = false;
  sync_failed_ = false;
  file_system_->Crash(policy, fault_random_);
  if (medium_ != nullptr) {
    size_t parts = medium_->PendingParts();
    size_t kept = policy == CrashPolicy::kDropAll   ? 0
                  : policy == CrashPolicy::kKeepAll ? parts
                                                    : fault_random_.Below(parts + 1);
    medium_->Crash(kept);
  }
  power_gone_ = false;
  written_.clear();
}

void SimDisk::RestartProcess() {
  accesses_to_cut_ = 0;
  fail_next_sync_ = false;
  sync_failed_ = false;
  file_system_->RestartProcess();
  if (medium_ != nullptr) medium_->RestartProcess();
}

void SimDisk::CutPowerAtAccess(uint64_t accesses, std::function<void()> cut) {
  if (healed_) return;
  accesses_to_cut_ = accesses;
  cut_ = std::move(cut);
}

void SimDisk::Observe(const std::function<void()>& look) {
  observed_ = true;
  look();
  observed_ = false;
}

void SimDisk::Heal() {
  healed_ = true;
  stalled_until_ = world_.events.now();
  fail_next_sync_ = false;
  accesses_to_cut_ = 0;
}

FileFault SimDisk::OnAccess(const FileAccess& access) {
  constexpr FileFault kGone = {.error = EIO, .reached = FileFault::Reached::kNothing};
  if (observed_) return {};
  if (power_gone_) return kGone;
  if (accesses_to_cut_ > 0 && --accesses_to_cut_ == 0) {
    power_gone_ = true;
    world_.counters.Count("power cut at a disk access");
    world_.log.Add(node_, "disk gone", {static_cast<uint64_t>(access.operation)},
                   [&] { return access.path; });
    world_.events.After(Duration(), [this] {
      if (power_gone_) cut_();
    });
    return kGone;
  }
  if (access.operation == FileAccess::Operation::kWrite) {
    written_.push_back({access.path, access.offset, access.length, false});
    if (written_.size() > kWrittenRanges) written_.pop_front();
  } else if (access.operation == FileAccess::Operation::kSync) {
    if (fail_next_sync_) {
      fail_next_sync_ = false;
      sync_failed_ = true;
      world_.counters.Count("sync failed");
      world_.log.Add(node_, "sync fails", {}, [&] { return access.path; });
      return {.error = EIO, .reached = FileFault::Reached::kSome};
    }
    for (WrittenRange& range : written_) range.synced |= range.path == access.path;
  }
  return {};
}

void SimDisk::EndSyncLater(Task task) {
  if (process_.syncs == nullptr) return task();
  const DiskOptions& disk = options();
  bool slow = !healed_ && latency_random_.Chance(disk.slow, 1000);
  Duration longest = slow ? disk.slowest_sync : disk.longest_sync;
  int64_t spread = std::max<int64_t>((longest - disk.shortest_sync).nanoseconds, 1);
  uint64_t drawn = latency_random_.Below(static_cast<uint64_t>(spread));
  Duration latency = disk.shortest_sync + Nanoseconds(static_cast<int64_t>(drawn));
  Instant end = std::max(world_.events.now(), stalled_until_) + latency;
  process_.syncs->PostAt(process_.clock->Now() + (end - world_.events.now()), std::move(task));
}

bool SimDisk::Rot(Rotten where) {
  const bool sealed = where != Rotten::kAnything;
  // Every second time the end of the log, where a torn write would be, and there the place where
  // the records begin: behind them the last unit is mostly empty.
  const bool at_end = !sealed && fault_random_.OneIn(2);
  // Most of what is written to a small block is not its entries: two headers, two seals, ids.
  const bool entries = where == Rotten::kSealedEntries;
  std::string head;
  for (const WrittenRange& range : written_) {
    if (IsBlock(range.path)) head = std::max(head, range.path);
  }
  std::vector<const WrittenRange*> synced;
  for (const WrittenRange& range : written_) {
    absl::StatusOr<bool> there = file_system_->Exists(range.path);
    if (at_end && !absl::StrContains(range.path, "/log/")) continue;
    if (sealed && (!IsBlock(range.path) || range.path == head)) continue;
    const bool in_front =
        range.offset >= 2 * plan_.unit_bytes && range.offset < plan_.block_bytes / 2;
    if (entries && !in_front) continue;
    if (range.synced && range.length > 0 && there.ok() && *there) synced.push_back(&range);
  }
  if (synced.empty()) return false;
  const size_t latest = std::min<size_t>(synced.size(), at_end ? 2 : kWrittenRanges);
  const WrittenRange& range = *synced[synced.size() - 1 - fault_random_.Below(latest)];
  const uint64_t length = at_end || entries ? std::min<uint64_t>(range.length, 256) : range.length;
  uint64_t offset = range.offset + fault_random_.Below(length);
  uint8_t mask = static_cast<uint8_t>(1 << fault_random_.Below(8));
  file_system_->FlipBits(range.path, offset, mask);
  rotten_ = true;
  world_.counters.Count("bit turned over");
  world_.log.Add(node_, "rot", {offset, mask}, [&] {
    return absl::StrCat(range.path, " at ", offset, " mask ", mask, ", in the ", range.length,
                        " bytes written at ", range.offset);
  });
  return true;
}

// Where the damage looks like a torn write nothing is done: two faults may pass for a power cut.
bool SimDisk::LoseEnd() {
  if (medium_ != nullptr) return false;
  bool lost = false;
  Observe([&] {
    const auto open = [this] {
      return LogInspector::Open(*file_system_, absl::StrCat(kDirectory, "/log"), keys_.current());
    };
    const auto log = open();
    if (!log.ok() || !(*log)->scan().ok()) return;
    const ScannedBlock& head = (*log)->scan()->blocks.at((*log)->scan()->head);
    if (head.walk->batches.empty()) return;
    const IdRecord& last = head.walk->batches.back().id;
    const auto flip = [&] {
      for (const uint64_t begin : {last.data_begin, last.id_begin}) {
        file_system_->FlipBits(head.file->path(), begin + 20, 0x10);
      }
    };
    flip();
    const auto damaged = open();
    lost = damaged.ok() && (*damaged)->scan().ok() && (*damaged)->scan()->end_lost;
    if (!lost) return flip();
    world_.log.Add(node_, "lose end", {last.batch}, [&] { return head.file->path(); });
  });
  rotten_ |= lost;
  if (lost) world_.counters.Count("end of a log lost");
  return lost;
}

}  // namespace cairn::sim
