#include "storage/rocksdb/ledger_record.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/coding.h"
#include "storage/checksum.h"
#include "storage/file_system.h"

namespace cairn {
namespace {

constexpr uint32_t kMagic = 0x4b434143;  // "CACK"
constexpr uint8_t kVersion = 2;
// Without identity, and with a checksum of the body alone.
constexpr uint8_t kVersionWithoutIdentity = 1;
constexpr size_t kFixedBytes = 2 * sizeof(uint32_t) + sizeof(uint8_t);

size_t Padded(size_t size) {
  return (size + LedgerRecord::kUnit - 1) / LedgerRecord::kUnit * LedgerRecord::kUnit;
}

absl::Status NoRecord() { return absl::DataLossError("there is no intact record"); }

bool DecodeBody(uint8_t version, absl::string_view body, LedgerRecord& record) {
  Decoder fields(body);
  record.number = fields.Read<uint64_t>();
  record.boot = fields.Read<uint64_t>();
  if (version != kVersionWithoutIdentity) {
    record.of_all = fields.Read<uint8_t>() != 0;
    const auto identity = DecodeLogIdentity(fields.ReadLengthPrefixed());
    if (!identity.ok()) return false;
    record.identity = *identity;
  }
  while (fields.remaining() > 0) {
    const GroupId group{fields.Read<uint64_t>()};
    LedgerGroup found;
    found.boot = record.boot;
    found.dropped = fields.Read<uint8_t>() != 0;
    found.durable_change = fields.Read<uint64_t>();
    const auto head = DecodeHead(group, fields.ReadLengthPrefixed());
    auto starts = DecodeTerms(group, fields.ReadLengthPrefixed());
    if (!fields.ok() || !head.ok() || !starts.ok() || group == GroupId::kNone) return false;
    if (!found.dropped && !CoverLog(*starts, *head)) return false;
    found.head = *head;
    found.starts = *std::move(starts);
    record.groups[group] = std::move(found);
  }
  return fields.ok();
}

}  // namespace

std::string EncodeLedgerRecord(const LedgerRecord& record) {
  CAIRN_CHECK(record.identity.has_value());
  std::string body;
  AppendLittleEndian(&body, record.number);
  AppendLittleEndian(&body, record.boot);
  AppendLittleEndian(&body, static_cast<uint8_t>(record.of_all ? 1 : 0));
  AppendLengthPrefixed(&body, EncodeLogIdentity(*record.identity));
  for (const auto& [group, entry] : record.groups) {
    AppendLittleEndian(&body, ToInteger(group));
    AppendLittleEndian(&body, static_cast<uint8_t>(entry.dropped ? 1 : 0));
    AppendLittleEndian(&body, entry.durable_change);
    AppendLengthPrefixed(&body, EncodeHead(group, entry.head));
    AppendLengthPrefixed(&body, EncodeTerms(group, entry.starts));
  }
  std::string bytes;
  AppendLittleEndian(&bytes, kMagic);
  AppendLittleEndian(&bytes, kVersion);
  AppendLittleEndian(&bytes, static_cast<uint32_t>(body.size()));
  bytes += body;
  AppendLittleEndian(&bytes, Checksum(bytes));
  bytes.resize(Padded(bytes.size()), '\0');
  return bytes;
}

absl::StatusOr<DecodedLedgerRecord> DecodeLedgerRecord(absl::string_view bytes) {
  Decoder decoder(bytes);
  if (decoder.Read<uint32_t>() != kMagic) return NoRecord();
  const auto version = decoder.Read<uint8_t>();
  const size_t length = decoder.Read<uint32_t>();
  const absl::string_view body = decoder.ReadBytes(length);
  const auto checksum = decoder.Read<uint64_t>();
  if (!decoder.ok()) return NoRecord();
  const absl::string_view checked =
      version == kVersionWithoutIdentity ? body : bytes.substr(0, kFixedBytes + length);
  if (checksum != Checksum(checked)) return NoRecord();
  if (version > kVersion) {
    return absl::FailedPreconditionError(absl::StrCat("a record of the ledger is of format ",
                                                      version, ", this program knows ", kVersion));
  }
  DecodedLedgerRecord decoded;
  decoded.size = Padded(kFixedBytes + length + sizeof(uint64_t));
  if (!DecodeBody(version, body, decoded.record)) return NoRecord();
  return decoded;
}

bool LedgerRecordRotted(absl::string_view bytes, bool notices_rot) {
  if (notices_rot) {
    const std::string unread(std::min(LedgerRecord::kUnit, bytes.size()), kUnreadLedgerByte);
    if (bytes.substr(0, unread.size()) == unread) return true;
    Decoder head(bytes);
    const bool is_head = head.Read<uint32_t>() == kMagic;
    head.Read<uint8_t>();
    const size_t claimed = is_head ? kFixedBytes + head.Read<uint32_t>() : 0;
    for (size_t at = LedgerRecord::kUnit; at < std::min(claimed, bytes.size());
         at += LedgerRecord::kUnit) {
      if (absl::StartsWith(bytes.substr(at), unread.substr(0, 64))) return true;
    }
    return false;
  }
  const std::string zeros(kSectorBytes, '\0');
  if (bytes.size() < kSectorBytes || bytes.substr(0, kSectorBytes) == zeros) return false;
  Decoder decoder(bytes);
  const bool is_record = decoder.Read<uint32_t>() == kMagic;
  decoder.Read<uint8_t>();
  const size_t length = decoder.Read<uint32_t>();
  if (!is_record) return true;
  const size_t size = kFixedBytes + length + sizeof(uint64_t);
  if (size > bytes.size()) return false;
  for (size_t at = 0; at + kSectorBytes <= size; at += kSectorBytes) {
    if (bytes.substr(at, kSectorBytes) == zeros) return false;
  }
  return true;
}

}  // namespace cairn
