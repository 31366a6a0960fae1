// Short ways to make records for tests.

#ifndef TESTS_RAFT_RECORDS_H_
#define TESTS_RAFT_RECORDS_H_

#include <string>
#include <vector>

#include "base/types.h"
#include "storage/record.h"

namespace cairn {

inline constexpr GroupId kTestGroup{7};

// Commands behind `previous`, each of the term given, with `payload` followed by its index.
inline RecordRun MakeRun(LogPosition previous, EntryHash previous_hash,
                         const std::vector<Term>& terms, const std::string& payload = "command ",
                         GroupId group = kTestGroup) {
  RecordRunBuilder builder(group, previous, previous_hash);
  Index index = previous.index;
  for (Term term : terms) {
    builder.Add(PreparedEntry::Make(EntryType::kCommand, payload + std::to_string(++index)), term,
                WallTime{1'000'000});
  }
  return std::move(builder).Build();
}

// The run that goes on behind `run`.
inline RecordRun MakeRunBehind(const RecordRun& run, const std::vector<Term>& terms,
                               const std::string& payload = "command ") {
  return MakeRun(run.last(), run.last_hash(), terms, payload);
}

}  // namespace cairn

#endif  // TESTS_RAFT_RECORDS_H_
