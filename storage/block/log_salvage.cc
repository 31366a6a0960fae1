#include "storage/block/log_salvage.h"

#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "storage/block/written_log.h"
#include "storage/log_store.h"

namespace cairn {
namespace {

// Synced together while the new log is written.
constexpr size_t kBatchBytes = size_t{1} << 20;

SalvageSource SourceOf(const LogInspector& log) {
  SalvageSource source;
  source.directory = log.directory();
  source.writer = log.writer();
  source.identity = log.identity();
  source.read = [&log](GroupId group, uint64_t count, const auto& take, const auto& unreadable) {
    log.Read(group, 0, count, take, unreadable);
  };
  return source;
}

// Of a group that was dropped its name is left.
bool IsDropped(const WrittenLog& log) {
  return log.hard_state == HardState() && !log.hard_state_lost && log.base == LogPosition() &&
         log.last == LogPosition();
}

// `last`: of the entries the log names.
SalvagedGroup PlanGroup(const SalvageSource& log, GroupId group, const WrittenLog& written,
                        Index last) {
  SalvagedGroup plan;
  plan.group = group;
  plan.hard_state = written.hard_state;
  plan.hard_state_lost = written.hard_state_lost;
  plan.base = written.base;
  plan.base_hash = written.base_hash;
  PlanEntries(log, last, plan);
  return plan;
}

absl::Status SyncNow(LogDisk& disk) {
  absl::Status result = absl::InternalError("the sync did not end");
  disk.Sync([&result](absl::Status status) { result = std::move(status); });
  return result;
}

// `sure`: the group may count on what it finds in the new log, in which it begins as lost.
absl::Status WriteGroup(const SalvageSource& log, const SalvagedGroup& plan, bool sure,
                        LogDisk& disk) {
  absl::StatusOr<OpenedLog> opened = disk.OpenGroup(plan.group);
  if (!opened.ok()) return opened.status();
  LogStore& store = *opened->store;
  absl::Status status;
  if (plan.base != LogPosition()) status = store.Reset(plan.base, plan.base_hash);
  LogAppend append;
  append.hard_state = plan.hard_state;
  append.sure = sure;
  if (status.ok()) status = store.Append(append);
  size_t bytes = 0;
  auto write = [&](const RecordRun& run) {
    if (!status.ok()) return;
    LogAppend entries;
    entries.runs = {run};
    status = store.Append(entries);
    if (status.ok() && (bytes += run.byte_size()) >= kBatchBytes) {
      status = SyncNow(disk);
      bytes = 0;
    }
  };
  // What could be read for the plan is read again; what cannot be now ends it.
  auto unreadable = [&](const LogInspector::Unreadable& missing) {
    if (status.ok()) status = absl::DataLossError(missing.reason);
  };
  if (const Index count = plan.last.index - plan.base.index; status.ok() && count > 0) {
    log.read(plan.group, count, write, unreadable);
  }
  if (status.ok()) status = SyncNow(disk);
  if (status.ok() && store.last() != plan.last) {
    status = absl::DataLossError(
        absl::StrCat("ends at ", ToString(store.last()), ", not at ", ToString(plan.last)));
  }
  return status;
}

absl::Status CheckEmpty(FileSystem& file_system, const std::string& directory) {
  absl::StatusOr<bool> there = file_system.Exists(directory);
  if (!there.ok() || !*there) return there.status();
  absl::StatusOr<std::vector<std::string>> names = file_system.List(directory);
  if (!names.ok()) return names.status();
  if (names->empty()) return absl::OkStatus();
  return absl::AlreadyExistsError(absl::StrCat(directory, " is not empty"));
}

}  // namespace

void PlanEntries(const SalvageSource& log, Index last, SalvagedGroup& group) {
  group.last = group.base;
  EntryHash end = group.base_hash;
  auto lose = [&](std::string reason) {
    if (group.reason.empty()) group.reason = std::move(reason);
  };
  log.read(
      group.group, UINT64_MAX,
      [&](const RecordRun& run) {
        if (!group.reason.empty()) return;
        if (run.first().index != group.last.index + 1 || run.previous_hash() != end) {
          lose("does not follow the entry before it");
          return;
        }
        group.last = run.last();
        end = run.last_hash();
      },
      [&](const LogInspector::Unreadable& missing) { lose(missing.reason); });
  if (group.last.index < last) group.lost = {group.last.index + 1, last};
}

std::string AcknowledgementOf(const SalvagePlan& plan) {
  std::vector<std::string> losses;
  for (const SalvagedGroup& each : plan.groups) {
    const std::string group = absl::StrCat(ToInteger(each.group), ":");
    if (each.lost.first != 0) {
      losses.push_back(absl::StrCat(group, each.lost.first, "..", each.lost.last));
    }
    if (each.hard_state_lost) losses.push_back(absl::StrCat(group, "vote"));
  }
  for (const std::string& path : plan.unreadable) {
    losses.push_back(path.substr(path.rfind('/') + 1));
  }
  if (losses.empty()) return "nothing-lost";
  return absl::StrCat("lose-", absl::StrJoin(losses, ","), plan.alone ? "-alone" : "");
}

void SetAlone(SalvagePlan& plan) {
  plan.alone = true;
  plan.acknowledgement = AcknowledgementOf(plan);
}

SalvagePlan PlanSalvage(const LogInspector& log) {
  SalvagePlan plan;
  const SalvageSource source = SourceOf(log);
  for (const auto& [group, written] : log.groups()) {
    if (IsDropped(written)) continue;
    Index last = written.last.index;
    if (log.scan().ok()) {
      const auto given_up = log.scan()->given_up.find(group);
      if (given_up != log.scan()->given_up.end()) last = given_up->second.last;
    }
    plan.groups.push_back(PlanGroup(source, group, written, last));
  }
  for (const auto& [id, block] : log.blocks()) {
    if (!block.status.ok()) plan.unreadable.push_back(block.path);
  }
  // Without a scan votes may be among what nobody can read. A scan says of which groups.
  if (!log.scan().ok()) {
    for (SalvagedGroup& each : plan.groups) each.hard_state_lost = true;
  }
  plan.acknowledgement = AcknowledgementOf(plan);
  return plan;
}

absl::Status Salvage(const LogInspector& log, const SalvagePlan& plan,
                     const std::string& acknowledgement, FileSystem& file_system,
                     const std::string& directory) {
  BlockLogOptions options;
  options.directory = directory;
  options.keys = log.keys();
  for (const auto& [id, block] : log.blocks()) {
    if (block.status.ok()) {
      options.geometry = block.file->header().geometry;
      break;
    }
  }
  return Salvage(SourceOf(log), plan, acknowledgement, file_system, std::move(options));
}

absl::Status Salvage(const SalvageSource& log, const SalvagePlan& plan,
                     const std::string& acknowledgement, FileSystem& file_system,
                     BlockLogOptions options) {
  const std::string directory = options.directory;
  if (acknowledgement != plan.acknowledgement) {
    return absl::InvalidArgumentError(absl::StrCat("what would be lost is acknowledged by ",
                                                   plan.acknowledgement, ", not by ",
                                                   acknowledgement));
  }
  if (log.writer) {
    return absl::FailedPreconditionError(
        absl::StrCat(*log.writer, " has ", log.directory, " open"));
  }
  if (!log.identity) {
    return absl::DataLossError(absl::StrCat(log.directory, ": nobody can tell whose log it is"));
  }
  if (absl::Status empty = CheckEmpty(file_system, directory); !empty.ok()) return empty;
  if (absl::Status made = file_system.MakeDirectory(directory); !made.ok()) return made;
  options.identity = *log.identity;
  options.new_groups_are_lost = true;
  absl::StatusOr<std::unique_ptr<BlockLog>> disk = BlockLog::Open(file_system, std::move(options));
  if (!disk.ok()) return disk.status();
  for (const SalvagedGroup& group : plan.groups) {
    const bool sure = plan.alone || !group.forgets();
    if (absl::Status written = WriteGroup(log, group, sure, **disk); !written.ok()) {
      return absl::Status(written.code(),
                          absl::StrCat("group ", ToInteger(group.group), ": ", written.message(),
                                       "; ", directory, " is not whole, remove it"));
    }
  }
  return absl::OkStatus();
}

}  // namespace cairn
