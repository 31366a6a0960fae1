#include "raft/liveness/catch_up.h"

#include <algorithm>
#include <variant>

namespace cairn {

// What was committed stays so, but for an unsafe recovery, so a target of an earlier term must not
// bind; who has caught up already learns of what is missing by the new leader's first append.
void CatchUp::Enter(Term term) {
  if (term == term_) return;
  term_ = term;
  heard_ = 0;
  if (!caught_up_) Forget();
}

void CatchUp::Forget() {
  informed_ = false;
  spoken_ = false;
  target_ = 0;
  caught_up_ = false;
}

void CatchUp::Hear(const MessageBody& message) {
  if (const auto* append = std::get_if<AppendEntries>(&message)) {
    HearOf(append->term, append->commit);
  } else if (const auto* heartbeat = std::get_if<Heartbeat>(&message)) {
    HearOf(heartbeat->term, heartbeat->commit);
  }
}

void CatchUp::HearOf(Term term, Index commit) {
  if (term < term_) return;
  Enter(term);
  heard_ = std::max(heard_, commit);
  spoken_ = true;
}

void CatchUp::OnOffer(Term term, Index index) {
  if (term < term_) return;
  Enter(term);
  heard_ = std::max(heard_, index);
  if (informed_) Forget();
  caught_up_ = false;
}

void CatchUp::OnAnswer(Term term, Index index) {
  asked_in_ = 0;
  if (term != term_) return;
  heard_ = std::max(heard_, index);
  informed_ = true;
}

void CatchUp::Look(const View& view) {
  if (view.term > term_) Enter(view.term);
  if (!view.leader_known) Forget();
  committed_ = std::max(heard_, view.commit);
  const uint64_t lag = committed_ > view.applied ? committed_ - view.applied : 0;
  const bool near = lag <= (view.paused ? 0 : max_lag_);
  if (view.leads) informed_ = true;
  if (caught_up_ && !near) {
    caught_up_ = false;
    target_ = committed_;
  }
  if (caught_up_ || !informed_) return;
  // A leader that has not committed an entry of its own term yet may know less than is committed.
  if (heard_ <= view.commit && view.commit_term != view.term) return;
  if (target_ == 0) target_ = committed_;
  if (view.applied < target_) return;
  caught_up_ = near;
  target_ = near ? 0 : committed_;
}

}  // namespace cairn
