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

bool ForwardedReads::Add(ReadId read, bool lease) {
  if (count_ >= kMaxWaitingReads) return false;
  ++count_;
  (lease ? next_by_lease_ : next_).push_back(read);
  return true;
}

std::optional<ForwardedReads::Asked> ForwardedReads::StartRequest(Instant now) {
  const bool lease = next_.empty();
  std::vector<ReadId>& next = lease ? next_by_lease_ : next_;
  if (next.empty()) return std::nullopt;
  const Asked asked = {.request = next_request_++, .lease = lease};
  requests_.emplace(asked.request,
                    Request{.reads = std::exchange(next, {}), .lease = lease, .sent = now});
  return asked;
}

std::optional<ForwardedReads::Asked> ForwardedReads::TakeOverdue(Instant now, Duration patience) {
  std::optional<Asked> last;
  for (auto& [number, request] : requests_) {
    if (now - request.sent < patience) continue;
    request.sent = now;
    // One that asks a quorum answers all before it.
    last = Asked{.request = number, .lease = request.lease && (!last || last->lease)};
  }
  return last;
}

std::vector<ReadId> ForwardedReads::Answer(uint64_t request, bool ready, bool lease) {
  const auto found = requests_.find(request);
  if (found == requests_.end()) return {};
  const auto end = std::next(found);
  std::vector<ReadId> reads;
  for (auto each = ready ? requests_.begin() : found; each != end;) {
    if (lease && !each->second.lease) {
      ++each;
      continue;
    }
    reads.insert(reads.end(), each->second.reads.begin(), each->second.reads.end());
    each = requests_.erase(each);
  }
  count_ -= reads.size();
  return reads;
}

std::vector<ReadId> ForwardedReads::TakeAll() {
  std::vector<ReadId> all;
  for (auto& [number, request] : requests_) {
    all.insert(all.end(), request.reads.begin(), request.reads.end());
  }
  for (std::vector<ReadId>* next : {&next_, &next_by_lease_}) {
    all.insert(all.end(), next->begin(), next->end());
    next->clear();
  }
  requests_.clear();
  count_ = 0;
  return all;
}

}  // namespace cairn
