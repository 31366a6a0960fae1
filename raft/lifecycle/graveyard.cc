#include "raft/lifecycle/graveyard.h"

#include <utility>

#include "base/random.h"

namespace cairn {

absl::StatusOr<std::optional<Tombstone>> Graveyard::Find(GroupId group) const {
  return LoadTombstone(*parts_.file_system, parts_.data_directory, group);
}

absl::StatusOr<std::vector<Tombstone>> Graveyard::Unfinished() const {
  return UnfinishedTombstones(*parts_.file_system, parts_.data_directory);
}

void Graveyard::Post(Task task) {
  parts_.posts->Through([&] { parts_.executor->Post(std::move(task)); });
}

void Graveyard::Bury(GroupId group, Done done) {
  Post([this, group, done = std::move(done)]() mutable {
    absl::StatusOr<Tombstone> tombstone = PutTombstone(group);
    if (!tombstone.ok()) return done(tombstone.status());
    Remove(*tombstone, std::move(done));
  });
}

absl::StatusOr<Tombstone> Graveyard::PutTombstone(GroupId group) {
  absl::StatusOr<std::optional<Tombstone>> before = Find(group);
  // One that cannot be read is of a life that ends now, too.
  if (!before.ok() && !absl::IsDataLoss(before.status())) return before.status();
  Tombstone tombstone;
  tombstone.group = group;
  tombstone.deletions = before.ok() && *before ? (*before)->deletions + 1 : 1;
  Random random(parts_.seed ^ Random(ToInteger(group)).Next() ^
                Random(static_cast<uint64_t>(parts_.clock->WallNow().nanoseconds)).Next());
  tombstone.incarnation = Incarnation{random.Next() | 1};
  absl::Status saved = SaveTombstone(*parts_.file_system, parts_.data_directory, tombstone);
  if (!saved.ok()) return saved;
  return tombstone;
}

void Graveyard::Remove(const Tombstone& tombstone, Done done) {
  Post([this, tombstone, done = std::move(done)]() mutable {
    const GroupId group = tombstone.group;
    absl::Status removed = RemoveGroupFiles(*parts_.file_system, parts_.data_directory, group);
    if (!removed.ok()) return done(removed);
    auto dropped_done = [this, tombstone,
                         done = std::move(done)](const absl::Status& dropped) mutable {
      if (!dropped.ok()) return done(dropped);
      Post([this, last = Tombstone(tombstone), done = std::move(done)]() mutable {
        last.removed = true;
        done(SaveTombstone(*parts_.file_system, parts_.data_directory, last));
      });
    };
    parts_.posts->Through([&] {
      parts_.log_writer->Do([this, group] { return parts_.log_disk->DropGroup(group); },
                            std::move(dropped_done));
    });
  });
}

}  // namespace cairn
