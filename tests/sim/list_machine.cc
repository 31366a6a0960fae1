#include "tests/sim/list_machine.h"

#include "absl/strings/str_cat.h"
#include "base/coding.h"
#include "storage/checksum.h"

namespace cairn::sim {

std::string MakeCommand(CommandId id, absl::string_view filling) {
  std::string command;
  AppendLittleEndian(&command, id);
  command.append(filling.data(), filling.size());
  return command;
}

CommandId CommandIdOf(absl::string_view command) { return Decoder(command).Read<uint64_t>(); }

void ListMachine::Apply(ApplyBatch& batch) {
  for (ApplyEntry& entry : batch) {
    AppliedCommand applied;
    applied.position = entry.position();
    applied.time = entry.time();
    applied.command = CommandIdOf(entry.command().view());
    applied.command_hash = Checksum(entry.command().view());
    std::string chained;
    for (uint64_t part : {hash_, applied.command_hash, applied.position.index,
                          applied.position.term, static_cast<uint64_t>(applied.time.nanoseconds)}) {
      AppendLittleEndian(&chained, part);
    }
    hash_ = Checksum(chained);
    ++length_;
    applied.state_hash = hash_;
    applied.reply = absl::StrCat(length_, " ", hash_);
    entry.Reply(applied.reply);
    observer_.applied(applied);
  }
}

void ListMachine::AppliedUpTo(LogPosition position, WallTime) { observer_.applied_up_to(position); }

}  // namespace cairn::sim
