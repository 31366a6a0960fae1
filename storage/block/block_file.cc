#include "storage/block/block_file.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "storage/block/block_bytes.h"

namespace cairn {
namespace {

constexpr size_t kDigits = 20;
constexpr absl::string_view kBlockSuffix = ".block";
constexpr absl::string_view kSpareSuffix = ".spare";

std::optional<uint64_t> ParseName(absl::string_view name, absl::string_view suffix) {
  uint64_t number = 0;
  if (!absl::ConsumeSuffix(&name, suffix) || name.size() != kDigits ||
      name.find_first_not_of("0123456789") != absl::string_view::npos ||
      !absl::SimpleAtoi(name, &number)) {
    return std::nullopt;
  }
  return number;
}

absl::Status Annotate(absl::Status status, absl::string_view path) {
  return absl::Status(status.code(), absl::StrCat(path, ": ", status.message()));
}

// Looks for a good header at both ends of the file.
absl::StatusOr<BlockFile::Headers> ReadHeaders(const File& file, uint64_t size) {
  BlockFile::Headers headers;
  absl::StatusOr<BlockHeader> front =
      BlockHeader::Decode(ReadDirectly(file, 0, kSectorBytes).view());
  if (absl::IsFailedPrecondition(front.status())) return front.status();
  absl::StatusOr<BlockHeader> back = absl::DataLossError("");
  if (front.ok()) {
    const BlockGeometry& geometry = front->geometry;
    back = BlockHeader::Decode(ReadDirectly(file, geometry.header_at(1), kSectorBytes).view());
  } else {
    for (uint64_t unit : {4096, 512}) {
      if (size < 16 * unit) continue;
      back = BlockHeader::Decode(ReadDirectly(file, size - unit, kSectorBytes).view());
      if (absl::IsFailedPrecondition(back.status())) return back.status();
      if (back.ok() && back->geometry.header_at(1) == size - unit) break;
      back = absl::DataLossError("");
    }
  }
  if (!front.ok() && !back.ok()) {
    return absl::DataLossError("neither copy of the block header can be read");
  }
  headers.header = front.ok() ? *front : *back;
  headers.good[0] = front.ok();
  headers.good[1] = back.ok() && back->Encode() == headers.header->Encode();
  return headers;
}

}  // namespace

std::string BlockFileName(uint64_t block) {
  return absl::StrFormat("%0*d%s", kDigits, block, kBlockSuffix);
}

std::string SpareFileName(uint64_t number) {
  return absl::StrFormat("%0*d%s", kDigits, number, kSpareSuffix);
}

std::optional<uint64_t> ParseBlockFileName(absl::string_view name) {
  return ParseName(name, kBlockSuffix);
}

std::optional<uint64_t> ParseSpareFileName(absl::string_view name) {
  return ParseName(name, kSpareSuffix);
}

std::string JoinPath(const std::string& directory, const std::string& name) {
  return absl::StrCat(directory, "/", name);
}

absl::StatusOr<std::unique_ptr<BlockFile>> BlockFile::Open(
    FileSystem& file_system, const std::string& path, uint64_t block,
    const std::optional<LogIdentity>& identity, FileSystem::OpenMode mode) {
  absl::StatusOr<std::unique_ptr<File>> file = file_system.Open(path, {.mode = mode});
  if (!file.ok()) return file.status();
  absl::StatusOr<uint64_t> size = (*file)->Size();
  if (!size.ok()) return size.status();
  absl::StatusOr<Headers> headers = ReadHeaders(**file, *size);
  if (!headers.ok()) return Annotate(headers.status(), path);
  const BlockHeader& header = *headers->header;
  absl::Status status = CheckLogIdentity(header.identity, identity.value_or(header.identity), path);
  if (!status.ok()) return status;
  if (header.block != block) {
    return absl::DataLossError(absl::StrCat(path, ": the file holds block ", header.block,
                                            ": put the files back under their names"));
  }
  if (*size < header.geometry.block_bytes) {
    return absl::DataLossError(absl::StrCat(path, ": the file has ", *size, " bytes of ",
                                            header.geometry.block_bytes, ": it was cut short"));
  }
  auto result = std::make_unique<BlockFile>(*std::move(file), header);
  result->headers_ = *std::move(headers);
  return result;
}

absl::Status BlockFile::HealHeaders() {
  std::string sector = header_.Encode();
  for (int copy : {0, 1}) {
    if (headers_.good[copy]) continue;
    absl::Status status = file_->Write(geometry().header_at(copy), sector);
    if (!status.ok()) return status;
    headers_.good[copy] = true;
  }
  return absl::OkStatus();
}

absl::Status FormatBlock(FileSystem& file_system, const std::string& path, bool create,
                         const BlockHeader& header) {
  absl::StatusOr<std::unique_ptr<File>> file = file_system.Open(
      path, {.mode = create ? FileSystem::OpenMode::kCreate : FileSystem::OpenMode::kReadWrite});
  if (!file.ok()) return file.status();
  absl::Status status = file_system.Preallocate(**file, header.geometry.block_bytes);
  // The zeros reach the disk before the header says that they did.
  if (status.ok()) status = file_system.SyncNow(**file);
  std::string sector = header.Encode();
  for (int copy : {0, 1}) {
    if (status.ok()) status = (*file)->Write(header.geometry.header_at(copy), sector);
  }
  if (status.ok()) status = file_system.SyncNow(**file);
  return status;
}

}  // namespace cairn
