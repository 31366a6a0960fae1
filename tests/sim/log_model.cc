#include "tests/sim/log_model.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace cairn::sim {
namespace {

// True if `image` is `state` without regard to hard states. What a prefix that was dropped held
// does not matter.
bool SameLog(const LogImage& state, const LogImage& image) {
  if (state.last() != image.last()) return false;
  const EntryId* last = state.Find(state.last());
  const EntryId* other = image.Find(image.last());
  return last == nullptr || other == nullptr || *last == *other;
}

std::string Show(const LogImage& image) {
  return absl::StrCat("log ", image.base(), "..", image.last(), " ending in term ",
                      image.last_term(), ", term ", image.hard_state().term, " vote ",
                      ToInteger(image.hard_state().vote));
}

}  // namespace

EntryId IdOf(const RecordRun& run, size_t i) {
  EntryId id = {run[i].position().term, run[i].hash()};
  if (run[i].type() == EntryType::kConfiguration) {
    absl::StatusOr<Configuration> decoded = DecodeConfiguration(run[i].Payload(run.bytes()).view());
    CAIRN_CHECK(decoded.ok()) << decoded.status().ToString();
    id.configuration = std::make_shared<const Configuration>(*std::move(decoded));
  }
  return id;
}

LogChange Describe(const LogAppend& append) {
  LogChange change;
  change.hard_state = append.hard_state;
  change.truncate_from = append.truncate_from;
  for (const RecordRun& run : append.runs) {
    if (run.empty()) continue;
    if (change.first == 0) change.first = run.first().index;
    for (size_t i = 0; i < run.size(); ++i) {
      change.entries.push_back(IdOf(run, i));
    }
  }
  return change;
}

LogImage::LogImage(HardState hard_state, Index base, std::vector<EntryId> entries)
    : hard_state_(hard_state), base_(base), entries_(std::move(entries)) {}

const EntryId* LogImage::Find(Index index) const {
  if (index <= base_ || index > last()) return nullptr;
  return &entries_[index - base_ - 1];
}

Index LogImage::LastConfiguration() const {
  for (Index index = last(); index > base_; --index) {
    if (Find(index)->configuration != nullptr) return index;
  }
  return 0;
}

void LogImage::CutFrom(Index index) {
  if (index > last()) return;
  CAIRN_CHECK_GT(index, base_);
  entries_.resize(index - base_ - 1);
}

void LogImage::Apply(const LogChange& change) {
  if (change.hard_state) hard_state_ = *change.hard_state;
  if (change.reset_to) {
    entries_.clear();
    base_ = *change.reset_to;
  }
  if (change.truncate_from) CutFrom(*change.truncate_from);
  if (!change.entries.empty()) {
    CAIRN_CHECK_EQ(change.first, last() + 1);
    entries_.insert(entries_.end(), change.entries.begin(), change.entries.end());
  }
  if (change.drop_up_to && *change.drop_up_to > base_) {
    Index up_to = std::min(*change.drop_up_to, last());
    entries_.erase(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(up_to - base_));
    base_ = up_to;
  }
}

Index AgreedPrefix(const LogImage& a, const LogImage& b) {
  // Hashes are chained, so agreement ends once and for all: search for the end.
  Index low = std::max(a.base(), b.base());
  Index high = std::min(a.last(), b.last());
  auto agree = [&](Index index) { return *a.Find(index) == *b.Find(index); };
  if (high <= low) return std::min(low, high);
  if (agree(high)) return high;
  while (high - low > 1) {
    Index middle = low + (high - low) / 2;
    (agree(middle) ? low : high) = middle;
  }
  return low;
}

void LogModel::Append(LogChange change) {
  live_.Apply(change);
  pending_.push_back(std::move(change));
}

void LogModel::Synced(uint64_t appended) {
  CAIRN_CHECK_LE(appended, this->appended());
  for (; synced_ < appended; ++synced_) {
    durable_.Apply(pending_.front());
    pending_.pop_front();
  }
}

Index LogModel::durable_floor() const {
  Index floor = durable_.last();
  for (const LogChange& change : pending_) {
    if (change.truncate_from) floor = std::min(floor, *change.truncate_from - 1);
    // The snapshot stands for what is up to it, whether the reset reaches the disk or not.
    if (change.reset_to) floor = *change.reset_to;
  }
  return floor;
}

Index LogModel::least_last() const {
  Index least = durable_.last();
  for (const LogChange& change : pending_) {
    if (change.truncate_from) least = std::min(least, *change.truncate_from - 1);
    if (change.reset_to) least = std::min(least, *change.reset_to);
  }
  return least;
}

std::string LogModel::WhyNotAfterPowerCut(const LogImage& image) const {
  bool hard_state_fits = image.hard_state() == durable_.hard_state();
  bool log_fits = SameLog(durable_, image);
  LogImage state = durable_;
  for (const LogChange& change : pending_) {
    if (change.hard_state) hard_state_fits |= image.hard_state() == *change.hard_state;
    if (change.reset_to || change.drop_up_to) {
      LogChange front;
      front.drop_up_to = change.drop_up_to;
      front.reset_to = change.reset_to;
      state.Apply(front);
    }
    if (change.truncate_from) state.CutFrom(*change.truncate_from);
    log_fits |= SameLog(state, image);
    for (const EntryId& entry : change.entries) {
      state.entries_.push_back(entry);
      log_fits |= SameLog(state, image);
    }
  }
  if (hard_state_fits && log_fits) return "";
  return absl::StrCat(hard_state_fits ? "" : "its hard state, ", log_fits ? "" : "its log, ",
                      "recovered: ", Show(image), "; durable: ", Show(durable_),
                      "; written: ", Show(live_), " in ", pending_.size(), " changes");
}

}  // namespace cairn::sim
