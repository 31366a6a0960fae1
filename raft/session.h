// SessionTable: which calls of which clients were applied, and what was answered. Part of a group's
// replicated state.

#ifndef RAFT_SESSION_H_
#define RAFT_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <string>
#include <unordered_map>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/types.h"
#include "storage/record.h"

namespace cairn {

// Makes retries safe (thesis 6.3): a command that carries a session call is applied the first time
// it comes along in the log, and answered from memory afterwards.
//
// A session is opened by an entry, whose index is its id, and lives until it is closed or, when
// there are more than `max_sessions`, until it is the one used longest ago. It remembers its last
// kWindow numbers. Everything follows from the log alone, so that all members hold the same table;
// `max_sessions` must be the same on all of them.
//
// Threads: one at a time.
class SessionTable {
 public:
  static constexpr uint64_t kWindow = 1024;

  explicit SessionTable(size_t max_sessions);

  // What is to be done with a command of a session.
  enum class Verdict {
    kApply,         // now; SetAnswer gives its answer
    kDuplicate,     // applied before: `answer`
    kPending,       // applied before, by an entry whose answer has not been set yet
    kForgotten,     // applied before, and its answer is not known (ForgetAnswer)
    kExpired,       // no such session
    kNumberReused,  // another payload came under that number
    kNumberTooOld,  // the number is out of the window
    kGap,           // asked to be in order, and the call before was not applied
  };
  struct Decision {
    Verdict verdict = Verdict::kApply;
    LogPosition first;  // kDuplicate, kForgotten: where it was applied
    Bytes answer;       // kDuplicate
  };
  // Decides on the command at `position`, and counts as the session's use. kApply takes the number.
  Decision Begin(LogPosition position, const SessionCall& call, uint64_t payload_checksum);
  // The answer to a command that was applied. Nothing happens if the session is gone by now.
  void SetAnswer(const SessionCall& call, Bytes answer);
  // The same for a command whose effect the state machine had already, so that its answer is not
  // known.
  void ForgetAnswer(const SessionCall& call);

  // The entry at `index` opens a session. May evict another one.
  void Open(Index index);
  // False if there is no such session.
  bool Close(uint64_t session);

  size_t size() const { return sessions_.size(); }

  // The whole table, the same bytes on every member that has applied the same entries. Decode
  // replaces the table; DATA_LOSS for anything Encode does not give.
  std::string Encode() const;
  absl::Status Decode(absl::string_view bytes);

 private:
  struct Call {
    enum class State : uint8_t { kUnused, kPending, kAnswered, kForgotten };
    State state = State::kUnused;
    LogPosition position;
    uint64_t payload_checksum = 0;
    Bytes answer;
  };
  struct Session {
    uint64_t id = 0;
    uint64_t newest = 0;     // the highest number applied
    std::deque<Call> calls;  // of the numbers newest - calls.size() + 1 .. newest
  };
  using Sessions = std::list<Session>;

  Session* Find(uint64_t id);
  // The call with `number`, or null if it is not in the window.
  static Call* FindCall(Session& session, uint64_t number);

  const size_t max_sessions_;
  Sessions sessions_;                                        // the one used longest ago first
  std::unordered_map<uint64_t, Sessions::iterator> places_;  // never iterated over
};

}  // namespace cairn

#endif  // RAFT_SESSION_H_
