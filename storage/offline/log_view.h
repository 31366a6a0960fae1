// LogView: a log as it stands on a disk, of whatever store, for offline tools.

#ifndef STORAGE_OFFLINE_LOG_VIEW_H_
#define STORAGE_OFFLINE_LOG_VIEW_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/executor.h"
#include "base/types.h"
#include "storage/block/block_header.h"
#include "storage/block/log_inspector.h"
#include "storage/block/log_verifier.h"
#include "storage/crypto/key_ring.h"
#include "storage/file_system.h"
#include "storage/record.h"

namespace cairn {

// A group as a start of the node would find it.
struct ViewedGroup {
  HardState hard_state;
  bool hard_state_lost = false;
  LogPosition base;
  EntryHash base_hash;
  LogPosition last;
  EntryHash last_hash;
  Index known_commit = 0;
  std::optional<Index> torn_from = {};
  friend bool operator==(const ViewedGroup&, const ViewedGroup&) = default;
};

// Nothing is written and no lock taken. Threads: one at a time.
class LogView {
 public:
  using Take = std::function<void(const RecordRun&)>;
  using Unreadable = std::function<void(const LogInspector::Unreadable&)>;

  virtual ~LogView() = default;

  virtual const char* store() const = 0;  // as LogDisk::name
  virtual const std::string& directory() const = 0;
  // Nothing if nobody can tell.
  virtual const std::optional<LogIdentity>& identity() const = 0;
  // Who writes the log at this moment, as "process 17".
  virtual const std::optional<std::string>& writer() const = 0;
  // Those that have something; of a damaged log as far as it can be told.
  virtual std::map<GroupId, ViewedGroup> Groups() const = 0;

  // Gives `take` the entries of `group` from `from` on, in order, at most `count`, and `unreadable`
  // what is missing between them.
  virtual void Read(GroupId group, Index from, uint64_t count, const Take& take,
                    const Unreadable& unreadable) const = 0;

  // Reads everything, and says what is good, torn and faulty. `beside`, which may be null, reads
  // ahead meanwhile.
  virtual std::vector<VerifiedFile> Verify(Executor* beside = nullptr) const = 0;
};

// `directory` is a node's data directory or the log in it; which store it is of is found out.
// NOT_FOUND if there is none, other errors as those of the stores' inspectors. `file_system`
// outlives the view.
// `keys` are for encrypted blocks; null: there are none.
absl::StatusOr<std::unique_ptr<LogView>> OpenLogView(
    FileSystem& file_system, const std::string& directory,
    const std::shared_ptr<KeyRing>& keys = nullptr);

}  // namespace cairn

#endif  // STORAGE_OFFLINE_LOG_VIEW_H_
