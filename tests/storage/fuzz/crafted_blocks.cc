#include "tests/storage/fuzz/crafted_blocks.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/coding.h"
#include "storage/block/block_file.h"
#include "storage/block/block_key.h"
#include "storage/block/id_record.h"
#include "storage/block/unit_cipher.h"
#include "storage/checksum.h"
#include "storage/record.h"

namespace cairn {
namespace {

using Kind = CraftedPiece::Kind;

constexpr size_t kChecksumBytes = sizeof(uint64_t);
constexpr size_t kHashBytes = 16;
constexpr size_t kRecordPayloadChecksumAt = 64;
constexpr size_t kRecordHashAt = 104;
constexpr size_t kSealFooterChecksumAt = 80;
constexpr size_t kTableSealAt = 16;
constexpr size_t kTagBegin = 8;
constexpr size_t kTagEnd = 48;
constexpr int kMostSteps = 300;

// The last eight bytes are the checksum of all before.
void FitChecksum(std::string& bytes, size_t begin, size_t end) {
  const size_t body = end - kChecksumBytes;
  StoreLittleEndian(bytes.data() + body,
                    Checksum(absl::string_view(bytes).substr(begin, body - begin)));
}

std::string BytesOf(const EntryHash& hash) {
  std::string bytes;
  AppendLittleEndian(&bytes, hash.low);
  AppendLittleEndian(&bytes, hash.high);
  return bytes;
}

std::string TagBytes(absl::string_view header) {
  std::string bytes;
  AppendLittleEndian(&bytes, Checksum(header.substr(kTagBegin, kTagEnd - kTagBegin)));
  return bytes;
}

// By which other pieces know it; empty if by nothing.
std::string NameIn(Kind kind, absl::string_view bytes) {
  switch (kind) {
    case Kind::kIdRecord:
      return BytesOf(Hash128(bytes));
    case Kind::kRecord:
      return BytesOf(Hash128(bytes.substr(0, kRecordHashAt)));
    case Kind::kHeader:
      return TagBytes(bytes);
    default:
      return "";
  }
}

// How an id record names an entry.
std::string RecordIdBytes(absl::string_view record) {
  std::string bytes;
  AppendLittleEndian(&bytes, static_cast<uint32_t>(record.size()));
  return bytes + NameIn(Kind::kRecord, record).substr(0, sizeof(uint32_t));
}

}  // namespace

const char* NameOf(Kind kind) {
  constexpr const char* kNames[] = {"header", "seal",        "id record", "record",
                                    "footer", "frame table", "frame"};
  return kNames[static_cast<size_t>(kind)];
}

CraftedBlocks::CraftedBlocks(FileSystem& file_system, std::string directory,
                             std::shared_ptr<const KeyRing> keys)
    : directory_(std::move(directory)), keys_(std::move(keys)) {
  const std::vector<std::string> names = file_system.List(directory_).value();
  for (const std::string& name : names) {
    if (ParseBlockFileName(name)) Load(file_system, JoinPath(directory_, name));
  }
}

void CraftedBlocks::Load(FileSystem& file_system, const std::string& path) {
  Block block;
  block.path = path;
  block.plain = ReadWholeFile(file_system, path).value();
  block.headers[0] = block.plain.substr(0, kSectorBytes);
  block.header = BlockHeader::Decode(block.headers[0]).value();
  const uint64_t stored_unit = block.header.geometry.unit_bytes;
  block.headers[1] = block.plain.substr(block.plain.size() - stored_unit, kSectorBytes);
  block.unit = block.header.PlainGeometry().unit_bytes;
  if (block.header.is_encrypted()) {
    block.data_key = RecoverBlockKey(block.header, keys_.get()).value();
    for (uint64_t at = 0; at < block.plain.size(); at += stored_unit) {
      block.revisions.push_back(LoadLittleEndian<uint32_t>(block.plain.data() + at));
    }
    UnitCipher cipher(block.header.encryption.cipher, *block.data_key, block.header.block,
                      stored_unit);
    const OpenedUnits opened = cipher.Open(0, block.plain);
    block.plain = std::string(opened.plain.view());
  }
  blocks_.push_back(std::move(block));
  FindPieces(blocks_.size() - 1);
}

void CraftedBlocks::FindPieces(size_t number) {
  const Block& block = blocks_[number];
  for (uint64_t copy : {0, 1}) {
    pieces_.push_back({.block = number, .at = copy, .size = kSectorBytes});
  }
  const size_t seal_bytes = block.data_key ? BlockSeal::kEncryptedBytes : size_t{kSectorBytes};
  const absl::string_view plain = block.plain;
  uint64_t footer_begin = 0;
  size_t footer_bytes = 0;
  for (uint64_t at : {block.unit, plain.size() - 2 * block.unit}) {
    const auto seal = BlockSeal::Decode(plain.substr(at, seal_bytes), block.header.Tag());
    if (!seal.ok()) continue;
    pieces_.push_back({.kind = Kind::kSeal, .block = number, .at = at, .size = seal_bytes});
    footer_begin = seal->footer_begin;
    footer_bytes = seal->footer_bytes;
  }
  if (footer_begin != 0) {
    if (block.header.is_compressed()) footer_begin = block.header.Layout().footer_at();
    pieces_.push_back(
        {.kind = Kind::kFooter, .block = number, .at = footer_begin, .size = footer_bytes});
  }
  if (block.header.is_compressed()) FindCompressedPieces(number);
  FindByMagic(number);
}

void CraftedBlocks::FindCompressedPieces(size_t number) {
  const Block& block = blocks_[number];
  const CompressedLayout layout = block.header.Layout();
  for (int copy : {0, 1}) {
    pieces_.push_back({.kind = Kind::kFrameTable,
                       .block = number,
                       .at = layout.table_at(copy),
                       .size = layout.table_bytes()});
  }
  const auto table = FrameTable::Decode(
      absl::string_view(block.plain).substr(layout.table_at(0), layout.table_bytes()), layout,
      block.header.Tag());
  CAIRN_CHECK(table.ok()) << table.status();
  for (size_t i = 0; i < table->frames.size(); ++i) {
    pieces_.push_back({.kind = Kind::kFrame,
                       .block = number,
                       .at = layout.frames_at() + table->frames[i].begin,
                       .size = table->frames[i].bytes,
                       .number = i,
                       .plain = layout.FrameEnd(i) - layout.FrameBegin(i)});
  }
}

void CraftedBlocks::FindByMagic(size_t number) {
  const absl::string_view plain = blocks_[number].plain;
  for (uint64_t at = 0; at < plain.size(); at += blocks_[number].unit) {
    if (!DecodeIdRecord(plain.substr(at)).ok()) continue;
    const size_t size = ClaimedIdRecordBytes(plain.substr(at));
    pieces_.push_back({.kind = Kind::kIdRecord, .block = number, .at = at, .size = size});
  }
  constexpr absl::string_view kMagic = "\xb7\xe5\xa1\xc3";
  for (size_t at = plain.find(kMagic); at != plain.npos; at = plain.find(kMagic, at + 1)) {
    const auto size = RecordLength(plain.substr(at));
    if (!size.ok() || at + *size > plain.size()) continue;
    pieces_.push_back({.kind = Kind::kRecord, .block = number, .at = at, .size = *size});
  }
}

std::string CraftedBlocks::Get(const CraftedPiece& piece) const {
  const Block& block = blocks_[piece.block];
  if (piece.kind == Kind::kHeader) return block.headers[piece.at];
  return block.plain.substr(piece.at, piece.size);
}

void CraftedBlocks::Put(const CraftedPiece& piece, absl::string_view bytes) {
  CAIRN_CHECK_EQ(bytes.size(), piece.size);
  Block& block = blocks_[piece.block];
  if (piece.kind == Kind::kHeader) {
    block.headers[piece.at] = std::string(bytes);
  } else {
    block.plain.replace(piece.at, piece.size, bytes.data(), bytes.size());
  }
}

void CraftedBlocks::Fit(const CraftedPiece& piece, std::string& bytes) const {
  switch (piece.kind) {
    case Kind::kHeader: {
      FitChecksum(bytes, 0, bytes.size());
      const Block& block = blocks_[piece.block];
      absl::StatusOr<BlockHeader> header = BlockHeader::Decode(bytes);
      if (!header.ok() || !header->is_encrypted() || !block.data_key) return;
      const std::optional<MasterKey> master = keys_->Find(header->key);
      if (!master) return;
      RewrapBlockKey(*header, *block.data_key, *master, keys_->random());
      bytes = header->Encode();
      return;
    }
    case Kind::kRecord:
      StoreLittleEndian(bytes.data() + kRecordPayloadChecksumAt,
                        Checksum(absl::string_view(bytes).substr(kRecordHeaderBytes)));
      StoreLittleEndian(bytes.data() + kRecordHashAt,
                        Hash128(absl::string_view(bytes).substr(0, kRecordHashAt)).low);
      return;
    case Kind::kFrameTable:
      FitChecksum(bytes, kTableSealAt, kTableSealAt + CompressedLayout::kSealBytes);
      FitChecksum(bytes, 0, bytes.size());
      return;
    case Kind::kSeal:
    case Kind::kIdRecord:
      FitChecksum(bytes, 0, bytes.size());
      return;
    case Kind::kFooter:
    case Kind::kFrame:
      return;  // others have it
  }
}

void CraftedBlocks::FitWhatNamesIt(const CraftedPiece& piece, const std::string& bytes) {
  const uint64_t checksum = Checksum(bytes);
  const std::vector<CraftedPiece> pieces = pieces_;
  for (const CraftedPiece& other : pieces) {
    if (other.block != piece.block) continue;
    std::string text = Get(other);
    size_t at = 0;
    if (other.kind == Kind::kSeal && piece.kind == Kind::kFooter) at = kSealFooterChecksumAt;
    if (other.kind == Kind::kFrameTable) {
      at = piece.kind == Kind::kFooter
               ? kTableSealAt + kSealFooterChecksumAt
               : kTableSealAt + CompressedLayout::kSealBytes +
                     piece.number * CompressedLayout::kTableBytesOfFrame + sizeof(uint32_t);
    }
    if (at == 0 || at + kChecksumBytes > text.size()) continue;
    StoreLittleEndian(text.data() + at, checksum);
    Fit(other, text);
    Put(other, text);
  }
}

void CraftedBlocks::Replace(const CraftedPiece& but, bool everywhere, const std::string& was,
                            const std::string& now) {
  if (was == now) return;
  const std::vector<CraftedPiece> pieces = pieces_;
  for (const CraftedPiece& other : pieces) {
    if (!everywhere && other.block != but.block) continue;
    if (other.kind == Kind::kHeader || (other.block == but.block && other.at == but.at)) continue;
    std::string text = Get(other);
    size_t found = 0;
    for (size_t at = text.find(was); at != text.npos; at = text.find(was, at + was.size())) {
      text.replace(at, was.size(), now);
      ++found;
    }
    if (found > 0) Change(other, std::move(text), true);
  }
}

void CraftedBlocks::Change(const CraftedPiece& piece, std::string bytes, bool chain) {
  if (steps_ >= kMostSteps) return;
  const bool outermost = steps_ == 0;
  ++steps_;
  const std::string before = Get(piece);
  Fit(piece, bytes);
  Put(piece, bytes);
  if (piece.kind == Kind::kFooter || piece.kind == Kind::kFrame) FitWhatNamesIt(piece, bytes);
  if (chain) {
    const std::string was = NameIn(piece.kind, before);
    if (!was.empty() && was != std::string(kHashBytes, '\0')) {
      Replace(piece, piece.kind != Kind::kHeader, was, NameIn(piece.kind, bytes));
    }
    if (piece.kind == Kind::kRecord) {
      Replace(piece, true, RecordIdBytes(before), RecordIdBytes(bytes));
    }
  }
  if (outermost) steps_ = 0;
}

void CraftedBlocks::Write(FileSystem& file_system) const {
  for (const Block& block : blocks_) {
    const uint64_t stored_unit = block.header.geometry.unit_bytes;
    std::string bytes = block.plain;
    if (block.data_key) {
      bytes.clear();
      // A unit belongs to the number that the header gives now.
      const auto header = BlockHeader::Decode(block.headers[0]);
      UnitCipher cipher(block.header.encryption.cipher, *block.data_key,
                        header.ok() ? header->block : block.header.block, stored_unit);
      for (size_t unit = 0; unit < block.revisions.size(); ++unit) {
        const uint32_t revision = block.revisions[unit];
        bytes += revision == 0 ? std::string(stored_unit, '\0')
                               : cipher.Seal(revision, unit,
                                             block.plain.substr(unit * block.unit, block.unit));
      }
    }
    bytes.replace(0, kSectorBytes, block.headers[0]);
    bytes.replace(bytes.size() - stored_unit, kSectorBytes, block.headers[1]);
    CAIRN_CHECK(WriteFileAtomically(file_system, block.path, bytes).ok());
  }
}

}  // namespace cairn
