#include "storage/block/compressed/compressed_block_writer.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "storage/block/block_key.h"

namespace cairn {
namespace {

// Written, and read where nothing is compressed, at once.
constexpr uint64_t kPieceBytes = 128 << 10;
// All units of the file are written under this revision.
constexpr uint32_t kRevision = 1;

}  // namespace

absl::StatusOr<std::unique_ptr<CompressedBlockWriter>> CompressedBlockWriter::Create(
    FileSystem& file_system, const std::string& path, const BlockFile& from, const BlockSeal& seal,
    const KeyRing* keys) {
  absl::StatusOr<std::unique_ptr<File>> file =
      file_system.Open(path, {.mode = FileSystem::OpenMode::kCreate});
  if (!file.ok()) return file.status();
  return std::unique_ptr<CompressedBlockWriter>(
      new CompressedBlockWriter(file_system, *std::move(file), from.header(), seal, keys));
}

CompressedBlockWriter::CompressedBlockWriter(FileSystem& file_system, std::unique_ptr<File> file,
                                             const BlockHeader& header, const BlockSeal& seal,
                                             const KeyRing* keys)
    : file_system_(file_system), file_(std::move(file)), keys_(keys), header_(header) {
  CAIRN_CHECK(!header.is_compressed());
  if (header_.is_encrypted()) {
    CAIRN_CHECK(keys != nullptr);
    data_key_ = SecretKey::Draw(keys->random());
    header_.encryption = {.cipher = keys->cipher(), .revision = kRevision, .data_key = {}};
    cipher_ = std::make_unique<UnitCipher>(keys->cipher(), *data_key_, header.block,
                                           header.geometry.unit_bytes);
  }
  table_.seal = seal;
  BlockCompression& compression = header_.compression;
  compression.data_end = seal.data_end;
  if (seal.footer_begin != 0) {
    compression.footer_begin = seal.footer_begin;
    compression.footer_bytes = header_.PlainGeometry().RoundUp(seal.footer_bytes);
  }
  compression.id_begin = seal.id_begin;
  position_ = LayoutNow().frames_at();
}

// All but the length of the file.
CompressedLayout CompressedBlockWriter::LayoutNow() const {
  BlockCompression compression = header_.compression;
  compression.frames_bytes = table_.frames_bytes();
  return CompressedLayout(header_.PlainGeometry(), compression, header_.geometry.unit_bytes);
}

absl::Status CompressedBlockWriter::AddFrame(const BlockFile& from) {
  const CompressedLayout layout = LayoutNow();
  const uint64_t frame = table_.frames.size();
  const uint64_t begin = layout.FrameBegin(frame);
  const Bytes plain = from.ReadDirect(begin, layout.FrameEnd(frame) - begin);
  bytes_ += plain.size();
  const std::string stored = compressor_.Compress(plain.view());
  table_.Add(stored);
  return Put(stored);
}

absl::Status CompressedBlockWriter::Put(absl::string_view text) {
  pending_.append(text.data(), text.size());
  if (pending_.size() < kPieceBytes) return absl::OkStatus();
  const uint64_t unit = header_.PlainGeometry().unit_bytes;
  return PutUnits(pending_.size() / unit * unit);
}

// Goes on at the unit that begins at `to`.
absl::Status CompressedBlockWriter::FillUp(uint64_t to) {
  CAIRN_CHECK_GE(to, position_ + pending_.size());
  pending_.resize(to - position_, kFiller);
  return PutUnits(pending_.size());
}

absl::Status CompressedBlockWriter::PutUnits(uint64_t bytes) {
  absl::Status status = WriteUnits(position_, absl::string_view(pending_).substr(0, bytes));
  position_ += bytes;
  pending_.erase(0, bytes);
  return status;
}

absl::Status CompressedBlockWriter::WriteUnits(uint64_t offset, absl::string_view text) {
  if (text.empty()) return absl::OkStatus();
  const uint64_t plain = header_.PlainGeometry().unit_bytes;
  const uint64_t stored = header_.geometry.unit_bytes;
  CAIRN_CHECK(offset % plain == 0 && text.size() % plain == 0);
  std::string sealed;
  if (cipher_ != nullptr) {
    sealed = cipher_->Seal(kRevision, offset / plain, text);
    text = sealed;
  }
  const uint64_t at = offset / plain * stored;
  absl::Status status = file_->Write(at, text);
  if (!status.ok()) return status;
  // So that the sync has little left to do, and no sync of the log waits for much.
  file_->StartWriteback(at, text.size());
  bytes_ += text.size();
  return absl::OkStatus();
}

// Puts [begin, end) of the block as it is.
absl::Status CompressedBlockWriter::CopyStored(const BlockFile& from, uint64_t begin,
                                               uint64_t end) {
  for (uint64_t at = begin; at < end; at += kPieceBytes) {
    const Bytes piece = from.ReadDirect(at, std::min(kPieceBytes, end - at));
    bytes_ += piece.size();
    if (absl::Status status = Put(piece.view()); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status CompressedBlockWriter::Finish(const BlockFile& from) {
  CAIRN_CHECK(all_frames());
  header_.compression.frames_bytes = table_.frames_bytes();
  header_.compression.file_bytes = LayoutNow().LeastFileBytes();
  const CompressedLayout layout = header_.Layout();
  CAIRN_CHECK(layout.IsValid()) << from.path();
  const BlockGeometry& geometry = layout.geometry();
  const BlockCompression& at = header_.compression;
  std::string table = table_.Encode();
  table.resize(geometry.RoundUp(table.size()), kFiller);

  absl::Status status = FillUp(layout.footer_at());
  if (status.ok() && at.footer_bytes != 0) {
    status = CopyStored(from, at.footer_begin, at.footer_begin + at.footer_bytes);
  }
  if (status.ok()) status = Put(table);
  if (status.ok()) status = FillUp(layout.ids_at());
  // Seals are copied as well, but the headers are its own.
  const uint64_t end = geometry.header_at(1);
  if (status.ok()) status = CopyStored(from, at.id_begin, end);
  if (status.ok()) status = FillUp(position_ + pending_.size());
  const uint64_t unit = geometry.unit_bytes;
  if (status.ok()) status = WriteUnits(layout.table_at(0), table);
  if (status.ok()) status = WriteUnits(unit, from.ReadDirect(unit, unit).view());
  if (status.ok()) status = WriteHeaders();
  if (status.ok()) status = file_system_.SyncNow(*file_);
  return status;
}

absl::Status CompressedBlockWriter::WriteHeaders() {
  if (data_key_) {
    const std::optional<MasterKey> master = keys_->current();
    CAIRN_CHECK(master.has_value());
    RewrapBlockKey(header_, *data_key_, *master, keys_->random());
  }
  std::string unit = header_.Encode();
  unit.resize(header_.geometry.unit_bytes, '\0');
  for (int copy : {0, 1}) {
    absl::Status status = file_->Write(header_.FileGeometry().header_at(copy), unit);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace cairn
