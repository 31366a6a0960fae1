#include "raft/group_log.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "raft/core/configuration.h"

namespace cairn {
namespace {

// The records first..last out of runs that stand in a row.
std::vector<RecordRun> Cut(const std::vector<RecordRun>& runs, Index first, Index last) {
  std::vector<RecordRun> cut;
  for (const RecordRun& run : runs) {
    Index from = std::max(first, run.first().index);
    Index to = std::min(last, run.last().index);
    if (from > to) continue;
    bool whole = from == run.first().index && to == run.last().index;
    cut.push_back(whole ? run : run.Slice(from, to));
  }
  return cut;
}

}  // namespace

GroupLog::GroupLog(GroupId group, LogStore* store, const RecoveredLog& recovered,
                   size_t cache_bytes, const CacheShare* share)
    : group_(group),
      store_(store),
      cache_(cache_bytes, share),
      last_index_(recovered.runs.empty() ? recovered.base.index : recovered.runs.back().last_index),
      last_hash_(recovered.runs.empty() ? recovered.base_hash : recovered.last_hash) {
  if (recovered.runs.empty()) return;
  // One that cannot be read is torn, and replaced or dropped before this node can lead.
  absl::StatusOr<std::vector<RecordRun>> last = store_->Read(last_index_, last_index_, 0);
  if (last.ok()) last_timestamp_ = last->back().At(last_index_).timestamp();
}

absl::StatusOr<LogAppend> GroupLog::Append(const LogBatch& batch, Payloads& payloads,
                                           WallTime timestamp) {
  LogAppend append;
  append.hard_state = batch.hard_state;
  append.sure = batch.sure;
  append.truncate_from = batch.truncate_from;
  append.commit = batch.commit;
  if (batch.reset_to.has_value()) {
    cache_.Truncate(0);
    last_index_ = batch.reset_to->base.index;
    last_hash_ = batch.reset_to->hash;
  }
  if (batch.truncate_from.has_value()) {
    if (absl::Status status = Truncate(*batch.truncate_from); !status.ok()) return status;
  }
  for (const AppendRun& run : batch.runs) {
    CAIRN_CHECK_EQ(run.first.index, last_index_ + 1);
    absl::StatusOr<std::vector<RecordRun>> records = MakeRecords(run, payloads, timestamp);
    if (!records.ok()) return records.status();
    for (RecordRun& made : *records) {
      if (made.previous_hash() != last_hash_) {
        return absl::InternalError(absl::StrCat(
            "safety violation: entry ", ToString(made.first()), " follows an entry of hash ",
            ToString(made.previous_hash()), ", and the one here has ", ToString(last_hash_)));
      }
      last_index_ = made.last().index;
      last_hash_ = made.last_hash();
      last_timestamp_ = std::max(last_timestamp_, made.At(last_index_).timestamp());
      cache_.Append(made, batch.ticket);
      append.runs.push_back(std::move(made));
    }
    CAIRN_CHECK_EQ(last_index_, run.last_index);
  }
  return append;
}

absl::Status GroupLog::Truncate(Index from) {
  CAIRN_CHECK_GE(from, 1);
  CAIRN_CHECK_LE(from, last_index_ + 1);
  absl::StatusOr<EntryHash> hash = HashAt(from - 1);
  if (!hash.ok()) return hash.status();
  cache_.Truncate(from);
  last_index_ = from - 1;
  last_hash_ = *hash;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<RecordRun>> GroupLog::MakeRecords(const AppendRun& run,
                                                             Payloads& payloads,
                                                             WallTime timestamp) const {
  if (run.source == AppendRun::Source::kReceived) {
    return Cut(payloads.At(run.payload).records, run.first.index, run.last_index);
  }
  // The term before is Raft's affair: it never falls.
  RecordRunBuilder builder(group_, {last_index_, 0}, last_hash_);
  switch (run.source) {
    case AppendRun::Source::kProposals:
      for (const ProposalRequest& request : payloads.At(run.payload).proposals) {
        for (const PreparedEntry& entry : request.entries) {
          builder.Add(entry, run.first.term, timestamp);
        }
      }
      break;
    case AppendRun::Source::kConfiguration:
      builder.Add(PreparedEntry::Make(EntryType::kConfiguration,
                                      EncodeConfiguration(run.configuration.value())),
                  run.first.term, timestamp);
      break;
    case AppendRun::Source::kNoop:
    case AppendRun::Source::kReceived:
      builder.Add(PreparedEntry::Make(EntryType::kNoop, ""), run.first.term, timestamp);
      break;
  }
  std::vector<RecordRun> made;
  made.push_back(std::move(builder).Build());
  return made;
}

absl::StatusOr<std::vector<RecordRun>> GroupLog::Read(Index first, Index last,
                                                      size_t max_bytes) const {
  if (first >= first_cached()) {
    std::vector<RecordRun> cached = cache_.Read(first, last, max_bytes);
    if (cached.empty()) return absl::OutOfRangeError(absl::StrCat("entry ", first));
    return cached;
  }
  // From here on the store may have entries that were truncated.
  return store_->Read(first, std::min(last, first_cached() - 1), max_bytes);
}

absl::StatusOr<EntryHash> GroupLog::HashAt(Index index) const {
  if (index == last_index_) return last_hash_;
  if (std::optional<EntryHash> cached = cache_.HashAt(index)) return *cached;
  if (index > last_index_) return absl::OutOfRangeError(absl::StrCat("entry ", index));
  return store_->HashAt(index);
}

}  // namespace cairn
