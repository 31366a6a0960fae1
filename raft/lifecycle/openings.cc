#include "raft/lifecycle/openings.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace cairn {

Openings::Openings(size_t most, const Clock* clock) : most_(most), clock_(clock) {
  CAIRN_CHECK(most_ > 0);
}

Openings::~Openings() {
  MutexLock lock(mutex_);
  CAIRN_CHECK(groups_.empty()) << "the host ends while a group is being opened";
}

std::unique_ptr<Openings::Opening> Openings::Begin(GroupId group) {
  MutexLock lock(mutex_);
  CAIRN_CHECK(!stopped_);
  if (!groups_.insert(group).second) return nullptr;
  return std::unique_ptr<Opening>(new Opening(this, group));
}

bool Openings::Has(GroupId group) const {
  MutexLock lock(mutex_);
  return groups_.contains(group);
}

absl::Status Openings::AwaitTurn(Opening& opening) {
  MutexLock lock(mutex_);
  CAIRN_CHECK(!opening.runs_);
  if (!stopped_ && running_ < most_) {  // so nobody waits
    opening.runs_ = true;
    ++running_;
    return absl::OkStatus();
  }
  if (!stopped_) {
    opening.since_ = clock_->Now();
    waiting_.push_back(&opening);
    while (!stopped_ && !opening.runs_) opening.turn_.Wait(mutex_);
    longest_wait_ = std::max(longest_wait_, clock_->Now() - opening.since_);
  }
  if (opening.runs_) return absl::OkStatus();
  return absl::UnavailableError("the host is stopping");
}

void Openings::End(const Opening& opening) {
  MutexLock lock(mutex_);
  groups_.erase(opening.group_);
  if (opening.runs_) {
    ++ended_;
    if (waiting_.empty()) {
      --running_;
    } else {
      // The turn goes on to the next one: who asks now cannot come between.
      Opening* const next = waiting_.front();
      waiting_.pop_front();
      next->runs_ = true;
      next->turn_.NotifyOne();
    }
  }
  if (groups_.empty()) none_left_.NotifyAll();
}

void Openings::Stop() {
  MutexLock lock(mutex_);
  stopped_ = true;
  for (Opening* waiting : std::exchange(waiting_, {})) waiting->turn_.NotifyOne();
  while (!groups_.empty()) none_left_.Wait(mutex_);
}

OpeningsStatus Openings::status() const {
  MutexLock lock(mutex_);
  OpeningsStatus status = {most_, running_, waiting_.size(), ended_, longest_wait_};
  if (!waiting_.empty()) {
    status.longest_wait = std::max(status.longest_wait, clock_->Now() - waiting_.front()->since_);
  }
  return status;
}

}  // namespace cairn
