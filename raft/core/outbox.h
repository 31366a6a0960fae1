// Outbox: messages a Raft wants sent, each held back until what it asserts is durable.

#ifndef RAFT_CORE_OUTBOX_H_
#define RAFT_CORE_OUTBOX_H_

#include <vector>

#include "base/types.h"
#include "raft/core/messages.h"

namespace cairn {

// Holds: at most one message per receiver and kind (see SameSlot in the source), the latest; so
// the outbox is bounded by the group's size. Losing a message is always legal, so replacing and
// dropping are.
class Outbox {
 public:
  // For messages that assert nothing.
  void Send(Message message) { SendAfter(0, std::move(message)); }
  // Leaves when the batches up to and including `ticket` are durable.
  void SendAfter(Ticket ticket, Message message);

  // Takes out what may leave when batches up to and including `synced` are durable, in the order
  // it was put in.
  std::vector<Message> Take(Ticket synced);

  // Forgets everything. Called at each change of term or role.
  void Drop() { held_.clear(); }

 private:
  struct Held {
    Ticket ticket = 0;
    Message message;
  };
  std::vector<Held> held_;
};

}  // namespace cairn

#endif  // RAFT_CORE_OUTBOX_H_
