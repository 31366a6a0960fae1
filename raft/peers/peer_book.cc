#include "raft/peers/peer_book.h"

#include <utility>

namespace cairn {

void PeerBook::Name(NodeId node, const std::string& address) {
  Entry& entry = entries_[node];
  entry.peer = true;
  entry.named = address;
}

NodeId PeerBook::Meet(NodeId node, std::vector<Introduction> believed) {
  if (believed.empty()) return NodeId::kNone;
  Entry& entry = entries_[node];
  entry.introduced = std::move(believed);
  entry.heard = ++heard_;
  return ForgetOneOfTooMany();
}

NodeId PeerBook::ForgetOneOfTooMany() {
  size_t strangers = 0;
  auto quietest = entries_.end();
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    if (entry->second.peer) continue;
    ++strangers;
    if (quietest == entries_.end() || entry->second.heard < quietest->second.heard) {
      quietest = entry;
    }
  }
  if (strangers <= kMaxStrangers) return NodeId::kNone;
  const NodeId forgotten = quietest->first;
  entries_.erase(quietest);
  return forgotten;
}

Standing PeerBook::Hear(NodeId node) {
  const auto found = entries_.find(node);
  if (found == entries_.end()) return Standing::kUnknown;
  found->second.heard = ++heard_;
  return found->second.peer ? Standing::kPeer : Standing::kStranger;
}

std::vector<std::pair<NodeId, Introduction>> PeerBook::introduced() const {
  std::vector<std::pair<NodeId, Introduction>> all;
  for (const auto& [node, entry] : entries_) {
    for (const Introduction& introduction : entry.introduced) all.emplace_back(node, introduction);
  }
  return all;
}

bool PeerBook::Drop(NodeId node, const Introduction& introduction) {
  const auto found = entries_.find(node);
  if (found == entries_.end()) return false;
  Entry& entry = found->second;
  const std::string before = entry.address();
  std::erase(entry.introduced, introduction);
  const std::string after = entry.address();
  if (!entry.peer && entry.introduced.empty()) entries_.erase(found);
  return before != after;
}

std::string PeerBook::AddressOf(NodeId node) const {
  const auto found = entries_.find(node);
  return found == entries_.end() ? "" : found->second.address();
}

}  // namespace cairn
