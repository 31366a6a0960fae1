#include "tests/storage/rocksdb/ledger_claims.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/check.h"
#include "storage/rocksdb/ledger_record.h"

namespace cairn {
namespace {

std::string NewestLedger(FileSystem& files, const std::string& directory) {
  std::string newest;
  const std::vector<std::string> names = files.List(directory).value();
  for (const std::string& name : names) {
    if (absl::StartsWith(name, "acks.") && name > newest) newest = name;
  }
  CAIRN_CHECK(!newest.empty()) << directory;
  return absl::StrCat(directory, "/", newest);
}

}  // namespace

void AddToLedger(FileSystem& files, const std::string& directory, GroupId group,
                 const std::function<void(LedgerRecord&, LedgerGroup&)>& change) {
  const std::string path = NewestLedger(files, directory);
  std::string bytes = ReadWholeFile(files, path).value();
  // What is known of the group stands in the last record that has it.
  LedgerRecord claim;
  std::optional<LedgerGroup> known;
  size_t end = 0;
  while (true) {
    const auto record = DecodeLedgerRecord(absl::string_view(bytes).substr(end));
    if (!record.ok()) break;
    const auto found = record->record.groups.find(group);
    if (found != record->record.groups.end()) known = found->second;
    claim.number = record->record.number + 1;
    claim.boot = record->record.boot;
    claim.identity = record->record.identity;
    end += record->size;
  }
  CAIRN_CHECK(known.has_value()) << path;
  LedgerGroup said = *known;
  change(claim, said);
  claim.groups[group] = said;
  bytes.resize(end);
  bytes += EncodeLedgerRecord(claim);
  auto file = files.Open(path, {.mode = FileSystem::OpenMode::kReadWrite});
  CAIRN_CHECK(file.ok()) << file.status();
  CAIRN_CHECK((*file)->Write(0, bytes).ok());
  CAIRN_CHECK(files.SyncNow(**file).ok());
}

void ClaimEntries(FileSystem& files, const std::string& directory, GroupId group, uint64_t count) {
  AddToLedger(files, directory, group, [count](LedgerRecord&, LedgerGroup& said) {
    said.durable_change = ++said.head.change;
    LogPosition& last = said.head.last;
    if (count > 1) {
      said.starts.push_back({last.index + count / 2 + 1, last.term + 1});
      ++last.term;
    }
    last.index += count;
    said.head.last_hash.low ^= 1;
    said.head.hard_state.term = std::max(said.head.hard_state.term, last.term);
  });
}

}  // namespace cairn
