// LossReport: what of a node's data was found damaged or lost, and what became of it, in a file.

#ifndef STORAGE_LOSS_REPORT_H_
#define STORAGE_LOSS_REPORT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/executor.h"
#include "base/time.h"
#include "base/types.h"
#include "storage/file_system.h"
#include "storage/log_store.h"

namespace cairn {

struct LossEvent {
  enum class Kind {
    kDamaged,   // entries that may have been acknowledged cannot be read here
    kTorn,      // the end of a write that a power cut broke, never acknowledged
    kNote,      // a copy that was healed, a file that is not the log's
    kRepaired,  // `from` had the entries
    kCovered,   // the log does without them: a snapshot or the state has what they did
    kDropped,   // no other member has them, and they were not committed
  };
  Kind kind = Kind::kNote;
  GroupId group = GroupId::kNone;  // kNone: of the whole disk
  Index first = 0;                 // entries; 0: none, or not known
  Index last = 0;
  Term term = 0;          // of the first one; 0: not known
  std::string file = {};  // where
  uint64_t offset = 0;    // in the file
  NodeId from = NodeId::kNone;
  std::string text = {};  // for people
};

// The file has a JSON object a line. The first says what there is altogether, each other is an
// event, in order (docs/storage.md). It is replaced whole, and has the last kMaxEvents events.
//
// What is found again at the next start, as damage is until it is repaired, is reported once. No
// report is worth a failure: one that cannot be written is tried again with the next event, and one
// that cannot be read is begun anew.
//
// Threads: any. The file is written on `background`, which may be null: then at once. Events come
// by the thousand where a disk rots, and each time all of the file is written and synced, beside
// the log: so it is written for the first one, and for those that follow every kPause at most;
// where none is open any more, soon. The destructor writes what is left.
class LossReport {
 public:
  static constexpr size_t kMaxEvents = 1000;
  static constexpr Duration kPause = Milliseconds(500);
  static constexpr Duration kPauseAtEnd = Milliseconds(50);

  // The file system and the clock outlive the report and its tasks on `background`. Reads what the
  // last process left.
  LossReport(FileSystem& file_system, std::string path, const Clock& clock, Executor* background);
  ~LossReport();
  LossReport(const LossReport&) = delete;
  LossReport& operator=(const LossReport&) = delete;

  // False if it was reported before.
  bool Add(const LossEvent& event);
  // What recovery found of a group. Gives the sentences about its disk that this process has not
  // been given before.
  std::vector<std::string> AddRecovered(GroupId group, const RecoveredLog& recovered);

  // Since there is a report. Entries, but torn and notes: events.
  struct Counts {
    uint64_t damaged = 0;
    uint64_t repaired = 0;
    uint64_t covered = 0;
    uint64_t dropped = 0;
    uint64_t torn = 0;
    uint64_t notes = 0;
    uint64_t open = 0;  // damaged, and nothing has become of them yet
  };
  Counts counts() const;
  // Some entries of the group are damaged, and nothing has become of them yet.
  bool HasOpen(GroupId group) const;
  // What is open up to this entry is covered: the log does without it.
  void Close(GroupId group, Index up_to);

  const std::string& path() const;

 private:
  class Content;
  const std::shared_ptr<Content> content_;
  Executor* const background_;
};

}  // namespace cairn

#endif  // STORAGE_LOSS_REPORT_H_
