#include "storage/stream/stream_checkpoint.h"

#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/coding.h"
#include "storage/checksum.h"

namespace cairn {
namespace {

constexpr uint32_t kCheckpointMagic = 0x57e4c4e0;
constexpr uint32_t kAdoptionMagic = 0x57e4ad00;
constexpr uint32_t kVersion = 1;
constexpr std::array<absl::string_view, 2> kCopies = {"CHECKPOINT", "CHECKPOINT.copy"};
constexpr absl::string_view kAdoption = "ADOPTION";

void AppendLong(std::string* to, absl::string_view bytes) {
  AppendLittleEndian(to, uint64_t{bytes.size()});
  to->append(bytes.data(), bytes.size());
}

absl::string_view ReadLong(Decoder& decoder) { return decoder.ReadBytes(decoder.Read<uint64_t>()); }

std::string Begin(uint32_t magic) {
  std::string bytes;
  AppendLittleEndian(&bytes, magic);
  AppendLittleEndian(&bytes, kVersion);
  return bytes;
}

void AppendCheckpoint(std::string* to, const StreamCheckpoint& checkpoint) {
  AppendLittleEndian(to, checkpoint.generation);
  AppendLong(to, EncodeStreamImage(checkpoint.image));
  AppendLong(to, checkpoint.archive);
}

absl::StatusOr<StreamCheckpoint> ReadCheckpoint(Decoder& decoder, GroupId group) {
  StreamCheckpoint checkpoint;
  checkpoint.generation = decoder.Read<uint64_t>();
  absl::StatusOr<StreamImage> image = DecodeStreamImage(ReadLong(decoder), group);
  if (!image.ok()) return image.status();
  checkpoint.image = *std::move(image);
  checkpoint.archive = std::string(ReadLong(decoder));
  return checkpoint;
}

// What is between the magic number and the checksum.
absl::StatusOr<absl::string_view> Body(absl::string_view bytes, uint32_t magic) {
  constexpr size_t kHead = 2 * sizeof(uint32_t);
  constexpr absl::string_view kDamaged = "it is damaged";
  if (bytes.size() < kHead + sizeof(uint64_t)) return absl::DataLossError(kDamaged);
  const size_t covered = bytes.size() - sizeof(uint64_t);
  if (Checksum(bytes.substr(0, covered)) != LoadLittleEndian<uint64_t>(bytes.data() + covered) ||
      LoadLittleEndian<uint32_t>(bytes.data()) != magic) {
    return absl::DataLossError(kDamaged);
  }
  const auto version = LoadLittleEndian<uint32_t>(bytes.data() + sizeof(uint32_t));
  if (version != kVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("format version ", version, ", this program knows ", kVersion));
  }
  return bytes.substr(kHead, covered - kHead);
}

absl::StatusOr<StreamCheckpoint> Decode(absl::string_view bytes, GroupId group) {
  absl::StatusOr<absl::string_view> body = Body(bytes, kCheckpointMagic);
  if (!body.ok()) return body.status();
  Decoder decoder(*body);
  absl::StatusOr<StreamCheckpoint> checkpoint = ReadCheckpoint(decoder, group);
  if (checkpoint.ok() && !decoder.Done()) return absl::DataLossError("it has another length");
  return checkpoint;
}

// What reading gave is that the file is bad, and not that it cannot be read now, or by this
// program.
bool IsBad(const absl::Status& status) {
  return absl::IsDataLoss(status) || absl::IsNotFound(status) || absl::IsInternal(status);
}

bool Older(const StreamCheckpoint& a, const StreamCheckpoint& b) {
  return std::pair(a.generation, a.image.applied) < std::pair(b.generation, b.image.applied);
}

}  // namespace

std::string StreamCheckpointFiles::PathOf(absl::string_view name) const {
  return absl::StrCat(directory_, "/", name);
}

absl::StatusOr<std::optional<StreamCheckpoint>> StreamCheckpointFiles::Load() {
  rewritten_ = false;
  std::array<absl::StatusOr<StreamCheckpoint>, kCopies.size()> copies;
  for (size_t i = 0; i < kCopies.size(); ++i) {
    absl::StatusOr<std::string> bytes = ReadWholeFile(*file_system_, PathOf(kCopies[i]));
    copies[i] = bytes.ok() ? Decode(*bytes, group_) : bytes.status();
  }
  auto& [first, second] = copies;
  if (absl::IsNotFound(first.status()) && absl::IsNotFound(second.status())) return std::nullopt;
  if (!first.ok() && !second.ok()) {
    for (const absl::Status& status : {first.status(), second.status()}) {
      if (!IsBad(status)) return status;
    }
    // Of two that cannot be read now one may be whole.
    for (const absl::Status& status : {first.status(), second.status()}) {
      if (absl::IsInternal(status)) return status;
    }
    const absl::Status& why = absl::IsNotFound(first.status()) ? second.status() : first.status();
    return absl::DataLossError(absl::StrCat("both copies of the streams' checkpoint, ",
                                            PathOf(kCopies[0]), " and ", kCopies[1],
                                            ", are missing or damaged: ", why.message()));
  }
  const bool take_first = first.ok() && (!second.ok() || !Older(*first, *second));
  const size_t taken = take_first ? 0 : 1;
  StreamCheckpoint& newest = *copies[taken];
  const auto& other = copies[1 - taken];
  // Before the blocks are cut to what the one that is whole says.
  if (!other.ok() || Older(*other, newest)) {
    if (absl::Status status = Save(newest); !status.ok()) return status;
    rewritten_ = true;
  }
  return std::move(newest);
}

absl::StatusOr<bool> StreamCheckpointFiles::Heal() {
  absl::StatusOr<std::optional<StreamCheckpoint>> loaded = Load();
  if (!loaded.ok()) return loaded.status();
  if (!*loaded) {
    return absl::DataLossError(
        absl::StrCat("the streams' checkpoint, ", PathOf(kCopies[0]), ", is not there"));
  }
  return rewritten_;
}

absl::Status StreamCheckpointFiles::Save(const StreamCheckpoint& checkpoint) {
  std::string bytes = Begin(kCheckpointMagic);
  AppendCheckpoint(&bytes, checkpoint);
  AppendLittleEndian(&bytes, Checksum(bytes));
  for (absl::string_view name : kCopies) {
    absl::Status status = WriteFileAtomically(*file_system_, PathOf(name), bytes);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<StreamAdoption>> StreamCheckpointFiles::LoadAdoption() {
  absl::StatusOr<std::string> bytes = ReadWholeFile(*file_system_, PathOf(kAdoption));
  if (absl::IsNotFound(bytes.status())) return std::nullopt;
  if (!bytes.ok()) return bytes.status();
  const auto damaged = [this](absl::string_view why) {
    return absl::DataLossError(absl::StrCat(PathOf(kAdoption), ": ", why));
  };
  absl::StatusOr<absl::string_view> body = Body(*bytes, kAdoptionMagic);
  if (absl::IsFailedPrecondition(body.status())) return body.status();
  if (!body.ok()) return damaged(body.status().message());
  Decoder decoder(*body);
  absl::StatusOr<StreamCheckpoint> checkpoint = ReadCheckpoint(decoder, group_);
  if (!checkpoint.ok()) return damaged(checkpoint.status().message());
  StreamAdoption adoption{*std::move(checkpoint), {}};
  while (decoder.ok() && decoder.remaining() > 0) {
    adoption.sources.emplace_back(decoder.ReadLengthPrefixed());
  }
  if (!decoder.ok() || adoption.sources.size() != adoption.checkpoint.image.lengths.size()) {
    return damaged("it has another length");
  }
  return adoption;
}

absl::Status StreamCheckpointFiles::SaveAdoption(const StreamAdoption& adoption) {
  std::string bytes = Begin(kAdoptionMagic);
  AppendCheckpoint(&bytes, adoption.checkpoint);
  for (const std::string& source : adoption.sources) AppendLengthPrefixed(&bytes, source);
  AppendLittleEndian(&bytes, Checksum(bytes));
  return WriteFileAtomically(*file_system_, PathOf(kAdoption), bytes);
}

absl::Status StreamCheckpointFiles::RemoveAdoption() {
  absl::Status removed = file_system_->Remove(PathOf(kAdoption));
  if (absl::IsNotFound(removed)) return absl::OkStatus();
  return removed.ok() ? file_system_->SyncDirectory(directory_) : removed;
}

}  // namespace cairn
