#include "tests/sim/observed_log_disk.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/check.h"
#include "tests/storage/faulty_indexes.h"

namespace cairn::sim {

absl::StatusOr<LogImage> ImageOf(const OpenedLog& opened, const LogImage* known, bool rotten) {
  const RecoveredLog& log = opened.recovered;
  Index last = log.runs.empty() ? log.base.index : log.runs.back().last_index;
  if (log.torn_from) last = std::min(last, *log.torn_from - 1);
  const std::set<Index> faulty = FaultyIndexes(log);
  std::vector<EntryId> entries;
  size_t run = 0;
  for (Index index = log.base.index + 1; index <= last; ++index) {
    while (log.runs[run].last_index < index) ++run;
    const EntryId* entry = known == nullptr ? nullptr : known->Find(index);
    if (entry != nullptr && entry->term != log.runs[run].term) entry = nullptr;
    if (faulty.contains(index) && entry != nullptr) {
      entries.push_back(*entry);
      continue;
    }
    absl::StatusOr<EntryHash> hash = opened.store->HashAt(index);
    // A start does not read the entries of sealed blocks, so it does not know those that rotted. Of
    // an encrypted one a whole unit is lost, and with the entry the one behind it, which has its
    // hash.
    if (absl::IsDataLoss(hash.status()) && rotten && entry != nullptr) {
      entries.push_back(*entry);
      continue;
    }
    if (!hash.ok() && faulty.contains(index)) break;
    if (!hash.ok()) return hash.status();
    entries.push_back({log.runs[run].term, *hash});
  }
  for (const RawConfiguration& raw : log.configurations) {
    if (raw.at.index <= log.base.index || raw.at.index > log.base.index + entries.size()) continue;
    absl::StatusOr<Configuration> decoded = DecodeConfiguration(raw.body.view());
    if (!decoded.ok()) return decoded.status();
    entries[raw.at.index - log.base.index - 1].configuration =
        std::make_shared<const Configuration>(*std::move(decoded));
  }
  return LogImage(log.hard_state, log.base.index, std::move(entries));
}

class ObservedLogDisk::Store final : public LogStore {
 public:
  Store(LogStore& store, GroupId group, LogObserver& observer)
      : store_(store), group_(group), observer_(observer) {}

  absl::Status Append(const LogAppend& append) override {
    LogChange change = Describe(append);
    // Entries of a higher term truncate what stands in their place.
    if (!change.entries.empty() && change.first <= store_.last().index && !change.truncate_from) {
      change.truncate_from = change.first;
    }
    absl::Status status = store_.Append(append);
    if (status.ok()) Changed(std::move(change));
    return status;
  }
  absl::Status Repair(const std::vector<RecordRun>& runs) override { return store_.Repair(runs); }
  absl::Status DropPrefix(Index up_to) override {
    absl::Status status = store_.DropPrefix(up_to);
    LogChange change;
    change.drop_up_to = up_to;
    if (status.ok()) Changed(std::move(change));
    return status;
  }
  absl::Status Reset(LogPosition base, EntryHash hash) override {
    absl::Status status = store_.Reset(base, hash);
    LogChange change;
    change.reset_to = base.index;
    if (status.ok()) Changed(std::move(change));
    return status;
  }
  absl::StatusOr<std::vector<RecordRun>> Read(Index first, Index last,
                                              size_t max_bytes) const override {
    return store_.Read(first, last, max_bytes);
  }
  absl::StatusOr<EntryHash> HashAt(Index index) const override { return store_.HashAt(index); }
  LogPosition base() const override { return store_.base(); }
  LogPosition last() const override { return store_.last(); }

  uint64_t appended() const { return appended_; }

 private:
  void Changed(LogChange change) {
    ++appended_;
    observer_.OnAppended(group_, std::move(change));
  }

  LogStore& store_;
  GroupId group_;
  LogObserver& observer_;
  uint64_t appended_ = 0;
};

ObservedLogDisk::ObservedLogDisk(LogDisk& disk, LogObserver& observer)
    : disk_(disk), observer_(observer) {}
ObservedLogDisk::~ObservedLogDisk() = default;

absl::StatusOr<OpenedLog> ObservedLogDisk::OpenGroup(GroupId group) {
  absl::StatusOr<OpenedLog> opened = disk_.OpenGroup(group);
  if (!opened.ok()) return opened;
  observer_.OnOpened(group, *opened);
  auto store = std::make_shared<Store>(*opened->store, group, observer_);
  opened->store = store.get();
  stores_[group] = std::move(store);
  return opened;
}

void ObservedLogDisk::CloseGroup(GroupId group) {
  stores_.erase(group);
  disk_.CloseGroup(group);
}

void ObservedLogDisk::Sync(absl::AnyInvocable<void(absl::Status)> done) {
  // Of a group that is closed and opened meanwhile all is durable already.
  struct Appended {
    GroupId group;
    std::weak_ptr<Store> store;
    uint64_t count;
  };
  std::vector<Appended> appended;
  for (const auto& [group, store] : stores_) appended.push_back({group, store, store->appended()});
  disk_.Sync(
      [this, appended = std::move(appended), done = std::move(done)](absl::Status status) mutable {
        if (status.ok()) {
          for (const Appended& each : appended) {
            if (!each.store.expired()) observer_.OnSynced(each.group, each.count);
          }
        }
        done(std::move(status));
      });
}

}  // namespace cairn::sim
