#include "tests/sim/list_machine.h"

#include <algorithm>
#include <utility>

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

void ListMachine::AppliedUpTo(LogPosition position, WallTime) {
  observer_.applied_up_to(position);
  if (!durable() || failed_ || position.index < saved_ + durable_every_) return;
  if (absl::Status status = Save(position); status.ok()) {
    context_.durable(position);
  } else {
    failed_ = true;
    context_.failed(status);
  }
}

// Checksum, position, length, hash, archive.
absl::Status ListMachine::Save(LogPosition position) {
  std::string state;
  for (uint64_t part : {position.index, position.term, length_, hash_}) {
    AppendLittleEndian(&state, part);
  }
  state += context_.archive->Save();
  std::string saved;
  AppendLittleEndian(&saved, Checksum(state));
  absl::Status status = WriteFileAtomically(*context_.file_system, Path(), saved + state);
  if (status.ok()) saved_ = position.index;
  return status;
}

absl::StatusOr<LogPosition> ListMachine::Open(const OpenContext& context) {
  if (!durable()) return LogPosition{};
  context_ = context;
  absl::StatusOr<std::string> file = ReadWholeFile(*context.file_system, Path());
  if (absl::IsNotFound(file.status())) return LogPosition{};
  if (!file.ok()) return file.status();
  constexpr size_t kHead = 5 * sizeof(uint64_t);
  const absl::string_view state =
      absl::string_view(*file).substr(std::min(sizeof(uint64_t), file->size()));
  Decoder decoder(*file);
  if (file->size() < kHead || decoder.Read<uint64_t>() != Checksum(state)) {
    return absl::DataLossError("the list's file is damaged");
  }
  LogPosition position;
  position.index = decoder.Read<uint64_t>();
  position.term = decoder.Read<uint64_t>();
  length_ = decoder.Read<uint64_t>();
  hash_ = decoder.Read<uint64_t>();
  absl::Status restored = context.archive->Restore(absl::string_view(*file).substr(kHead));
  if (!restored.ok()) return restored;
  saved_ = position.index;
  observer_.opened(position, hash_);
  return position;
}

namespace {

constexpr uint64_t kBytesOfAnElement = 3000;
// Some chunks: where each command has a snapshot of its own, a list that goes on growing would be
// all that a run is about.
constexpr uint64_t kElementsWithBytes = 300;

uint64_t BytesOfList(uint64_t length) {
  return std::min(length, kElementsWithBytes) * kBytesOfAnElement;
}

class FrozenList final : public SnapshotSource {
 public:
  FrozenList(uint64_t length, uint64_t hash) {
    AppendLittleEndian(&head_, length);
    AppendLittleEndian(&head_, hash);
    files_ = {{"head", head_.size()}, {"list", BytesOfList(length)}};
  }
  const std::vector<SnapshotFile>& files() const override { return files_; }
  absl::StatusOr<std::string> Read(size_t file, uint64_t offset, size_t bytes) const override {
    if (file == 0) return head_.substr(offset, bytes);
    std::string content;
    content.reserve(bytes);
    while (content.size() < bytes) {
      const uint64_t at = offset + content.size();
      const uint64_t left = kBytesOfAnElement - at % kBytesOfAnElement;
      content.append(static_cast<size_t>(std::min<uint64_t>(bytes - content.size(), left)),
                     static_cast<char>('a' + at / kBytesOfAnElement % 26));
    }
    return content;
  }

 private:
  std::string head_;
  std::vector<SnapshotFile> files_;
};

}  // namespace

std::unique_ptr<SnapshotSource> ListMachine::Freeze() {
  return std::make_unique<FrozenList>(length_, hash_);
}

absl::Status ListMachine::Restore(const SnapshotReader& snapshot, LogPosition position) {
  absl::StatusOr<std::string> head = snapshot.Read(0, 0, 2 * sizeof(uint64_t));
  if (!head.ok()) return head.status();
  Decoder decoder(*head);
  length_ = decoder.Read<uint64_t>();
  hash_ = decoder.Read<uint64_t>();
  if (snapshot.files()[1].bytes != BytesOfList(length_)) {
    return absl::DataLossError("the list has another length");
  }
  observer_.restored(position, hash_);
  return durable() ? Save(position) : absl::OkStatus();
}

}  // namespace cairn::sim
