#include "raft/repair/entry_repair.h"

#include <algorithm>
#include <utility>

#include "raft/core/membership.h"

namespace cairn {
namespace {

// So many entries are asked for at once at most.
constexpr Index kMaxAsked = 4096;

}  // namespace

std::vector<EntryRange> RangesToAsk(const Raft& raft) {
  std::vector<EntryRange> ranges;
  Index left = kMaxAsked;
  for (const HoleRange& hole : raft.holes().Ranges()) {
    for (Index index = hole.first; index <= hole.last; ++index) {
      if (left-- == 0) return ranges;
      const Term term = raft.TermAt(index);
      if (!ranges.empty() && ranges.back().last + 1 == index && ranges.back().term == term) {
        ranges.back().last = index;
        continue;
      }
      if (ranges.size() == kMaxEntryRanges) return ranges;
      ranges.push_back({index, index, term});
    }
  }
  return ranges;
}

// The leader has what is committed; of the others the one that comes after who was asked last.
NodeId EntryRepair::Choose(const Raft& raft) const {
  const auto may = [&](NodeId node) { return node != raft.node() && !lack_.contains(node); };
  const std::vector<NodeId> members = OtherMembers(raft.configuration(), raft.node());
  if (raft.leader() != NodeId::kNone && raft.leader() != asked_.peer && may(raft.leader())) {
    return raft.leader();
  }
  for (const NodeId member : members) {
    if (member > asked_.peer && may(member)) return member;
  }
  for (const NodeId member : members) {
    if (may(member)) return member;
  }
  return NodeId::kNone;
}

std::optional<EntryRepair::Asking> EntryRepair::Next(Instant now, const Raft& raft) {
  const Index first = raft.holes().empty() ? 0 : raft.holes().first();
  if (asked_.writing) return std::nullopt;
  if (first != first_) {
    first_ = first;
    lack_.clear();
    again_ = kDistantFuture;
    nowhere_ = false;
  }
  if (first == 0) {
    asked_ = {};
    return std::nullopt;
  }
  if (asked_.until > now) return std::nullopt;
  if (again_ <= now) {
    lack_.clear();
    again_ = kDistantFuture;
  } else if (again_ != kDistantFuture) {
    return std::nullopt;
  }
  const NodeId peer = Choose(raft);
  if (peer == NodeId::kNone) {
    nowhere_ = true;
    again_ = now + pause_;
    return std::nullopt;
  }
  asked_ = {.peer = peer, .until = now + patience_};
  return Asking{peer, {++last_request_, RangesToAsk(raft)}};
}

std::vector<RecordRun> EntryRepair::Take(NodeId from, const EntryReply& reply,
                                         const std::vector<RecordRun>& entries, const Raft& raft) {
  if (reply.request != last_request_ || from != asked_.peer || asked_.writing) return {};
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
  asked_.until = Instant();
  const bool helps = std::any_of(runs.begin(), runs.end(), [this](const RecordRun& run) {
    return run.first().index == first_;
  });
  if (!helps) lack_.insert(from);
  asked_.writing = !runs.empty();
  return runs;
}

void EntryRepair::Written(bool good) {
  if (!good) lack_.insert(asked_.peer);
  asked_.writing = false;
  asked_.until = Instant();
}

std::optional<Index> EntryRepair::TakeNowhere() {
  return std::exchange(nowhere_, false) ? std::optional(first_) : std::nullopt;
}

Instant EntryRepair::NextDeadline() const {
  if (first_ == 0 || asked_.writing) return kDistantFuture;
  return again_ != kDistantFuture ? again_ : asked_.until;
}

}  // namespace cairn
