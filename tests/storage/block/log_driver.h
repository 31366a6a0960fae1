// LogDriver: writes to a BlockLog and keeps in mind what must be in it.

#ifndef TESTS_STORAGE_BLOCK_LOG_DRIVER_H_
#define TESTS_STORAGE_BLOCK_LOG_DRIVER_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/types.h"
#include "storage/block/block_log.h"
#include "storage/file_system.h"
#include "storage/log_store.h"
#include "storage/record.h"

namespace cairn {

inline constexpr char kTestDirectory[] = "/log";
inline constexpr GroupId kGroupA = static_cast<GroupId>(1);
inline constexpr GroupId kGroupB = static_cast<GroupId>(2);
inline constexpr GroupId kGroupC = static_cast<GroupId>(3);

BlockLogOptions TestOptions();

// What one group's log should hold.
struct ModelLog {
  HardState hard_state;
  LogPosition base;
  EntryHash base_hash;
  std::vector<RecordRun> entries;  // one record each

  LogPosition last() const { return entries.empty() ? base : entries.back().last(); }
  EntryHash last_hash() const { return entries.empty() ? base_hash : entries.back().last_hash(); }
  Index first_index() const { return base.index + 1; }
  // Null if it is not there.
  const RecordRun* At(Index index) const;
};

using Model = std::map<GroupId, ModelLog>;

// A run behind the last entry of `log`.
RecordRun MakeRun(GroupId group, const ModelLog& log, Term term,
                  const std::vector<std::string>& payloads, EntryType type = EntryType::kCommand);

// Changes the model as LogStore::Append changes the log.
void Apply(const LogAppend& append, ModelLog& log);

class LogDriver {
 public:
  // Opens the log at kTestDirectory; check status() after it.
  explicit LogDriver(FileSystem& file_system, BlockLogOptions options = TestOptions());

  const absl::Status& status() const { return status_; }
  BlockLog& log() { return *log_; }
  LogStore& store(GroupId group);
  // As recovery found it.
  const RecoveredLog& recovered(GroupId group);

  // Each appends, without a sync, and changes the model.
  void Append(GroupId group, Term term, const std::vector<std::string>& payloads);
  void Vote(GroupId group, HardState hard_state);
  void Truncate(GroupId group, Index from, Term term, const std::vector<std::string>& payloads);
  void AppendConfiguration(GroupId group, Term term, const std::string& body);
  void Drop(GroupId group, Index up_to);
  // To an entry of another history.
  void Reset(GroupId group, LogPosition base);
  // The group is closed and forgotten.
  void DropGroup(GroupId group);
  absl::Status Apply(GroupId group, const LogAppend& append);

  // The status that Sync called `done` with; CHECKs that it did. From then on synced() is model().
  absl::Status Sync();

  const Model& model() const { return model_; }
  // As of the last sync that was begun, and the last that was done.
  const Model& issued() const { return issued_; }
  const Model& synced() const { return synced_; }
  // Takes over what a driver before knew.
  void set_model(const Model& model) { model_ = issued_ = synced_ = model; }

 private:
  absl::Status status_;
  std::unique_ptr<BlockLog> log_;
  struct Opened {
    LogStore* store;
    RecoveredLog recovered;
  };
  std::map<GroupId, Opened> opened_;
  Model model_;
  Model issued_;
  Model synced_;
};

// What of `expected` the store does not give back, empty if all is there and nothing else.
std::string Difference(LogStore& store, const ModelLog& expected);
std::string Difference(const RecoveredLog& recovered, const ModelLog& expected);

}  // namespace cairn

#endif  // TESTS_STORAGE_BLOCK_LOG_DRIVER_H_
