#include "storage/block/log_salvage.h"

#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "storage/block/block_log.h"
#include "storage/block/written_log.h"
#include "storage/log_store.h"

namespace cairn {
namespace {

// Synced together while the new log is written.
constexpr size_t kBatchBytes = size_t{1} << 20;

SalvagedGroup PlanGroup(const LogInspector& log, GroupId group, const WrittenLog& written) {
  SalvagedGroup plan;
  plan.group = group;
  plan.hard_state = written.hard_state;
  plan.hard_state_lost = written.hard_state_lost;
  plan.base = plan.last = written.base;
  plan.base_hash = written.base_hash;
  EntryHash end = written.base_hash;
  auto lose = [&](std::string reason) {
    if (plan.reason.empty()) plan.reason = std::move(reason);
  };
  log.Read(
      group, 0, UINT64_MAX,
      [&](const RecordRun& run) {
        if (!plan.reason.empty()) return;
        if (run.first().index != plan.last.index + 1 || run.previous_hash() != end) {
          lose(absl::StrCat("does not follow the entry before it"));
          return;
        }
        plan.last = run.last();
        end = run.last_hash();
      },
      [&](const LogInspector::Unreadable& missing) { lose(missing.reason); });
  if (plan.last.index < written.last.index) plan.lost = {plan.last.index + 1, written.last.index};
  return plan;
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
  return losses.empty() ? "nothing-lost" : absl::StrCat("lose-", absl::StrJoin(losses, ","));
}

absl::Status SyncNow(LogDisk& disk) {
  absl::Status result = absl::InternalError("the sync did not end");
  disk.Sync([&result](absl::Status status) { result = std::move(status); });
  return result;
}

absl::Status WriteGroup(const LogInspector& log, const SalvagedGroup& plan, LogDisk& disk) {
  absl::StatusOr<OpenedLog> opened = disk.OpenGroup(plan.group);
  if (!opened.ok()) return opened.status();
  LogStore& store = *opened->store;
  absl::Status status;
  if (plan.base != LogPosition()) status = store.Reset(plan.base, plan.base_hash);
  LogAppend append;
  append.hard_state = plan.hard_state;
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
    log.Read(plan.group, 0, count, write, unreadable);
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

SalvagePlan PlanSalvage(const LogInspector& log) {
  SalvagePlan plan;
  for (const auto& [group, written] : log.groups()) {
    plan.groups.push_back(PlanGroup(log, group, written));
  }
  for (const auto& [id, block] : log.blocks()) {
    if (!block.status.ok()) plan.unreadable.push_back(block.path);
  }
  // Without a scan, or with a batch gone, votes may be among what nobody can read.
  if (!log.scan().ok() || log.scan()->lost_batches) {
    for (SalvagedGroup& each : plan.groups) each.hard_state_lost = true;
  }
  plan.acknowledgement = AcknowledgementOf(plan);
  return plan;
}

absl::Status Salvage(const LogInspector& log, const SalvagePlan& plan,
                     const std::string& acknowledgement, FileSystem& file_system,
                     const std::string& directory) {
  if (acknowledgement != plan.acknowledgement) {
    return absl::InvalidArgumentError(absl::StrCat("what would be lost is acknowledged by ",
                                                   plan.acknowledgement, ", not by ",
                                                   acknowledgement));
  }
  if (log.writer()) {
    return absl::FailedPreconditionError(
        absl::StrCat(*log.writer(), " has ", log.directory(), " open"));
  }
  if (!log.identity()) {
    return absl::DataLossError(absl::StrCat(log.directory(), ": nobody can tell whose log it is"));
  }
  if (absl::Status empty = CheckEmpty(file_system, directory); !empty.ok()) return empty;
  if (absl::Status made = file_system.MakeDirectory(directory); !made.ok()) return made;
  BlockLogOptions options;
  options.directory = directory;
  options.identity = *log.identity();
  options.keys = log.keys();
  for (const auto& [id, block] : log.blocks()) {
    if (block.status.ok()) {
      options.geometry = block.file->header().geometry;
      break;
    }
  }
  absl::StatusOr<std::unique_ptr<BlockLog>> disk = BlockLog::Open(file_system, std::move(options));
  if (!disk.ok()) return disk.status();
  for (const SalvagedGroup& group : plan.groups) {
    if (absl::Status written = WriteGroup(log, group, **disk); !written.ok()) {
      return absl::Status(written.code(),
                          absl::StrCat("group ", ToInteger(group.group), ": ", written.message(),
                                       "; ", directory, " is not whole, remove it"));
    }
  }
  return absl::OkStatus();
}

}  // namespace cairn
