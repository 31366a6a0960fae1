#include "raft/replica.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/coding.h"
#include "raft/proposal_call.h"

namespace cairn {
namespace {

constexpr uint8_t kArchiveVersion = 2;

using Reason = ProposalNotApplied::Reason;

// The answer to a command its session refuses.
ProposalResult Refusal(const SessionTable::Decision& decision) {
  switch (decision.verdict) {
    case SessionTable::Verdict::kDuplicate:
      return ProposalApplied{decision.first, decision.answer, true};
    case SessionTable::Verdict::kForgotten:
      return NotApplied(Reason::kSessionNumberTooOld, NodeId::kNone,
                        absl::StrCat("applied before, at ", ToString(decision.first),
                                     "; its answer is not known any more"));
    case SessionTable::Verdict::kExpired:
      return NotApplied(Reason::kSessionExpired);
    case SessionTable::Verdict::kNumberReused:
      return NotApplied(Reason::kSessionNumberReused);
    case SessionTable::Verdict::kNumberTooOld:
      return NotApplied(Reason::kSessionNumberTooOld);
    case SessionTable::Verdict::kGap:
      return NotApplied(Reason::kSessionGap);
    case SessionTable::Verdict::kApply:
    case SessionTable::Verdict::kPending:
      break;
  }
  CAIRN_CHECK(false) << "no refusal";
  return {};
}

// A stored snapshot without the archive, as the machine made it.
class MachineFiles final : public SnapshotReader {
 public:
  explicit MachineFiles(const StoredSnapshot& snapshot) : snapshot_(snapshot) {
    const std::vector<ManifestFile>& files = snapshot.manifest().files;
    for (size_t file = 1; file < files.size(); ++file) {
      files_.push_back({files[file].name, files[file].bytes});
    }
  }
  const std::vector<SnapshotFile>& files() const override { return files_; }
  absl::StatusOr<std::string> Read(size_t file, uint64_t offset, size_t bytes) const override {
    return snapshot_.Read(file + 1, offset, bytes);
  }
  std::string PathOf(size_t file) const override { return snapshot_.PathOf(file + 1); }

 private:
  const StoredSnapshot& snapshot_;
  std::vector<SnapshotFile> files_;
};

// What came of a snapshot, without the archive.
class MachinePatch final : public StatePatch {
 public:
  explicit MachinePatch(const IncomingSnapshot& incoming) : incoming_(incoming) {
    const std::vector<ManifestFile>& files = incoming.manifest().files;
    for (size_t file = 1; file < files.size(); ++file) {
      files_.push_back({files[file].name, files[file].bytes});
    }
  }
  const std::vector<SnapshotFile>& files() const override { return files_; }
  absl::Status ForEachPiece(size_t file, Take take) const override {
    for (uint64_t chunk = 0; chunk < incoming_.manifest().files[file + 1].chunks.size(); ++chunk) {
      const ChunkPlace place = {file + 1, chunk};
      if (!incoming_.IsHere(place)) continue;
      absl::StatusOr<std::string> bytes = incoming_.Read(place);
      if (!bytes.ok()) return bytes.status();
      absl::Status status = take(chunk * kChunkBytes, *bytes);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

 private:
  const IncomingSnapshot& incoming_;
  std::vector<SnapshotFile> files_;
};

}  // namespace

Replica::Replica(std::unique_ptr<StateMachine> machine, size_t max_sessions)
    : machine_(std::move(machine)), sessions_(max_sessions) {}

absl::Status Replica::Open(OpenContext context) {
  context.archive = this;
  absl::StatusOr<LogPosition> position = machine_->Open(context);
  if (!position.ok()) return position.status();
  machine_position_ = *position;
  if (sessions_restored_) applied_ = machine_position_;
  return absl::OkStatus();
}

void Replica::Apply(const RecordRun& run, std::vector<ProposalResult>* results) {
  Round round;
  round.results = results;
  round.commands.reserve(run.size());
  for (size_t i = 0; i < run.size(); ++i) {
    RecordView record = run[i];
    LogPosition position = record.position();
    CAIRN_CHECK_EQ(position.index, applied_.index + 1);
    CAIRN_CHECK_GE(position.term, applied_.term);
    applied_ = position;
    time_ = std::max(time_, record.timestamp());
    ProposalResult result = ApplyEntryOf(run, record, round);
    if (results != nullptr) results->push_back(std::move(result));
  }
  Finish(round);
}

void Replica::Announce() {
  if (applied_.index > machine_position_.index) machine_->AppliedUpTo(applied_, time_);
}

// The result of a command that is only put into the round is filled in by Finish.
ProposalResult Replica::ApplyEntryOf(const RecordRun& run, const RecordView& record, Round& round) {
  switch (record.type()) {
    case EntryType::kCommand:
      return ApplyCommand(run, record, round);
    case EntryType::kOpenSession:
      sessions_.Open(record.position().index);
      break;
    case EntryType::kCloseSession:
      if (!sessions_.Close(record.call().session)) return NotApplied(Reason::kSessionExpired);
      break;
    case EntryType::kConfiguration:
      configuration_at_ = record.position();
      configuration_ = std::string(record.Payload(run.bytes()).view());
      break;
    case EntryType::kNoop:
    case EntryType::kClock:
      break;
  }
  return ProposalApplied{record.position(), {}, false};
}

ProposalResult Replica::ApplyCommand(const RecordRun& run, const RecordView& record, Round& round) {
  LogPosition position = record.position();
  SessionCall call = record.call();
  if (call.session != 0) {
    SessionTable::Decision decision = sessions_.Begin(position, call, record.payload_checksum());
    if (decision.verdict == SessionTable::Verdict::kPending) {
      // A retry right behind the first try: it wants that one's answer.
      Finish(round);
      decision = sessions_.Begin(position, call, record.payload_checksum());
    }
    if (decision.verdict != SessionTable::Verdict::kApply) return Refusal(decision);
  }
  if (position.index <= machine_position_.index) {
    if (call.session != 0) sessions_.ForgetAnswer(call);
  } else {
    round.commands.emplace_back(position, time_, record.Payload(run.bytes()));
    round.calls.push_back(call);
    if (round.results != nullptr) round.places.push_back(round.results->size());
  }
  return ProposalApplied{position, {}, false};
}

void Replica::Finish(Round& round) {
  if (round.commands.empty()) return;
  ApplyBatch batch(std::exchange(round.commands, {}));
  machine_->Apply(batch);
  CAIRN_CHECK_EQ(batch.size(), round.calls.size());
  size_t i = 0;
  for (ApplyEntry& entry : batch) {
    Bytes reply = entry.reply_.empty() ? Bytes() : Bytes::Take(std::move(entry.reply_));
    if (round.calls[i].session != 0) sessions_.SetAnswer(round.calls[i], reply);
    if (round.results != nullptr) {
      std::get<ProposalApplied>((*round.results)[round.places[i]]).reply = std::move(reply);
    }
    ++i;
  }
  round.calls.clear();
  round.places.clear();
}

std::optional<FrozenState> Replica::Freeze() const {
  std::unique_ptr<SnapshotSource> machine = machine_->Freeze();
  if (machine == nullptr || applied_.index == 0) return std::nullopt;
  FrozenState frozen;
  frozen.position = applied_;
  frozen.time = time_;
  frozen.configuration_at = configuration_at_;
  frozen.configuration = configuration_;
  frozen.archive = Save();
  frozen.machine = std::move(machine);
  return frozen;
}

absl::Status Replica::RestoreFrom(const StoredSnapshot& snapshot) {
  const std::vector<ManifestFile>& files = snapshot.manifest().files;
  if (files.empty() || files[0].name != kArchiveFile) {
    return absl::DataLossError("the snapshot has no archive");
  }
  absl::StatusOr<std::string> archive = snapshot.Read(0, 0, static_cast<size_t>(files[0].bytes));
  if (!archive.ok()) return archive.status();
  if (absl::Status status = Restore(*archive); !status.ok()) return status;
  absl::Status status = machine_->Restore(MachineFiles(snapshot), snapshot.position());
  if (!status.ok()) return status;
  applied_ = machine_position_ = snapshot.position();
  return absl::OkStatus();
}

absl::Status Replica::Mend(const IncomingSnapshot& patch) {
  CAIRN_CHECK_LE(patch.manifest().position.index, applied_.index);
  return machine_->Mend(MachinePatch(patch), patch.manifest().position);
}

// version:u8 time:i64 configuration_at:u64,u64 configuration:length-prefixed sessions
std::string Replica::Save() const {
  std::string bytes;
  AppendLittleEndian(&bytes, kArchiveVersion);
  AppendLittleEndian(&bytes, static_cast<uint64_t>(time_.nanoseconds));
  AppendLittleEndian(&bytes, configuration_at_.index);
  AppendLittleEndian(&bytes, configuration_at_.term);
  AppendLengthPrefixed(&bytes, configuration_);
  bytes += sessions_.Encode();
  return bytes;
}

absl::Status Replica::Restore(absl::string_view saved) {
  Decoder decoder(saved);
  uint8_t version = decoder.Read<uint8_t>();
  uint64_t time = decoder.Read<uint64_t>();
  LogPosition configuration_at;
  configuration_at.index = decoder.Read<uint64_t>();
  configuration_at.term = decoder.Read<uint64_t>();
  std::string configuration(decoder.ReadLengthPrefixed());
  if (!decoder.ok() || version != kArchiveVersion) {
    return absl::DataLossError("saved sessions: not what was saved");
  }
  absl::Status status = sessions_.Decode(decoder.ReadBytes(decoder.remaining()));
  if (!status.ok()) return status;
  time_ = WallTime{static_cast<int64_t>(time)};
  configuration_at_ = configuration_at;
  configuration_ = std::move(configuration);
  sessions_restored_ = true;
  return absl::OkStatus();
}

}  // namespace cairn
