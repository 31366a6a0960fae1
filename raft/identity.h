// NodeIdentity: who a node is, kept on its disk, so that a wiped, copied or mixed-up data directory
// is told from the real one.

#ifndef RAFT_IDENTITY_H_
#define RAFT_IDENTITY_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/types.h"
#include "raft/core/configuration.h"
#include "storage/file_system.h"

namespace cairn {

inline constexpr uint32_t kDataFormatVersion = 1;

struct NodeIdentity {
  ClusterId cluster;
  NodeId node = NodeId::kNone;
  Incarnation incarnation = Incarnation::kUnknown;
  // The initial members. Their incarnations are unknown until the cluster has formed
  // (raft/peers/formation.h); then they are all known, and never change here. Of a node that joined
  // a formed cluster: who the members were then, without itself; only whom to listen to at first.
  Configuration initial_members;
  bool formed = false;
  // It joined a cluster that had formed without it.
  bool joined() const { return initial_members.Find(node) == nullptr; }
  std::string log_store;  // "block", "rocksdb", "memory": fixed at first start
};

// Cluster id = hash of the initial members (ids and addresses, in order) and the token.
ClusterId MakeClusterId(const Configuration& initial_members, const std::string& token);

// The identity lives in two files of `directory`, each whole and checksummed, written one after the
// other. One damaged or missing copy is healed from the other.
//
// Load: NOT_FOUND if neither file is there (a new node), DATA_LOSS if files are there and none is
// intact, FAILED_PRECONDITION for a newer format. Save makes the directory if it is not there.
absl::StatusOr<NodeIdentity> LoadIdentity(FileSystem& file_system, const std::string& directory);
// As LoadIdentity, but writes nothing.
absl::StatusOr<NodeIdentity> ReadIdentity(FileSystem& file_system, const std::string& directory);
absl::Status SaveIdentity(FileSystem& file_system, const std::string& directory,
                          const NodeIdentity& identity);

// What a start does: loads the identity of `directory` and checks it against `wanted`, or saves
// `wanted` (with an incarnation the caller has just drawn) if there is none yet. `*formatted` tells
// which. Errors as those of the three.
absl::StatusOr<NodeIdentity> LoadOrCreateIdentity(FileSystem& file_system,
                                                  const std::string& directory,
                                                  const NodeIdentity& wanted, bool* formatted);

// FAILED_PRECONDITION naming both sides if `wanted` (from flags) contradicts `found` (on disk) in
// cluster, node or log store.
absl::Status CheckIdentity(const NodeIdentity& found, const NodeIdentity& wanted);

}  // namespace cairn

#endif  // RAFT_IDENTITY_H_
