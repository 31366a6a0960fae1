// FlipCluster: what becomes of a cluster of which files have rotted. The nodes are whole hosts; the
// files are all they keep.

#ifndef TESTS_RAFT_REPAIR_FLIP_CLUSTER_H_
#define TESTS_RAFT_REPAIR_FLIP_CLUSTER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "tests/raft/repair/disk_cluster.h"

namespace cairn {

// One bit of a byte.
struct Flip {
  uint64_t node = 0;
  std::string path;
  uint64_t offset = 0;
};
std::string Describe(const std::vector<Flip>& flips);

class FlipCluster {
 public:
  // Of nodes whose logs were compacted, and what their disks keep if the power goes. With RocksDB
  // each was started twice, so that there are tables and a write-ahead log. `wrong()` if it did not
  // come to that.
  explicit FlipCluster(uint64_t nodes, DiskCluster::Options options = {});
  const std::string& wrong() const { return wrong_; }

  // The files of a node that have content, by path.
  std::map<std::string, std::string> FilesOf(uint64_t node) const;

  // What is wrong after a start with these flips, or with other damage; empty if nothing is: all
  // nodes serve, with all that was acknowledged.
  std::string After(const std::vector<Flip>& flips);
  // The disks with these flips, for a cluster of one's own with the same options.
  std::vector<DiskCluster::Disk> DisksWith(const std::vector<Flip>& flips) const;
  std::string AfterDamage(const std::function<void(std::vector<DiskCluster::Disk>&)>& damage);
  // Of nodes that scrub: what is wrong where the bytes are flipped while all serve, and nothing is
  // started again; also if they are not what they were in the end.
  std::string WhileRunning(const std::vector<Flip>& flips);

  // Nodes that knew at once of what they could not read.
  int repairs() const { return repairs_; }
  // Parts of the state that were found damaged, and put right.
  uint64_t parts_damaged() const { return parts_damaged_; }
  uint64_t parts_mended() const { return parts_mended_; }

 private:
  std::string Look(DiskCluster& cluster, bool whole);

  const DiskCluster::Options options_;
  std::vector<DiskCluster::Disk> disks_;
  std::string expected_;
  std::string wrong_;
  int repairs_ = 0;
  uint64_t parts_damaged_ = 0;
  uint64_t parts_mended_ = 0;
};

// Mostly where something was written.
Flip DrawFlip(uint64_t node, const std::map<std::string, std::string>& files, Random& random);

}  // namespace cairn

#endif  // TESTS_RAFT_REPAIR_FLIP_CLUSTER_H_
