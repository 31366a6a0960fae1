// Server: a node of a cluster inside this program. It puts Host, the log on disk and the gRPC
// transport together. This is what a program that embeds Cairn includes.

#ifndef CAIRN_SERVER_H_
#define CAIRN_SERVER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/log_sink.h"
#include "base/time.h"
#include "base/types.h"
#include "cairn/data_directory.h"
#include "cairn/initial_cluster.h"
#include "raft/core/configuration.h"
#include "raft/group.h"
#include "raft/host.h"
#include "raft/identity.h"
#include "raft/scrub/scrubber.h"
#include "raft/state_machine.h"
#include "storage/encrypted/file_upkeep.h"
#include "storage/loss_report.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace cairn {

struct ServerOptions {
  NodeId node = NodeId::kNone;
  std::string data_directory;
  // HOST:PORT, plain text, so a loopback address. Empty: as initial_members say.
  std::string listen;
  // The same on every node (cairn/initial_cluster.h). Without voters: as the directory says, once
  // it holds a node.
  Configuration initial_members;
  std::string cluster_token;
  // Instead of initial members: finds a running cluster that this new node joins
  // (service/membership/joiner.h). Once there it waits for a leader to name it as a member.
  std::function<absl::StatusOr<FormedCluster>()> find_cluster;
  // "block"; "rocksdb"; "memory", which forgets everything; or the name of a log store of the
  // program's own, which `open_log` opens. A directory is of one of them for ever.
  std::string log_store = "block";
  LogOpener open_log;
  uint64_t block_bytes = uint64_t{16} << 20;
  uint64_t reserve_bytes = uint64_t{32} << 20;  // BlockLogOptions, RocksDbLogOptions
  // "none", or "zstd": blocks of the log that were written some time ago are compressed in the
  // background (docs/storage.md), with "block" only, and with a scrub, whose rate it shares.
  std::string log_compression = "none";
  // What all that holds commands or their results is encrypted with (cairn/data_directory.h).
  std::shared_ptr<const KeyRing> keys;
  // What is sent of snapshots to members far behind; 0: no limit.
  uint64_t snapshot_bytes_per_second = 0;
  // The log is read in the background, to find what has rotted before somebody needs it, and have
  // it repaired (docs/storage.md): so many bytes a second at most, 0: not at all; and the time from
  // the beginning of one round to that of the next.
  uint64_t scrub_bytes_per_second = uint64_t{16} << 20;
  Duration scrub_period = Seconds(24 * 60 * 60);
  bool sync = true;        // false loses acknowledged commands at a power cut
  LogSink* log = nullptr;  // outlives the server; null: nothing is logged
  // Greatest gRPC message from clients, and the calls of one connection at a time.
  int max_receive_bytes = 16 << 20;
  int max_streams_per_connection = 128;
  // Commands are applied between Raft's own steps and not on a thread of their own: saves two
  // hand-offs a command. Only for state machines whose Apply is quick: a slow one delays elections
  // and heartbeats.
  bool apply_on_runner = false;
  // Threads of state machines (raft/host.h) where they do not run between Raft's steps; 0: as many
  // as processors, at most 4.
  size_t appliers = 0;
  // So many groups recover at a time, at most (raft/host.h).
  size_t openers = kUsualOpeners;
  // Of recent entries of all groups together (raft/host.h).
  uint64_t log_cache_bytes = kUsualLogCacheBytes;
  // What must stop serving, a group or (kNone) the whole node (raft/host.h); on a thread of
  // Cairn's, or the one that calls Start or Open.
  std::function<void(GroupId, NodeState, const absl::Status&)> stopped;
};

// No exception comes out of it, nothing calls exit, no signal handler or flag is set.
//
// Threads: Start, Listen, HandOver and Shutdown by one thread. Open, OpenAll, Close, Delete and
// Reset by any, and back before Shutdown is called; groups are used from any.
class Server {
 public:
  // Locks and opens the data directory, recovers the log. The codes of an error are those of
  // cairn/data_directory.h.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options);
  virtual ~Server() = default;

  // Recovers a group and starts to take part in it. Before Listen, or while the server runs.
  virtual absl::StatusOr<Group> Open(GroupId group, std::unique_ptr<StateMachine> state_machine,
                                     const GroupOptions& options = {}) = 0;
  // As Host::OpenAll: at most ServerOptions::openers of them at a time, on so many threads. What
  // came of each, in their order.
  virtual std::vector<absl::StatusOr<Group>> OpenAll(std::vector<GroupToOpen> groups) = 0;
  // How many groups recover, wait for that, and have waited.
  virtual OpeningsStatus StatusOfOpenings() const = 0;

  // As Host::Close, Delete and Reset (raft/host.h); Open may follow, also after Listen.
  using LifeDone = absl::AnyInvocable<void(const absl::Status&)>;
  virtual void Close(GroupId group, Duration patience, LifeDone done) = 0;
  virtual void Delete(GroupId group, Duration patience, LifeDone done) = 0;
  virtual void Reset(GroupId group, LifeDone done) = 0;

  // Starts to answer peers, and the calls of `services` (which outlive the server), on
  // ServerOptions::listen. Once, after the groups are open. UNAVAILABLE if the address is taken.
  virtual absl::Status Listen(const std::vector<grpc::Service*>& services = {}) = 0;

  virtual const NodeIdentity& identity() const = 0;
  // What an operator should know, one sentence each.
  virtual std::vector<std::string> Warnings() const = 0;
  // How many files there are besides the log's blocks, and how many are not encrypted as new ones
  // are; nothing without keys.
  virtual std::optional<FileUpkeepStatus> EncryptedFiles() const = 0;
  // How far the scrub of the log is; nothing if there is none.
  virtual std::optional<ScrubStatus> Scrub() const = 0;
  // Frames of other nodes that were refused since the start, by the reason they were told
  // (docs/protocol.md).
  virtual std::map<std::string, uint64_t> RefusedFrameCounts() const = 0;
  // What was found damaged or lost, in the data directory's lost-data.jsonl (docs/storage.md).
  virtual const LossReport& losses() const = 0;

  // Hands leadership of each group this node leads over; blocks until each has another leader, or
  // for `patience`. FAILED_PRECONDITION names those this node leads still.
  virtual absl::Status HandOver(Duration patience) = 0;
  // Hands leadership over, unless HandOver was called, for half of `patience` at most, and ends
  // calls and groups in an orderly way, all for at most `patience`. Afterwards no callback runs.
  // The destructor does the same without patience.
  virtual void Shutdown(Duration patience) = 0;
};

}  // namespace cairn

#endif  // CAIRN_SERVER_H_
