// Outbox: messages a Raft wants sent, each held back until what it asserts is durable.

#ifndef RAFT_CORE_OUTBOX_H_
#define RAFT_CORE_OUTBOX_H_

#include <vector>

#include "base/types.h"
#include "raft/core/messages.h"

namespace cairn {

// Holds: at most one message per receiver and kind (see SameSlot in the source), the latest; so
// this part is bounded by the group's size. Losing a message is always legal, so replacing and
// dropping are. Requests and answers of reads carry a number each, and none replaces another: they
// are as many as the reads that wait, and take nobody's place.
class Outbox {
 public:
  // Leaves when the batches up to and including `ticket` are durable; at once for ticket 0, of
  // messages that assert nothing. Those of reads assert nothing.
  void SendAfter(Ticket ticket, Message message);
  // At once, unless a message is held whose place it would take.
  void SendUnlessHeld(Message message);

  // Takes out what may leave when batches up to and including `synced` are durable, in the order
  // it was put in; those of reads last.
  std::vector<Message> Take(Ticket synced);

  // Forgets everything. Called at each change of term or role.
  void Drop() {
    held_.clear();
    of_reads_.clear();
  }

 private:
  struct Held {
    Ticket ticket = 0;
    Message message;
  };
  std::vector<Held> held_;
  std::vector<Message> of_reads_;
};

}  // namespace cairn

#endif  // RAFT_CORE_OUTBOX_H_
