#include "tests/storage/reader/log_json.h"

#include <cstdint>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "base/types.h"
#include "storage/record.h"
#include "tests/storage/faulty_indexes.h"

namespace cairn {
namespace {

std::string Quoted(absl::string_view text) {
  return absl::StrCat("\"", absl::StrReplaceAll(absl::CEscape(text), {{"\\'", "'"}}), "\"");
}

std::string HashText(EntryHash hash) {
  return absl::StrCat("\"", absl::Hex(hash.high, absl::kZeroPad16),
                      absl::Hex(hash.low, absl::kZeroPad16), "\"");
}

// The entries, or their position and null where they cannot be read.
std::string EntriesJson(LogStore& store) {
  std::vector<std::string> rows;
  for (Index index = store.base().index + 1; index <= store.last().index; ++index) {
    absl::StatusOr<std::vector<RecordRun>> runs = store.Read(index, index, 1);
    if (!runs.ok()) {
      rows.push_back(absl::StrCat("[", index, ", null]"));
      continue;
    }
    const RecordRun& run = runs->front();
    const RecordView entry = run[0];
    const std::vector<int64_t> numbers = {static_cast<int64_t>(index),
                                          static_cast<int64_t>(entry.position().term),
                                          static_cast<int64_t>(entry.type()),
                                          static_cast<int64_t>(entry.call().session),
                                          static_cast<int64_t>(entry.call().number),
                                          entry.call().in_order,
                                          entry.timestamp().nanoseconds,
                                          entry.apply_version()};
    rows.push_back(absl::StrCat("[", absl::StrJoin(numbers, ", "), ", ", HashText(entry.hash()),
                                ", \"", absl::BytesToHexString(entry.Payload(run.bytes()).view()),
                                "\"]"));
  }
  return absl::StrCat("[", absl::StrJoin(rows, ",\n"), "]");
}

std::string GroupJson(LogDisk& disk, GroupId group) {
  absl::StatusOr<OpenedLog> opened = disk.OpenGroup(group);
  if (!opened.ok()) {
    return absl::StrCat("{\"error\": ", Quoted(opened.status().ToString()), "}");
  }
  const RecoveredLog& found = opened->recovered;
  std::vector<std::string> configurations;
  for (const RawConfiguration& each : found.configurations) {
    configurations.push_back(absl::StrCat("[", each.at.index, ", ", each.at.term, ", \"",
                                          absl::BytesToHexString(each.body.view()), "\"]"));
  }
  std::vector<std::string> runs;
  for (const TermRun& run : found.runs) {
    runs.push_back(absl::StrCat("[", run.term, ", ", run.last_index, "]"));
  }
  const LogPosition last = opened->store->last();
  return absl::StrCat(
      "{\"hard_state\": [", found.hard_state.term, ", ", ToInteger(found.hard_state.vote),
      "], \"hard_state_lost\": ", found.hard_state_lost ? "true" : "false", ", \"base\": [",
      found.base.index, ", ", found.base.term, ", ", HashText(found.base_hash), "], \"last\": [",
      last.index, ", ", last.term, ", ", HashText(found.last_hash),
      "], \"known_commit\": ", found.known_commit, ", \"torn_from\": ", found.torn_from.value_or(0),
      ", \"faulty\": ", FaultyIndexes(found).size(), ", \"term_runs\": [",
      absl::StrJoin(runs, ", "), "], \"configurations\": [", absl::StrJoin(configurations, ", "),
      "],\n\"entries\": ", EntriesJson(*opened->store), "}");
}

}  // namespace

std::string LogJson(const std::string& boot_id, const absl::Status& status, LogDisk* disk) {
  std::vector<std::string> groups;
  if (disk != nullptr) {
    for (GroupId group : disk->Groups()) {
      groups.push_back(absl::StrCat("\"", ToInteger(group), "\": ", GroupJson(*disk, group)));
    }
  }
  return absl::StrCat("{\"boot_id\": ", Quoted(boot_id), ", \"error\": ", Quoted(status.ToString()),
                      ", \"groups\": {", absl::StrJoin(groups, ",\n"), "}}\n");
}

}  // namespace cairn
