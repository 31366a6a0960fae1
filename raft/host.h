// Host: one node of a cluster in this process. It runs any number of groups over one transport and
// one disk.

#ifndef RAFT_HOST_H_
#define RAFT_HOST_H_

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/executor.h"
#include "base/log_sink.h"
#include "base/time.h"
#include "base/types.h"
#include "raft/core/trace.h"
#include "raft/group.h"
#include "raft/identity.h"
#include "raft/lifecycle/openings.h"
#include "raft/peers/introduction.h"
#include "raft/scrub/scrubber.h"
#include "raft/state_machine.h"
#include "raft/transport.h"
#include "storage/file_system.h"
#include "storage/log_store.h"
#include "storage/loss_report.h"

namespace cairn {

inline constexpr uint64_t kUsualLogCacheBytes = uint64_t{128} << 20;

// Everything a host needs from outside. The simulator gives other ones; nothing else differs.
struct HostDependencies {
  Clock* clock = nullptr;
  FileSystem* file_system = nullptr;
  // Of the identity, which is saved when the cluster has formed; durable state machines have theirs
  // in groups/<id>/machine.
  std::string data_directory;
  LogDisk* log_disk = nullptr;
  Transport* transport = nullptr;
  // A new sequence; `name` is for thread names: "runner", "log-writer", "applier", "reader",
  // "snapshots", "scrubber", "opener". May be null for "applier": state machines run on the
  // runner's sequence, which saves a hand-off per command and lets a slow state machine delay
  // elections and heartbeats; and for "reader": the runner reads from the disk what members need
  // that lag far behind; and for "snapshots": there are none then, and logs are kept whole; and for
  // "opener": whoever calls OpenAll opens one group after the other.
  std::function<std::unique_ptr<Executor>(const std::string& name)> make_executor;
  // So many sequences "applier" there are; a group's state machine runs on one of them, by the
  // group's id. A slow machine delays those it shares one with.
  size_t appliers = 1;
  // So many groups recover at a time, at most; the others wait for their turn.
  size_t openers = kUsualOpeners;
  // What all groups of this host together keep of their recent entries in memory, each an equal
  // share (but no less than CacheShare::kLeastBytes) and at most GroupOptions::log_cache_bytes.
  uint64_t log_cache_bytes = kUsualLogCacheBytes;
  // What all groups of this host together send of snapshots to members that lag far behind; 0: no
  // limit.
  uint64_t snapshot_bytes_per_second = 0;
  // How its log is read in the background, to find rot before somebody needs what has rotted; on an
  // executor "scrubber". Off unless a rate is given, or if the log disk has nothing to scrub.
  ScrubOptions scrub;
  // Of all randomness of this host. Must differ from start to start.
  uint64_t seed = 0;
  // An unformed node asks the initial members this often, waiting longer and longer between the
  // questions, at most hello_backoff.
  Duration hello_interval = Milliseconds(100);
  Duration hello_backoff = Milliseconds(1000);
  // Where it is written down what was found damaged or lost. May be null.
  LossReport* losses = nullptr;
  LogSink* log = nullptr;      // null: nothing is logged
  TraceSink* trace = nullptr;  // null: Raft's decisions are not traced
  // What must stop serving here: each group, once, with its reason, and the whole host (kNone),
  // once, when its log can take no more or the cluster refuses it; then its groups are told of,
  // too, those that had stopped before excepted. kFenced: its storage failed (UNAVAILABLE or
  // INTERNAL). kHalted: its data is damaged beyond what peers can repair (DATA_LOSS), or it is not
  // the member it claims to be (FAILED_PRECONDITION, message beginning with MEMBER_AMNESIA), or is
  // none any more (MEMBER_REMOVED). One call at a time, on a thread of Cairn's or from within Start
  // or Open.
  absl::AnyInvocable<void(GroupId, NodeState, absl::Status)> stopped;
};

// One of Host::OpenAll.
struct GroupToOpen {
  GroupId group = GroupId::kNone;
  std::unique_ptr<StateMachine> state_machine;
  GroupOptions options = {};
};

// Threads: all calls from any thread.
// Ownership: the dependencies outlive the host; the host owns groups and their state machines.
class Host {
 public:
  // `identity` says who this node is and who the initial members are (raft/identity.h). Starts the
  // transport, and asks the other initial members who they are if the cluster has not formed yet.
  // A node that joined (NodeIdentity::joined) knows no group's members before a leader tells it.
  // INVALID_ARGUMENT for members that make no Configuration, for no appliers and for no openers,
  // FAILED_PRECONDITION for a node that is none of them and has not joined a formed cluster.
  static absl::StatusOr<std::unique_ptr<Host>> Start(const NodeIdentity& identity,
                                                     HostDependencies dependencies);
  virtual ~Host() = default;

  // Recovers the group's log and starts to take part once the cluster has formed. The state machine
  // catches up in the background; Group::Status tells how far it is. Damage (see `stopped`) gives a
  // group that answers its status and refuses everything else.
  //
  // Blocks. Groups that are opened by several threads recover beside each other, at most
  // HostDependencies::openers at a time, in the order of the calls. ALREADY_EXISTS if the group is
  // open or is being opened, FAILED_PRECONDITION if it is being closed or deleted, UNAVAILABLE if
  // the host stops before it is this one's turn, and the error of the log's disk if it has failed.
  // After an error nothing of the group is open, and it may be opened again.
  virtual absl::StatusOr<Group> Open(GroupId group, std::unique_ptr<StateMachine> state_machine,
                                     GroupOptions options) = 0;
  // Opens each of them as Open does, and gives what came of it, in their order: one that fails
  // hinders no other one. The caller's thread and executors "opener" share the work. Blocks until
  // all have ended.
  virtual std::vector<absl::StatusOr<Group>> OpenAll(std::vector<GroupToOpen> groups) = 0;
  // Of all groups that are opened.
  virtual OpeningsStatus StatusOfOpenings() const = 0;

  // The groups of a host come and go while it runs. `done` is told once, on a thread of Cairn's or
  // before the call returns; UNAVAILABLE if the host stops before that.
  using LifeDone = absl::AnyInvocable<void(const absl::Status&)>;

  // Ends this node's part of a group for now: refuses new calls (kStopping), waits for those under
  // way until `deadline`, answers the rest as unknown, and drops the state machine; what is on the
  // disk stays. When `done` is told OK nothing of the group runs or calls back any more, messages
  // to it are dropped, and it may be opened again. Handles stay and refuse everything. A leader
  // hands nothing over: transfer first. NOT_FOUND if it is not open, FAILED_PRECONDITION if it is
  // being opened or closed.
  virtual void Close(GroupId group, Instant deadline, LifeDone done) = 0;

  // Closes the group, if it is open, and removes all this node has of it: log, term and vote,
  // snapshots, directory of the machine. Whenever the power goes, the next start finds the group
  // whole, or gone (and removes the rest). Space of the log is given back as its blocks get free.
  //
  // What this node acknowledged is lost with it, so the group is deleted on every member, or where
  // it is no member any more. Opened again it is another member, with an incarnation of its own
  // (GroupStatus::incarnation), which votes and counts for nothing until the group's members are
  // declared with that. If nobody has the group, remove it from all data directories and choose
  // another id for the next one. FAILED_PRECONDITION if it is being opened, closed or deleted.
  virtual void Delete(GroupId group, Instant deadline, LifeDone done) = 0;

  // Delete for a member whose state is of no use and that shall be fed anew: open the group again
  // when `done` is told OK, and declare the members with its new incarnation. FAILED_PRECONDITION,
  // and nothing is changed, if it is a voter, by the configuration in force or the last committed
  // one: what a quorum has acknowledged may rest on it, so remove or demote it first; if one of
  // these names it without its incarnation, so that what is fed anew would pass for what it was; or
  // if nobody can tell, since its log cannot be read (remove it, then Delete). Calls under way are
  // not waited for. NOT_FOUND if it is not open.
  virtual void Reset(GroupId group, LifeDone done) = 0;

  // Hands leadership of each group this node leads over to the best of its other voters. `done` is
  // told when each has been, or could not be until `deadline`: then FAILED_PRECONDITION, naming
  // them. For before Shutdown, so that no group waits for an election.
  virtual void HandOver(Instant deadline, LifeDone done) = 0;

  // Why an envelope that came off the network should not be given to the transport's receiver, for
  // who can still tell its sender (raft/sender_check.h, Vet). Advice: what passes is checked again.
  virtual absl::Status Vet(const Envelope& envelope) = 0;
  // Whether `node` is no peer any more of a group that is open here, and was one: it may speak, so
  // that Vet can tell it. From any thread.
  virtual bool WasRemoved(NodeId node) = 0;
  // Whether what a node says of itself is news that may be true (raft/peers/introduction.h): then
  // it may speak, and is answered, although no log here names it. From any thread.
  virtual bool Believes(NodeId from, const Introduction& introduction) = 0;

  // How far the scrub of the log is; nothing if there is none.
  virtual std::optional<ScrubStatus> Scrub() = 0;

  // Refuses new proposals, waits for those under way until `deadline`, answers the rest as unknown
  // and stops all tasks. Afterwards no callback runs. Blocks; with a deadline that has passed it
  // waits for nothing but groups that other threads are recovering (those that wait for their turn
  // are refused), so that a simulator with one thread can call it. Not from a callback. The
  // destructor does the same with a deadline that has passed.
  virtual void Shutdown(Instant deadline) = 0;
};

}  // namespace cairn

#endif  // RAFT_HOST_H_
