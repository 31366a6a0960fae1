#include "raft/core/reads.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace cairn {

bool LeaderReads::Add(Reader reader, std::optional<Index> commit) {
  if (count_ >= kMaxWaitingReads) return false;
  ++count_;
  if (commit) {
    // The commit index of a later arrival serves the earlier ones of the same round.
    next_.index = *commit;
    next_.readers.push_back(reader);
  } else {
    waiting_.push_back(reader);
  }
  return true;
}

void LeaderReads::AllowRounds(Index commit) {
  if (waiting_.empty()) return;
  next_.index = commit;
  std::move(waiting_.begin(), waiting_.end(), std::back_inserter(next_.readers));
  waiting_.clear();
}

bool LeaderReads::StartRound() {
  if (next_.readers.empty()) return false;
  started_ = true;
  rounds_.push_back({.context = ++last_context_, .reads = std::exchange(next_, {})});
  return true;
}

void LeaderReads::Acknowledge(NodeId peer, ReadContext context) {
  ReadContext& acknowledged = acknowledged_[peer];
  acknowledged = std::max(acknowledged, context);
}

ReadContext LeaderReads::AcknowledgedBy(NodeId peer) const {
  const auto found = acknowledged_.find(peer);
  return found == acknowledged_.end() ? 0 : found->second;
}

std::vector<LeaderReads::ReadyReads> LeaderReads::TakeConfirmed(ReadContext confirmed) {
  std::vector<ReadyReads> ready;
  while (!rounds_.empty() && rounds_.front().context <= confirmed) {
    count_ -= rounds_.front().reads.readers.size();
    ready.push_back(std::move(rounds_.front().reads));
    rounds_.pop_front();
  }
  return ready;
}

std::vector<Reader> LeaderReads::TakeAll() {
  std::vector<Reader> all;
  for (Round& round : rounds_) {
    all.insert(all.end(), round.reads.readers.begin(), round.reads.readers.end());
  }
  all.insert(all.end(), next_.readers.begin(), next_.readers.end());
  all.insert(all.end(), waiting_.begin(), waiting_.end());
  rounds_.clear();
  next_ = {};
  waiting_.clear();
  count_ = 0;
  return all;
}

bool ForwardedReads::Add(ReadId read) {
  if (count_ >= kMaxWaitingReads) return false;
  ++count_;
  next_.push_back(read);
  return true;
}

std::optional<uint64_t> ForwardedReads::StartRequest(Instant now) {
  if (next_.empty()) return std::nullopt;
  const uint64_t request = next_request_++;
  requests_.emplace(request, Request{.reads = std::exchange(next_, {}), .sent = now});
  return request;
}

std::optional<uint64_t> ForwardedReads::TakeOverdue(Instant now, Duration patience) {
  std::optional<uint64_t> last;
  for (auto& [number, request] : requests_) {
    if (now - request.sent < patience) continue;
    request.sent = now;
    last = number;
  }
  return last;
}

std::vector<ReadId> ForwardedReads::Answer(uint64_t request, bool ready) {
  const auto found = requests_.find(request);
  if (found == requests_.end()) return {};
  const auto first = ready ? requests_.begin() : found;
  std::vector<ReadId> reads;
  for (auto each = first; each != std::next(found); ++each) {
    reads.insert(reads.end(), each->second.reads.begin(), each->second.reads.end());
  }
  requests_.erase(first, std::next(found));
  count_ -= reads.size();
  return reads;
}

std::vector<ReadId> ForwardedReads::TakeAll() {
  std::vector<ReadId> all;
  for (auto& [number, request] : requests_) {
    all.insert(all.end(), request.reads.begin(), request.reads.end());
  }
  all.insert(all.end(), next_.begin(), next_.end());
  requests_.clear();
  next_.clear();
  count_ = 0;
  return all;
}

}  // namespace cairn
