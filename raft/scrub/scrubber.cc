#include "raft/scrub/scrubber.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace cairn {
namespace {

// What is read at once, at most; less where the rate is low.
constexpr uint64_t kMostBytes = 256 << 10;
constexpr uint64_t kLeastBytes = 4 << 10;
constexpr uint64_t kStepsPerSecond = 8;
constexpr Duration kSaveInterval = Seconds(30);
// How often is asked whether there is something to compress.
constexpr Duration kCompressInterval = Seconds(5);
// Beyond so many entries that wait for repair they are told but not remembered.
constexpr size_t kMostOpen = 1 << 14;

}  // namespace

Scrubber::Scrubber(Parts parts) : parts_(std::move(parts)) {
  parts_.executor->Post([this] { Begin(); });
}

Scrubber::~Scrubber() { Stop(); }

ScrubStatus Scrubber::status() const {
  MutexLock lock(mutex_);
  return {parts_.options, progress_};
}

void Scrubber::Repaired(GroupId group, Index first, Index last) {
  MutexLock lock(mutex_);
  const auto begin = open_.lower_bound({group, first});
  const auto end = open_.upper_bound({group, last});
  progress_.repaired += static_cast<uint64_t>(std::distance(begin, end));
  open_.erase(begin, end);
}

void Scrubber::Begin() {
  const Instant now = parts_.clock->Now();
  next_round_ = now;
  save_after_ = now + kSaveInterval;
  if (const auto loaded = LoadScrubProgress(*parts_.file_system, parts_.path)) {
    MutexLock lock(mutex_);
    // What was repaired meanwhile is counted.
    const uint64_t repaired = progress_.repaired;
    progress_ = *loaded;
    progress_.repaired += repaired;
    // A clock that was set back must not put the next round off.
    const Duration since = {parts_.clock->WallNow().nanoseconds - loaded->round_began.nanoseconds};
    if (since >= Duration()) {
      next_round_ = now + std::max(parts_.options.period - since, Duration());
    }
  }
  Turn();
}

// Not more than the rate over any two steps, so there is no use in many small ones.
uint64_t Scrubber::StepBytes() const {
  return std::clamp(Rate() / kStepsPerSecond, kLeastBytes, kMostBytes);
}

uint64_t Scrubber::Rate() const {
  const uint64_t rate = parts_.options.bytes_per_second;
  return hurry_.bytes == 0 ? rate : std::min(rate, UINT64_MAX / kHurryFactor) * kHurryFactor;
}

void Scrubber::Turn() {
  const Instant now = parts_.clock->Now();
  uint64_t bytes = 0;
  bool goes_on = BeginRound(now);
  if (goes_on) goes_on = Scrub(now, bytes);
  const bool compresses = parts_.scrub->compresses();
  if (compresses && hurry_.bytes == 0) bytes += Compress();
  Instant due = compresses ? std::min(next_round_, now + kCompressInterval) : next_round_;
  if (goes_on || bytes > 0) {
    // What was taken too much the next turn waits for.
    due = now + Nanoseconds(static_cast<int64_t>(bytes * 1'000'000'000 / Rate()) + 1);
  }
  parts_.executor->PostAt(due, [this] { Turn(); });
}

// True if there is a round.
bool Scrubber::BeginRound(Instant now) {
  MutexLock lock(mutex_);
  if (progress_.in_round) return true;
  if (now < next_round_) return false;
  progress_.in_round = true;
  progress_.in_states = false;
  progress_.position = {};
  progress_.round_bytes = 0;
  progress_.round_began = parts_.clock->WallNow();
  next_round_ = now + parts_.options.period;
  return true;
}

// A step of the round; true if it is not the last one.
bool Scrubber::Scrub(Instant now, uint64_t& bytes) {
  const ScrubProgress before = status().progress;
  ScrubPosition position = before.position;
  const bool in_states = before.in_states && parts_.states != nullptr;
  ScrubStep step =
      in_states ? parts_.states(position, StepBytes()) : parts_.scrub->Step(position, StepBytes());
  bytes += step.bytes;
  const bool to_states = step.round_ended && !in_states && parts_.states != nullptr;
  if (to_states) {
    step.round_ended = false;
    position = {};
  }
  {
    MutexLock lock(mutex_);
    progress_.position = position;
    progress_.in_states = in_states || to_states;
    progress_.round_bytes += step.bytes;
    progress_.bytes += step.bytes;
    progress_.healed += step.healed.size();
  }
  hurry_.bytes -= std::min(hurry_.bytes, step.bytes);
  Take(step);
  if (step.round_ended) {
    EndRound();
    const bool again = std::exchange(hurry_.found, false) && hurry_.bytes > 0;
    if (!again) hurry_.bytes = 0;
    if (again) next_round_ = now;
  }
  if (step.round_ended || now >= save_after_) Save(now);
  return !step.round_ended;
}

uint64_t Scrubber::Compress() {
  const CompressStep step = parts_.scrub->Compress(StepBytes());
  for (const std::string& problem : step.problems) {
    parts_.log->Log(LogLevel::kWarning, absl::StrCat("compression: ", problem));
  }
  return step.bytes;
}

void Scrubber::Take(const ScrubStep& step) {
  for (const std::string& healed : step.healed) {
    parts_.log->Log(LogLevel::kWarning, absl::StrCat("scrub: ", healed, ", and is written again"));
  }
  for (const std::string& avoided : step.avoided) {
    parts_.log->Log(LogLevel::kWarning,
                    absl::StrCat("scrub: ", avoided, "; what is in use there is moved away"));
  }
  if (step.damaged.empty()) return;
  std::vector<ScrubFinding> damaged = step.damaged;
  std::stable_sort(
      damaged.begin(), damaged.end(), [](const ScrubFinding& left, const ScrubFinding& right) {
        return std::pair(left.group, left.at.index) < std::pair(right.group, right.at.index);
      });
  for (const ScrubFinding& finding : damaged) Note(finding);
  parts_.found(damaged);
}

void Scrubber::Note(const ScrubFinding& finding) {
  MutexLock lock(mutex_);
  const std::pair<GroupId, Index> entry = {finding.group, finding.at.index};
  const bool known = open_.contains(entry);
  const bool kept = known || open_.size() < kMostOpen;
  if (!known) ++progress_.damaged;
  if (kept) open_[entry] = {finding, round_};
  if (kept && !known) hurry_ = {.bytes = kHurryBytes, .found = true};
}

void Scrubber::Opened(GroupId group) {
  parts_.executor->Post([this, group] { TellAgain(group); });
}

void Scrubber::TellAgain(GroupId group) {
  std::vector<ScrubFinding> findings;
  {
    MutexLock lock(mutex_);
    for (auto at = open_.lower_bound({group, 0}); at != open_.end(); ++at) {
      if (at->first.first != group) break;
      findings.push_back(at->second.finding);
    }
  }
  if (!findings.empty()) parts_.found(findings);
}

void Scrubber::EndRound() {
  MutexLock lock(mutex_);
  progress_.in_round = progress_.in_states = false;
  progress_.last_round_ended = parts_.clock->WallNow();
  ++progress_.rounds;
  // What two rounds have not met any more was dropped from the log. After one it may be written
  // again already, and that not be told yet: in a hurry rounds are short.
  std::erase_if(open_, [this](const auto& each) { return each.second.round + 1 < round_; });
  ++round_;
}

// Losing it costs reading some of the log twice.
void Scrubber::Save(Instant now) {
  const ScrubProgress progress = status().progress;
  SaveScrubProgress(*parts_.file_system, parts_.path, progress).IgnoreError();
  save_after_ = now + kSaveInterval;
}

}  // namespace cairn
