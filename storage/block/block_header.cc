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
constexpr uint32_t kSealMagic = 0x5ea1b10c;
constexpr size_t kChecksumAt = kSectorBytes - sizeof(uint64_t);

// Fills `bytes` to a sector that ends in its checksum.
std::string Finish(std::string bytes) {
  CAIRN_CHECK_LE(bytes.size(), kChecksumAt);
  bytes.resize(kChecksumAt, kFiller);
  AppendLittleEndian(&bytes, Checksum(bytes));
  return bytes;
}

bool HasGoodChecksum(absl::string_view sector) {
  return sector.size() == kSectorBytes && LoadLittleEndian<uint64_t>(sector.data() + kChecksumAt) ==
                                              Checksum(sector.substr(0, kChecksumAt));
}

void AppendIdentity(std::string* to, const LogIdentity& identity) {
  to->append(reinterpret_cast<const char*>(identity.cluster.bytes.data()),
             identity.cluster.bytes.size());
  AppendLittleEndian(to, ToInteger(identity.node));
  AppendLittleEndian(to, ToInteger(identity.incarnation));
}

template <size_t size>
void ReadArray(Decoder& from, std::array<uint8_t, size>* to) {
  absl::string_view bytes = from.ReadBytes(size);
  std::copy(bytes.begin(), bytes.end(), to->begin());
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
  AppendLittleEndian(&bytes, kBlockFormatVersion);
  AppendIdentity(&bytes, identity);
  AppendLittleEndian(&bytes, block);
  AppendLittleEndian(&bytes, geometry.block_bytes);
  AppendLittleEndian(&bytes, geometry.unit_bytes);
  AppendLittleEndian(&bytes, key);
  bytes.append(reinterpret_cast<const char*>(key_check.data()), key_check.size());
  return Finish(std::move(bytes));
}

absl::StatusOr<BlockHeader> BlockHeader::Decode(absl::string_view sector) {
  Decoder decoder(sector);
  if (decoder.Read<uint32_t>() != kHeaderMagic) return absl::DataLossError("no block header");
  if (!HasGoodChecksum(sector)) return absl::DataLossError("block header checksum");
  uint32_t version = decoder.Read<uint32_t>();
  if (version != kBlockFormatVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("block format ", version, ", this program knows ", kBlockFormatVersion));
  }
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
  if (header.key != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("the block is encrypted with key ", header.key, ", which is not known"));
  }
  return header;
}

uint64_t BlockHeader::Tag() const {
  std::string bytes;
  AppendIdentity(&bytes, identity);
  AppendLittleEndian(&bytes, block);
  return Checksum(bytes);
}

std::string BlockSeal::Encode() const {
  std::string bytes;
  AppendLittleEndian(&bytes, kSealMagic);
  AppendLittleEndian(&bytes, uint32_t{has_bad_entries});
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
  return Finish(std::move(bytes));
}

absl::StatusOr<BlockSeal> BlockSeal::Decode(absl::string_view sector, uint64_t tag) {
  Decoder decoder(sector);
  if (decoder.Read<uint32_t>() != kSealMagic) return absl::DataLossError("no seal");
  if (!HasGoodChecksum(sector)) return absl::DataLossError("seal checksum");
  BlockSeal seal;
  seal.has_bad_entries = decoder.Read<uint32_t>() != 0;
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
