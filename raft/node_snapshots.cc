// The part of Node that deals with snapshots and the front of the log.

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "raft/core/configuration.h"
#include "raft/node.h"

namespace cairn {

absl::StatusOr<SnapshotPoint> PointOf(const SnapshotManifest& manifest) {
  absl::StatusOr<Configuration> configuration = DecodeConfiguration(manifest.configuration);
  if (!configuration.ok()) return configuration.status();
  return SnapshotPoint{.position = manifest.position,
                       .hash = manifest.hash,
                       .configuration_position = manifest.configuration_at,
                       .configuration = *std::move(configuration)};
}

// Offers of another term than this node's are void; heartbeats bring it there if it lags.
void Node::TakeOffer(Instant now, NodeId from, const SnapshotOffer& offer) {
  const auto answer = [&](SnapshotAnswer::Verdict verdict) {
    if (!offer.answer_wanted) return;
    Send(from, SnapshotAnswer{offer.id, verdict, raft_.term(), raft_.commit()});
  };
  if (raft_.state_needed() != 0) return TakeAskedOffer(now, from, offer);
  // Not one that the leader gives in place of entries.
  if (!offer.answer_wanted && dependencies_.take_patch != nullptr) {
    if (repair_.state.mending() || !repair_.state.Holds(offer.position.index)) return;
    return dependencies_.take_patch(from, offer);
  }
  if (offer.term < raft_.term()) return answer(SnapshotAnswer::Verdict::kStaleTerm);
  if (offer.term != raft_.term() || raft_.leader() != from) return;
  const LogPosition position = offer.position;
  const Index hole = raft_.holes().FirstFrom(raft_.applied() + 1);
  const bool cannot_apply = hole != 0 && hole <= position.index;
  const bool here =
      !cannot_apply && (position.index <= raft_.commit() ||
                        (position.index > raft_.base().index && raft_.TermAt(position.index) != 0 &&
                         raft_.TermAt(position.index) == position.term && !raft_.torn_from()));
  if (here) {
    raft_.Step(now, SnapshotReceived{.term = offer.term, .snapshot = {.position = position}});
    answer(SnapshotAnswer::Verdict::kAlreadyHave);
  } else {
    PullOffered(from, offer);
  }
}

// Whoever offers it: what a snapshot holds is committed. But leaders of terms before the giver's
// may lack it; so this node follows none of them any more.
void Node::TakeAskedOffer(Instant now, NodeId from, const SnapshotOffer& offer) {
  if (offer.position.index < raft_.state_needed()) return;
  raft_.Step(now, TermReached{offer.term});
  PullOffered(from, offer);
}

// What is received outlives this process, so the term in which it may be taken has to as well. The
// offer comes again by then.
void Node::PullOffered(NodeId from, const SnapshotOffer& offer) {
  if (dependencies_.take_offer == nullptr || !raft_.term_durable()) return;
  watches_.catch_up.OnOffer(offer.term, offer.position.index);
  dependencies_.take_offer(from, offer);
}

// Said once of a snapshot: offers are repeated, and so are answers.
void Node::TakeAnswer(NodeId from, const SnapshotAnswer& answer) {
  const auto what = std::make_pair(answer.id, answer.verdict);
  const auto [told, first] = told_.snapshot_answers.try_emplace(from, what);
  if (!first && told->second == what) return;
  told->second = what;
  const bool failed = answer.verdict != SnapshotAnswer::Verdict::kAlreadyHave &&
                      answer.verdict != SnapshotAnswer::Verdict::kStaleTerm;
  dependencies_.log->Log(
      failed ? LogLevel::kWarning : LogLevel::kInfo,
      absl::StrCat("group ", ToInteger(settings_.group), ": node ", ToInteger(from),
                   " does not take the snapshot offered: ", NameOf(answer.verdict),
                   failed ? ""
                          : absl::StrCat(", it is in term ", answer.term, " and has entries up to ",
                                         answer.commit)));
}

void Node::Received(Instant now, Term term, std::shared_ptr<const StoredSnapshot> snapshot) {
  if (fenced_) return;
  const SnapshotManifest manifest = snapshot->manifest();
  absl::StatusOr<SnapshotPoint> point = PointOf(manifest);
  if (!point.ok()) {
    return Complain(now, absl::StrCat("the snapshot at ", ToString(manifest.position),
                                      " is of no use: ", point.status().ToString()));
  }
  if (Contradicted(manifest)) return;
  const LogPosition base = raft_.base();
  raft_.Step(now, SnapshotReceived{.term = term, .snapshot = *std::move(point)});
  // The log gave way to it; or nothing did, and only its space is to be given back.
  const bool taken = (raft_.base() != base && raft_.base() == manifest.position) ||
                     raft_.restoring() == manifest.position;
  if (taken || received_ == nullptr) received_ = std::move(snapshot);
}

// Whether the snapshot is of another log, in which another entry is committed there, or another one
// of the same term: then this node is fenced.
bool Node::Contradicted(const SnapshotManifest& manifest) {
  const LogPosition theirs = manifest.position;
  const LogPosition ours = {theirs.index, raft_.TermAt(theirs.index)};
  if (ours.term == 0 || ours.index > log_.last_index()) return false;
  std::string what;
  if (ours != theirs) {
    if (ours.index > raft_.commit()) return false;  // it was not to be
    what = absl::StrCat("entry ", ToString(ours), " is committed here, and ", ToString(theirs));
  } else {
    absl::StatusOr<EntryHash> own = log_.HashAt(ours.index);
    if (!own.ok() || *own == manifest.hash) return false;
    what = absl::StrCat("entry ", ToString(ours), " has hash ", ToString(*own), " here, and ",
                        ToString(manifest.hash));
  }
  StopServing(NodeState::kFenced,
              absl::InternalError(absl::StrCat("safety violation: ", what, " in a snapshot")));
  return true;
}

void Node::RestoreFrom(LogPosition position) {
  CAIRN_CHECK(received_ != nullptr && received_->position() == position) << ToString(position);
  // The log did not give way to it: it has a hole that cannot be applied.
  if (raft_.base() < position) feed_.GoBackTo(position.index);
  feed_.Restore(received_);
}

void Node::StateDurable(Index index) { compaction_.Durable(index); }

bool Node::SnapshotDue() const {
  if (fenced_ || dependencies_.applier->replaying()) return false;
  return compaction_.SnapshotDue(dependencies_.applier->applied());
}

// A snapshot of another node is kept until both the state and the log have come to it.
void Node::NoteInstalled() {
  if (received_ == nullptr) return;
  const Index index = received_->position().index;
  if (dependencies_.applier->applied() < index || raft_.durable() < index) return;
  compaction_.Durable(index);
  received_.reset();
  if (dependencies_.installed != nullptr) dependencies_.installed();
}

// True if Raft has effects because of it.
bool Node::CompactLog(Instant now) {
  NoteInstalled();
  std::optional<Index> held = feed_.replays_from();
  if (dependencies_.wanted != nullptr) {
    if (const std::optional<Index> wanted = dependencies_.wanted()) {
      held = std::min(*wanted, held.value_or(*wanted));
    }
  }
  const Index to = compaction_.DropTo(held);
  if (to == 0) return false;
  raft_.Step(now, Compact{to});
  compaction_.Dropped(raft_.base().index);
  return true;
}

void Node::MeasureBatch(const LogBatch& batch, const LogAppend& append) {
  if (batch.reset_to) {
    compaction_.Reset(batch.reset_to->base.index);
    feed_.Stop();
  }
  if (append.truncate_from) compaction_.Truncate(*append.truncate_from);
  for (const RecordRun& run : append.runs) compaction_.Append(run.last().index, run.byte_size());
}

}  // namespace cairn
