#include "storage/stream/checkpoint_end.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "storage/stream/stream_record.h"

namespace cairn {
namespace {

Place LastRecord(const StreamTable& table) {
  Place last;
  for (StreamId id = 1; id <= table.size(); ++id) last = std::max(last, table[id].last);
  return last;
}

// Where the record at `place` ends; nothing if it cannot be read.
absl::StatusOr<std::optional<uint64_t>> EndOf(FileSystem& file_system, const std::string& path,
                                              Place place, uint64_t tag) {
  const auto file = file_system.Open(path, {.mode = FileSystem::OpenMode::kRead});
  if (absl::IsNotFound(file.status())) return std::nullopt;
  if (!file.ok()) return file.status();
  std::string bytes(kStreamRecordHeaderBytes, '\0');
  absl::StatusOr<size_t> read = (*file)->Read(place.offset, bytes.size(), bytes.data());
  if (!read.ok() || *read != bytes.size()) return std::nullopt;
  const std::optional<size_t> length = StreamRecordLength(bytes);
  if (!length) return std::nullopt;
  const absl::StatusOr<uint64_t> size = (*file)->Size();
  if (!size.ok()) return size.status();
  if (place.offset + *length > *size) return std::nullopt;
  bytes.resize(*length);
  read = (*file)->Read(place.offset, bytes.size(), bytes.data());
  if (!read.ok() || *read != bytes.size()) return std::nullopt;
  if (!LoadStreamRecord(bytes, place, tag).ok()) return std::nullopt;
  return place.offset + *length;
}

}  // namespace

absl::Status CheckEndOfBlocks(FileSystem& file_system, const StreamImage& image,
                              absl::FunctionRef<std::string(uint32_t block)> path_of) {
  const Place last = LastRecord(image.table);
  const uint64_t length = image.lengths.empty() ? 0 : image.lengths.back();
  const auto contradicts = [&](absl::string_view what) {
    return absl::DataLossError(absl::StrCat("the streams' checkpoint says that they end at byte ",
                                            length, " of block ", image.lengths.size(), ", and ",
                                            what));
  };
  // A block is begun for a record.
  if (last.block != image.lengths.size()) {
    return contradicts(absl::StrCat("that the last record stands in block ", last.block));
  }
  if (last.block == 0) return absl::OkStatus();
  if (last.offset >= length) {
    return contradicts(absl::StrCat("that the last record stands at byte ", last.offset));
  }
  const absl::StatusOr<std::optional<uint64_t>> end =
      EndOf(file_system, path_of(last.block), last, StreamTag(image.group));
  if (!end.ok()) return end.status();
  if (*end && **end != length) {
    return contradicts(absl::StrCat("the last record, at byte ", last.offset, ", ends at ", **end));
  }
  return absl::OkStatus();
}

}  // namespace cairn
