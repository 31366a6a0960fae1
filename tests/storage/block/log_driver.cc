#include "tests/storage/block/log_driver.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace cairn {

BlockLogOptions TestOptions() {
  BlockLogOptions options;
  options.directory = kTestDirectory;
  options.identity.cluster.bytes.fill(0x11);
  options.identity.node = static_cast<NodeId>(3);
  options.identity.incarnation = static_cast<Incarnation>(77);
  options.geometry = {.block_bytes = 16 << 10, .unit_bytes = 512};
  options.recent_bytes = 0;
  return options;
}

const RecordRun* ModelLog::At(Index index) const {
  if (index <= base.index || index > last().index) return nullptr;
  return &entries[index - base.index - 1];
}

RecordRun MakeRun(GroupId group, const ModelLog& log, Term term,
                  const std::vector<std::string>& payloads, EntryType type) {
  RecordRunBuilder builder(group, log.last(), log.last_hash());
  for (const std::string& payload : payloads) {
    builder.Add(PreparedEntry::Make(type, payload), term, WallTime{1'000'000'000});
  }
  return std::move(builder).Build();
}

void Apply(const LogAppend& append, ModelLog& log) {
  if (append.hard_state) log.hard_state = *append.hard_state;
  if (append.truncate_from) {
    while (!log.entries.empty() && log.last().index >= *append.truncate_from) {
      log.entries.pop_back();
    }
  }
  for (const RecordRun& run : append.runs) {
    for (Index i = run.first().index; i <= run.last().index; ++i) {
      log.entries.push_back(run.Slice(i, i));
    }
  }
}

LogDriver::LogDriver(FileSystem& file_system, BlockLogOptions options) {
  absl::StatusOr<std::unique_ptr<BlockLog>> log = BlockLog::Open(file_system, std::move(options));
  status_ = log.status();
  if (log.ok()) log_ = *std::move(log);
}

LogStore& LogDriver::store(GroupId group) {
  recovered(group);
  return *opened_.at(group).store;
}

const RecoveredLog& LogDriver::recovered(GroupId group) {
  auto found = opened_.find(group);
  if (found == opened_.end()) {
    absl::StatusOr<OpenedLog> opened = log_->OpenGroup(group);
    CAIRN_CHECK(opened.ok()) << opened.status();
    found = opened_.emplace(group, Opened{opened->store, std::move(opened->recovered)}).first;
  }
  return found->second.recovered;
}

absl::Status LogDriver::Apply(GroupId group, const LogAppend& append) {
  absl::Status status = store(group).Append(append);
  if (status.ok()) cairn::Apply(append, model_[group]);
  return status;
}

void LogDriver::Append(GroupId group, Term term, const std::vector<std::string>& payloads) {
  LogAppend append;
  append.runs = {MakeRun(group, model_[group], term, payloads)};
  Apply(group, append).IgnoreError();
}

void LogDriver::AppendConfiguration(GroupId group, Term term, const std::string& body) {
  LogAppend append;
  append.runs = {MakeRun(group, model_[group], term, {body}, EntryType::kConfiguration)};
  Apply(group, append).IgnoreError();
}

void LogDriver::Vote(GroupId group, HardState hard_state) {
  LogAppend append;
  append.hard_state = hard_state;
  Apply(group, append).IgnoreError();
}

void LogDriver::Truncate(GroupId group, Index from, Term term,
                         const std::vector<std::string>& payloads) {
  LogAppend append;
  append.truncate_from = from;
  ModelLog cut = model_[group];
  cairn::Apply(append, cut);
  if (!payloads.empty()) append.runs = {MakeRun(group, cut, term, payloads)};
  Apply(group, append).IgnoreError();
}

void LogDriver::Drop(GroupId group, Index up_to) {
  if (!store(group).DropPrefix(up_to).ok()) return;
  ModelLog& log = model_[group];
  const RecordRun* run = log.At(up_to);
  if (run == nullptr) return;
  log.base_hash = run->last_hash();
  LogPosition base = run->last();
  log.entries.erase(log.entries.begin(),
                    log.entries.begin() + static_cast<std::ptrdiff_t>(base.index - log.base.index));
  log.base = base;
}

void LogDriver::Reset(GroupId group, LogPosition base) {
  const EntryHash hash = {.high = base.term, .low = base.index};
  if (!store(group).Reset(base, hash).ok()) return;
  ModelLog& log = model_[group];
  log.base = base;
  log.base_hash = hash;
  log.entries.clear();
}

void LogDriver::DropGroup(GroupId group) {
  opened_.erase(group);
  log_->CloseGroup(group);
  if (log_->DropGroup(group).ok()) model_[group] = ModelLog();
}

absl::Status LogDriver::Sync() {
  std::optional<absl::Status> result;
  issued_ = model_;
  log_->Sync([&](absl::Status status) { result = std::move(status); });
  CAIRN_CHECK(result.has_value());
  if (result->ok()) synced_ = issued_;
  return *result;
}

std::string Difference(LogStore& store, const ModelLog& expected) {
  if (store.base() != expected.base) return absl::StrCat("base ", ToString(store.base()));
  if (store.last() != expected.last()) return absl::StrCat("last ", ToString(store.last()));
  Index next = expected.first_index();
  while (next <= expected.last().index) {
    absl::StatusOr<std::vector<RecordRun>> runs =
        store.Read(next, expected.last().index, size_t{1} << 20);
    if (!runs.ok()) return absl::StrCat("entry ", next, ": ", runs.status().ToString());
    for (const RecordRun& run : *runs) {
      for (size_t i = 0; i < run.size(); ++i, ++next) {
        const RecordRun* wanted = expected.At(next);
        if (wanted == nullptr || wanted->bytes().view() != run[i].bytes()) {
          return absl::StrCat("entry ", next, " is another one");
        }
      }
    }
  }
  for (Index i = expected.base.index; i <= expected.last().index; ++i) {
    absl::StatusOr<EntryHash> hash = store.HashAt(i);
    if (!hash.ok()) return absl::StrCat("hash at ", i, ": ", hash.status().ToString());
    EntryHash wanted = i == expected.base.index ? expected.base_hash : expected.At(i)->last_hash();
    if (*hash != wanted) return absl::StrCat("hash at ", i);
  }
  return "";
}

std::string Difference(const RecoveredLog& recovered, const ModelLog& expected) {
  if (recovered.hard_state_lost) return "hard state lost";
  if (recovered.hard_state != expected.hard_state) {
    return absl::StrCat("hard state ", recovered.hard_state.term, " ",
                        ToInteger(recovered.hard_state.vote));
  }
  if (recovered.base != expected.base || recovered.base_hash != expected.base_hash) {
    return absl::StrCat("base ", ToString(recovered.base));
  }
  if (recovered.last_hash != expected.last_hash()) return "last hash";
  std::vector<TermRun> runs;
  std::vector<LogPosition> configurations;
  for (const RecordRun& run : expected.entries) {
    LogPosition at = run.last();
    if (runs.empty() || runs.back().term != at.term) runs.push_back({at.term, 0});
    runs.back().last_index = at.index;
    if (run[0].type() == EntryType::kConfiguration) configurations.push_back(at);
  }
  if (recovered.runs != runs) return "term runs";
  if (recovered.configurations.size() != configurations.size()) return "configurations";
  for (size_t i = 0; i < configurations.size(); ++i) {
    const RecordRun* run = expected.At(configurations[i].index);
    if (recovered.configurations[i].at != configurations[i] ||
        !(recovered.configurations[i].body == (*run)[0].Payload(run->bytes()))) {
      return absl::StrCat("configuration at ", configurations[i].index);
    }
  }
  if (recovered.torn_from) return absl::StrCat("torn from ", *recovered.torn_from);
  if (!recovered.faulty.empty()) {
    return absl::StrCat("faulty: ", recovered.faulty[0].first.index, " ",
                        recovered.faulty[0].reason);
  }
  return "";
}

}  // namespace cairn
