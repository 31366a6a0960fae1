#include "tests/raft/repair/flip_cluster.h"

#include <iterator>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "storage/file_system.h"

namespace cairn {
namespace {

void ApplyFlips(const std::vector<Flip>& flips, std::vector<DiskCluster::Disk>& disks) {
  for (const Flip& flip : flips) {
    disks[flip.node - 1]->FlipBits(flip.path, flip.offset,
                                   static_cast<uint8_t>(1u << flip.offset % 8));
  }
}

}  // namespace

std::string Describe(const std::vector<Flip>& flips) {
  std::string text;
  for (const Flip& flip : flips) {
    absl::StrAppend(&text, "node ", flip.node, " ", flip.path, " byte ", flip.offset, "; ");
  }
  return text;
}

FlipCluster::FlipCluster(uint64_t nodes, DiskCluster::Options options)
    : options_(std::move(options)) {
  DiskCluster cluster(nodes, options_);
  cluster.StartAll();
  bool fine = cluster.Propose(70);
  cluster.Run(Seconds(1));
  if (options_.log_store == "rocksdb") {
    for (uint64_t node = 1; node <= nodes; ++node) cluster.Stop(node);
    cluster.StartAll();
    fine = fine && cluster.Await([&] { return cluster.Whole(); }) && cluster.Propose(5);
    cluster.Run(Seconds(1));
  }
  expected_ = cluster.Commands(1);
  for (uint64_t node = 1; node <= nodes; ++node) {
    if (options_.loss_report && cluster.runs(node)) {
      cluster.Losses(node).Add({.group = DiskCluster::kGroup, .text = "a copy that was healed"});
    }
    fine = fine && cluster.runs(node) && cluster.Status(node).first_index > 30;
    cluster.Stop(node);
    disks_.push_back(cluster.ImageOf(node));
  }
  if (!fine) wrong_ = "the cluster did not come to it";
}

std::map<std::string, std::string> FlipCluster::FilesOf(uint64_t node) const {
  std::map<std::string, std::string> files;
  SimulatedFileSystem& disk = *disks_[node - 1];
  for (const std::string directory :
       {"/data", "/data/log", "/data/log/db", "/data/snapshots/1", "/data/groups/1/machine"}) {
    const absl::StatusOr<std::vector<std::string>> names = disk.List(directory);
    if (!names.ok()) continue;  // of the other log store
    for (const std::string& name : *names) {
      const std::string path = absl::StrCat(directory, "/", name);
      absl::StatusOr<std::string> bytes = ReadWholeFile(disk, path);
      if (bytes.ok() && !bytes->empty()) files[path] = *std::move(bytes);
    }
  }
  return files;
}

std::string FlipCluster::After(const std::vector<Flip>& flips) {
  return AfterDamage([&flips](std::vector<DiskCluster::Disk>& disks) { ApplyFlips(flips, disks); });
}

std::vector<DiskCluster::Disk> FlipCluster::DisksWith(const std::vector<Flip>& flips) const {
  std::vector<DiskCluster::Disk> disks;
  for (const DiskCluster::Disk& disk : disks_) disks.push_back(disk->WorstCaseImage());
  ApplyFlips(flips, disks);
  return disks;
}

std::string FlipCluster::AfterDamage(
    const std::function<void(std::vector<DiskCluster::Disk>&)>& damage) {
  std::vector<DiskCluster::Disk> disks;
  for (const DiskCluster::Disk& disk : disks_) disks.push_back(disk->WorstCaseImage());
  damage(disks);
  DiskCluster cluster(std::move(disks), options_);
  cluster.StartAll();
  cluster.Run(Milliseconds(1));
  for (uint64_t node = 1; node <= disks_.size(); ++node) {
    if (!cluster.runs(node)) continue;
    const GroupStatus status = cluster.Status(node);
    if (status.state == NodeState::kRepairing) ++repairs_;
  }
  const bool whole = cluster.Await([&] { return cluster.Whole(); }, Seconds(15)) &&
                     cluster.Propose(1) && cluster.Await([&] { return cluster.Whole(); });
  return Look(cluster, whole);
}

std::string FlipCluster::WhileRunning(const std::vector<Flip>& flips) {
  std::vector<DiskCluster::Disk> disks;
  for (const DiskCluster::Disk& disk : disks_) disks.push_back(disk->WorstCaseImage());
  DiskCluster cluster(std::move(disks), options_);
  cluster.StartAll();
  if (!cluster.Await([&] { return cluster.Whole(); })) return "not whole before";
  std::vector<std::string> files;
  for (const Flip& flip : flips) {
    files.push_back(ReadWholeFile(cluster.Files(flip.node), flip.path).value());
    cluster.Files(flip.node).FlipBits(flip.path, flip.offset,
                                      static_cast<uint8_t>(1u << flip.offset % 8));
  }
  const auto right = [&] {
    for (size_t i = 0; i < flips.size(); ++i) {
      const absl::StatusOr<std::string> file =
          ReadWholeFile(cluster.Files(flips[i].node), flips[i].path);
      // It may have been gone on with.
      if (!file.ok() || !absl::StartsWith(*file, files[i])) return false;
    }
    return true;
  };
  if (!cluster.Await(right)) return "the file is not what it was";
  const bool whole = cluster.Await([&] { return cluster.Whole(); }) && cluster.Propose(1) &&
                     cluster.Await([&] { return cluster.Whole(); });
  return Look(cluster, whole);
}

// What is wrong in the end with a cluster that has come to be whole, or not.
std::string FlipCluster::Look(DiskCluster& cluster, bool whole) {
  std::string stops;
  for (uint64_t node = 1; node <= disks_.size(); ++node) {
    if (!cluster.Stopped(node).ok()) {
      absl::StrAppend(&stops, "node ", node, " stops: ", cluster.Stopped(node).ToString());
    } else if (!absl::StartsWith(cluster.Commands(node), expected_)) {
      return absl::StrCat("node ", node, " holds ", cluster.Commands(node));
    } else {
      parts_damaged_ += cluster.Status(node).counts.state_damaged;
      parts_mended_ += cluster.Status(node).counts.state_mended;
    }
  }
  if (!stops.empty()) return cluster.Propose(1) ? stops : "the others do not go on: " + stops;
  return whole ? "" : "not whole";
}

Flip DrawFlip(uint64_t node, const std::map<std::string, std::string>& files, Random& random) {
  const auto file =
      std::next(files.begin(), static_cast<std::ptrdiff_t>(random.Below(files.size())));
  const std::string& bytes = file->second;
  uint64_t offset = random.Below(bytes.size());
  for (int i = 0; i < 10 && bytes[offset] == 0; ++i) offset = random.Below(bytes.size());
  return {node, file->first, offset};
}

}  // namespace cairn
