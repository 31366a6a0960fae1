#include "raft/scrub/scrub_progress.h"

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/coding.h"
#include "storage/checksum.h"

namespace cairn {
namespace {

constexpr uint32_t kMagic = 0x5c4b0001;  // with the version of the format
constexpr uint32_t kInRound = 1;
constexpr uint32_t kInStates = 2;  // unknown to a release before
constexpr size_t kBytes = 104;     // without the checksum

std::string Encode(const ScrubProgress& progress) {
  std::string bytes;
  AppendLittleEndian(&bytes, kMagic);
  const uint32_t flags = (progress.in_round ? kInRound : 0) | (progress.in_states ? kInStates : 0);
  AppendLittleEndian(&bytes, flags);
  for (uint64_t number :
       {progress.position.block, progress.position.offset, progress.position.id_end,
        progress.position.batch, progress.round_bytes,
        static_cast<uint64_t>(progress.round_began.nanoseconds),
        static_cast<uint64_t>(progress.last_round_ended.nanoseconds), progress.rounds,
        progress.bytes, progress.damaged, progress.repaired, progress.healed}) {
    AppendLittleEndian(&bytes, number);
  }
  AppendLittleEndian(&bytes, Checksum(bytes));
  return bytes;
}

}  // namespace

std::optional<ScrubProgress> LoadScrubProgress(FileSystem& file_system, const std::string& path) {
  const absl::StatusOr<std::string> bytes = ReadWholeFile(file_system, path);
  if (!bytes.ok() || bytes->size() != kBytes + sizeof(uint64_t)) return std::nullopt;
  const absl::string_view content = *bytes;
  Decoder checksum(content.substr(kBytes));
  if (checksum.Read<uint64_t>() != Checksum(content.substr(0, kBytes))) return std::nullopt;
  Decoder from(content);
  if (from.Read<uint32_t>() != kMagic) return std::nullopt;
  ScrubProgress progress;
  const auto flags = from.Read<uint32_t>();
  progress.in_round = flags != 0;
  progress.in_states = (flags & kInStates) != 0;
  progress.position.block = from.Read<uint64_t>();
  progress.position.offset = from.Read<uint64_t>();
  progress.position.id_end = from.Read<uint64_t>();
  progress.position.batch = from.Read<uint64_t>();
  progress.round_bytes = from.Read<uint64_t>();
  progress.round_began.nanoseconds = static_cast<int64_t>(from.Read<uint64_t>());
  progress.last_round_ended.nanoseconds = static_cast<int64_t>(from.Read<uint64_t>());
  progress.rounds = from.Read<uint64_t>();
  progress.bytes = from.Read<uint64_t>();
  progress.damaged = from.Read<uint64_t>();
  progress.repaired = from.Read<uint64_t>();
  progress.healed = from.Read<uint64_t>();
  return progress;
}

absl::Status SaveScrubProgress(FileSystem& file_system, const std::string& path,
                               const ScrubProgress& progress) {
  return WriteFileAtomically(file_system, path, Encode(progress));
}

}  // namespace cairn
