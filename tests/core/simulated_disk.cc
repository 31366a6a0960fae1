#include "tests/core/simulated_disk.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace cairn {

void SimulatedDisk::Apply(const Write& write, Image& image) {
  if (write.hard_state) image.hard_state = *write.hard_state;
  if (write.sure) image.unsure = false;
  if (write.reset_to) {
    CAIRN_CHECK_GE(write.reset_to->size(), image.base);
    image.entries = *write.reset_to;
    image.base = image.entries.size();
    image.torn_from.reset();
  }
  if (write.truncate_from) {
    CAIRN_CHECK_GT(*write.truncate_from, image.base);
    if (*write.truncate_from <= image.entries.size()) {
      image.entries.resize(*write.truncate_from - 1);
    }
    if (image.torn_from && *image.torn_from >= *write.truncate_from) image.torn_from.reset();
  }
  if (!write.entries.empty()) {
    CAIRN_CHECK_EQ(write.first, image.entries.size() + 1) << "the log has a hole or an overlap";
    CAIRN_CHECK(!image.torn_from) << "appends behind torn entries";
    image.entries.insert(image.entries.end(), write.entries.begin(), write.entries.end());
  }
  if (write.drop_to) {
    CAIRN_CHECK(*write.drop_to >= image.base && *write.drop_to <= image.entries.size());
    image.base = *write.drop_to;
  }
}

// The first entry that `write` makes unsure until it is synced.
Index SimulatedDisk::FirstUnsure(const Write& write, Index before) {
  if (write.reset_to) before = std::min<Index>(before, write.reset_to->size() + 1);
  if (write.truncate_from) before = std::min(before, *write.truncate_from);
  return before;
}

void SimulatedDisk::Append(Write write) {
  CAIRN_CHECK_GT(write.ticket, unsynced());
  Apply(write, readable_);
  writes_.push_back(std::move(write));
}

void SimulatedDisk::Sync(Ticket ticket) {
  if (remembers_ && !writes_.empty()) {
    past_.push_back(durable_);
    if (past_.size() > 6) past_.pop_front();
  }
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
    first_unsure = FirstUnsure(writes_[i], first_unsure);
    Apply(writes_[i], durable_);
  }
  if (whole < writes_.size() && random.OneIn(2)) {
    // Parts of a batch reach the disk in order.
    Write part = writes_[whole];
    if (!part.entries.empty()) part.entries.resize(random.Below(part.entries.size()));
    part.drop_to.reset();
    if (random.OneIn(2)) part.entries.clear();
    if (random.OneIn(4)) {
      part.truncate_from.reset();
      part.entries.clear();
      if (random.OneIn(2)) part.reset_to.reset();
    }
    first_unsure = FirstUnsure(part, first_unsure);
    Apply(part, durable_);
  }
  const Index last = durable_.entries.size();
  first_unsure = std::max(first_unsure, durable_.base + 1);
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
  CAIRN_CHECK(writes_.empty() && first > durable_.base && first <= durable_.entries.size());
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

void SimulatedDisk::Forget(Random& random) {
  CAIRN_CHECK(writes_.empty());
  BeUnsure();
  if (past_.empty()) return;
  const Image& before = past_[random.Below(past_.size())];
  const uint64_t kept = random.Below(3);
  if (kept != 0) durable_.hard_state = before.hard_state;
  if (kept != 1) {
    durable_.entries = before.entries;
    durable_.base = before.base;
    durable_.torn_from = before.torn_from;
  }
  readable_ = durable_;
}

const SimulatedEntry* SimulatedDisk::Find(Index index) const {
  if (index == 0 || index > readable_.entries.size()) return nullptr;
  return &readable_.entries[index - 1];
}

RecoveredRaft SimulatedDisk::Recover(const Configuration& initial) const {
  RecoveredRaft recovered = {.hard_state = durable_.hard_state,
                             .base_configuration = initial,
                             .unsure = durable_.unsure,
                             .torn_from = durable_.torn_from};
  if (durable_.base > 0) recovered.base = {durable_.base, durable_.entries[durable_.base - 1].term};
  for (Index index = 1; index <= durable_.entries.size(); ++index) {
    const SimulatedEntry& entry = durable_.entries[index - 1];
    if (index <= durable_.base) {
      if (!entry.configuration) continue;
      recovered.base_configuration_position = {index, entry.term};
      recovered.base_configuration = *entry.configuration;
      continue;
    }
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
