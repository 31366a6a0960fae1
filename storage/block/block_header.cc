#include "storage/block/block_header.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/coding.h"
#include "storage/checksum.h"

namespace cairn {
namespace {

constexpr uint32_t kHeaderMagic = 0xb10cda7a;
constexpr uint32_t kBadEntriesMark = 1;  // of a seal
constexpr uint32_t kEndLostMark = 2;
constexpr uint32_t kLastIsFaultyMark = 4;
constexpr uint32_t kSealMagic = 0x5ea1b10c;
constexpr size_t kCompressionAt = 160;

// Fills `bytes` to `size`, at the end with its checksum.
std::string Finish(std::string bytes, size_t size = kSectorBytes) {
  const size_t checksum_at = size - sizeof(uint64_t);
  CAIRN_CHECK_LE(bytes.size(), checksum_at);
  bytes.resize(checksum_at, kFiller);
  AppendLittleEndian(&bytes, Checksum(bytes));
  return bytes;
}

bool HasGoodChecksum(absl::string_view bytes) {
  if (bytes.size() < sizeof(uint64_t)) return false;
  const size_t checksum_at = bytes.size() - sizeof(uint64_t);
  return LoadLittleEndian<uint64_t>(bytes.data() + checksum_at) ==
         Checksum(bytes.substr(0, checksum_at));
}

void AppendIdentity(std::string* to, const LogIdentity& identity) {
  to->append(reinterpret_cast<const char*>(identity.cluster.bytes.data()),
             identity.cluster.bytes.size());
  AppendLittleEndian(to, ToInteger(identity.node));
  AppendLittleEndian(to, ToInteger(identity.incarnation));
}

template <size_t size>
void AppendArray(std::string* to, const std::array<uint8_t, size>& bytes) {
  to->append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

template <size_t size>
void ReadArray(Decoder& from, std::array<uint8_t, size>* to) {
  absl::string_view bytes = from.ReadBytes(size);
  std::copy(bytes.begin(), bytes.end(), to->begin());
}

absl::Status ReadEncryption(Decoder& decoder, BlockEncryption& encryption) {
  const auto cipher = decoder.Read<uint32_t>();
  encryption.cipher = static_cast<Cipher>(cipher);
  encryption.revision = decoder.Read<uint32_t>();
  ReadArray(decoder, &encryption.data_key.salt);
  ReadArray(decoder, &encryption.data_key.sealed);
  ReadArray(decoder, &encryption.data_key.tag);
  if (encryption.cipher != Cipher::kAes256Gcm && encryption.cipher != Cipher::kChaCha20Poly1305) {
    return absl::FailedPreconditionError(
        absl::StrCat("the block is encrypted by cipher ", cipher, ", which is not known"));
  }
  return absl::OkStatus();
}

BlockCompression ReadCompression(absl::string_view sector) {
  Decoder decoder(sector.substr(kCompressionAt));
  BlockCompression compression;
  compression.file_bytes = decoder.Read<uint64_t>();
  compression.data_end = decoder.Read<uint64_t>();
  compression.footer_begin = decoder.Read<uint64_t>();
  compression.footer_bytes = decoder.Read<uint64_t>();
  compression.id_begin = decoder.Read<uint64_t>();
  compression.frames_bytes = decoder.Read<uint64_t>();
  return compression;
}

}  // namespace

std::string ToString(const LogIdentity& identity) {
  return absl::StrCat("cluster ", ToString(identity.cluster), ", node ", ToInteger(identity.node),
                      ", incarnation ", ToInteger(identity.incarnation));
}

absl::Status CheckLogIdentity(const LogIdentity& found, const LogIdentity& wanted,
                              const std::string& path) {
  if (found == wanted) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(path, ": this is the log of ", ToString(found),
                                                    ", wanted is that of ", ToString(wanted)));
}

std::string BlockHeader::Encode() const {
  std::string bytes;
  AppendLittleEndian(&bytes, kHeaderMagic);
  AppendLittleEndian(&bytes, is_compressed()  ? kCompressedBlockFormatVersion
                             : is_encrypted() ? kEncryptedBlockFormatVersion
                                              : kBlockFormatVersion);
  AppendIdentity(&bytes, identity);
  AppendLittleEndian(&bytes, block);
  AppendLittleEndian(&bytes, geometry.block_bytes);
  AppendLittleEndian(&bytes, geometry.unit_bytes);
  AppendLittleEndian(&bytes, key);
  AppendArray(&bytes, key_check);
  if (is_encrypted()) {
    AppendLittleEndian(&bytes, static_cast<uint32_t>(encryption.cipher));
    AppendLittleEndian(&bytes, encryption.revision);
    AppendArray(&bytes, encryption.data_key.salt);
    AppendArray(&bytes, encryption.data_key.sealed);
    AppendArray(&bytes, encryption.data_key.tag);
  }
  if (is_compressed()) {
    bytes.resize(kCompressionAt, kFiller);
    AppendLittleEndian(&bytes, compression.file_bytes);
    AppendLittleEndian(&bytes, compression.data_end);
    AppendLittleEndian(&bytes, compression.footer_begin);
    AppendLittleEndian(&bytes, compression.footer_bytes);
    AppendLittleEndian(&bytes, compression.id_begin);
    AppendLittleEndian(&bytes, compression.frames_bytes);
  }
  return Finish(std::move(bytes));
}

absl::StatusOr<BlockHeader> BlockHeader::Decode(absl::string_view sector) {
  Decoder decoder(sector);
  if (decoder.Read<uint32_t>() != kHeaderMagic) return absl::DataLossError("no block header");
  if (sector.size() != kSectorBytes || !HasGoodChecksum(sector)) {
    return absl::DataLossError("block header checksum");
  }
  const uint32_t version = decoder.Read<uint32_t>();
  if (version < kBlockFormatVersion || version > kCompressedBlockFormatVersion) {
    return absl::FailedPreconditionError(absl::StrCat(
        "block format ", version, ", this program knows ", kCompressedBlockFormatVersion));
  }
  const bool compressed = version == kCompressedBlockFormatVersion;
  BlockHeader header;
  ReadArray(decoder, &header.identity.cluster.bytes);
  header.identity.node = static_cast<NodeId>(decoder.Read<uint64_t>());
  header.identity.incarnation = static_cast<Incarnation>(decoder.Read<uint64_t>());
  header.block = decoder.Read<uint64_t>();
  header.geometry.block_bytes = decoder.Read<uint64_t>();
  header.geometry.unit_bytes = decoder.Read<uint64_t>();
  header.key = decoder.Read<uint64_t>();
  ReadArray(decoder, &header.key_check);
  if (!header.geometry.IsValid()) return absl::DataLossError("block header: impossible lengths");
  if (!compressed && header.is_encrypted() != (version == kEncryptedBlockFormatVersion)) {
    return absl::DataLossError("block header: a key where there can be none, or none");
  }
  if (header.is_encrypted()) {
    if (absl::Status status = ReadEncryption(decoder, header.encryption); !status.ok()) {
      return status;
    }
  }
  if (!compressed) return header;
  header.compression = ReadCompression(sector);
  if (!header.is_compressed() || !header.Layout().IsValid()) {
    return absl::DataLossError("block header: impossible places of what is compressed");
  }
  return header;
}

BlockGeometry BlockHeader::FileGeometry() const {
  if (!is_compressed()) return geometry;
  return {.block_bytes = compression.file_bytes, .unit_bytes = geometry.unit_bytes};
}

BlockGeometry BlockHeader::PlainGeometry() const {
  if (!is_encrypted()) return geometry;
  const uint64_t plain = geometry.unit_bytes - UnitCipher::kOverhead;
  return {.block_bytes = geometry.block_bytes / geometry.unit_bytes * plain, .unit_bytes = plain};
}

std::string BlockHeader::KeyPlace() const {
  std::string place;
  AppendIdentity(&place, identity);
  AppendLittleEndian(&place, block);
  AppendLittleEndian(&place, geometry.block_bytes);
  AppendLittleEndian(&place, geometry.unit_bytes);
  AppendLittleEndian(&place, static_cast<uint32_t>(encryption.cipher));
  if (is_compressed()) AppendLittleEndian(&place, compression.file_bytes);
  return place;
}

uint64_t BlockHeader::Tag() const {
  std::string bytes;
  AppendIdentity(&bytes, identity);
  AppendLittleEndian(&bytes, block);
  return Checksum(bytes);
}

std::string BlockSeal::Encode(size_t size) const {
  std::string bytes;
  AppendLittleEndian(&bytes, kSealMagic);
  AppendLittleEndian(&bytes, (has_bad_entries ? kBadEntriesMark : 0) |
                                 (end_lost ? kEndLostMark : 0) |
                                 (last_is_faulty ? kLastIsFaultyMark : 0));
  AppendLittleEndian(&bytes, tag);
  AppendLittleEndian(&bytes, first_batch);
  AppendLittleEndian(&bytes, last_batch);
  AppendLittleEndian(&bytes, data_end);
  AppendLittleEndian(&bytes, id_begin);
  AppendLittleEndian(&bytes, last_id_hash.low);
  AppendLittleEndian(&bytes, last_id_hash.high);
  AppendLittleEndian(&bytes, footer_begin);
  AppendLittleEndian(&bytes, footer_bytes);
  AppendLittleEndian(&bytes, footer_checksum);
  return Finish(std::move(bytes), size);
}

absl::StatusOr<BlockSeal> BlockSeal::Decode(absl::string_view bytes, uint64_t tag) {
  Decoder decoder(bytes);
  if (decoder.Read<uint32_t>() != kSealMagic) return absl::DataLossError("no seal");
  if (!HasGoodChecksum(bytes)) return absl::DataLossError("seal checksum");
  BlockSeal seal;
  const uint32_t marks = decoder.Read<uint32_t>();
  seal.has_bad_entries = marks != 0;
  seal.end_lost = (marks & kEndLostMark) != 0;
  seal.last_is_faulty = (marks & kLastIsFaultyMark) != 0;
  seal.tag = decoder.Read<uint64_t>();
  if (seal.tag != tag) return absl::DataLossError("the seal is another block's");
  seal.first_batch = decoder.Read<uint64_t>();
  seal.last_batch = decoder.Read<uint64_t>();
  seal.data_end = decoder.Read<uint64_t>();
  seal.id_begin = decoder.Read<uint64_t>();
  seal.last_id_hash.low = decoder.Read<uint64_t>();
  seal.last_id_hash.high = decoder.Read<uint64_t>();
  seal.footer_begin = decoder.Read<uint64_t>();
  seal.footer_bytes = decoder.Read<uint64_t>();
  seal.footer_checksum = decoder.Read<uint64_t>();
  return seal;
}

}  // namespace cairn
