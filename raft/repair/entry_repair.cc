#include "raft/repair/entry_repair.h"

#include <algorithm>
#include <utility>

#include "raft/core/membership.h"

namespace cairn {
namespace {

// Of so many questions late answers are taken.
constexpr size_t kMaxUnanswered = 32;

// The last of those that are asked for in a row from the first one on.
Index LastInRow(const std::vector<EntryRange>& ranges) {
  Index last = ranges.front().last;
  for (const EntryRange& range : ranges) {
    if (range.first == last + 1) last = range.last;
  }
  return last;
}

}  // namespace

std::vector<EntryRange> RangesToAsk(const Raft& raft) {
  std::vector<EntryRange> ranges;
  HoleRange hole = raft.holes().RangeFrom(1);
  for (; hole.first != 0; hole = raft.holes().RangeFrom(hole.last + 1)) {
    for (Index first = hole.first; first <= hole.last; first = ranges.back().last + 1) {
      if (ranges.size() == kMaxEntryRanges) return ranges;
      const Index last = std::min(hole.last, raft.LastOfTerm(first));
      ranges.push_back({first, last, raft.TermAt(first)});
    }
  }
  return ranges;
}

// The leader has what is committed; of the others the one that comes after who was asked last.
NodeId EntryRepair::Choose(const Raft& raft) const {
  const auto may = [&](NodeId node) { return node != raft.node() && !tried_.contains(node); };
  const std::vector<NodeId> members = OtherMembers(raft.configuration(), raft.node());
  if (raft.leader() != NodeId::kNone && may(raft.leader())) return raft.leader();
  for (const NodeId member : members) {
    if (member > asked_.peer && may(member)) return member;
  }
  for (const NodeId member : members) {
    if (may(member)) return member;
  }
  return NodeId::kNone;
}

void EntryRepair::BeginRound() {
  tried_.clear();
  lack_.clear();
  lack_through_ = kMaxIndex;
  all_asked_ = false;
  again_ = kDistantFuture;
}

// Whoever was waited for has not answered.
void EntryRepair::NoteSilence() {
  if (asked_.until == Instant()) return;
  asked_.until = Instant();
  Duration& wait = waits_.try_emplace(asked_.peer, patience_).first->second;
  wait = std::min(wait * 2, std::max(patience_, pause_ * 4));
}

std::optional<EntryRepair::Asking> EntryRepair::Next(Instant now, const Raft& raft) {
  if (asked_.writing) return std::nullopt;
  const Index hole = raft.holes().empty() ? 0 : raft.holes().first();
  const LogPosition first = {hole, hole == 0 ? 0 : raft.TermAt(hole)};
  if (first != first_) {
    first_ = first;
    nowhere_ = false;
    BeginRound();
  }
  if (hole == 0) {
    asked_ = {};
    unanswered_.clear();
    waits_.clear();
    return std::nullopt;
  }
  if (asked_.until > now) return std::nullopt;
  NoteSilence();
  if (again_ <= now) BeginRound();
  if (again_ != kDistantFuture) return std::nullopt;
  const NodeId peer = Choose(raft);
  if (peer == NodeId::kNone) {
    const bool all = std::includes(lack_.begin(), lack_.end(), tried_.begin(), tried_.end());
    nowhere_ = nowhere_ || all || lack_.contains(raft.leader());
    all_asked_ = true;
    again_ = now + pause_;
    return std::nullopt;
  }
  const auto wait = waits_.find(peer);
  asked_ = {.peer = peer, .until = now + (wait == waits_.end() ? patience_ : wait->second)};
  tried_.insert(peer);
  std::vector<EntryRange> ranges = RangesToAsk(raft);
  unanswered_[++last_request_] = {peer, first_, LastInRow(ranges)};
  if (unanswered_.size() > kMaxUnanswered) unanswered_.erase(unanswered_.begin());
  return Asking{peer, {last_request_, std::move(ranges)}};
}

std::vector<RecordRun> EntryRepair::Take(NodeId from, const EntryReply& reply,
                                         const std::vector<RecordRun>& entries, const Raft& raft) {
  const auto found = unanswered_.find(reply.request);
  if (found == unanswered_.end() || found->second.peer != from || asked_.writing) return {};
  const auto [peer, asked_for, asked_through] = found->second;
  unanswered_.erase(found);
  std::vector<RecordRun> runs;
  for (const RecordRun& run : entries) {
    for (Index index = run.first().index; index <= run.last().index;) {
      Index end = index;
      while (end <= run.last().index && raft.holes().Contains(end) &&
             raft.TermAt(end) == run.At(end).position().term) {
        ++end;
      }
      if (end > index) runs.push_back(run.Slice(index, end - 1));
      index = std::max(end, index + 1);
    }
  }
  if (reply.request == last_request_) asked_.until = Instant();
  const bool helps = std::any_of(runs.begin(), runs.end(), [this](const RecordRun& run) {
    return run.first().index == first_.index;
  });
  // What it said when another entry was the first says nothing of this one.
  if (!helps && asked_for == first_) {
    lack_.insert(from);
    // What it gives it does not lack: that is no hole any more when it is written.
    lack_through_ = std::min(lack_through_, asked_through);
    nowhere_ = nowhere_ || from == raft.leader();
  }
  if (!runs.empty()) asked_ = {.peer = from, .until = Instant(), .writing = true};
  return runs;
}

void EntryRepair::Written(bool good) {
  if (!good) {
    // It may have more to give, as good as this.
    lack_.insert(asked_.peer);
    lack_through_ = first_.index;
  }
  asked_.writing = false;
}

// Not while some of the hole is written, which is then not nowhere.
std::optional<EntryRepair::Nowhere> EntryRepair::TakeNowhere(const Raft& raft) {
  if (asked_.writing || !std::exchange(nowhere_, false)) return std::nullopt;
  const HoleRange hole = raft.holes().RangeFrom(first_.index);
  if (hole.first != first_.index) return std::nullopt;
  return Nowhere{{hole.first, std::min(hole.last, lack_through_)}, all_asked_};
}

Instant EntryRepair::NextDeadline() const {
  if (first_.index == 0 || asked_.writing) return kDistantFuture;
  return again_ != kDistantFuture ? again_ : asked_.until;
}

}  // namespace cairn
