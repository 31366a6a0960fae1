// ListMachine: the replicated state of a simulation: a list that commands append to.

#ifndef TESTS_SIM_LIST_MACHINE_H_
#define TESTS_SIM_LIST_MACHINE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "raft/state_machine.h"
#include "tests/sim/checkers/state_checker.h"

namespace cairn::sim {

// A command: its id, then bytes to fill it up.
std::string MakeCommand(CommandId id, absl::string_view filling);
CommandId CommandIdOf(absl::string_view command);  // 0 if it is none

// Keeps the length of the list and a hash over all of it. In memory: a restart replays the log,
// from the last snapshot on. Or in a file, with the archive, each `durable_every` entries: a
// restart replays the log from there on, and log entries that only the file makes superfluous wait
// for it. Answers "length hash". Snapshots grow with the list, as if they held it, so that they
// have several chunks and share the first ones.
class ListMachine final : public StateMachine {
 public:
  struct Observer {
    std::function<void(const AppliedCommand&)> applied;
    std::function<void(LogPosition)> applied_up_to;
    std::function<void(LogPosition, uint64_t state_hash)> restored;
    std::function<void(LogPosition, uint64_t state_hash)> opened;  // with a state from the file
  };
  // `durable_every` 0: lives in memory.
  ListMachine(Observer observer, uint64_t durable_every)
      : observer_(std::move(observer)), durable_every_(durable_every) {}

  bool durable() const override { return durable_every_ > 0; }
  absl::StatusOr<LogPosition> Open(const OpenContext& context) override;
  void Apply(ApplyBatch& batch) override;
  void AppliedUpTo(LogPosition position, WallTime time) override;
  std::unique_ptr<SnapshotSource> Freeze() override;
  absl::Status Restore(const SnapshotReader& snapshot, LogPosition position) override;

 private:
  std::string Path() const { return context_.directory + "/list"; }
  absl::Status Save(LogPosition position);

  Observer observer_;
  const uint64_t durable_every_;
  OpenContext context_;
  Index saved_ = 0;
  bool failed_ = false;  // the disk has
  uint64_t length_ = 0;
  uint64_t hash_ = 0;
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_LIST_MACHINE_H_
