#include "storage/encrypted/encrypted_header.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/coding.h"
#include "storage/checksum.h"
#include "storage/crypto/missing_key.h"

namespace cairn {
namespace {

constexpr absl::string_view kMagic = "cairnenc";
constexpr uint32_t kVersion = 1;
constexpr size_t kChecksumAt = kSectorBytes - sizeof(uint64_t);

template <size_t size>
void Append(std::string* to, const std::array<uint8_t, size>& bytes) {
  to->append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

template <size_t size>
void Read(Decoder& from, std::array<uint8_t, size>* to) {
  const absl::string_view bytes = from.ReadBytes(size);
  std::copy(bytes.begin(), bytes.end(), to->begin());
}

absl::StatusOr<std::optional<EncryptedHeader>> ReadCopy(const File& file, uint64_t offset) {
  std::string sector(kSectorBytes, '\0');
  const absl::StatusOr<size_t> read = file.Read(offset, sector.size(), sector.data());
  if (!read.ok()) return read.status();
  return EncryptedHeader::Decode(absl::string_view(sector).substr(0, *read));
}

}  // namespace

std::string EncryptedHeader::KeyPlace() const {
  std::string place(kMagic);
  AppendLittleEndian(&place, kVersion);
  AppendLittleEndian(&place, static_cast<uint32_t>(cipher));
  Append(&place, id);
  return place;
}

std::string EncryptedHeader::Encode() const {
  std::string bytes = KeyPlace();
  AppendLittleEndian(&bytes, key);
  Append(&bytes, key_check);
  Append(&bytes, data_key.salt);
  Append(&bytes, data_key.sealed);
  Append(&bytes, data_key.tag);
  CAIRN_CHECK_LE(bytes.size(), kChecksumAt);
  bytes.resize(kChecksumAt);
  AppendLittleEndian(&bytes, Checksum(bytes));
  return bytes;
}

absl::StatusOr<std::optional<EncryptedHeader>> EncryptedHeader::Decode(absl::string_view sector) {
  std::optional<EncryptedHeader> none;
  if (sector.size() != kSectorBytes || sector.substr(0, kMagic.size()) != kMagic) return none;
  if (LoadLittleEndian<uint64_t>(sector.data() + kChecksumAt) !=
      Checksum(sector.substr(0, kChecksumAt))) {
    return none;
  }
  Decoder decoder(sector.substr(kMagic.size()));
  const auto version = decoder.Read<uint32_t>();
  if (version != kVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("version ", version, " of encrypted files, and this program knows ", kVersion,
                     ": start a newer one"));
  }
  EncryptedHeader header;
  const auto cipher = decoder.Read<uint32_t>();
  header.cipher = static_cast<Cipher>(cipher);
  if (header.cipher != Cipher::kAes256Gcm && header.cipher != Cipher::kChaCha20Poly1305) {
    return absl::FailedPreconditionError(
        absl::StrCat("encrypted by cipher ", cipher, ", which is not known"));
  }
  Read(decoder, &header.id);
  header.key = decoder.Read<uint64_t>();
  Read(decoder, &header.key_check);
  Read(decoder, &header.data_key.salt);
  Read(decoder, &header.data_key.sealed);
  Read(decoder, &header.data_key.tag);
  return header;
}

EncryptedHeader EncryptedHeader::Make(Cipher cipher, const MasterKey& master,
                                      const SecretKey& data_key, RandomBytes& random) {
  EncryptedHeader header;
  header.cipher = cipher;
  random.Fill(header.id.data(), header.id.size());
  header.Rewrap(data_key, master, random);
  return header;
}

void EncryptedHeader::Rewrap(const SecretKey& key_of_file, const MasterKey& master,
                             RandomBytes& random) {
  key = master.id;
  key_check = master.check;
  data_key = WrapKey(master.secret, KeyPlace(), key_of_file, random);
}

absl::StatusOr<SecretKey> EncryptedHeader::DataKey(const KeyRing* keys) const {
  const absl::StatusOr<MasterKey> master = FindMasterKey(keys, key, key_check);
  if (!master.ok()) return master.status();
  const std::optional<SecretKey> opened = UnwrapKey(master->secret, KeyPlace(), data_key);
  if (!opened) {
    return absl::DataLossError(absl::StrCat("what stands there as its data key is damaged: key ",
                                            KeyIdText(key), " does not open it"));
  }
  return *opened;
}

absl::StatusOr<EncryptedHeaders> ReadEncryptedHeaders(const File& file) {
  const auto first = ReadCopy(file, 0);
  const auto second = ReadCopy(file, EncryptedHeader::kCopyAt);
  EncryptedHeaders headers;
  if (first.ok()) headers.first = *first;
  if (second.ok()) headers.second = *second;
  if (!headers.none()) return headers;
  if (!first.ok()) return first.status();
  if (!second.ok()) return second.status();
  return headers;
}

absl::StatusOr<SecretKey> DataKeyOf(const EncryptedHeaders& headers, const KeyRing* keys) {
  CAIRN_CHECK(!headers.none());
  absl::StatusOr<SecretKey> key = headers.any().DataKey(keys);
  if (!key.ok() && headers.first && headers.second) {
    absl::StatusOr<SecretKey> other = headers.second->DataKey(keys);
    if (other.ok() || IsMissingKey(other.status())) return other;
  }
  return key;
}

absl::Status WriteEncryptedHeaders(FileSystem& file_system, File& file,
                                   const EncryptedHeader& header, bool second_first) {
  const std::string sector = header.Encode();
  constexpr uint64_t kFirstAt = 0;
  constexpr uint64_t kSecondAt = EncryptedHeader::kCopyAt;
  for (const uint64_t offset :
       {second_first ? kSecondAt : kFirstAt, second_first ? kFirstAt : kSecondAt}) {
    absl::Status status = file.Write(offset, sector);
    if (status.ok()) status = file_system.SyncNow(file);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace cairn
