#include "tests/core/simulated_disk.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace cairn {

void SimulatedDisk::Apply(const Write& write, Image& image) {
  if (write.hard_state) image.hard_state = *write.hard_state;
  if (write.truncate_from) {
    CAIRN_CHECK_GT(*write.truncate_from, Index{0});
    if (*write.truncate_from <= image.entries.size()) {
      image.entries.resize(*write.truncate_from - 1);
    }
    if (image.torn_from && *image.torn_from >= *write.truncate_from) image.torn_from.reset();
  }
  if (write.entries.empty()) return;
  CAIRN_CHECK_EQ(write.first, image.entries.size() + 1) << "the log has a hole or an overlap";
  CAIRN_CHECK(!image.torn_from) << "appends behind torn entries";
  image.entries.insert(image.entries.end(), write.entries.begin(), write.entries.end());
}

void SimulatedDisk::Append(Write write) {
  CAIRN_CHECK_GT(write.ticket, unsynced());
  Apply(write, readable_);
  writes_.push_back(std::move(write));
}

void SimulatedDisk::Sync(Ticket ticket) {
  while (!writes_.empty() && writes_.front().ticket <= ticket) {
    Apply(writes_.front(), durable_);
    writes_.pop_front();
  }
}

void SimulatedDisk::PowerCut(Random& random, bool torn) {
  const Index surely_last = durable_.entries.size();
  size_t whole = random.Below(writes_.size() + 1);
  if (random.OneIn(2)) whole = 0;
  Index first_unsure = surely_last + 1;
  for (size_t i = 0; i < whole; ++i) {
    if (writes_[i].truncate_from) first_unsure = std::min(first_unsure, *writes_[i].truncate_from);
    Apply(writes_[i], durable_);
  }
  if (whole < writes_.size() && random.OneIn(2)) {
    // Parts of a batch reach the disk in order.
    Write part = writes_[whole];
    if (!part.entries.empty()) part.entries.resize(random.Below(part.entries.size()));
    if (random.OneIn(2)) part.entries.clear();
    if (random.OneIn(4)) part.truncate_from.reset(), part.entries.clear();
    if (part.truncate_from) first_unsure = std::min(first_unsure, *part.truncate_from);
    Apply(part, durable_);
  }
  const Index last = durable_.entries.size();
  PowerCut(0);
  if (torn && !durable_.torn_from && last >= first_unsure && random.OneIn(2)) {
    Tear(first_unsure + random.Below(last - first_unsure + 1));
  }
}

void SimulatedDisk::PowerCut(size_t kept_writes) {
  for (size_t i = 0; i < kept_writes && i < writes_.size(); ++i) Apply(writes_[i], durable_);
  writes_.clear();
  readable_ = durable_;
}

void SimulatedDisk::Tear(Index first) {
  CAIRN_CHECK(writes_.empty() && first >= 1 && first <= durable_.entries.size());
  durable_.torn_from = first;
  for (Index i = first; i <= durable_.entries.size(); ++i) durable_.entries[i - 1].value = 0;
  readable_ = durable_;
}

void SimulatedDisk::Rot(Index first) {
  CAIRN_CHECK(writes_.empty() && !durable_.torn_from && first <= durable_.entries.size());
  durable_.torn_from = first;
  for (Index i = first; i <= durable_.entries.size(); ++i) durable_.entries[i - 1].value = 0;
  readable_ = durable_;
}

const SimulatedEntry* SimulatedDisk::Find(Index index) const {
  if (index == 0 || index > readable_.entries.size()) return nullptr;
  return &readable_.entries[index - 1];
}

RecoveredRaft SimulatedDisk::Recover(const Configuration& initial) const {
  RecoveredRaft recovered = {.hard_state = durable_.hard_state,
                             .base_configuration = initial,
                             .torn_from = durable_.torn_from};
  for (Index index = 1; index <= durable_.entries.size(); ++index) {
    const SimulatedEntry& entry = durable_.entries[index - 1];
    if (recovered.runs.empty() || recovered.runs.back().term != entry.term) {
      recovered.runs.push_back({entry.term, index});
    }
    recovered.runs.back().last_index = index;
    if (entry.configuration) {
      recovered.configurations.emplace_back(LogPosition{index, entry.term}, *entry.configuration);
    }
  }
  return recovered;
}

}  // namespace cairn
