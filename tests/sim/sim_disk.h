// SimDisk: the disk of one simulated machine, and its faults.

#ifndef TESTS_SIM_SIM_DISK_H_
#define TESTS_SIM_SIM_DISK_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/executor.h"
#include "base/random.h"
#include "base/time.h"
#include "base/types.h"
#include "raft/identity.h"
#include "storage/log_store.h"
#include "storage/memory_log_store.h"
#include "storage/simulated_file_system.h"
#include "tests/sim/fault_plan.h"
#include "tests/sim/log_model.h"
#include "tests/sim/sim_keys.h"
#include "tests/sim/world.h"

namespace cairn::sim {

// A simulated file system with the node's identity and, unless the plan wants memory stores, its
// block store; those lie on a medium of their own that loses power in the same way. One thread.
class SimDisk {
 public:
  static constexpr char kDirectory[] = "/data";

  // `world` and `plan` outlive it.
  SimDisk(World& world, const FaultPlan& plan, NodeId node);

  FileSystem& file_system() { return *file_system_; }
  // The log disk, as a server would open it.
  absl::StatusOr<std::unique_ptr<LogDisk>> OpenLog(const NodeIdentity& identity);

  // Syncs end on `syncs`, the disk thread of the process; null: at once. `background` is for what
  // the store does beside.
  void RunOn(Executor* syncs, Executor* background, const Clock* clock) {
    process_ = {syncs, background, clock};
  }

  // What was open is closed; see SimulatedFileSystem.
  void Crash(CrashPolicy policy);
  void RestartProcess();

  // The power goes at the `accesses`th call from now on: it and all later ones fail, and `cut` is
  // called soon afterwards, to end the process and call Crash.
  void CutPowerAtAccess(uint64_t accesses, std::function<void()> cut);
  bool power_gone() const { return power_gone_; }
  // Runs `look`, which reads the open log for the referee: no access of it is one of the node's.
  void Observe(const std::function<void()>& look);

  void StallUntil(Instant until) { stalled_until_ = until; }
  // Fails the next sync that the process waits for.
  void FailNextSync() { fail_next_sync_ = true; }
  bool sync_failed() const { return sync_failed_; }  // since the process started
  // Where a bit turns over: in anything, in blocks that are not the head of the log, and there
  // where entries stand.
  enum class Rotten { kAnything, kSealed, kSealedEntries };
  // Turns over a bit of what was written and synced lately. False if there is nothing.
  bool Rot(Rotten where);
  // Damages both copies of what says what the last batch of the log held, as no power cut does.
  // False if there is none. Nobody has the log open.
  bool LoseEnd();
  bool rotten() const { return rotten_; }  // ever
  // No more faults.
  void Heal();

  // The entries in sealed blocks that are in use and bad, for people; empty if there are none, or
  // nobody can tell.
  std::string RotInSealedBlocks();

  // What the store recovers of `group` if the power goes now and takes all that was not synced.
  absl::StatusOr<LogImage> RecoverWorstCase(GroupId group) const;
  // How often files were used after they had failed, which File forbids.
  uint64_t uses_after_failure() const { return file_system_->uses_after_failure(); }

 private:
  struct WrittenRange {
    std::string path;
    uint64_t offset = 0;
    uint64_t length = 0;
    bool synced = false;
  };

  absl::StatusOr<std::unique_ptr<LogDisk>> OpenBlockLog(FileSystem& file_system,
                                                        const NodeIdentity& identity,
                                                        std::shared_ptr<const KeyRing> keys,
                                                        Executor* background) const;
  FileFault OnAccess(const FileAccess& access);
  void EndSyncLater(Task task);
  const DiskOptions& options() const { return plan_.nodes[ToInteger(node_) - 1].disk; }

  World& world_;
  const FaultPlan& plan_;
  const NodeId node_;
  Random latency_random_;
  Random fault_random_;
  std::unique_ptr<SimulatedFileSystem> file_system_;
  std::shared_ptr<MemoryLogMedium> medium_;  // null: the log is in files
  SimKeys keys_;
  struct Process {
    Executor* syncs = nullptr;
    Executor* background = nullptr;
    const Clock* clock = nullptr;
  };
  Process process_;

  std::deque<WrittenRange> written_;  // lately
  Instant stalled_until_;
  uint64_t accesses_to_cut_ = 0;  // 0: none
  std::function<void()> cut_;
  bool power_gone_ = false;
  bool observed_ = false;  // Observe is under way
  bool fail_next_sync_ = false;
  bool sync_failed_ = false;
  bool rotten_ = false;
  bool healed_ = false;
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_SIM_DISK_H_
