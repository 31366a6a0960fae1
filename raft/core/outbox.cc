#include "raft/core/outbox.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <utility>
#include <variant>

namespace cairn {
namespace {

// Nodes that are no members may ask for votes; their answers need a bound of their own.
constexpr size_t kMaxHeld = 256;

// Whether the later of two messages makes the earlier one useless. A success and a refusal of
// appends say different things.
bool SameSlot(const Message& a, const Message& b) {
  if (a.to != b.to || a.body.index() != b.body.index()) return false;
  const auto* reply = std::get_if<AppendReply>(&a.body);
  return reply == nullptr || reply->success == std::get<AppendReply>(b.body).success;
}

bool IsOfARead(const Message& message) {
  return std::holds_alternative<ReadIndexRequest>(message.body) ||
         std::holds_alternative<ReadIndexReply>(message.body);
}

}  // namespace

void Outbox::SendAfter(Ticket ticket, Message message) {
  if (IsOfARead(message)) {
    of_reads_.push_back(std::move(message));
    return;
  }
  std::erase_if(held_, [&](const Held& held) { return SameSlot(held.message, message); });
  if (held_.size() >= kMaxHeld) held_.erase(held_.begin());
  held_.push_back({.ticket = ticket, .message = std::move(message)});
}

void Outbox::SendUnlessHeld(Message message) {
  const bool held = std::any_of(held_.begin(), held_.end(),
                                [&](const Held& each) { return SameSlot(each.message, message); });
  if (!held) SendAfter(0, std::move(message));
}

std::vector<Message> Outbox::Take(Ticket synced) {
  const auto first_held = std::stable_partition(
      held_.begin(), held_.end(), [&](const Held& held) { return held.ticket <= synced; });
  std::vector<Message> ready;
  ready.reserve(static_cast<size_t>(first_held - held_.begin()) + of_reads_.size());
  for (auto held = held_.begin(); held != first_held; ++held) {
    ready.push_back(std::move(held->message));
  }
  held_.erase(held_.begin(), first_held);
  std::move(of_reads_.begin(), of_reads_.end(), std::back_inserter(ready));
  of_reads_.clear();
  return ready;
}

}  // namespace cairn
