// PeerBook: whom a node listens to, and where it answers.

#ifndef RAFT_PEERS_PEER_BOOK_H_
#define RAFT_PEERS_PEER_BOOK_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/types.h"
#include "raft/peers/introduction.h"

namespace cairn {

// Who a node is to this one.
enum class Standing {
  kUnknown,   // it is not listened to
  kStranger,  // it has introduced itself, and may say what MayStrangerSay (raft/sender_check.h)
  kPeer,      // it is, or was, a member by what this node knows itself
};

// Peers are named by configurations and stay; so there is a way to who was removed. Strangers are
// known by their introductions only, for as long as these are believed, and at most kMaxStrangers
// of them: of more the one not heard for longest is forgotten. A peer may introduce itself too,
// where it has moved and this node's log does not say so yet; its address counts before that of the
// log for as long as it is believed.
//
// Threads: one at a time.
class PeerBook {
 public:
  static constexpr size_t kMaxStrangers = 16;

  // A configuration, or the list of initial members, says where `node` is dialled.
  void Name(NodeId node, const std::string& address);
  // `node` is there, and `believed` are those of its introductions that this node believes; they
  // take the place of earlier ones. The stranger that was forgotten for it, or kNone.
  NodeId Meet(NodeId node, std::vector<Introduction> believed);
  // Who `node` is, of whom something has come in.
  Standing Hear(NodeId node);

  // The introductions by which somebody is known.
  std::vector<std::pair<NodeId, Introduction>> introduced() const;
  // This one is not believed any more. True if that changed where `node` is dialled.
  bool Drop(NodeId node, const Introduction& introduction);

  // Where `node` is dialled now; empty for who is unknown.
  std::string AddressOf(NodeId node) const;

 private:
  struct Entry {
    bool peer = false;                     // otherwise a stranger
    std::string named;                     // where a peer's configuration says it is
    std::vector<Introduction> introduced;  // believed
    uint64_t heard = 0;

    const std::string& address() const {
      return introduced.empty() ? named : introduced.front().address;
    }
  };
  NodeId ForgetOneOfTooMany();

  uint64_t heard_ = 0;  // counts what came in
  std::map<NodeId, Entry> entries_;
};

}  // namespace cairn

#endif  // RAFT_PEERS_PEER_BOOK_H_
