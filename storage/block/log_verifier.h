// LogVerifier: reads every byte of a log that is in use and says what is good, torn and faulty.

#ifndef STORAGE_BLOCK_LOG_VERIFIER_H_
#define STORAGE_BLOCK_LOG_VERIFIER_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/executor.h"
#include "base/types.h"
#include "storage/block/log_inspector.h"

namespace cairn {

struct LogFinding {
  std::string path;
  uint64_t offset = 0;
  uint64_t bytes = 0;              // 0 if unknown
  GroupId group = GroupId::kNone;  // none: not of one group, or unknown
  IndexRange entries = {};         // zero if unknown
  std::string reason;
  // What is lost is lost already, and the log says so itself (RecoveredLog::hard_state_lost).
  bool is_mark = false;
  friend bool operator==(const LogFinding&, const LogFinding&) = default;
};

// What was found in one file, or, under the path of the directory, of the log as a whole.
struct VerifiedFile {
  std::string path;
  std::map<GroupId, std::vector<IndexRange>> ok = {};  // good, and in the log
  // Never acknowledged, or (MAYBE_TORN) for the group's peers to decide. What a power cut leaves.
  std::vector<LogFinding> torn = {};
  // What may have been acknowledged and is bad.
  std::vector<LogFinding> faulty = {};
  // What is bad and does no harm: another copy serves, or it is no longer in the log.
  std::vector<std::string> notes = {};
  friend bool operator==(const VerifiedFile&, const VerifiedFile&) = default;
};

// By name; the log as a whole last, if there is something to say of it. Decides as recovery would
// if it ran now (FORMAT.md, "Decisions"), but reads sealed blocks too. Two of them are in memory at
// a time if there is an executor `beside` the caller's, to read the next one meanwhile.
std::vector<VerifiedFile> VerifyLog(const LogInspector& log, Executor* beside = nullptr);

}  // namespace cairn

#endif  // STORAGE_BLOCK_LOG_VERIFIER_H_
