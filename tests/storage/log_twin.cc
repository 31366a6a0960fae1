#include "tests/storage/log_twin.h"

#include <utility>

#include "base/check.h"
#include "base/time.h"

namespace cairn {

LogPosition LogTwin::PositionAt(Index index) const {
  return index == 0 ? LogPosition() : At(index).position;
}

EntryHash LogTwin::HashAt(Index index) const { return index == 0 ? EntryHash() : At(index).hash; }

std::vector<TermRun> LogTwin::TermRunsAbove(Index index) const {
  std::vector<TermRun> runs;
  for (Index i = index + 1; i <= last(); ++i) {
    const Term term = At(i).position.term;
    if (runs.empty() || runs.back().term != term) runs.push_back({term, i});
    runs.back().last_index = i;
  }
  return runs;
}

void LogTwin::TruncateFrom(Index from) {
  if (from <= last())
    entries.erase(entries.begin() + static_cast<std::ptrdiff_t>(from - 1), entries.end());
}

RecordRun LogTwin::Add(Term term, std::string payload, EntryType type) {
  RecordRunBuilder builder(group_, PositionAt(last()), HashAt(last()));
  const WallTime time = {static_cast<int64_t>(1'000'000 * term + last())};
  builder.Add(PreparedEntry::Make(type, std::move(payload)), term, time);
  RecordRun run = std::move(builder).Build();
  Take(run);
  return run;
}

RecordRun LogTwin::AddRun(Term term, const std::vector<std::string>& payloads) {
  RecordRunBuilder builder(group_, PositionAt(last()), HashAt(last()));
  for (const std::string& payload : payloads) {
    builder.Add(PreparedEntry::Make(EntryType::kCommand, payload), term, {});
  }
  RecordRun run = std::move(builder).Build();
  Take(run);
  return run;
}

void LogTwin::Take(const RecordRun& run) {
  for (size_t i = 0; i < run.size(); ++i) {
    const RecordView record = run[i];
    CAIRN_CHECK_EQ(record.position().index, last() + 1);
    entries.push_back({record.position(), record.hash(), record.type(),
                       std::string(record.Payload(run.bytes()).view()),
                       std::string(record.bytes())});
  }
}

std::string RecordsOf(const std::vector<RecordRun>& runs) {
  std::string records;
  for (const RecordRun& run : runs) records.append(run.bytes().view().data(), run.byte_size());
  return records;
}

}  // namespace cairn
