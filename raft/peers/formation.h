// Formation: how the initial members become a cluster, and how a wiped one is found out.
//
// A node with an empty disk could have voted before its disk was emptied; so it must not take part
// before it knows that nobody else took part either. It asks every other initial member. The
// cluster forms with the table {node -> incarnation} of all of them, which every member decides
// alike:
//
// - A member is "empty" with an incarnation when it answered a question of ours so. A member
// answers
//   with the table it knows so far. This node forms when its own table is complete and the latest
//   answer of every other member had the very same table. An incarnation replaces another one only
//   by the answer to a question that was asked after the other one had answered, so members agree
//   on the order of a member's incarnations. Hence no two nodes that live have formed with
//   different tables: each would have shown the other's table before it had its own, which is the
//   one order and the other; and who has formed shows no other table any more.
// - A member that says "formed" shows the table. If this node's incarnation is in it, this node
//   forms too (it went down between deciding and saving, or missed the last answers). If it is not,
//   this disk is not the one that belongs to the cluster: MEMBER_AMNESIA, for good.

#ifndef RAFT_PEERS_FORMATION_H_
#define RAFT_PEERS_FORMATION_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/time.h"
#include "base/types.h"
#include "raft/core/configuration.h"
#include "raft/envelope.h"
#include "raft/identity.h"

namespace cairn {

// A pure function of what it is told; the caller sends, saves and waits. Threads: one at a time.
class Formation {
 public:
  struct Options {
    Duration interval;  // between questions to a member that has not agreed; grows up to backoff
    Duration backoff;
    uint64_t seed = 0;  // differs from start to start
  };
  struct Outgoing {
    NodeId to = NodeId::kNone;
    Hello hello;
  };
  enum class State {
    kAsking,
    kFormed,   // members() is the cluster; it must be durable before this node takes part
    kRefused,  // refusal() says why; final
  };

  // CHECKs that the node is one of the initial members. Of a formed identity only the answers to
  // other nodes' questions are left to do.
  Formation(const NodeIdentity& identity, const Options& options, Instant now);

  // A Hello whose envelope named this cluster and this node. Not of a member: ignored.
  void Receive(Instant now, NodeId from, Incarnation incarnation, const Hello& hello);
  void Tick(Instant now);
  // What to send, once; saved before, if the state has just become kFormed.
  std::vector<Outgoing> TakeOutgoing();
  // When Tick must be called at the latest.
  Instant NextWakeup() const;

  State state() const { return state_; }
  // The initial members with the incarnations known so far.
  const Configuration& members() const { return members_; }
  const std::string& refusal() const { return refusal_; }
  // For people: whose answer or agreement is missing.
  std::string Missing() const;

 private:
  // What is known of one other member.
  struct Peer {
    uint64_t answered = 0;  // answers to questions up to this one no longer count
    Configuration shown;    // the table of its latest answer
    Instant asked_at;       // the last question
    Instant next_question;  // when to ask again
    Duration interval;      // until the question after that
  };

  void TakeAnswer(Instant now, NodeId from, Incarnation incarnation, const Hello& hello);
  void TakeFormed(NodeId from, const Hello& hello, bool asked);
  void FormIfAllAgree();
  void Form();
  void Ask(Instant now, NodeId to);
  // Asks at once, or in a moment if it was asked a moment ago.
  void AskSoon(Instant now, NodeId to);
  Hello MakeHello(uint64_t question, bool reply_wanted) const;
  bool Agrees(const Peer& peer) const;
  bool NamesTheSameMembers(const Configuration& table) const;

  const NodeId node_;
  const Options options_;
  State state_ = State::kAsking;
  Configuration members_;
  std::map<NodeId, Peer> peers_;
  uint64_t last_question_;
  std::string refusal_;
  std::vector<Outgoing> outgoing_;
};

}  // namespace cairn

#endif  // RAFT_PEERS_FORMATION_H_
