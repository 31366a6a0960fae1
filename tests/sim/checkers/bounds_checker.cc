#include "tests/sim/checkers/bounds_checker.h"

#include <algorithm>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "raft/core/options.h"

namespace cairn::sim {
namespace {

// Nothing in the product queues tasks by the thousand: mailboxes take what comes in, and wake their
// runner once.
constexpr size_t kMostTasks = 5000;
// One that is the last, one that takes its place, one on its way in, and older ones that are still
// being read by members that pull them. Each has a manifest and three files.
constexpr size_t kMostSnapshots = 8;
constexpr size_t kFilesOfSnapshot = 4;
// To each peer: the entry, and that it is committed; with their answers.
constexpr size_t kMessagesOfCommit = 4;
// A peer that is probed, or a round of reads that is still under way, before and after.
constexpr size_t kMessagesBeside = 4;

}  // namespace

void BoundsChecker::Require(NodeId node, const char* what, size_t have, size_t limit) {
  if (have <= limit) return;
  violations_.Report("I23 bounded", absl::StrCat("n", ToInteger(node), " has ", have, " ", what,
                                                 ", at most ", limit, " are allowed"));
}

void BoundsChecker::Shown(NodeId node, const GroupStatus& status) {
  // What is sent goes as far as the window is not full: one frame or entry may stand over.
  const size_t window = RaftOptions().max_inflight_bytes + options_.max_command_bytes;
  for (const PeerStatus& peer : status.peers) {
    Require(node, "bytes under way to a peer", peer.inflight_bytes, window);
  }
  Require(node, "sessions", status.sessions, options_.max_sessions);
}

bool BoundsChecker::NothingUnderWay(const GroupStatus& status) {
  return std::all_of(status.peers.begin(), status.peers.end(),
                     [](const PeerStatus& peer) { return peer.inflight_bytes == 0; });
}

void BoundsChecker::ShownAtRest(NodeId node, const GroupStatus& status) {
  Require(node, "bytes of entries in memory", status.cached_bytes, options_.log_cache_bytes);
  for (const PeerStatus& peer : status.peers) {
    if (peer.since_contact > options_.election_timeout) continue;
    Require(node, "bytes under way to a peer, at rest", peer.inflight_bytes, 0);
  }
}

void BoundsChecker::Taken(NodeId node, size_t bytes) {
  Open& open = open_[node];
  ++open.calls;
  open.bytes += bytes;
  // One call alone always fits.
  if (open.calls > 1) {
    Require(node, "bytes of commands not answered", open.bytes, options_.max_inflight_bytes);
  }
}

void BoundsChecker::Answered(NodeId node, size_t bytes) {
  const auto open = open_.find(node);
  if (open == open_.end() || open->second.calls == 0) return;  // of a process that has ended
  --open->second.calls;
  open->second.bytes -= std::min(bytes, open->second.bytes);
}

// Not what is said about elections and membership: strangers begin that, too.
void BoundsChecker::Sent(const Envelope& envelope) {
  const auto* body = std::get_if<MessageBody>(&envelope.body);
  const bool counts = body == nullptr ? std::holds_alternative<ForwardedProposals>(envelope.body) ||
                                            std::holds_alternative<ForwardedResults>(envelope.body)
                                      : std::holds_alternative<AppendEntries>(*body) ||
                                            std::holds_alternative<AppendReply>(*body) ||
                                            std::holds_alternative<Heartbeat>(*body) ||
                                            std::holds_alternative<HeartbeatReply>(*body) ||
                                            std::holds_alternative<ReadIndexRequest>(*body) ||
                                            std::holds_alternative<ReadIndexReply>(*body);
  if (counts) ++messages_;
}

void BoundsChecker::Committed(const Commits& seen) {
  // A clock may run faster than virtual time, by a tenth.
  const int64_t heartbeats =
      seen.took.nanoseconds * 11 / 10 / options_.heartbeat_interval.nanoseconds + 2;
  const size_t of_peer =
      seen.commits * kMessagesOfCommit + static_cast<size_t>(heartbeats) * 2 + kMessagesBeside;
  Require(NodeId::kNone, "messages for a few commits", seen.messages, of_peer * seen.peers);
}

void BoundsChecker::Waiting(NodeId node, size_t tasks) {
  Require(node, "tasks that wait", tasks, kMostTasks);
}

void BoundsChecker::SnapshotFiles(NodeId node, const std::vector<std::string>& names) {
  auto count = [&](const char* extension) {
    return static_cast<size_t>(std::count_if(
        names.begin(), names.end(),
        [extension](const std::string& name) { return absl::EndsWith(name, extension); }));
  };
  Require(node, "temporary files", count(".tmp"), 2);
  Require(node, "snapshots on their way in", count(".incoming"), 2);
  Require(node, "snapshots", count(".manifest"), 2);
  Require(node, "files of snapshots", names.size(), kMostSnapshots * kFilesOfSnapshot);
}

}  // namespace cairn::sim
