// TextMachine: a state machine whose state is the text of its commands.

#ifndef TESTS_RAFT_TEXT_MACHINE_H_
#define TESTS_RAFT_TEXT_MACHINE_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/types.h"
#include "raft/state_machine.h"

namespace cairn {

// A snapshot of one file, which holds the text; and what is in it.
std::unique_ptr<SnapshotSource> FreezeText(std::string text);
absl::StatusOr<std::string> ThawText(const SnapshotReader& snapshot);

// Keeps the commands, "a,b,", in memory. Answers each with the length of what there is.
class TextMachine : public StateMachine {
 public:
  // `commands` outlives the machine, which begins with none.
  explicit TextMachine(std::string* commands) : commands_(commands) { commands_->clear(); }
  void Apply(ApplyBatch& batch) override;
  std::unique_ptr<SnapshotSource> Freeze() override { return FreezeText(*commands_); }
  absl::Status Restore(const SnapshotReader& snapshot, LogPosition position) override;

 protected:
  std::string* const commands_;
};

}  // namespace cairn

#endif  // TESTS_RAFT_TEXT_MACHINE_H_
