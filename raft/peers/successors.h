// Successors: members that come with another disk than this node's log names, and can show why.

#ifndef RAFT_PEERS_SUCCESSORS_H_
#define RAFT_PEERS_SUCCESSORS_H_

#include <map>

#include "base/mutex.h"
#include "base/thread_annotations.h"
#include "base/types.h"
#include "raft/peers/introduction.h"

namespace cairn {

// A node that was removed may become a member again with another disk. A member that lags has to
// hear it all the same: it may lead, and be the only one to bring the configuration that says so.
//
// That configuration names the disks that were members before (Configuration::former_disks). Who
// knows of the disk that this node's log names, knows it from a log that goes on from one with that
// disk in it, and is by a later entry of that log a member itself. A wiped disk has no log, and in
// one it is fed by the others it is no member; who made a group of his own after he was wiped has
// never heard of the disk he had; and an old disk knows none that came after it. So none of them
// can show this, in however high a term.
//
// The successor is a stranger until the log here has come to that entry (MayStrangerSay): what it
// says is not counted as of the member that the log names.
//
// Threads: any.
class Successors {
 public:
  // Of `node`, which this log names with the disk `named`. False if that is not the disk of the
  // introduction, and not known to it either. A successor is kept in mind, the latest of a node.
  bool Believe(NodeId node, Incarnation named, const Introduction& introduction);
  // Whether `disk` is known to have come after `named`, by an entry of the log behind `commit`, up
  // to where this node knows it: what stands before says better who is a member.
  bool Has(NodeId node, Incarnation named, Incarnation disk, Index commit) const;

 private:
  mutable Mutex mutex_;
  std::map<NodeId, Introduction> latest_ CAIRN_GUARDED_BY(mutex_);
};

}  // namespace cairn

#endif  // RAFT_PEERS_SUCCESSORS_H_
